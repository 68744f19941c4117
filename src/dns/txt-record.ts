/**
 * The grammar that the TXT records of `_mta-sts` (RFC 8461 §3.1) and `_smtp._tls` (RFC 8460 §3)
 * share:
 *
 *     v=STSv1; id=20160831085700Z; name=value;
 *
 * The version stands first, the fields behind it in any order. They are parted by `;`, white
 * space may stand on either side of it, and one more may stand at the end. There is no white space
 * round the `=`.
 *
 * @module
 */

import { RecordSyntaxError } from '../errors.js'
import { escapeRemoteText } from '../text.js'

/** A field of a record or of a policy file. An array of these keeps order, whatever the names. */
export interface Field {
  /** 1 to 32 letters, digits, `_`, `-` or `.`; case counts */
  readonly name: string
  /** The value as it was written, without the white space around it */
  readonly value: string
}

export interface TagListSyntax {
  /** The version that the record must begin with: `STSv1` */
  version: string
  /**
   * Fields whose values have a syntax of their own, which the caller checks: all that stands up
   * to the next `;` without the white space round it, but never empty. The other values hold
   * visible ASCII without `=`.
   */
  unchecked?: readonly string[]
}

const FIELD_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/
const FIELD_VALUE = /^[!-:<>-~]+$/
const SPACE = 0x20
const TAB = 0x09

/**
 * The fields behind the version, in their order, doubled ones included. White space at the end is
 * tolerated: it changes no meaning.
 *
 * @throws RecordSyntaxError
 */
export function parseTagList(text: string, syntax: TagListSyntax): Field[] {
  if (!beginsWithVersion(text, syntax.version)) {
    throw new RecordSyntaxError(
      `The TXT record must begin with "v=${syntax.version};", but it is "${escapeRemoteText(text)}"`,
    )
  }
  const parts = text.split(';').slice(1).map(trimWhiteSpace)
  // The empty part behind the delimiter that may end the record.
  if (parts.at(-1) === '') parts.pop()
  return parts.map((part) => parseField(part, syntax.unchecked))
}

/**
 * The records of a TXT answer that are to be counted: the strings of each are joined without
 * spaces, and it begins with the version and a `;`. The others are of no concern.
 */
export function selectRecords(rrset: readonly (readonly string[])[], version: string): string[] {
  return rrset
    .map((strings) => strings.join(''))
    .filter((record) => beginsWithVersion(record, version))
}

/**
 * Says what is wrong with a field that is to be written or was read; undefined if nothing is.
 * This is `sts-extension` of RFC 8461 §3.1 and `tlsrpt-extension` of RFC 8460 §3.
 */
export function fieldProblem({ name, value }: Field): string | undefined {
  if (!isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  if (!FIELD_VALUE.test(value)) {
    return `The value of "${name}" must be visible ASCII without "=" and ";", but it is "${escapeRemoteText(value)}"`
  }
  return undefined
}

/** The same in a record and in a policy file: `sts-ext-name`, `sts-policy-ext-name`. */
export function isFieldName(name: string): boolean {
  return FIELD_NAME.test(name)
}

export function fieldNameProblem(name: string): string {
  return `A field name must be 1 to 32 letters, digits, "_", "-" or "." and begin with a letter or digit, but it is "${escapeRemoteText(name)}"`
}

/** Returns the first of each field that occurs more than once (RFC 8461 §3.2). */
export function firstOfEach<F extends Field>(fields: readonly F[]): F[] {
  const seen = new Set<string>()
  return fields.filter(({ name }) => !seen.has(name) && seen.add(name))
}

/** Without spaces and tabs at both ends: WSP of RFC 5234, where `trim` would take more. */
export function trimWhiteSpace(text: string): string {
  return trimmedPart(text, 0, text.length)
}

/** The same of a part of the text. */
export function trimmedPart(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isWhiteSpace(text, start)) start++
  while (end > start && isWhiteSpace(text, end - 1)) end--
  return text.slice(start, end)
}

function beginsWithVersion(record: string, version: string): boolean {
  const field = `v=${version}`
  if (!record.startsWith(field)) return false
  let end = field.length
  while (isWhiteSpace(record, end)) end++
  return record[end] === ';'
}

function parseField(text: string, unchecked: readonly string[] | undefined): Field {
  const equals = text.indexOf('=')
  if (equals < 0) {
    const found = text === '' ? 'nothing between two ";"' : `"${escapeRemoteText(text)}"`
    throw new RecordSyntaxError(`A field of a TXT record must be name=value, but there is ${found}`)
  }
  const field = { name: text.slice(0, equals), value: text.slice(equals + 1) }
  if (unchecked?.includes(field.name) && field.value !== '') return field
  const problem = fieldProblem(field)
  if (problem !== undefined) throw new RecordSyntaxError(problem)
  return field
}

function isWhiteSpace(text: string, index: number): boolean {
  const char = text.charCodeAt(index)
  return char === SPACE || char === TAB
}

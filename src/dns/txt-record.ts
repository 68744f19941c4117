/**
 * The grammar that the TXT records of `_mta-sts` (RFC 8461 §3.1) and `_smtp._tls` (RFC 8460 §3)
 * share:
 *
 * v=STSv1; id=20160831085700Z; name=value;
 *
 * The version comes first, the fields follow in any order. They are separated by `;`, with optional
 * white space on either side, and one more may end the record. There is no white space around the
 * `=`.
 *
 * @module
 */

import { RecordSyntaxError } from '../errors.js'
import { argumentError } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'

/**
 * A field of a record or of a policy file. An array of fields keeps their order, whatever the
 * names.
 */
export interface Field {
  /** 1 to 32 letters, digits, `_`, `-` or `.`; case-sensitive */
  readonly name: string
  /** The value, without the white space around it */
  readonly value: string
}

export interface TagListSyntax {
  /** The version that the record must begin with: `STSv1` */
  version: string
  /**
   * Fields whose values the caller checks, because they have their own syntax: everything up to the
   * next `;` without the white space around it, but never empty. Other values hold visible ASCII
   * without `=`.
   */
  unchecked?: readonly string[]
}

const FIELD_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/
const FIELD_VALUE = /^[!-:<>-~]+$/
const SPACE = 0x20
const TAB = 0x09

/**
 * Returns the fields behind the version, in order, with duplicates. White space at the end is
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
  // The empty part behind the delimiter that may end the record
  if (parts.at(-1) === '') parts.pop()
  return parts.map((part) => parseField(part, syntax.unchecked))
}

/** Throws unless the argument `rrset` of a public function has the shape of a TXT answer. */
export function checkRecords(call: string, rrset: unknown): void {
  const isRecord = (strings: unknown) => Array.isArray(strings)
  if (Array.isArray(rrset) && rrset.every(isRecord)) return
  throw argumentError(
    [call, 'rrset'],
    'must be the TXT records as resolveTxt() returns them',
    rrset,
  )
}

/** Throws unless the argument `txt` of a public function is a text. */
export function checkText(call: string, txt: unknown): void {
  if (typeof txt === 'string') return
  throw argumentError([call, 'txt'], 'must be the text of a TXT record', txt)
}

/**
 * Returns the records of a TXT answer that begin with the version and a `;`, with their strings
 * joined without spaces. Others are ignored.
 */
export function selectRecords(rrset: readonly (readonly string[])[], version: string): string[] {
  return rrset
    .map((strings) => strings.join(''))
    .filter((record) => beginsWithVersion(record, version))
}

/**
 * Returns the fault of a field, if any, by `sts-extension` of RFC 8461 §3.1 and `tlsrpt-extension`
 * of RFC 8460 §3.
 */
export function fieldProblem({ name, value }: Field): string | undefined {
  if (!isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  if (!FIELD_VALUE.test(value)) {
    return `The value of "${name}" must be visible ASCII without "=" and ";", but it is "${escapeRemoteText(value)}"`
  }
  return undefined
}

/**
 * Whether a text is a field name in records (`sts-ext-name`) and policy files
 * (`sts-policy-ext-name`).
 */
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

/** Removes spaces and tabs at both ends: WSP of RFC 5234. `trim` would remove more. */
export function trimWhiteSpace(text: string): string {
  let start = 0
  let end = text.length
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

/** Whether the character at an index is a space or a tab. */
export function isWhiteSpace(text: string, index: number): boolean {
  const char = text.charCodeAt(index)
  return char === SPACE || char === TAB
}

/**
 * The policy file at `https://mta-sts.` + Policy Domain + `/.well-known/mta-sts.txt`
 * (RFC 8461 §3.2):
 *
 *     version: STSv1
 *     mode: enforce
 *     mx: mail.example.com
 *     mx: *.example.net
 *     max_age: 604800
 *
 * What follows is the ABNF of the RFC, and these tolerances, each of which has but one meaning:
 * blank lines (T1), a byte order mark at the start (T2), upper case in `mx` (T3), one trailing dot
 * on `mx` (T4).
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import {
  type Field,
  fieldNameProblem,
  firstOfEach,
  isFieldName,
  trimWhiteSpace,
} from '../dns/tag-list.js'
import { escapeRemoteText, PolicySyntaxError } from '../errors.js'
import { isMxPattern } from './mx-pattern.js'

/** What a policy asks of senders (RFC 8461 §5). */
export type PolicyMode = 'enforce' | 'testing' | 'none'

/** A policy file (RFC 8461 §3.2), parsed. */
export interface Policy {
  /** The only version there is */
  version: 'STSv1'
  /** `enforce`: refuse, `testing`: deliver and report, `none`: as if there were no policy */
  mode: PolicyMode
  /** mx patterns in lower case, in their order; may be empty where the mode is `none` */
  mx: readonly string[]
  /** Seconds from the fetch, 0 to 31557600 (RFC 8461 §3.2) */
  maxAge: number
  /** Fields that RFC 8461 does not define, in their order; left out where there are none */
  extensions?: readonly Field[]
}

/** A policy file that is longer is refused, never cut (RFC 8461 §3.3). In bytes. */
export const MAX_POLICY_BYTES = 64 * 1024

/** The longest `max_age`, about a year, in seconds (RFC 8461 §3.2). More counts as this much. */
export const MAX_AGE_LIMIT = 31557600

/** Stands for the whole file in {@link PolicySyntaxError.line}. */
const WHOLE_FILE = 0

const VERSION = 'STSv1'
const MODES: readonly PolicyMode[] = ['enforce', 'testing', 'none']
const DEFINED_FIELDS: readonly string[] = ['version', 'mode', 'mx', 'max_age']
const MAX_AGE = /^[0-9]{1,10}$/
const MX_RULE = 'must be one host name in A-labels, or "*." and one'
const PRINTABLE_ASCII = /^[ -~]*$/
// What `sts-policy-ext-value` leaves out: control characters of ASCII, and half a surrogate pair,
// which has no UTF-8.
const UNPRINTABLE = /[^ -~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]/u

/** A field and where it stands, from line 1 on. */
interface Line extends Field {
  readonly line: number
}

/**
 * Reads a policy file.
 *
 * ```ts
 * parsePolicy('version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n').mx
 * // ['mail.example.com']
 * ```
 *
 * @throws PolicySyntaxError, whose `line` counts from 1 and is 0 if the file as a whole is wrong
 */
export function parsePolicy(body: string | Uint8Array): Policy {
  return parseText(policyText(body))
}

/**
 * The same, and the text that it was read from, of which the policy's strings are parts: whoever
 * keeps both keeps the text once.
 *
 * @throws PolicySyntaxError as {@link parsePolicy} does
 */
export function readPolicy(bytes: Uint8Array): { policy: Policy; body: string } {
  const body = policyText(bytes)
  return { policy: parseText(body), body }
}

function parseText(text: string): Policy {
  const lines = parseLines(text)
  const fields = firstOfEach(lines)
  checkVersion(required(fields, 'version'))
  const mode = parseMode(required(fields, 'mode'))
  const mx = lines.filter(({ name }) => name === 'mx').map(parseMx)
  if (mx.length === 0 && mode !== 'none') throw missing('mx')
  const maxAge = parseMaxAge(required(fields, 'max_age'))
  const extensions = fields.filter(({ name }) => !DEFINED_FIELDS.includes(name)).map(withoutLine)
  return { version: VERSION, mode, mx, maxAge, ...(extensions.length > 0 ? { extensions } : {}) }
}

/**
 * Writes a policy file, in lines that end with CRLF, that {@link parsePolicy} reads back as the
 * same policy.
 *
 * @throws PolicySyntaxError, `line` 0, if there is no such file: an `mx` that is not in lower
 *   case, a `maxAge` above 31557600
 */
export function formatPolicy(policy: Policy): string {
  checkPolicy(policy)
  const fields: Field[] = [
    { name: 'version', value: VERSION },
    { name: 'mode', value: policy.mode },
    ...policy.mx.map((value) => ({ name: 'mx', value })),
    { name: 'max_age', value: String(policy.maxAge) },
    ...(policy.extensions ?? []),
  ]
  const body = fields.map(({ name, value }) => `${name}: ${value}\r\n`).join('')
  checkLength(Buffer.byteLength(body))
  return body
}

/** Without the byte order mark (T2). */
function policyText(body: string | Uint8Array): string {
  checkLength(typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength)
  const text = typeof body === 'string' ? body : decodeUtf8(body)
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}

function decodeUtf8(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) {
    throw new PolicySyntaxError('The policy file must be UTF-8, and it is not', WHOLE_FILE)
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

function checkLength(bytes: number): void {
  if (bytes <= MAX_POLICY_BYTES) return
  throw new PolicySyntaxError(
    `A policy file must not be longer than ${MAX_POLICY_BYTES} bytes, but it has ${bytes}`,
    WHOLE_FILE,
  )
}

function parseLines(text: string): Line[] {
  const lines: Line[] = []
  const contents = text.split('\n')
  // Counted by hand: `entries` takes twice as long over a file of short lines.
  for (let index = 0; index < contents.length; index++) {
    const content = contents[index] ?? ''
    // What the last line ends with is no end of a line
    const ended = content.endsWith('\r') && index < contents.length - 1
    const line = parseLine(ended ? content.slice(0, -1) : content, index + 1)
    if (line !== undefined) lines.push(line)
  }
  return lines
}

/** The field on a line; undefined if the line is blank. */
function parseLine(content: string, line: number): Line | undefined {
  const colon = content.indexOf(':')
  if (colon < 0) {
    if (trimWhiteSpace(content) === '') return undefined
    throw new PolicySyntaxError(
      `A line of a policy file must be "name: value", but it is "${escapeRemoteText(content)}"`,
      line,
    )
  }
  const value = trimWhiteSpace(content.slice(colon + 1))
  const field = { name: content.slice(0, colon), value, line }
  const problem = fieldProblem(field)
  if (problem !== undefined) throw new PolicySyntaxError(problem, line)
  return field
}

/** Unlike a value in the TXT record, this one may hold spaces and all of Unicode. */
function fieldProblem({ name, value }: Field): string | undefined {
  if (!isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  // The second expression is slow to begin with, and nearly every value is done by the first.
  if (!PRINTABLE_ASCII.test(value) && UNPRINTABLE.test(value)) {
    return `The value of "${name}" must not hold control characters: "${escapeRemoteText(value)}"`
  }
  return undefined
}

function required(fields: readonly Line[], name: string): Line {
  const field = fields.find((candidate) => candidate.name === name)
  if (field === undefined) throw missing(name)
  return field
}

function missing(name: string): PolicySyntaxError {
  return new PolicySyntaxError(`The policy file has no "${name}" field`, WHOLE_FILE)
}

function checkVersion({ value, line }: Line): void {
  if (value !== VERSION) throw wrong('version', `must be ${VERSION}`, { value, line })
}

function parseMode({ value, line }: Line): PolicyMode {
  const mode = MODES.find((candidate) => candidate === value)
  if (mode === undefined) throw wrong('mode', `must be one of ${MODES.join(', ')}`, { value, line })
  return mode
}

function parseMx({ value, line }: Line): string {
  const pattern = value.endsWith('.') ? value.slice(0, -1) : value
  // Before the change to lower case, which would make ASCII of some letters that are not.
  if (!isMxPattern(pattern)) throw wrong('mx', MX_RULE, { value, line })
  return pattern.toLowerCase()
}

function parseMaxAge({ value, line }: Line): number {
  if (!MAX_AGE.test(value)) {
    throw wrong('max_age', 'must be a number of seconds of 1 to 10 digits', { value, line })
  }
  return Math.min(Number(value), MAX_AGE_LIMIT)
}

function wrong(
  name: string,
  rule: string,
  { value, line }: { value: unknown; line: number },
): PolicySyntaxError {
  const found = escapeRemoteText(String(value))
  return new PolicySyntaxError(`"${name}" in a policy ${rule}, but it is "${found}"`, line)
}

function withoutLine({ name, value }: Line): Field {
  return { name, value }
}

function checkPolicy({ version, mode, mx, maxAge, extensions }: Policy): void {
  const line = WHOLE_FILE
  checkVersion({ name: 'version', value: version, line })
  parseMode({ name: 'mode', value: mode, line })
  for (const value of mx) {
    if (typeof value !== 'string' || !isMxPattern(value) || value !== value.toLowerCase()) {
      throw wrong('mx', `${MX_RULE}, in lower case`, { value, line })
    }
  }
  if (mx.length === 0 && mode !== 'none') throw missing('mx')
  if (!Number.isInteger(maxAge) || maxAge < 0 || maxAge > MAX_AGE_LIMIT) {
    throw wrong('max_age', `must be whole seconds from 0 to ${MAX_AGE_LIMIT}`, {
      value: maxAge,
      line,
    })
  }
  checkExtensions(extensions ?? [])
}

function checkExtensions(extensions: readonly Field[]): void {
  for (const { name, value } of extensions) {
    const problem = fieldProblem({ name, value })
    if (problem !== undefined) throw new PolicySyntaxError(problem, WHOLE_FILE)
    if (DEFINED_FIELDS.includes(name)) {
      throw wrong(name, 'is no extension', { value, line: WHOLE_FILE })
    }
    if (value !== trimWhiteSpace(value)) {
      throw wrong(name, 'must not have white space at its ends', { value, line: WHOLE_FILE })
    }
  }
  if (firstOfEach(extensions).length < extensions.length) {
    throw new PolicySyntaxError('An extension of the policy is there twice', WHOLE_FILE)
  }
}

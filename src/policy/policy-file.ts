/**
 * The policy file at `https://mta-sts.` + Policy Domain + `/.well-known/mta-sts.txt` (RFC 8461
 * §3.2):
 *
 * version: STSv1
 * mode: enforce
 * mx: mail.example.com
 * mx: *.example.net
 * max_age: 604800
 *
 * The grammar is the ABNF of the RFC, with tolerances that allow only one reading: blank lines, a
 * byte order mark at the start, upper case in `mx`, one trailing dot on `mx`, the same white space
 * in front of every line.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import { type Field, firstOfEach, trimWhiteSpace } from '../dns/txt-record.js'
import { PolicySyntaxError } from '../errors.js'
import { argumentError } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'
import { isMxPattern } from './mx-pattern.js'
import { lookOf, mxHint, nearestMode } from './policy-hints.js'
import {
  type Cursor,
  checkedField,
  fieldAt,
  fieldProblem,
  isDefined,
  type Line,
  newCursor,
  nextField,
  WHOLE_FILE,
  withoutIndent,
} from './policy-lines.js'

/** The mode of a policy (RFC 8461 §5). */
export type PolicyMode = 'enforce' | 'testing' | 'none'

/** A policy file (RFC 8461 §3.2), parsed. */
export interface Policy {
  /** The only defined version */
  version: 'STSv1'
  /** `enforce`: refuse, `testing`: deliver and report, `none`: as if there were no policy */
  mode: PolicyMode
  /** mx patterns in lower case and file order, without duplicates; may be empty in mode `none` */
  mx: readonly string[]
  /** Seconds from the fetch, 0 to 31557600 (RFC 8461 §3.2) */
  maxAge: number
  /** Fields that RFC 8461 does not define, in file order; omitted if there are none */
  extensions?: readonly Field[]
}

/** Bound of a policy file, in bytes; a longer one is refused, never truncated (RFC 8461 §3.3). */
export const MAX_POLICY_BYTES = 64 * 1024

/**
 * The longest `max_age`, about a year, in seconds (RFC 8461 §3.2). A longer one is reduced to it.
 */
export const MAX_AGE_LIMIT = 31557600

const BOM = 0xfeff
const DOT = 0x2e

const VERSION = 'STSv1'
const MODES: readonly PolicyMode[] = ['enforce', 'testing', 'none']
const MAX_AGE = /^[0-9]{1,10}$/
const MX_RULE = 'must be one host name in A-labels, or "*." and one'

/**
 * Reads a policy file.
 *
 * ```ts
 * parsePolicy('version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n').mx
 * // ['mail.example.com']
 * ```
 *
 * @throws PolicySyntaxError, whose `line` counts from 1 and is 0 if the file as a whole is wrong;
 *   TypeError when the body is neither a string nor bytes
 */
export function parsePolicy(body: string | Uint8Array): Policy {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    const must = 'must be the text of a policy file, as a string or its bytes'
    throw argumentError(['parsePolicy()', 'body'], must, body)
  }
  return parseText(policyText(body))
}

/**
 * Reads a policy file; returns its text too.
 *
 * @throws PolicySyntaxError as {@link parsePolicy} does
 */
export function readPolicy(bytes: Uint8Array): { policy: Policy; body: string } {
  const body = policyText(bytes)
  return { policy: parseText(body), body }
}

/** @throws PolicySyntaxError, with a guess at the format of a file that is not a policy file */
function parseText(text: string): Policy {
  try {
    return parseFields(newCursor(withoutIndent(text)))
  } catch (error) {
    const look = error instanceof PolicySyntaxError ? lookOf(text) : undefined
    if (!(error instanceof PolicySyntaxError) || look === undefined) throw error
    throw new PolicySyntaxError(`${error.message}. The file looks like ${look}`, error.line)
  }
}

/** Repeated fields add up for `mx`, and the first counts for the others (RFC 8461 §3.2). */
function parseFields(cursor: Cursor): Policy {
  let version: typeof VERSION | undefined
  let mode: PolicyMode | undefined
  let maxAge: number | undefined
  const mx: string[] = []
  const others: Field[] = []
  while (nextField(cursor)) {
    const { name } = cursor
    if (name === 'mx') mx.push(parseMx(cursor))
    else if (name === 'version' && version === undefined) version = parseVersion(fieldAt(cursor))
    else if (name === 'mode' && mode === undefined) mode = parseMode(fieldAt(cursor))
    else if (name === 'max_age' && maxAge === undefined) maxAge = parseMaxAge(fieldAt(cursor))
    else others.push(checkedField(cursor))
  }
  const policy: Policy = {
    version: version ?? missing('version'),
    mode: mode ?? missing('mode'),
    mx: mx.length === 0 && mode !== 'none' ? missing('mx') : withoutDuplicates(mx),
    maxAge: maxAge ?? missing('max_age'),
  }
  const extensions = others.filter(({ name }) => !isDefined(name))
  if (extensions.length > 0) policy.extensions = firstOfEach(extensions)
  return policy
}

/**
 * Writes a policy file that {@link parsePolicy} reads back as the same policy. Lines end with CRLF.
 *
 * @throws PolicySyntaxError, `line` 0, for an invalid policy: an `mx` in upper case or listed
 * twice, a `maxAge` above 31557600
 */
export function formatPolicy(policy: Policy): string {
  if (typeof policy !== 'object' || policy === null) {
    throw argumentError(['formatPolicy()', 'policy'], 'must be a policy', policy)
  }
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

/** Returns the text of a policy file without its byte order mark, which is tolerated. */
function policyText(body: string | Uint8Array): string {
  checkLength(typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength)
  const text = typeof body === 'string' ? body : decodeUtf8(body)
  return text.charCodeAt(0) === BOM ? text.slice(1) : text
}

function decodeUtf8(bytes: Uint8Array): string {
  const text = (Buffer.isBuffer(bytes) ? bytes : bufferOf(bytes)).toString()
  // Decoding puts this character in place of invalid bytes; a valid file may hold it too
  if (text.includes('\ufffd') && !isUtf8(bytes)) {
    throw new PolicySyntaxError('The policy file is not UTF-8', WHOLE_FILE)
  }
  return text
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function checkLength(bytes: number): void {
  if (bytes <= MAX_POLICY_BYTES) return
  throw new PolicySyntaxError(
    `A policy file must not be longer than ${MAX_POLICY_BYTES} bytes, but it has ${bytes}`,
    WHOLE_FILE,
  )
}

/** @throws PolicySyntaxError */
function missing(name: string): never {
  throw new PolicySyntaxError(`The policy file has no "${name}" field`, WHOLE_FILE)
}

function parseVersion({ value, line }: Line): typeof VERSION {
  if (value !== VERSION) throw wrong('version', `must be ${VERSION}`, { value, line })
  return VERSION
}

function parseMode({ value, line }: Line): PolicyMode {
  const mode = MODES.find((candidate) => candidate === value)
  if (mode !== undefined) return mode
  const meant = nearestMode(String(value))
  const hint = meant === undefined ? '' : ` (did you mean "${meant}"?)`
  throw wrong('mode', `must be one of ${MODES.join(', ')}`, { value, line, hint })
}

function parseMx(cursor: Cursor): string {
  const { text, start, end } = cursor
  const to = text.charCodeAt(end - 1) === DOT ? end - 1 : end
  // Checked before lower-casing, which would turn some other letters into ASCII
  if (isMxPattern(text, start, to)) return text.slice(start, to).toLowerCase()
  const { value, line } = fieldAt(cursor)
  throw wrong('mx', MX_RULE, { value, line, hint: mxHint(value) })
}

/**
 * Returns a copy in any case: an array that was filled by `push` keeps room for 16 more. A set takes
 * longer than comparing few patterns, and less than comparing many.
 */
function withoutDuplicates(mx: readonly string[]): string[] {
  const isShort = mx.length <= 16
  return isShort && mx.every((one, index) => mx.indexOf(one) === index)
    ? mx.slice()
    : [...new Set(mx)]
}

function parseMaxAge({ value, line }: Line): number {
  if (!MAX_AGE.test(value)) {
    const glued = /(?:version|mode|mx)[ \t]*:/.test(value)
    const hint = glued ? ' (two policies, or two lines, in one)' : ''
    throw wrong('max_age', 'must be a number of seconds of 1 to 10 digits', { value, line, hint })
  }
  return Math.min(Number(value), MAX_AGE_LIMIT)
}

function wrong(
  name: string,
  rule: string,
  { value, line, hint = '' }: { value: unknown; line: number; hint?: string },
): PolicySyntaxError {
  const found = escapeRemoteText(String(value))
  return new PolicySyntaxError(`"${name}" in a policy ${rule}, but it is "${found}"${hint}`, line)
}

function checkPolicy({ version, mode, mx, maxAge, extensions }: Policy): void {
  const line = WHOLE_FILE
  parseVersion({ name: 'version', value: version, line })
  parseMode({ name: 'mode', value: mode, line })
  for (const value of mx) {
    if (typeof value !== 'string' || !isMxPattern(value) || value !== value.toLowerCase()) {
      throw wrong('mx', `${MX_RULE}, in lower case`, { value, line })
    }
  }
  if (mx.length === 0 && mode !== 'none') missing('mx')
  if (new Set(mx).size < mx.length) {
    throw new PolicySyntaxError('The policy lists an mx pattern twice', line)
  }
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
    if (isDefined(name)) {
      throw wrong(name, 'is not an extension', { value, line: WHOLE_FILE })
    }
    if (value !== trimWhiteSpace(value)) {
      throw wrong(name, 'must not have white space at its ends', { value, line: WHOLE_FILE })
    }
  }
  if (firstOfEach(extensions).length < extensions.length) {
    throw new PolicySyntaxError('The policy has an extension twice', WHOLE_FILE)
  }
}

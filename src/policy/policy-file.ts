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
 * The grammar is the ABNF of the RFC, with these tolerances, each of which has only one meaning:
 * blank lines, a byte order mark at the start, upper case in `mx`, one trailing dot on `mx`, the same
 * white space in front of every line.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer'
import {
  type Field,
  fieldNameProblem,
  firstOfEach,
  isFieldName,
  trimmedPart,
  trimWhiteSpace,
} from '../dns/txt-record.js'
import { PolicySyntaxError } from '../errors.js'
import { argumentError } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'
import { isMxPattern } from './mx-pattern.js'

/** The mode of a policy (RFC 8461 §5). */
export type PolicyMode = 'enforce' | 'testing' | 'none'

/** A policy file (RFC 8461 §3.2), parsed. */
export interface Policy {
  /** The only version there is */
  version: 'STSv1'
  /** `enforce`: refuse, `testing`: deliver and report, `none`: as if there were no policy */
  mode: PolicyMode
  /** mx patterns in lower case, in their order, each once; may be empty where the mode is `none` */
  mx: readonly string[]
  /** Seconds from the fetch, 0 to 31557600 (RFC 8461 §3.2) */
  maxAge: number
  /** Fields that RFC 8461 does not define, in their order; left out where there are none */
  extensions?: readonly Field[]
}

/** Bound of a policy file, in bytes; a longer one is refused, never cut (RFC 8461 §3.3). */
export const MAX_POLICY_BYTES = 64 * 1024

/** The longest `max_age`, about a year, in seconds (RFC 8461 §3.2). A longer one counts as this. */
export const MAX_AGE_LIMIT = 31557600

const BOM = 0xfeff
const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a

/** The value of {@link PolicySyntaxError.line} for the whole file. */
const WHOLE_FILE = 0

const VERSION = 'STSv1'
const MODES: readonly PolicyMode[] = ['enforce', 'testing', 'none']
const UPPER_CASE = /[A-Z]/
const MAX_AGE = /^[0-9]{1,10}$/
const MX_RULE = 'must be one host name in A-labels, or "*." and one'
/** Lines of ASCII without control characters, tabs included. */
const PRINTABLE_LINES = /^[ -~]*(?:\r?\n[ -~]*)*$/
// Characters that `sts-policy-ext-value` excludes: control characters of ASCII, and half a surrogate
// pair, which has no UTF-8.
const UNPRINTABLE = /[^ -~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]/u

/** A field and its line, from 1 on. */
interface Line extends Field {
  readonly line: number
}

/** The lines of a policy file that hold fields. Of a field that comes twice the first counts. */
class Lines {
  version: Line | undefined
  mode: Line | undefined
  maxAge: Line | undefined
  readonly mx: Line[] = []
  /** Doubled ones included */
  readonly others: Line[] = []

  add(line: Line): void {
    switch (line.name) {
      case 'version':
        this.version ??= line
        break
      case 'mode':
        this.mode ??= line
        break
      case 'mx':
        this.mx.push(line)
        break
      case 'max_age':
        this.maxAge ??= line
        break
      default:
        this.others.push(line)
    }
  }
}

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
 * Reads a policy file, and returns its text with it.
 *
 * @throws PolicySyntaxError as {@link parsePolicy} does
 */
export function readPolicy(bytes: Uint8Array): { policy: Policy; body: string } {
  const body = policyText(bytes)
  return { policy: parseText(body), body }
}

/** @throws PolicySyntaxError, which says what the file looks like when it is no policy file */
function parseText(text: string): Policy {
  try {
    return parseFields(parseLines(withoutIndent(text)))
  } catch (error) {
    const look = error instanceof PolicySyntaxError ? lookOf(text) : undefined
    if (!(error instanceof PolicySyntaxError) || look === undefined) throw error
    throw new PolicySyntaxError(`${error.message}. The file looks like ${look}`, error.line)
  }
}

function parseFields(lines: Lines): Policy {
  checkVersion(lines.version ?? missing('version'))
  const mode = parseMode(lines.mode ?? missing('mode'))
  const mx = [...new Set(lines.mx.map(parseMx))]
  if (mx.length === 0 && mode !== 'none') missing('mx')
  const maxAge = parseMaxAge(lines.maxAge ?? missing('max_age'))
  const policy: Policy = { version: VERSION, mode, mx, maxAge }
  if (lines.others.length > 0) policy.extensions = firstOfEach(lines.others).map(withoutLine)
  return policy
}

/**
 * Writes a policy file, in lines that end with CRLF, that {@link parsePolicy} reads back as the
 * same policy.
 *
 * @throws PolicySyntaxError, `line` 0, if there is no such file: an `mx` that is not in lower
 *   case or comes twice, a `maxAge` above 31557600
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

/** Returns the text of a policy file without the byte order mark, which is tolerated. */
function policyText(body: string | Uint8Array): string {
  checkLength(typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength)
  const text = typeof body === 'string' ? body : decodeUtf8(body)
  return text.charCodeAt(0) === BOM ? text.slice(1) : text
}

function decodeUtf8(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) {
    throw new PolicySyntaxError('The policy file must be UTF-8, and it is not', WHOLE_FILE)
  }
  const { buffer, byteOffset, byteLength } = bytes
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, byteLength)).toString()
}

function checkLength(bytes: number): void {
  if (bytes <= MAX_POLICY_BYTES) return
  throw new PolicySyntaxError(
    `A policy file must not be longer than ${MAX_POLICY_BYTES} bytes, but it has ${bytes}`,
    WHOLE_FILE,
  )
}

/** A line that is not blank, with the white space in front of it. */
const CONTENT_LINE = /^[ \t]*(?=[^ \t\r\n])/gm

/** Returns the text without the white space in front of every line, where that is the same. */
function withoutIndent(text: string): string {
  const first = text.charCodeAt(0)
  if (first !== SPACE && first !== TAB && first !== CR && first !== LF) return text
  const indents = new Set(text.match(CONTENT_LINE))
  return indents.size === 1 ? text.replace(CONTENT_LINE, '') : text
}

/** What people publish by mistake, with the words for it. */
const LOOKS: ReadonlyArray<readonly [pattern: RegExp, look: string]> = [
  [/^\s*\{\\rtf/, 'RTF: save it as plain text'],
  [/^\s*<(?:!doctype|html|\?xml|head|body)/i, 'HTML'],
  [/^---[ \t]*\r?\n/, 'a page with the front matter of a site generator'],
  [/^\s*\{/, 'JSON'],
  [/^[ \t]*-[ \t]+\S/m, 'YAML with a list: write "mx: " in front of each host'],
]

function lookOf(text: string): string | undefined {
  return LOOKS.find(([pattern]) => pattern.test(text))?.[1]
}

function parseLines(text: string): Lines {
  const lines = new Lines()
  // One test of the whole file, after which most files need none of their parts
  const printable = PRINTABLE_LINES.test(text)
  let start = 0
  for (let number = 1; ; number++) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    // Without a line feed, a carriage return is no line end
    const ended = newline > start && text.charCodeAt(newline - 1) === CR
    const line = parseLine(text, { start, end: ended ? end - 1 : end, number, printable })
    if (line !== undefined) lines.add(line)
    if (newline < 0) return lines
    start = newline + 1
  }
}

interface Span {
  start: number
  end: number
  /** Of the line */
  number: number
  printable: boolean
}

/** The field on a line; undefined if the line is blank. */
function parseLine(text: string, { start, end, number, printable }: Span): Line | undefined {
  const colon = indexOfColon(text, start, end)
  if (colon < 0) {
    const content = trimmedPart(text, start, end)
    if (content === '') return undefined
    const found = escapeRemoteText(text.slice(start, end))
    throw new PolicySyntaxError(
      `A line of a policy file must be "name: value", but it is "${found}"`,
      number,
    )
  }
  const value = trimmedPart(text, colon + 1, end)
  const field = { name: text.slice(start, colon), value, line: number }
  const problem = fieldProblem(field, printable)
  if (problem !== undefined) throw new PolicySyntaxError(problem, number)
  return field
}

/** Unlike `indexOf`, does not search the rest of the file for each line without a colon. */
function indexOfColon(text: string, start: number, end: number): number {
  for (let index = start; index < end; index++) {
    if (text.charCodeAt(index) === COLON) return index
  }
  return -1
}

/** Returns what is wrong with a field. Unlike in a TXT record, its value may hold all of Unicode. */
function fieldProblem({ name, value }: Field, printable = false): string | undefined {
  if (!isDefined(name) && !isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  if (!printable && UNPRINTABLE.test(value)) {
    return `The value of "${name}" must not hold control characters: "${escapeRemoteText(value)}"`
  }
  return undefined
}

function isDefined(name: string): boolean {
  return name === 'mx' || name === 'version' || name === 'mode' || name === 'max_age'
}

/** @throws PolicySyntaxError */
function missing(name: string): never {
  throw new PolicySyntaxError(`The policy file has no "${name}" field`, WHOLE_FILE)
}

function checkVersion({ value, line }: Line): void {
  if (value !== VERSION) throw wrong('version', `must be ${VERSION}`, { value, line })
}

function parseMode({ value, line }: Line): PolicyMode {
  const mode = MODES.find((candidate) => candidate === value)
  if (mode !== undefined) return mode
  const meant = nearestMode(String(value))
  const hint = meant === undefined ? '' : ` (did you mean "${meant}"?)`
  throw wrong('mode', `must be one of ${MODES.join(', ')}`, { value, line, hint })
}

/** Beginnings of words that people write for a mode. */
const MODE_WORDS: ReadonlyArray<readonly [mode: PolicyMode, words: RegExp]> = [
  ['enforce', /^(?:enf|inforce|live|prod|strict|on$|active|reject|require|mandatory)/],
  ['testing', /^(?:test|tset|report|audit|monitor|debug|try|dry)/],
  ['none', /^(?:no|nul|off|disable|inactive)/],
]

function nearestMode(value: string): PolicyMode | undefined {
  const word = value.toLowerCase().replace(/[^a-z]/g, '')
  return MODE_WORDS.find(([, words]) => words.test(word))?.[0]
}

function parseMx({ value, line }: Line): string {
  const pattern = value.endsWith('.') ? value.slice(0, -1) : value
  // Before the change to lower case, which would turn some other letters into ASCII
  if (!isMxPattern(pattern)) throw wrong('mx', MX_RULE, { value, line, hint: mxHint(value) })
  return UPPER_CASE.test(pattern) ? pattern.toLowerCase() : pattern
}

function mxHint(value: string): string {
  if (/^[a-z]+:\/\//i.test(value)) return ' (a URL: leave only its host name)'
  if (/[\s,;]/.test(value)) return ' (write "mx: " in front of each host, on a line of its own)'
  if (value.includes('@')) return ' (an address: leave only its domain)'
  return value.includes('_') ? ' (a host name has no underscore)' : ''
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
  if (mx.length === 0 && mode !== 'none') missing('mx')
  if (new Set(mx).size < mx.length) {
    throw new PolicySyntaxError('An mx pattern of the policy is there twice', line)
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

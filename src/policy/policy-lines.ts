/**
 * The lines of a policy file: `name: value`, one field on each (RFC 8461 §3.2).
 *
 * @module
 */
import { type Field, fieldNameProblem, isFieldName, trimmedPart } from '../dns/txt-record.js'
import { PolicySyntaxError } from '../errors.js'
import { escapeRemoteText } from '../text.js'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a

const DEFINED = ['mx', 'version', 'mode', 'max_age']

/** Value of {@link PolicySyntaxError.line} for the whole file. */
export const WHOLE_FILE = 0

/** Lines of ASCII without control characters, tabs included. */
const PRINTABLE_LINES = /^[ -~]*(?:\r?\n[ -~]*)*$/
// Characters that `sts-policy-ext-value` excludes: ASCII control characters, and lone surrogates,
// which have no UTF-8 form
const UNPRINTABLE = /[^ -~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]/u

/** A field with its line number, counted from 1. */
export interface Line extends Field {
  readonly line: number
}

/** The fields of a policy file. The first of repeated fields counts. */
export class Lines {
  version: Line | undefined
  mode: Line | undefined
  maxAge: Line | undefined
  readonly mx: Line[] = []
  /** Other fields, repeated ones included */
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

/** Start of a line that is not blank, with its white space. */
const CONTENT_LINE = /^[ \t]*(?=[^ \t\r\n])/gm

/** Removes the white space in front of the lines, if it is the same on every line. */
export function withoutIndent(text: string): string {
  const first = text.charCodeAt(0)
  if (first !== SPACE && first !== TAB && first !== CR && first !== LF) return text
  const indents = new Set(text.match(CONTENT_LINE))
  return indents.size === 1 ? text.replace(CONTENT_LINE, '') : text
}

export function parseLines(text: string): Lines {
  const lines = new Lines()
  // Tested once for the whole file: most files then need no test of each value
  const printable = PRINTABLE_LINES.test(text)
  let start = 0
  for (let number = 1; ; number++) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    // A carriage return without a line feed does not end a line
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
  /** Line number */
  number: number
  printable: boolean
}

/** Returns the field on a line; undefined for a blank line. */
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
  const field = { name: nameAt(text, start, colon), value, line: number }
  const problem = fieldProblem(field, printable)
  if (problem !== undefined) throw new PolicySyntaxError(problem, number)
  return field
}

/** Returns a defined name as the same string each time, which compares without its characters. */
function nameAt(text: string, start: number, end: number): string {
  for (const name of DEFINED) {
    if (name.length === end - start && text.startsWith(name, start)) return name
  }
  return text.slice(start, end)
}

/** As `indexOf`, but never searches beyond the line. */
function indexOfColon(text: string, start: number, end: number): number {
  for (let index = start; index < end; index++) {
    if (text.charCodeAt(index) === COLON) return index
  }
  return -1
}

/**
 * Returns the fault of a field, if any. Unlike in a TXT record, a value may hold all of Unicode.
 */
export function fieldProblem({ name, value }: Field, printable = false): string | undefined {
  if (!isDefined(name) && !isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  if (!printable && UNPRINTABLE.test(value)) {
    return `The value of "${name}" must not hold control characters: "${escapeRemoteText(value)}"`
  }
  return undefined
}

export function isDefined(name: string): boolean {
  return name === 'mx' || name === 'version' || name === 'mode' || name === 'max_age'
}

/**
 * The lines of a policy file: `name: value`, one field on each (RFC 8461 §3.2).
 *
 * @module
 */
import { type Field, fieldNameProblem, isFieldName, isWhiteSpace } from '../dns/txt-record.js'
import { PolicySyntaxError } from '../errors.js'
import { escapeRemoteText } from '../text.js'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a

/** Value of {@link PolicySyntaxError.line} for the whole file. */
export const WHOLE_FILE = 0

// Characters that `sts-policy-ext-value` excludes: ASCII control characters, and lone surrogates,
// which have no UTF-8 form
const UNPRINTABLE = /[^ -~\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]/u

/** A field with its line number, counted from 1. */
export interface Line extends Field {
  readonly line: number
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

/**
 * A field of a text, and where the next line begins. Parts of the text are copied only where they
 * are asked for.
 */
export interface Cursor {
  readonly text: string
  line: number
  name: string
  /** Start and end of the value */
  start: number
  end: number
  nextLine: number
}

/**
 * Returns a cursor in front of the first line. A literal, not an instance of a class: V8 drops the
 * compiled code for a class when a garbage collection finds no instance.
 */
export function newCursor(text: string): Cursor {
  return { text, line: 0, name: '', start: 0, end: 0, nextLine: 0 }
}

/**
 * Moves to the next field; returns false if there is none. The caller checks its name and value.
 *
 * @throws PolicySyntaxError for a line that is neither blank nor a name and a value
 */
export function nextField(cursor: Cursor): boolean {
  const { text } = cursor
  while (cursor.nextLine <= text.length) {
    const start = cursor.nextLine
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    cursor.nextLine = end + 1
    cursor.line++
    // A carriage return without a line feed does not end a line
    const hasCr = newline > start && text.charCodeAt(newline - 1) === CR
    if (readLine(cursor, start, hasCr ? end - 1 : end)) return true
  }
  return false
}

/** Reads a line; returns false for a blank one. */
function readLine(cursor: Cursor, from: number, to: number): boolean {
  const { text, line } = cursor
  let end = to
  while (end > from && isWhiteSpace(text, end - 1)) end--
  if (end === from) return false
  let colon = from
  while (colon < end && text.charCodeAt(colon) !== COLON) colon++
  if (colon === end) {
    const found = escapeRemoteText(text.slice(from, to))
    throw new PolicySyntaxError(
      `A line of a policy file must be "name: value", but it is "${found}"`,
      line,
    )
  }
  let start = colon + 1
  while (start < end && isWhiteSpace(text, start)) start++
  cursor.name = text.slice(from, colon)
  cursor.start = start
  cursor.end = end
  // Throws: every field has a value
  if (start === end) checkedField(cursor)
  return true
}

export function fieldAt({ text, name, start, end, line }: Cursor): Line {
  return { name, value: text.slice(start, end), line }
}

/** @throws PolicySyntaxError for a name or a value that no field may have */
export function checkedField(cursor: Cursor): Field {
  const { name, value, line } = fieldAt(cursor)
  const problem = fieldProblem({ name, value })
  if (problem !== undefined) throw new PolicySyntaxError(problem, line)
  return { name, value }
}

/**
 * Returns the fault of a field, if any. Unlike in a TXT record, a value may hold all of Unicode.
 */
export function fieldProblem({ name, value }: Field): string | undefined {
  if (!isDefined(name) && !isFieldName(name)) return fieldNameProblem(name)
  if (value === '') return `The field "${name}" has no value`
  if (UNPRINTABLE.test(value)) {
    return `The value of "${name}" must not hold control characters: "${escapeRemoteText(value)}"`
  }
  return undefined
}

export function isDefined(name: string): boolean {
  return name === 'mx' || name === 'version' || name === 'mode' || name === 'max_age'
}

/**
 * Text within the columns of a screen: wrapped lines, labelled blocks, tables; and JSON that is fit
 * for a terminal.
 *
 * @module
 */
import { padEnd, padStart, shorten, splitAt, widthOf } from './columns.js'
import type { Colour, Paint, Screen } from './terminal.js'

export type Mark = 'good' | 'bad' | 'warning' | 'unknown' | 'untried' | 'plain'

const MARKS: Readonly<Record<Mark, { sign: string; colour: Colour }>> = {
  good: { sign: '✓', colour: 'green' },
  bad: { sign: '✗', colour: 'red' },
  warning: { sign: '!', colour: 'yellow' },
  unknown: { sign: '?', colour: 'yellow' },
  untried: { sign: '·', colour: 'dim' },
  plain: { sign: ' ', colour: 'dim' },
}

export function paintMark(mark: Mark, paint: Paint): string {
  const { sign, colour } = MARKS[mark]
  return paint(colour, sign)
}

/** A label with lines beside it. */
export interface Block {
  mark: Mark
  label: string
  /** Each is wrapped by itself; white space at its beginning indents all of its lines */
  lines: readonly string[]
}

const LABEL_WIDTH = 12

/** `✓ label        text`, and the text in a column of its own. */
export function formatBlock({ mark, label, lines }: Block, { paint, width }: Screen): string {
  const indent = ' '.repeat(2 + LABEL_WIDTH + 1)
  const text = lines.flatMap((line) => wrap(line, width - indent.length))
  const head = `${paintMark(mark, paint)} ${paint('bold', label.padEnd(LABEL_WIDTH))} `
  const [first = '', ...rest] = text
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => `${indent}${line}`)].join('\n')
}

/** `✓ text`, wrapped under itself. */
export function formatRemark(mark: Mark, text: string, { paint, width }: Screen): string {
  const [first = '', ...rest] = wrap(text, width - 2)
  return [`${paintMark(mark, paint)} ${first}`, ...rest.map((line) => `  ${line}`)].join('\n')
}

/** Lines of at most `width` columns, broken at spaces, and within what is longer than a line. */
export function wrap(text: string, width: number): string[] {
  const indent = /^ */.exec(text)?.[0] ?? ''
  const room = width - indent.length
  const lines: string[] = []
  let line = ''
  for (const word of text.slice(indent.length).split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > room) {
      lines.push(line)
      line = ''
    } else if (line !== '') line += ' '
    line += word
    while (widthOf(line) > room) {
      const [head, rest] = splitAt(line, room)
      lines.push(head)
      line = rest
    }
  }
  return [...lines, line].map((content) => `${indent}${content}`.trimEnd())
}

export interface Column {
  title: string
  width: number
  /** `right` for numbers */
  align?: 'right'
}

/**
 * A table; two spaces between columns. A first cell that is too wide for its column has a line of
 * its own; other cells are cut.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  return [columns.map(({ title }) => title), ...rows].flatMap((row) => {
    const [name = '', ...others] = row
    if (widthOf(name) <= (columns[0]?.width ?? 0)) return [joinCells(columns, row)]
    return [...wrap(name, width), joinCells(columns, ['', ...others])]
  })
}

function joinCells(columns: readonly Column[], row: readonly string[]): string {
  const cells = columns.map(({ width, align }, index) => {
    const cell = shorten(row[index] ?? '', width)
    return align === 'right' ? padStart(cell, width) : padEnd(cell, width)
  })
  return cells.join('  ').trimEnd()
}

/** `a, b, c and 4 more` */
export function listed(items: readonly string[], limit = 5): string {
  if (items.length <= limit) return items.join(', ')
  return `${items.slice(0, limit).join(', ')} and ${items.length - limit} more`
}

/**
 * JSON that a terminal shows as it is: what JSON.stringify leaves of control characters,
 * directional marks and the like is escaped, which changes nothing of the value.
 */
export function toJson(value: unknown, indent = 2): string {
  const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  const safe = (char: string) => (char === '\n' ? char : char.split('').map(escaped).join(''))
  return `${JSON.stringify(value, null, indent).replace(unsafe, safe)}\n`
}

/**
 * Rows as text, 80 columns wide, and as a table in Markdown for docs/benchmarks.md.
 *
 * @module
 */
import { type Findings, isMet, type Mode, type Row, type Target, type Unit } from './benchmark.js'
import type { Spread } from './pairs.js'

const WIDTHS = [10, 19, 19, 15, 10]

export function tableHead(): string {
  return [columns(['Name', 'Ours', 'Beside it', 'Ratio', 'To reach']), '-'.repeat(80)].join('\n')
}

/** The rows of one benchmark: medians, below them minimum and maximum, and the work. */
export function tableRows({ rows, skipped = [] }: Findings, mode: Mode): string {
  return [...rows.map((row) => rowText(row, mode)), ...skipped.map((line) => fold(line))].join('\n')
}

export function markdownHead(): string {
  const names = ['', 'what', 'figure', 'beside it', 'ratio', 'processor time', 'to reach']
  return [names, names.map(() => '---')].map(cells).join('\n')
}

/** The rows of one benchmark in Markdown: medians, with minimum and maximum of what is compared. */
export function markdownRows({ rows }: Findings): string {
  return rows.map(markdownRow).join('\n')
}

function markdownRow(row: Row): string {
  const { name, what, beside, unit, ours, theirs, compared, cpu } = row
  const other = theirs ? `${beside}: ${figure(theirs.median, unit)}` : '-'
  return cells([
    name,
    what,
    figure(ours.median, unit),
    other,
    compared ? `${figure(compared.spread.median, compared.unit)} (${range(compared.spread)})` : '-',
    cpu ? number(cpu.median) : '-',
    verdict(row, 'full'),
  ])
}

export function cells(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`
}

function rowText(row: Row, mode: Mode): string {
  const { name, unit, ours, theirs, compared, cpu } = row
  return [
    columns([
      name,
      figure(ours.median, unit),
      theirs ? figure(theirs.median, unit) : '-',
      compared ? figure(compared.spread.median, compared.unit) : '-',
      verdict(row, mode),
    ]),
    columns(['', range(ours), range(theirs), range(compared?.spread), '']),
    ...(cpu ? [fold(`in processor time: ${number(cpu.median)} (${range(cpu)})`)] : []),
    fold(row.beside === undefined ? row.what : `${row.what}; beside it: ${row.beside}`),
  ].join('\n')
}

function verdict(row: Row, mode: Mode): string {
  const { target } = row
  if (target === undefined) return '-'
  const bound = targetText(target, target.of === 'ours' ? row.unit : (row.compared?.unit ?? ''))
  if (mode === 'quick') return bound
  return `${bound} ${isMet(row) ? 'met' : 'MISSED'}`
}

function targetText({ bound, value }: Target, unit: Unit): string {
  return `${bound === 'at-least' ? '>=' : '<='} ${value.toLocaleString('en')}${unitText(unit)}`
}

export function figure(value: number, unit: Unit): string {
  return `${number(value)}${unitText(unit)}`
}

function range(spread: Spread | undefined): string {
  return spread === undefined ? '' : `${number(spread.min)} - ${number(spread.max)}`
}

function unitText(unit: Unit): string {
  return unit === '/s' || unit === '' ? unit : ` ${unit}`
}

/** Formats three significant digits, at most two of them behind the point. */
function number(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

function columns(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join(' ')
    .trimEnd()
}

/** Folds to 80 columns, under the figures, behind the column of names. */
function fold(text: string): string {
  const indent = ' '.repeat((WIDTHS[0] ?? 0) + 1)
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (indent.length + line.length + 1 + word.length > 80) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => `${indent}${line}`).join('\n')
}

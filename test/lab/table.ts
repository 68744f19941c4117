/**
 * The results, for people: 99 columns.
 *
 * @module
 */
import { styleText } from 'node:util'
import type { CaseResult } from './cases.js'

const WIDTHS = [25, 36, 36]
const LOG_WIDTH = 94

export function printTable(results: readonly CaseResult[]): void {
  console.log(styleText('bold', row(['Domain (.example)', 'Expected', 'Got'])))
  for (const result of results) {
    const colour = result.wrong.length > 0 ? 'red' : 'green'
    for (const [index, expected] of result.expected.entries()) {
      const got = result.got[index] ?? ''
      // The second message is omitted if it had the same outcome
      if (index > 0 && expected === result.expected[0] && got === result.got[0]) continue
      const name = index === 0 ? result.name : '  then'
      console.log(styleText(colour, row([name, expected, got])))
    }
    for (const line of result.log) console.log(`    ${cut(line, LOG_WIDTH)}`)
    for (const what of result.wrong) console.log(styleText('red', `    WRONG: ${what}`))
  }
}

/** Ends with the line that CI counts. */
export function printSummary(results: readonly CaseResult[]): void {
  const failed = results.filter(({ wrong }) => wrong.length > 0)
  if (failed.length > 0) console.log(`\nRed: ${failed.map(({ name }) => name).join(', ')}`)
  console.log(`\n${results.length - failed.length} passed, ${failed.length} failed`)
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cut(cell, WIDTHS[index] ?? 0).padEnd(WIDTHS[index] ?? 0))
    .join(' ')
    .trimEnd()
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text
}

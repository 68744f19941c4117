/**
 * The results of a run, for people to read.
 *
 * @module
 */
import { styleText } from 'node:util'
import { type Mode, WORDS } from './modes.js'
import type { CaseResult, Seen } from './run-cases.js'
import type { StartResult } from './starts.js'

export interface HostResults {
  host: string
  mode: Mode
  results: CaseResult[]
  starts: StartResult[]
}

export function printResults(all: readonly HostResults[]): void {
  for (const { host, mode, results, starts } of all) {
    console.log(`\n${styleText('bold', `${host}, ${WORDS[mode]}`)}`)
    for (const { case: one, seen, wrong } of results) {
      printRow(wrong, `${one.name.padEnd(44)} ${summary(seen)}`)
    }
    for (const { name, wrong } of starts) {
      printRow(wrong, `does not start with ${name}`)
    }
    const red = [...results, ...starts].filter(({ wrong }) => wrong.length > 0).length
    console.log(`  ${results.length + starts.length} cases, ${red} red`)
  }
}

function printRow(wrong: readonly string[], text: string): void {
  const mark = wrong.length === 0 ? styleText('green', 'ok ') : styleText('red', 'RED')
  console.log(`  ${mark} ${text}`)
  for (const why of wrong) console.log(styleText('red', `      ${why}`))
}

function summary({ result, arrived, text }: Seen): string {
  const [message] = arrived
  if (!message) return `${result} (${text.slice(0, 160)})`
  return `${result} to ${message.mx} ${message.tls ? 'over TLS' : 'in plaintext'}`
}

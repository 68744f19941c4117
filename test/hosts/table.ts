/**
 * What a run came to, for people to read.
 *
 * @module
 */
import { styleText } from 'node:util'
import { type Mode, WORDS } from './modes.js'
import type { CaseResult, Seen } from './run-cases.js'

export interface HostResults {
  host: string
  mode: Mode
  results: CaseResult[]
}

export function printResults(all: readonly HostResults[]): void {
  for (const { host, mode, results } of all) {
    console.log(`\n${styleText('bold', `${host}, ${WORDS[mode]}`)}`)
    for (const { case: one, seen, wrong } of results) {
      const mark = wrong.length === 0 ? styleText('green', 'ok ') : styleText('red', 'RED')
      console.log(`  ${mark} ${one.name.padEnd(44)} ${summary(seen)}`)
      for (const why of wrong) console.log(styleText('red', `      ${why}`))
    }
    const red = results.filter(({ wrong }) => wrong.length > 0).length
    console.log(`  ${results.length} cases, ${red} red`)
  }
}

function summary({ result, arrived, text }: Seen): string {
  const [message] = arrived
  if (!message) return `${result} (${text.slice(0, 160)})`
  return `${result} to ${message.mx} ${message.tls ? 'over TLS' : 'in plaintext'}`
}

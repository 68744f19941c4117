/**
 * Postfix's own verdict on a domain: `posttls-finger -l dane`, run where the sender runs.
 *
 * @module
 */
import type { Namespace } from '../network.js'
import type { DaneOutcome } from './domains.js'

export interface OracleVerdict {
  /** `encrypted or opportunistic` are one to it: it does not say which */
  outcome: DaneOutcome | 'unproved'
  /** What it said, in one line */
  said: string
}

export async function posttlsFinger(namespace: Namespace, domain: string): Promise<OracleVerdict> {
  // It ends with a status of its own for each kind of failure; what it says is what counts
  const script = 'posttls-finger -c -l dane -t 10 -T 10 "$1" 2>&1 || true'
  const output = await namespace.run('sh', ['-c', script, 'sh', domain])
  const lines = output
    .split('\n')
    .map((line) => line.replace(/^posttls-finger: /, ''))
    .filter((line) => line !== '')
  return { outcome: outcomeOf(lines), said: lines.at(-1) ?? '' }
}

function outcomeOf(lines: readonly string[]): OracleVerdict['outcome'] {
  const text = lines.join('\n')
  if (/^Verified TLS connection established/m.test(text)) return 'dane'
  return 'unproved'
}

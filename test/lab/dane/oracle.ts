/**
 * Postfix's verdict on a domain: `posttls-finger -l dane`, run on the sender's side.
 *
 * @module
 */
import type { Namespace } from '../network.js'
import type { DaneOutcome } from './domains.js'

export interface OracleVerdict {
  outcome: DaneOutcome
  /** The deciding line of its output */
  said: string
}

/** @param config a folder with a main.cf */
export async function posttlsFinger(
  namespace: Namespace,
  domain: string,
  config: string,
): Promise<OracleVerdict> {
  const ask = async (level: 'dane' | 'dane-only') => {
    // Its exit status depends on the kind of failure; its output decides
    const script = `posttls-finger -c -l ${level} -t 10 -T 10 "$1" 2>&1 || true`
    const command = ['env', `MAIL_CONFIG=${config}`, 'sh', '-c', script, 'sh', domain]
    const [first = '', ...rest] = command
    const output = await namespace.run(first, rest)
    return output.split('\n').map((line) => line.replace(/^posttls-finger: /, ''))
  }
  const said = find(await ask('dane'), BY_DANE)
  if (said) return said
  // Without usable records, `dane` goes on silently; `dane-only` looks up the same, and reports it
  const lines = await ask('dane-only')
  return (
    find(lines, BY_RECORDS) ?? { outcome: 'refused', said: lines.findLast(Boolean) ?? 'nothing' }
  )
}

type Reading = readonly [pattern: RegExp, outcome: DaneOutcome]

/** The first matching line decides. */
const BY_DANE: readonly Reading[] = [
  [/^Verified TLS connection established/, 'dane'],
  [/does not accept mail \(nullMX\)/, 'bounced'],
  [/^Destination address lookup failed: .*try again/, 'deferred'],
  [/^Destination address lookup failed/, 'bounced'],
  [/TLSA lookup error/, 'refused'],
  [/no matching DANE TLSA records/, 'refused'],
]

const BY_RECORDS: readonly Reading[] = [
  [/^no TLSA records found/, 'opportunistic'],
  [/^no usable TLSA records found/, 'tls'],
]

function find(lines: readonly string[], readings: readonly Reading[]): OracleVerdict | undefined {
  for (const [pattern, outcome] of readings) {
    const said = lines.find((line) => pattern.test(line))
    if (said === undefined) continue
    const hasTls = lines.some((line) => / TLS connection established /.test(line))
    return { outcome: outcome === 'tls' && !hasTls ? 'refused' : outcome, said }
  }
  return undefined
}

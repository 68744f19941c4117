/**
 * The MX records of now: for `--check`, and in place of `--mx`.
 *
 * @module
 */
import { toALabels } from '../../dns/domain-name.js'
import { ask } from '../../dns/resolver.js'
import type { Settings } from '../../options.js'
import { matchesMx } from '../../policy/mx-pattern.js'
import { escapeRemoteText } from '../../text.js'
import { causeOf } from '../check/problem.js'
import { EXIT, type ExitStatus } from '../context.js'
import { listed } from '../layout.js'
import { explainPattern, oddPatterns } from '../patterns.js'
import type { Setup } from './setup.js'

export interface LiveComparison {
  exitStatus: ExitStatus
  warnings: string[]
}

/**
 * - `found`: the hosts of the MX records, or the domain itself where there is none (RFC 5321 §5.1)
 * - `null-mx`: the domain takes no mail (RFC 7505)
 */
export type LiveMx =
  | { kind: 'found'; implicit: boolean; hosts: string[] }
  | { kind: 'null-mx' }
  | { kind: 'no-domain' }
  | { kind: 'failed'; why: string }

export async function lookupLiveMx(
  domain: string,
  { resolver, dnsTimeout }: Settings,
): Promise<LiveMx> {
  const answer = await ask(() => resolver.resolveMx(domain), dnsTimeout)
  if (answer.kind === 'failed') return { kind: 'failed', why: causeOf(answer.error) ?? 'no answer' }
  if (answer.kind === 'absent') {
    return answer.nxdomain
      ? { kind: 'no-domain' }
      : { kind: 'found', implicit: true, hosts: [domain] }
  }
  const names = [...answer.records]
    .sort((a, b) => a.priority - b.priority)
    .map(({ exchange }) => toALabels(exchange) ?? exchange)
  const hosts = [...new Set(names)].filter((name) => name !== '' && name !== '.')
  return hosts.length === 0 ? { kind: 'null-mx' } : { kind: 'found', implicit: false, hosts }
}

/** Compares a setup with the MX records. */
export function compareWithLive({ domain, mx, mode }: Setup, live: LiveMx): LiveComparison {
  switch (live.kind) {
    case 'failed':
      return {
        exitStatus: EXIT.unknown,
        warnings: [`The MX records of ${domain} could not be looked up: ${live.why}.`],
      }
    case 'no-domain':
      return { exitStatus: EXIT.unprotected, warnings: [`The domain ${domain} does not exist.`] }
    case 'null-mx':
      return {
        exitStatus: EXIT.fine,
        warnings: [`${domain} takes no mail (null MX record, RFC 7505): it needs no policy.`],
      }
    case 'found':
      // A policy of mode none asks for nothing, whatever it names
      return mode === 'none' ? { exitStatus: EXIT.fine, warnings: [] } : compare(domain, mx, live)
  }
}

function compare(
  domain: string,
  patterns: readonly string[],
  { hosts, implicit }: Extract<LiveMx, { kind: 'found' }>,
): LiveComparison {
  const missing = hosts.filter((host) => !matchesMx(host, patterns))
  const odd = oddPatterns(patterns, hosts)
  const warnings = [
    ...(missing.length > 0 ? [missingText(domain, missing, implicit)] : []),
    ...odd.map(explainPattern),
  ]
  return { exitStatus: missing.length > 0 ? EXIT.unprotected : EXIT.fine, warnings }
}

function missingText(domain: string, missing: readonly string[], implicit: boolean): string {
  if (implicit) {
    return `${domain} has no MX record and is its own MX host, which this policy does not name. Under enforce no mail is delivered.`
  }
  const hosts = listed(missing.map(escapeRemoteText))
  return `${domain} has MX records that this policy does not name: ${hosts}. Under enforce no mail goes there.`
}

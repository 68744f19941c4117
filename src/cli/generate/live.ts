/**
 * `--check`: the policy to be against the MX records of now.
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
import type { Setup } from './setup.js'

export interface LiveComparison {
  exitStatus: ExitStatus
  warnings: string[]
}

export async function compareWithLive(
  { domain, mx }: Setup,
  { resolver, dnsTimeout }: Settings,
): Promise<LiveComparison> {
  const answer = await ask(() => resolver.resolveMx(domain), dnsTimeout)
  if (answer.kind === 'failed') {
    const why = causeOf(answer.error)
    return {
      exitStatus: EXIT.unknown,
      warnings: [`The MX records of ${domain} could not be looked up: ${why}.`],
    }
  }
  // RFC 5321 §5.1: without a record, the domain is its own MX host
  const hosts =
    answer.kind === 'found'
      ? answer.records.map(({ exchange }) => toALabels(exchange) ?? exchange)
      : [domain]
  const missing = hosts.filter((host) => !matchesMx(host, mx))
  const unused = mx.filter((pattern) => !hosts.some((host) => matchesMx(host, [pattern])))
  const warnings = [
    ...(missing.length > 0 ? [missingText(domain, missing)] : []),
    ...(unused.length > 0 ? [`No MX record of ${domain} matches ${listed(unused)}.`] : []),
  ]
  return { exitStatus: missing.length > 0 ? EXIT.unprotected : EXIT.fine, warnings }
}

function missingText(domain: string, missing: readonly string[]): string {
  const hosts = listed(missing.map((host) => escapeRemoteText(host) || '.'))
  return `${domain} has MX records that this policy does not name: ${hosts}. Under enforce no mail goes there.`
}

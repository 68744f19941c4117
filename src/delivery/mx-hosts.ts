/**
 * The MX hosts of a domain, in the order in which they are tried (RFC 5321 §5.1), and the domains
 * that have none: those with a null MX record (RFC 7505), and those that do not exist.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import type { PolicyLookup } from '../policy/lookup.js'
import { escapeRemoteText } from '../text.js'
import type { TlsFailure } from '../tls/failures.js'
import { RoutingError } from './errors.js'
import type { MxAnswer } from './host-lookups.js'

export interface MxHost {
  mxHost: string
  preference: number
}

/** Maximum number of MX hosts to try; a domain could list thousands. */
const MAX_MX_HOSTS = 20

/**
 * Sorts the MX hosts by preference, equal ones at random; without MX records, the domain itself is
 * the host (RFC 5321 §5.1, RFC 7505).
 */
export function mxHostsOf(policyDomain: string, answer: MxAnswer, lookup: PolicyLookup): MxHost[] {
  if (answer.kind === 'absent') return [{ mxHost: policyDomain, preference: 0 }]
  if (answer.kind === 'failed') {
    throw new RoutingError(
      `The MX records of ${escapeRemoteText(policyDomain)} could not be looked up (${answer.error.message}). Try again later.`,
      { code: 'EDNS', permanent: false, policyDomain, cause: answer.error },
    )
  }
  const hosts = answer.records.map(({ exchange, priority }) => ({
    mxHost: toALabels(String(exchange)) ?? String(exchange),
    preference: Number(priority) || 0,
  }))
  if (hosts.every(({ mxHost }) => mxHost === '' || mxHost === '.')) {
    throw nullMx(policyDomain, isProtected(lookup))
  }
  return inOrder(hosts).slice(0, MAX_MX_HOSTS)
}

/**
 * Returns the error for a null MX. It may be forged while a policy may apply, and then bounces no
 * mail.
 */
function nullMx(policyDomain: string, mayBeForged: boolean): RoutingError {
  const what = `${escapeRemoteText(policyDomain)} takes no mail: it has a null MX record (RFC 7505)`
  const why = 'An MTA-STS policy of it may apply, so the record may be forged. Try again later.'
  return new RoutingError(mayBeForged ? `${what}. ${why}` : `${what}.`, {
    code: 'ENULLMX',
    permanent: !mayBeForged,
    policyDomain,
  })
}

/**
 * Throws for a domain that does not exist. Without a policy this is permanent, as in every sender.
 * Under a policy it is temporary: forged DNS answers must not bounce mail.
 */
export function requireExistence(
  policyDomain: string,
  lookup: PolicyLookup,
  refused: readonly TlsFailure[],
): void {
  const nxdomain = refused.every(
    ({ mxHost, reason }) => mxHost === policyDomain && reason === 'nxdomain',
  )
  if (!nxdomain || isProtected(lookup)) return
  throw new RoutingError(
    `The domain ${escapeRemoteText(policyDomain)} does not exist. Check the recipient's address.`,
    { code: 'EDNS', permanent: true, policyDomain },
  )
}

/**
 * Whether an unexpired policy is cached, or a store that did not answer may hold one. Forged DNS
 * answers must not bounce mail then.
 */
function isProtected(lookup: PolicyLookup): boolean {
  return lookup.status === 'found' || lookup.storeFailed === true
}

export function inOrder<T extends MxHost>(hosts: readonly T[]): T[] {
  const sorted = shuffled(hosts).sort((a, b) => a.preference - b.preference)
  const seen = new Set<string>()
  return sorted.filter(({ mxHost }) => !seen.has(mxHost) && seen.add(mxHost))
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

/**
 * The policies that a session was held to, each with its own failure, for TLS reports
 * (RFC 8460 §4.4): where both MTA-STS and DANE apply, a report has both.
 *
 * @module
 */
import type { AppliedPolicy, AppliedResult } from '../events.js'
import type { TlsFailure } from '../tls/failures.js'
import type { DaneProof, Security } from '../tls/security.js'
import { isCertificateError, type Judgement } from '../tls/verdict.js'

/** The outcome of a session. */
export interface SessionOutcome {
  security: Security | undefined
  /** undefined: it met all that is asked and audited */
  failure: TlsFailure | undefined
  /** The verdict on its handshake; undefined when it did not get that far */
  judgement: Judgement | undefined
}

/** Failures that are about TLSA records, whatever else there is */
const OF_DANE: ReadonlySet<TlsFailure['resultType']> = new Set([
  'tlsa-invalid',
  'dnssec-invalid',
  'dane-required',
])

/** Whether a failure is about TLSA records: a host without a session that counts as a failed one. */
export function isOfDane({ resultType }: TlsFailure): boolean {
  return OF_DANE.has(resultType)
}

/**
 * Returns the policies, or undefined where DANE had no part in it.
 *
 * @param policy what MTA-STS says of the recipient's domain
 */
export function appliedPolicies(
  policy: AppliedPolicy,
  { security, failure, judgement }: SessionOutcome,
): AppliedResult[] | undefined {
  const tlsa = tlsaPolicy(security, failure)
  if (tlsa === undefined) return undefined
  // A handshake that ended over what MTA-STS has against the certificate says nothing of DANE
  if (judgement === undefined && isCertificateError(failure?.cause))
    return [result(policy, failure)]
  const hasDaneFailure = failure !== undefined && isOfDane(failure)
  const before = judgement === undefined && !hasDaneFailure ? failure : undefined
  const byDane = hasDaneFailure ? failure : (judgement?.failed?.dane ?? before)
  const bySts = judgement?.failed?.sts ?? before
  // Without a policy, the TLSA records are what was found; without a session, nothing else was tried
  const hasSts = policy.type === 'sts' && !(hasDaneFailure && judgement === undefined)
  return [result(tlsa, byDane), ...(hasSts ? [result(policy, bySts)] : [])]
}

function result(policy: AppliedPolicy, failure: TlsFailure | undefined): AppliedResult {
  return failure === undefined ? { policy } : { policy, failure }
}

function tlsaPolicy(
  security: Security | undefined,
  failure: TlsFailure | undefined,
): AppliedPolicy | undefined {
  const common = { type: 'tlsa', mode: 'enforce', mxHosts: [] } as const
  const proofs = security?.level === 'authenticated' ? security.proofs : []
  const proof = proofs.find((one) => one.by === 'dane')
  if (proof?.by === 'dane') return { ...common, domain: proof.base, body: rdata(proof.tlsa) }
  if (failure?.mxHost === undefined || !isOfDane(failure)) return undefined
  return { ...common, domain: failure.mxHost }
}

/** The records in their presentation form (RFC 6698 §2.2), one a line. */
function rdata(records: DaneProof['tlsa']): string {
  return records
    .map(({ usage, selector, matchingType, data }) => {
      const hex = Buffer.from(data).toString('hex').toUpperCase()
      return `${usage} ${selector} ${matchingType} ${hex}`
    })
    .join('\n')
}

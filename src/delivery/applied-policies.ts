/**
 * The policies that applied to a session, each with its own failure, for TLS reports (RFC 8460
 * §4.4): where both MTA-STS and DANE apply, a report has both.
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
  /** undefined: everything demanded and audited was proved */
  failure: TlsFailure | undefined
  /** The verdict on its handshake; undefined when there was none */
  judgement: Judgement | undefined
}

/** Failures of TLSA records. */
const OF_DANE: ReadonlySet<TlsFailure['resultType']> = new Set([
  'tlsa-invalid',
  'dnssec-invalid',
  'dane-required',
])

/** Whether a failure is about TLSA records. A host without a session counts as failed then. */
export function isOfDane({ resultType }: TlsFailure): boolean {
  return OF_DANE.has(resultType)
}

/**
 * Returns the policies, or undefined where DANE does not apply.
 *
 * @param policy the MTA-STS result for the recipient's domain
 */
export function appliedPolicies(
  policy: AppliedPolicy,
  { security, failure, judgement }: SessionOutcome,
): AppliedResult[] | undefined {
  const tlsa = tlsaPolicy(security, failure)
  if (tlsa === undefined) return undefined
  // A handshake that failed the MTA-STS check says nothing about DANE
  if (judgement === undefined && isCertificateError(failure?.cause))
    return [result(policy, failure)]
  const hasDaneFailure = failure !== undefined && isOfDane(failure)
  const before = judgement === undefined && !hasDaneFailure ? failure : undefined
  const byDane = hasDaneFailure ? failure : (judgement?.failed?.dane ?? before)
  const bySts = judgement?.failed?.sts ?? before
  // Without a policy, TLSA records were found; without a session, nothing else was tried
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

/** The records in presentation form (RFC 6698 §2.2), one on each line. */
function rdata(records: DaneProof['tlsa']): string {
  return records
    .map(({ usage, selector, matchingType, data }) => {
      const hex = Buffer.from(data).toString('hex').toUpperCase()
      return `${usage} ${selector} ${matchingType} ${hex}`
    })
    .join('\n')
}

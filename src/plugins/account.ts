/**
 * A one-line summary of a delivery, for a log.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { escapeRemoteText } from '../text.js'
import { describeFailure } from '../tls/failures.js'

/**
 * Returns `example.com: delivered to mx.example.com[192.0.2.1], TLSv1.3, sts proved; enforce 2026`.
 *
 * @param done word for success
 */
export function describeDelivery(summary: DeliverySummary, done = 'delivered'): string {
  const { policyDomain, status, mode, policyId, failures, policyFailure } = summary
  const policy = policyId === undefined ? 'no policy' : `${mode} ${escapeRemoteText(policyId)}`
  return [
    `${escapeRemoteText(policyDomain)}: ${status === 'delivered' ? done : status}${connectionText(summary)}`,
    policy,
    ...failures.map(describeFailure),
    ...(policyFailure ? [`policy: ${describeFailure(policyFailure)}`] : []),
  ].join('; ')
}

function connectionText({ status, mxHost, address, tls, proved }: DeliverySummary): string {
  if (status !== 'delivered' || mxHost === undefined) return ''
  const at = address === undefined ? '' : `[${address}]`
  const how = tls ? tls.version : 'plaintext'
  const what = proved === 'nothing' ? 'nothing proved' : `${proved} proved`
  return ` to ${escapeRemoteText(mxHost)}${at}, ${how}, ${what}`
}

/** Whether an operator should see it: something failed or was tolerated. */
export function isRemarkable({ status, failures, policyFailure }: DeliverySummary): boolean {
  return status !== 'delivered' || failures.length > 0 || policyFailure !== undefined
}

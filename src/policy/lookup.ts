/**
 * The result of a policy lookup: the policy that applies to a Policy Domain, or the reason for
 * none.
 *
 * @module
 */

import type { AppliedPolicy } from '../events.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Policy } from './policy-file.js'

/** A policy applies. Mode `none` demands nothing. */
export interface FoundPolicy {
  /** Distinguishes it from {@link NoPolicy} */
  status: 'found'
  /** The policy file, parsed */
  policy: Policy
  /** The id of the TXT record; `override` for a policy that the operator pinned */
  id: string
  /** The end of the HTTPS fetch (RFC 8461 §3.3) */
  fetchedAt: Date
  /** `fetchedAt` plus the policy's `max_age` */
  expiresAt: Date
  /** `network`: fetched for this lookup */
  source: 'cache' | 'network'
  /** The text of the policy file */
  body: string
  /** The failure of the last lookup of the domain; the policy applies nevertheless */
  failure?: TlsFailure
}

/**
 * No policy applies, because
 * - `no-record`: the domain has no TXT record
 * - `dns-failure`: the TXT record could not be looked up
 * - `fetch-failed`: the policy file could not be fetched
 * - `invalid`: the record or the policy file breaks the syntax
 * - `expired`: a cached policy has expired, and no other could be fetched
 * - `store-failure`: the policy store did not answer, and the option `requireStore` is set. The
 *   store may hold a policy: mail to the domain must be deferred, as `MtaSts.deliver` does
 * - `address-literal`: the recipient's domain is an address, which has no policy
 * - `override`: the operator exempted the domain
 */
export interface NoPolicy {
  /** Distinguishes it from {@link FoundPolicy} */
  status: 'none'
  /** Reason for which no policy applies: see above */
  reason:
    | 'no-record'
    | 'dns-failure'
    | 'fetch-failed'
    | 'invalid'
    | 'expired'
    | 'store-failure'
    | 'address-literal'
    | 'override'
  /** The failure, in the terms of RFC 8460 §4.3, if there was one */
  failure?: TlsFailure
  /** The policy store did not answer and may hold a policy: DNS answers must not bounce mail */
  storeFailed?: true
}

/** The result of `MtaSts.getPolicy`. */
export type PolicyLookup = FoundPolicy | NoPolicy

export function noPolicy(reason: NoPolicy['reason'], failure?: TlsFailure): NoPolicy {
  return Object.freeze({ status: 'none', reason, ...(failure === undefined ? {} : { failure }) })
}

/** Whether two lookups found the same policy. The text can change without a new id. */
export function isSamePolicy(one: FoundPolicy, other: FoundPolicy): boolean {
  return one === other || (one.id === other.id && one.body === other.body)
}

/** Whether two lookups of a domain came from the same entry of the cache. */
export function isSameEntry(one: PolicyLookup, other: PolicyLookup): boolean {
  if (one.status === 'none' || other.status === 'none') return one === other
  return one.policy === other.policy
}

/** Returns the policy in the terms in which RFC 8460 §4.4 reports it. */
export function appliedPolicy(policyDomain: string, lookup: PolicyLookup): AppliedPolicy {
  if (lookup.status === 'none') {
    return { type: 'no-policy-found', domain: policyDomain, mode: 'none', mxHosts: [] }
  }
  return {
    type: 'sts',
    domain: policyDomain,
    mode: lookup.policy.mode,
    id: lookup.id,
    mxHosts: lookup.policy.mx,
    body: lookup.body,
  }
}

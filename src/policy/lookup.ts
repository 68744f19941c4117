/**
 * What a Policy Domain is held to, as a delivery is told.
 *
 * @module
 */

import type { AppliedPolicy } from '../events.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Policy } from './policy-file.js'

/** A policy applies. Its `mode` may be `none`, which asks for nothing. */
export interface FoundPolicy {
  /** Tells it from {@link NoPolicy} */
  status: 'found'
  /** The policy file, parsed */
  policy: Policy
  /** The id of the TXT record; `override` for a policy that the operator pinned */
  id: string
  /** The end of the HTTPS fetch (RFC 8461 §3.3) */
  fetchedAt: Date
  /** `fetchedAt` plus the policy's `max_age` */
  expiresAt: Date
  /** `network`: it was fetched for this very lookup */
  source: 'cache' | 'network'
  /** The policy file as it was fetched */
  body: string
  /** What went wrong when the domain was last looked at; the policy applies all the same */
  failure?: TlsFailure
}

/**
 * No policy applies, because
 * - `no-record`: there is no TXT record
 * - `dns-failure`: the TXT record could not be looked up
 * - `fetch-failed`: there is a record, and the policy file could not be fetched
 * - `invalid`: the record or the policy file breaks the syntax
 * - `expired`: one was known, has expired, and no other could be had
 * - `address-literal`: the recipient's domain is an address, which has none
 * - `override`: the operator exempted the domain
 */
export interface NoPolicy {
  /** Tells it from {@link FoundPolicy} */
  status: 'none'
  /** Why there is none: see above */
  reason:
    | 'no-record'
    | 'dns-failure'
    | 'fetch-failed'
    | 'invalid'
    | 'expired'
    | 'address-literal'
    | 'override'
  /** What went wrong, in the terms of RFC 8460 §4.3; left out where nothing did */
  failure?: TlsFailure
}

/** What a domain is held to: what `MtaSts.getPolicy` resolves to. */
export type PolicyLookup = FoundPolicy | NoPolicy

export function noPolicy(reason: NoPolicy['reason'], failure?: TlsFailure): NoPolicy {
  return Object.freeze({ status: 'none', reason, ...(failure === undefined ? {} : { failure }) })
}

/** The policy in the terms in which RFC 8460 §4.4 reports it. */
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

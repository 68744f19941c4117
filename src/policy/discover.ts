/**
 * Discovery (RFC 8461 §3): the TXT record, then the policy file, of a domain without a cached policy.
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import { plainFailure } from './failure.js'
import type { FetchOptions } from './fetch.js'
import { type NoPolicy, noPolicy, type PolicyLookup } from './lookup.js'
import { lookupRecord } from './record-lookup.js'
import type { StoredPolicy } from './store.js'
import type { Updater } from './update.js'

/** Longest `ttl` after a failed TXT lookup, which says nothing about the domain. */
const DNS_FAILURE_TTL = 60_000

export interface DiscoveryOptions {
  network: FetchOptions
  updater: Pick<Updater, 'fetch'>
  /** The `ttl` of a domain without a policy, in milliseconds */
  negativeTtl: number
  /** The expired entry of the store, if it has one */
  read: StoredPolicy | undefined
  /** Throws `ECLOSED` while the cache is closing */
  requireOpen: () => void
}

export interface Discovery {
  lookup: PolicyLookup
  /** Set with "no policy" after a failure; holds the error that caused it */
  failure?: TlsFailure
  /** Time for which "no policy" may be cached, in milliseconds; 0: not at all */
  ttl: number
}

/**
 * Looks up the TXT record, and fetches the policy file if there is a record.
 *
 * @throws MtaStsError `ECLOSED`
 */
export async function discover(
  policyDomain: string,
  { network, updater, negativeTtl, read, requireOpen }: DiscoveryOptions,
): Promise<Discovery> {
  const record = await lookupRecord(policyDomain, network)
  requireOpen()
  switch (record.kind) {
    case 'gone':
      return { lookup: noPolicy('no-record'), ttl: negativeTtl }
    case 'invalid':
      return failed('invalid', record.failure, negativeTtl)
    case 'failed':
      return failed('dns-failure', record.failure, Math.min(DNS_FAILURE_TTL, negativeTtl))
    case 'found': {
      const fetched = await updater.fetch(policyDomain, record.id, { read, inMemory: true })
      if (fetched.kind === 'fetched') return { lookup: fetched.policy.lookup, ttl: 0 }
      const invalid = fetched.failure.resultType === 'sts-policy-invalid'
      // Not cached: the same id has its back-off, and another id may be fetched at once
      return failed(invalid ? 'invalid' : 'fetch-failed', fetched.failure, 0)
    }
  }
}

function failed(reason: NoPolicy['reason'], failure: TlsFailure, ttl: number): Discovery {
  return { lookup: noPolicy(reason, plainFailure(failure)), failure, ttl }
}

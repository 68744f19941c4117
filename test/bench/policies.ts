/**
 * Policies in a store, for benchmarks of later work.
 *
 * @module
 */
import type { PolicyStore } from 'mta-sts'
import { MAX_AGE, POLICY_ID, policyFile } from './network.js'

type MxHosts = readonly string[] | ((domain: string) => readonly string[])

/**
 * A store with a policy for every domain, fetched at the time of reading: with these MX hosts, or
 * with two of the domain's own.
 */
export function learntPolicies(mxHosts: MxHosts = ownMxHosts): PolicyStore {
  return {
    async get(domain) {
      const fetchedAt = Date.now()
      return {
        id: POLICY_ID,
        body: policyBody(typeof mxHosts === 'function' ? mxHosts(domain) : mxHosts),
        fetchedAt,
        expiresAt: fetchedAt + MAX_AGE * 1000,
        usedAt: fetchedAt,
      }
    },
    async set() {},
    async delete() {},
  }
}

export function ownMxHosts(domain: string): string[] {
  return [`mx1.${domain}`, `mx2.${domain}`]
}

/** One flat string, as from the network: a concatenated one takes more memory. */
export function policyBody(mxHosts: readonly string[]): string {
  return Buffer.from(policyFile(mxHosts)).toString()
}

/**
 * Policies that were learnt before, for benchmarks of what comes after.
 *
 * @module
 */
import type { PolicyStore } from 'mta-sts'
import { MAX_AGE, POLICY_ID, policyFile } from './network.js'

type MxHosts = readonly string[] | ((domain: string) => readonly string[])

/**
 * A store that has a policy for every domain, fetched when it is asked for: with these MX hosts,
 * or with two of the domain's own.
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

/** One flat string, as it comes from the network: what is put together of parts takes more room. */
export function policyBody(mxHosts: readonly string[]): string {
  return Buffer.from(policyFile(mxHosts)).toString()
}

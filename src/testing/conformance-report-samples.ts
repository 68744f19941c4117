/**
 * Counts and reports for the rules of report stores, and what these rules share.
 *
 * @module
 */
import assert from 'node:assert/strict'
import type { CountLimits, DomainCounts } from '../tlsrpt/counts.js'
import type { ClaimedReport, ReportStore } from '../tlsrpt/store.js'

/** An empty report store. */
export interface ReportStoreUnderTest {
  /** The store */
  store: ReportStore
  /** The same data as another process sees it; default: the store itself */
  other?: ReportStore
}

export type ReportRules = Record<string, (stores: Required<ReportStoreUnderTest>) => Promise<void>>

export const LIMITS: CountLimits = { maxPolicies: 16, maxFailures: 1000 }
export const DAY_1 = '2026-03-14'
export const DAY_2 = '2026-03-15'
export const DAY_3 = '2026-03-16'
export const NOW = 1_000_000
export const MONTH = 31 * 86_400_000

export const A = 'a.example'
export const B = 'b.example'

export function counts(domain: string, day = DAY_1, successes = 1): DomainCounts {
  const policy = { policyType: 'no-policy-found', policyDomain: domain }
  return { day, domain, policies: [{ key: `key-of-${domain}`, policy, successes, failures: [] }] }
}

export function failing(domain: string, failures: [string, number][], key = 'x'): DomainCounts {
  const policy = { policyType: 'sts', policyDomain: domain, policyString: [key, 'ü "\n'] }
  return { day: DAY_1, domain, policies: [{ key, policy, successes: 1, failures }] }
}

export function failure(n: number, resultType = 'tlsa-invalid'): string {
  return JSON.stringify({ resultType, receivingIp: `${n}` })
}

/** Closes all days before one, under ids made of day and domain. */
export async function seal(store: ReportStore, day = DAY_2, notBefore = 0): Promise<string[]> {
  const planned: string[] = []
  await store.seal(day, (of, domain) => {
    planned.push(`${of} ${domain}`)
    const id = `${of}${domain}${notBefore}x${Math.random()}`.replace(/[^a-z0-9]/g, '')
    return { id, notBefore }
  })
  return planned.sort()
}

export function claim(
  store: ReportStore,
  now = NOW,
  early = false,
): Promise<ClaimedReport | undefined> {
  return store.claim({ now, until: now + 1000, early })
}

export async function mustClaim(store: ReportStore, now = NOW): Promise<ClaimedReport> {
  const report = await claim(store, now)
  assert.ok(report, 'there is no report to claim')
  return report
}

export async function claimAll(store: ReportStore): Promise<ClaimedReport[]> {
  const claimed: ClaimedReport[] = []
  for (;;) {
    const report = await claim(store)
    if (report === undefined) return claimed
    claimed.push(report)
  }
}

/** The sums of successes and failures by domain. */
export function sumsOf(reports: readonly ClaimedReport[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { domain, policies } of reports) {
    for (const { successes, failures } of policies) {
      const failed = failures.reduce((sum, [, sessions]) => sum + sessions, 0)
      sums[domain] = (sums[domain] ?? 0) + successes + failed
    }
  }
  return sums
}

export async function oneReport(store: ReportStore, notBefore = 0): Promise<void> {
  await store.add([counts(A)], LIMITS)
  await seal(store, DAY_2, notBefore)
}

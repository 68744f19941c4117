/**
 * The rules of a report store, as tests for stores of others.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { type CountLimits, type DomainCounts, OTHERS, writeOthers } from '../tlsrpt/counts.js'
import type { ClaimedReport, ReportStore, StoredReport } from '../tlsrpt/store.js'
import { type ConformanceCase, casesOf, checkOpen } from './conformance-cases.js'

/** A report store that nothing is stored in yet. */
export interface ReportStoreUnderTest {
  /** The store */
  store: ReportStore
  /** The same data as another process sees it; default: the store itself */
  other?: ReportStore
}

/**
 * Returns the rules of a report store as test cases. Rules about a method that is optional pass
 * where the store lacks it.
 *
 * @param open makes an empty store, with nothing left over from another case
 *
 * @example
 * import { test } from 'node:test'
 * for (const { title, run } of reportStoreConformance(() => ({ store: myStore() }))) test(title, run)
 */
export function reportStoreConformance(
  open: () => ReportStoreUnderTest | Promise<ReportStoreUnderTest>,
): ConformanceCase[] {
  checkOpen('reportStoreConformance', open)
  const opened = async () => {
    const { store, other = store } = await open()
    return { store, other }
  }
  return [
    ...casesOf(opened, COUNTING),
    ...casesOf(opened, CLOSING),
    ...casesOf(opened, CLAIMING),
    ...casesOf(opened, OPERATING),
  ]
}

type Rules = Record<string, (stores: Required<ReportStoreUnderTest>) => Promise<void>>

const LIMITS: CountLimits = { maxPolicies: 16, maxFailures: 1000 }
const DAY_1 = '2026-03-14'
const DAY_2 = '2026-03-15'
const DAY_3 = '2026-03-16'
const NOW = 1_000_000
const MONTH = 31 * 86_400_000

const A = 'a.example'
const B = 'b.example'

function counts(domain: string, day = DAY_1, successes = 1): DomainCounts {
  const policy = { policyType: 'no-policy-found', policyDomain: domain }
  return { day, domain, policies: [{ key: `key-of-${domain}`, policy, successes, failures: [] }] }
}

function failing(domain: string, failures: [string, number][], key = 'x'): DomainCounts {
  const policy = { policyType: 'sts', policyDomain: domain, policyString: [key, 'ü "\n'] }
  return { day: DAY_1, domain, policies: [{ key, policy, successes: 1, failures }] }
}

function failure(n: number, resultType = 'tlsa-invalid'): string {
  return JSON.stringify({ resultType, receivingIp: `${n}` })
}

/** Closes all days before one, under ids made of day and domain. */
async function seal(store: ReportStore, day = DAY_2, notBefore = 0): Promise<string[]> {
  const planned: string[] = []
  await store.seal(day, (of, domain) => {
    planned.push(`${of} ${domain}`)
    const id = `${of}${domain}${notBefore}x${Math.random()}`.replace(/[^a-z0-9]/g, '')
    return { id, notBefore }
  })
  return planned.sort()
}

function claim(store: ReportStore, now = NOW, early = false): Promise<ClaimedReport | undefined> {
  return store.claim({ now, until: now + 1000, early })
}

async function mustClaim(store: ReportStore, now = NOW): Promise<ClaimedReport> {
  const report = await claim(store, now)
  assert.ok(report, 'there is no report to claim')
  return report
}

async function claimAll(store: ReportStore): Promise<ClaimedReport[]> {
  const claimed: ClaimedReport[] = []
  for (;;) {
    const report = await claim(store)
    if (report === undefined) return claimed
    claimed.push(report)
  }
}

/** The sums of successes and failures by domain. */
function sumsOf(reports: readonly ClaimedReport[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { domain, policies } of reports) {
    for (const { successes, failures } of policies) {
      const failed = failures.reduce((sum, [, sessions]) => sum + sessions, 0)
      sums[domain] = (sums[domain] ?? 0) + successes + failed
    }
  }
  return sums
}

async function oneReport(store: ReportStore, notBefore = 0): Promise<void> {
  await store.add([counts(A)], LIMITS)
  await seal(store, DAY_2, notBefore)
}

const COUNTING: Rules = {
  async 'counts are added up by day, domain, policy and failure'({ store, other }) {
    await store.add([failing(A, [[failure(1), 2]]), counts(B, DAY_1, 100)], LIMITS)
    await other.add(
      [
        failing(A, [
          [failure(1), 20],
          [failure(2), 30],
        ]),
      ],
      LIMITS,
    )
    await other.add([failing(A, [], 'y'), counts(A, DAY_2)], LIMITS)
    assert.deepEqual(await seal(store), [`${DAY_1} ${A}`, `${DAY_1} ${B}`])
    const reports = await claimAll(store)
    assert.equal(reports.length, 2)
    const policies = reports.find(({ domain }) => domain === A)?.policies ?? []
    const x = policies.find(({ key }) => key === 'x')
    assert.equal(x?.successes, 2)
    assert.deepEqual(x?.policy, failing(A, []).policies[0]?.policy)
    assert.deepEqual(
      new Map(x?.failures),
      new Map([
        [failure(1), 22],
        [failure(2), 30],
      ]),
    )
    assert.equal(policies.find(({ key }) => key === 'y')?.successes, 1)
    assert.deepEqual(
      reports.find(({ domain }) => domain === B)?.policies,
      counts(B, DAY_1, 100).policies,
    )
  },

  async 'no more policies and failures are told apart than the limits say, and none is lost'(
    stores,
  ) {
    const { store, other } = stores
    const limits = { maxPolicies: 2, maxFailures: 3 }
    const others = writeOthers('certificate-expired')
    assert.ok(OTHERS.has(others))
    const add = (key: string, failures: [string, number][], to = store) =>
      to.add([failing(A, failures, key)], limits)
    await add('x', [[others, 1]])
    for (let n = 0; n < 10; n++) {
      await add('x', [[failure(n, 'certificate-expired'), 1]], n % 2 ? other : store)
    }
    await add('x', [
      [failure(0, 'certificate-expired'), 100],
      [failure(11), 1],
    ])
    for (const key of ['y', 'z', 'z', 'w']) await add(key, [], other)
    await seal(store)
    const { policies } = await mustClaim(store)
    const x = policies.find(({ key }) => key === 'x')
    assert.equal(x?.successes, 12)
    assert.deepEqual(
      new Map(x?.failures),
      new Map([
        [others, 8],
        [writeOthers('tlsa-invalid'), 1],
        [failure(0, 'certificate-expired'), 101],
        [failure(1, 'certificate-expired'), 1],
        [failure(2, 'certificate-expired'), 1],
      ]),
    )
    assert.equal(policies.length, 3)
    const rest = policies.find(({ policy }) => policy.policyString === undefined)
    assert.deepEqual(rest?.policy, { policyType: 'sts', policyDomain: A })
    assert.equal(rest?.successes, 3)
  },

  async 'many additions at once, from two processes: no count is lost'({ store, other }) {
    const domains = Array.from({ length: 5 }, (_, n) => `d${n}.example`)
    const some = domains.map((domain) => counts(domain, DAY_1, 7))
    const additions = Array.from({ length: 60 }, (_, n) =>
      (n % 2 ? store : other).add(some, LIMITS),
    )
    await Promise.all(additions)
    await seal(store)
    const expected = Object.fromEntries(domains.map((domain) => [domain, 420]))
    assert.deepEqual(sumsOf(await claimAll(store)), expected)
  },

  async '[RPT-16] a portion that is sent again is added once, from whichever connection'(stores) {
    const { store, other } = stores
    const add = (to: ReportStore, number: number, writer = 'one') =>
      to.add([counts(A), counts(B, DAY_1, 10)], LIMITS, { writer, number })
    await Promise.all([add(store, 1), add(other, 1), add(store, 1)])
    await add(store, 2)
    await add(other, 2)
    // Of an earlier connection, which arrives late
    await add(store, 1)
    await add(other, 1, 'two')
    await seal(store)
    await add(other, 2)
    assert.deepEqual(await seal(store), [])
    assert.deepEqual(sumsOf(await claimAll(store)), { [A]: 3, [B]: 30 })
  },

  async 'nothing can be added, and much'({ store }) {
    await store.add([], LIMITS)
    const domains = Array.from({ length: 250 }, (_, n) => `d${n}.example`)
    await store.add(
      domains.map((domain) => counts(domain)),
      LIMITS,
    )
    assert.equal((await seal(store)).length, 250)
    assert.equal((await claimAll(store)).length, 250)
  },
}

const CLOSING: Rules = {
  async '[RPT-13] each session is in one report: what comes later makes another one'(stores) {
    const { store, other } = stores
    await store.add([counts(A, DAY_1, 5)], LIMITS)
    await seal(store)
    assert.deepEqual(await seal(other), [])
    await other.add([counts(A, DAY_1, 3), counts(A, DAY_2, 4)], LIMITS)
    assert.deepEqual(await seal(store), [`${DAY_1} ${A}`])
    assert.deepEqual(await seal(store, DAY_3), [`${DAY_2} ${A}`])
    const reports = await claimAll(store)
    const successes = reports.map(({ policies }) => policies[0]?.successes)
    assert.deepEqual(successes.sort(), [3, 4, 5])
    assert.equal(new Set(reports.map(({ id }) => id)).size, 3)
  },

  async '[RPT-13] processes that close a day at once make one report of it'({ store, other }) {
    await store.add(
      Array.from({ length: 30 }, (_, n) => counts(`d${n}.example`)),
      LIMITS,
    )
    await Promise.all([seal(store), seal(other), seal(store)])
    assert.equal((await claimAll(other)).length, 30)
  },
}

const CLAIMING: Rules = {
  async 'a report begins without progress, and nothing is claimed where nothing is'({ store }) {
    assert.equal(await claim(store), undefined)
    assert.equal(await claim(store, NOW, true), undefined)
    await oneReport(store)
    assert.deepEqual((await mustClaim(store)).progress, { attempts: 0, done: [] })
  },

  async '[RPT-14] a report is not claimed before its time, unless asked for early'(stores) {
    const { store, other } = stores
    await oneReport(store, NOW + 1)
    assert.equal(await claim(store), undefined)
    assert.ok(await claim(store, NOW, true))
    assert.equal(await claim(other, NOW, true), undefined)
  },

  async '[RPT-13] a report is claimed by one process at a time, until the claim is over'(stores) {
    const { store, other } = stores
    await oneReport(store)
    const first = await mustClaim(store)
    assert.equal(await claim(other), undefined)
    assert.equal(await claim(other, NOW + 999, true), undefined)
    const second = await mustClaim(other, NOW + 1000)
    assert.deepEqual(second, { ...first, claim: second.claim })
    assert.notEqual(second.claim, first.claim)
  },

  async '[RPT-13] of many processes that claim at once, each report goes to one'(stores) {
    const { store, other } = stores
    await store.add(
      Array.from({ length: 40 }, (_, n) => counts(`d${n}.example`)),
      LIMITS,
    )
    await seal(store)
    const claimed = await Promise.all([store, other, store, other, store].map(claimAll))
    assert.equal(claimed.flat().length, 40)
    assert.equal(new Set(claimed.flat().map(({ id }) => id)).size, 40)
  },

  async '[RPT-13] what was saved is there for the next claim, at the time that was said'(stores) {
    const { store, other } = stores
    await oneReport(store)
    const first = await mustClaim(store)
    const done = [`mailto:ü@${A}`]
    const progress = { firstAttemptAt: 5, attempts: 2, done, problem: '421 "later"' }
    assert.equal(await store.save(first, progress, NOW + 5000), true)
    assert.equal(await claim(other, NOW + 4999, true), undefined)
    const next = await mustClaim(other, NOW + 5000)
    assert.equal(next.id, first.id)
    assert.deepEqual(next.progress, progress)
  },

  async '[RPT-13] a process that has lost its claim changes nothing'({ store, other }) {
    await oneReport(store)
    const lost = await mustClaim(store)
    const second = await mustClaim(other, NOW + 1000)
    assert.equal(await store.save(lost, { attempts: 9, done: [] }, 0), false)
    assert.equal(await store.remove(lost), false)
    assert.equal(await claim(store, NOW + 1500), undefined)
    assert.equal(await other.save(second, { attempts: 1, done: [] }, NOW + 2000), true)
    assert.equal((await mustClaim(store, NOW + 2000)).progress.attempts, 1)
  },

  async '[RPT-13] a report that was removed is gone'({ store, other }) {
    await oneReport(store)
    const report = await mustClaim(store)
    assert.equal(await store.remove(report), true)
    assert.equal(await store.remove(report), false)
    assert.equal(await store.save(report, { attempts: 1, done: [] }, 0), false)
    assert.equal(await claim(other, NOW * 2, true), undefined)
  },

  async '[STS-54] a claim that reaches far into the future is not believed'({ store, other }) {
    await oneReport(store)
    const fast = await mustClaim(store, NOW + MONTH)
    assert.equal((await mustClaim(other)).id, fast.id)
    assert.equal(await claim(store), undefined)
  },
}

const OPERATING: Rules = {
  async '[RPT-19] list shows what is counted, waits, is claimed and has failed'(stores) {
    const { store, other } = stores
    if (!other.list) return
    await store.add([counts(A), counts(B), counts('c.example')], LIMITS)
    const notBefore = (domain: string) => (domain === A ? NOW + 1 : 0)
    await store.seal(DAY_2, (_, domain) => ({
      id: domain.slice(0, 1),
      notBefore: notBefore(domain),
    }))
    await store.add([counts(A, DAY_2)], LIMITS)
    const claimed = [await mustClaim(store), await mustClaim(store)]
    const failed = claimed.find(({ id }) => id === 'c')
    assert.ok(failed)
    await store.save(failed, { attempts: 1, done: [], problem: '421' }, NOW + 300)
    const listed: StoredReport[] = []
    for await (const report of other.list()) listed.push(report)
    const lines = listed.map(({ id = '-', day, domain, state, notBefore: time = 0 }) =>
      [id, day, domain, state, time].join(' '),
    )
    assert.deepEqual(lines.sort(), [
      `- ${DAY_2} ${A} counting 0`,
      `a ${DAY_1} ${A} waiting ${NOW + 1}`,
      `b ${DAY_1} ${B} claimed ${NOW + 1000}`,
      `c ${DAY_1} c.example failed ${NOW + 300}`,
    ])
  },

  async 'makeDue makes due what waits or has failed, and not what is claimed'({ store, other }) {
    if (!other.makeDue) return
    await store.add([counts(A)], LIMITS)
    await store.seal(DAY_2, () => ({ id: 'a', notBefore: NOW + 5000 }))
    assert.equal(await other.makeDue('a', NOW), true)
    const report = await mustClaim(store)
    assert.equal(await other.makeDue('a', NOW), false)
    await store.save(report, { attempts: 1, done: [], problem: 'no' }, NOW + 5000)
    assert.equal(await claim(store), undefined)
    assert.equal(await other.makeDue('a', NOW), true)
    assert.equal((await mustClaim(store)).id, 'a')
    assert.equal(await other.makeDue('b', NOW), false)
  },

  async 'drop removes a report in any state'({ store, other }) {
    if (!other.drop) return
    await store.add([counts(A), counts(B)], LIMITS)
    await store.seal(DAY_2, (_, domain) => ({ id: domain.slice(0, 1), notBefore: 0 }))
    const report = await mustClaim(store)
    assert.equal(await other.drop('a'), true)
    assert.equal(await other.drop('b'), true)
    assert.equal(await other.drop('b'), false)
    assert.equal(await store.save(report, { attempts: 1, done: [] }, 0), false)
    assert.equal(await claim(store, NOW * 2, true), undefined)
  },
}

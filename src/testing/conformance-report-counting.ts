/**
 * Rules of a report store: what is counted, and when a day is closed.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { OTHERS, writeOthers } from '../tlsrpt/counts.js'
import type { ReportStore } from '../tlsrpt/store.js'
import {
  A,
  B,
  claimAll,
  counts,
  DAY_1,
  DAY_2,
  DAY_3,
  failing,
  failure,
  LIMITS,
  mustClaim,
  type ReportRules,
  seal,
  sumsOf,
} from './conformance-report-samples.js'

export const COUNTING: ReportRules = {
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
    // Late requests of an earlier connection
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

export const CLOSING: ReportRules = {
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

/**
 * Rules of a report store: which process sends a report.
 *
 * @module
 */
import assert from 'node:assert/strict'
import {
  A,
  claim,
  claimAll,
  counts,
  LIMITS,
  MONTH,
  mustClaim,
  NOW,
  oneReport,
  type ReportRules,
  seal,
} from './conformance-report-samples.js'

export const CLAIMING: ReportRules = {
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

/**
 * Rules of a report store: what the command shows and changes.
 *
 * @module
 */
import assert from 'node:assert/strict'
import type { StoredReport } from '../tlsrpt/store.js'
import {
  A,
  B,
  claim,
  counts,
  DAY_1,
  DAY_2,
  LIMITS,
  mustClaim,
  NOW,
  type ReportRules,
} from './conformance-report-samples.js'

export const OPERATING: ReportRules = {
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

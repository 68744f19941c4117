/**
 * Rules of a policy store: which of several writes and removals counts.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { DAY, HOUR } from './conformance-cases.js'
import { entry, NAME, type PolicyRules } from './conformance-policy-entry.js'

export const ORDER: PolicyRules = {
  async '[STS-53] a later fetch replaces an earlier one'({ store, other }) {
    const now = Date.now()
    await store.set(NAME, entry({ id: 'old', fetchedAt: now - 1 }))
    assert.equal(await other.set(NAME, entry({ id: 'new', fetchedAt: now })), true)
    assert.equal((await store.get(NAME))?.id, 'new')
  },

  async '[STS-53] of two fetches the one that began later stays, though it ended first'(stores) {
    const { store, other } = stores
    const now = Date.now()
    const later = entry({ id: 'later', startedAt: now - 1000, fetchedAt: now - 500 })
    const slow = entry({ id: 'slow', startedAt: now - 60_000, fetchedAt: now })
    assert.equal(await store.set(NAME, later), true)
    assert.equal(await other.set(NAME, slow), false)
    assert.deepEqual(await store.get(NAME), later)
  },

  async '[STS-53] a fetch that began with the stored entry in hand replaces it, whatever the clocks say'(
    stores,
  ) {
    const { store, other } = stores
    const fast = Date.now() + HOUR / 6
    await store.set(NAME, entry({ id: 'none', startedAt: fast, fetchedAt: fast }))
    const before = await other.get(NAME)
    const renewed = entry({ id: 'enforce' })
    assert.equal(await other.set(NAME, renewed), false)
    assert.equal(await other.set(NAME, renewed, before), true)
    assert.equal((await store.get(NAME))?.id, 'enforce')
    const late = entry({ id: 'late', startedAt: Date.now() - DAY, fetchedAt: Date.now() - DAY })
    assert.equal(await other.set(NAME, late, before), false)
  },

  async 'an entry of the same fetch replaces itself, so that its use can be recorded'({ store }) {
    const first = entry({ fetchedAt: Date.now() - DAY })
    await store.set(NAME, first)
    const usedAt = first.usedAt + HOUR
    assert.equal(await store.set(NAME, { ...first, usedAt }), true)
    assert.equal((await store.get(NAME))?.usedAt, usedAt)
  },

  async '[STS-61] an entry never takes back how lately another sender used the policy'(stores) {
    const { store, other } = stores
    const first = entry({ fetchedAt: Date.now() - 3 * DAY })
    const usedAt = Date.now() - 1000.125
    await store.set(NAME, { ...first, usedAt })
    await other.set(NAME, first)
    assert.equal((await store.get(NAME))?.usedAt, usedAt)
    assert.equal(await other.set(NAME, entry({ id: 'renewed', usedAt: first.usedAt })), true)
    assert.equal((await store.get(NAME))?.usedAt, usedAt)
  },

  async '[STS-54] a use that lies in the future is not taken over'({ store }) {
    const usedAt = Date.now() + 30 * DAY
    await store.set(NAME, entry({ usedAt, fetchedAt: Date.now() - DAY }))
    const renewed = entry({ id: 'renewed' })
    await store.set(NAME, renewed)
    assert.equal((await store.get(NAME))?.usedAt, renewed.usedAt)
  },

  async 'a later fetch that expires at once still ends the earlier one'({ store }) {
    const fetchedAt = Date.now()
    await store.set(NAME, entry({ id: 'old', fetchedAt: fetchedAt - HOUR }))
    await store.set(NAME, entry({ id: 'new', fetchedAt, expiresAt: fetchedAt }))
    assert.notEqual((await store.get(NAME))?.id, 'old')
  },

  async '[STS-53] of many writes at once, in any order, the latest fetch stays'({ store, other }) {
    const start = Date.now() - 1000
    // 37 and 101 have no common factor: every age comes once, in a mixed order
    const ages = Array.from({ length: 101 }, (_, index) => (index * 37) % 101)
    const writes = ages.map((age, index) =>
      (index % 2 === 0 ? store : other).set(NAME, entry({ id: `n${age}`, fetchedAt: start + age })),
    )
    await Promise.all(writes)
    assert.equal((await store.get(NAME))?.id, 'n100')
  },

  async '[STS-54] a fetch dated far ahead, by a host whose clock is wrong, does not stay'({
    store,
  }) {
    await store.set(NAME, entry({ id: 'wrong', fetchedAt: Date.now() + 400 * DAY }))
    await store.set(NAME, entry({ id: 'right' }))
    assert.equal((await store.get(NAME))?.id, 'right')
  },

  async 'a clock that is minutes ahead is nothing special'({ store }) {
    await store.set(NAME, entry({ id: 'ahead', fetchedAt: Date.now() + HOUR / 2 }))
    await store.set(NAME, entry({ id: 'behind' }))
    assert.equal((await store.get(NAME))?.id, 'ahead')
  },
}

export const REMOVALS: PolicyRules = {
  async '[STS-61] a removal is known to other senders, and refuses what was fetched before it'(
    stores,
  ) {
    const { store, other } = stores
    if (!store.removedAt || !other.removedAt) return
    const fetched = entry({ fetchedAt: Date.now() - 1000 })
    await store.set(NAME, fetched)
    assert.equal(await other.removedAt(NAME), undefined)
    await store.delete(NAME)
    const removedAt = (await other.removedAt(NAME)) ?? 0
    assert.ok(Math.abs(removedAt - Date.now()) < HOUR / 4, `removedAt is ${removedAt}`)
    assert.equal(await other.set(NAME, { ...fetched, usedAt: Date.now() }, fetched), false)
    assert.equal(await store.get(NAME), undefined)
  },

  async '[STS-61] a fetch that begins after the removal is stored'({ store, other }) {
    if (!store.removedAt) return
    await store.delete(NAME)
    const startedAt = (await store.removedAt(NAME)) ?? 0
    assert.equal(await other.set(NAME, entry({ startedAt, fetchedAt: startedAt })), true)
    assert.notEqual(await store.get(NAME), undefined)
  },
}

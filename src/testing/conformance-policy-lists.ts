/**
 * Rules of a policy store: its lists, and what is due.
 *
 * @module
 */
import assert from 'node:assert/strict'
import type { StoredPolicy } from '../policy/store.js'
import { DAY, HOUR } from './conformance-cases.js'
import { entry, NAME, namesIn, type PolicyRules } from './conformance-policy-entry.js'

export const LISTS: PolicyRules = {
  async '[STS-33] list gives every entry once, also where there are many'({ store, other }) {
    if (!other.list) return
    const base = entry()
    const expected = Array.from({ length: 523 }, (_, index): [string, StoredPolicy] => [
      `d${String(index).padStart(4, '0')}.example`,
      { ...base, id: `n${index}` },
    ])
    await Promise.all(expected.map(([domain, item]) => store.set(domain, item)))
    const listed: [string, StoredPolicy][] = []
    for await (const item of other.list()) listed.push(item)
    assert.deepEqual(listed.sort(byName), expected)
  },

  async 'list does not show locks'({ store }) {
    if (!store.list || !store.lock) return
    await store.lock(NAME, HOUR)
    assert.deepEqual(await namesIn(store.list()), [])
    assert.equal(await store.get(NAME), undefined)
  },

  async 'list ends while entries are deleted, set and added'({ store }) {
    if (!store.list) return
    const domains = Array.from({ length: 250 }, (_, index) => `d${index}.example`)
    await Promise.all(domains.map((domain) => store.set(domain, entry())))
    const seen: string[] = []
    for await (const [domain, item] of store.list()) {
      seen.push(domain)
      assert.ok(seen.length <= 1000, 'the list does not end')
      await store.delete(domain)
      const again = { ...item, fetchedAt: Date.now() + 1000 }
      await store.set(domain, again)
      await store.set(`0-${domain}`, again)
    }
    assert.equal(new Set(seen).size, seen.length)
    assert.ok((await namesIn(store.list())).length >= 500)
  },

  async 'list can be left early, and run twice at once'({ store }) {
    if (!store.list) return
    const { list } = store
    const domains = Array.from({ length: 120 }, (_, index) => `d${index}.example`)
    await Promise.all(domains.map((domain) => store.set(domain, entry())))
    for await (const [domain] of list.call(store)) {
      assert.ok(domains.includes(domain))
      break
    }
    const [one, two] = await Promise.all([namesIn(list.call(store)), namesIn(list.call(store))])
    assert.equal(one?.length, 120)
    assert.deepEqual(two, one)
  },

  async 'due gives what is to be renewed by then, after half of max_age or a day'(stores) {
    const { store, other } = stores
    if (!other.due) return
    const dueAt = async (time: number) => (other.due ? namesIn(other.due(time)) : [])
    const now = Date.now()
    const fetchedAt = now - 10 * HOUR
    await store.set('day.example', entry({ fetchedAt, expiresAt: fetchedAt + 30 * DAY }))
    await store.set('short.example', entry({ fetchedAt, expiresAt: fetchedAt + 21 * HOUR }))
    await store.set('tiny.example', entry({ fetchedAt, expiresAt: fetchedAt + 18 * HOUR }))
    assert.deepEqual(await dueAt(now), ['tiny.example'])
    assert.deepEqual(await dueAt(now + HOUR), ['short.example', 'tiny.example'])
    assert.equal((await dueAt(fetchedAt + DAY)).length, 3)
    await store.set('tiny.example', entry({ fetchedAt: now, expiresAt: now + DAY }))
    assert.deepEqual(await dueAt(now), [])
    await store.delete('short.example')
    assert.deepEqual(await dueAt(now + HOUR), [])
  },

  async 'due gives every due entry once while they are renewed'({ store }) {
    if (!store.due) return
    const fetchedAt = Date.now() - 2 * DAY
    const domains = Array.from({ length: 350 }, (_, index) => `d${index}.example`)
    const old = (index: number) => entry({ fetchedAt: fetchedAt + (index % 7) })
    await Promise.all(domains.map((domain, index) => store.set(domain, old(index))))
    const seen: string[] = []
    for await (const [domain] of store.due(Date.now())) {
      seen.push(domain)
      if (seen.length % 2 === 0) await store.set(domain, entry())
    }
    assert.deepEqual(seen.sort(), domains.sort())
    assert.equal((await namesIn(store.due(Date.now()))).length, 175)
  },
}

function byName([a]: [string, StoredPolicy], [b]: [string, StoredPolicy]): number {
  return a < b ? -1 : 1
}

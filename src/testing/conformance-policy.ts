/**
 * The rules of a policy store, as tests for stores of others.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PolicyStore, StoredPolicy } from '../policy/store.js'
import { type ConformanceCase, casesOf, checkOpen, DAY, HOUR } from './conformance-cases.js'

/** A policy store that nothing is stored in yet. */
export interface PolicyStoreUnderTest {
  /** The store */
  store: PolicyStore
  /** The same data as another process sees it; default: the store itself */
  other?: PolicyStore
}

/**
 * Returns the rules of a policy store as test cases. Rules about a method that is optional pass
 * where the store lacks it.
 *
 * @param open makes an empty store, with nothing left over from another case
 *
 * @example
 * import { test } from 'node:test'
 * for (const { title, run } of policyStoreConformance(() => ({ store: myStore() }))) test(title, run)
 */
export function policyStoreConformance(
  open: () => PolicyStoreUnderTest | Promise<PolicyStoreUnderTest>,
): ConformanceCase[] {
  checkOpen('policyStoreConformance', open)
  const opened = async () => {
    const { store, other = store } = await open()
    return { store, other }
  }
  return [
    ...casesOf(opened, ENTRIES),
    ...casesOf(opened, bodiesAndNames()),
    ...casesOf(opened, ORDER),
    ...casesOf(opened, REMOVALS),
    ...casesOf(opened, LISTS),
    ...casesOf(opened, LOCKS),
  ]
}

type Rules = Record<string, (stores: Required<PolicyStoreUnderTest>) => Promise<void>>

const NAME = 'example.com'

function entry(changes: Partial<StoredPolicy> = {}): StoredPolicy {
  const fetchedAt = changes.fetchedAt ?? Date.now()
  return {
    id: '20260131T000000',
    body: 'version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n',
    fetchedAt,
    expiresAt: fetchedAt + 7 * DAY,
    usedAt: fetchedAt,
    ...changes,
  }
}

const ENTRIES: Rules = {
  async 'get resolves to undefined for a domain that was never set'({ store }) {
    assert.equal(await store.get(NAME), undefined)
  },

  async '[STS-33] an entry that was set is there for another process, field by field'(stores) {
    const { store, other } = stores
    const kept = entry({
      startedAt: 1_700_000_000_000.125,
      recordSeenAt: 1_700_000_000_001,
      expiresAt: 253_402_300_799_999,
    })
    assert.notEqual(await store.set(NAME, kept), false)
    assert.deepEqual(await store.get(NAME), kept)
    assert.deepEqual(await other.get(NAME), kept)
    assert.equal(await other.get('example.org'), undefined)
  },

  async 'entries are copied: changing one from outside changes nothing in the store'({ store }) {
    const mine = entry({ id: 'kept' })
    await store.set(NAME, mine)
    mine.id = 'changed'
    const got = await store.get(NAME)
    if (got) got.id = 'changed'
    assert.equal((await store.get(NAME))?.id, 'kept')
  },

  async 'an entry with a field of a wrong type is rejected with ESTOREVALUE'({ store }) {
    const kept = entry()
    await store.set(NAME, kept)
    const wrong = [
      { fetchedAt: Number.NaN },
      { expiresAt: Number.POSITIVE_INFINITY },
      { usedAt: undefined },
      { id: 5 },
      { body: null },
    ]
    for (const fields of wrong) {
      await assert.rejects(async () => store.set(NAME, Object.assign(entry(), fields)), {
        code: 'ESTOREVALUE',
      })
    }
    assert.deepEqual(await store.get(NAME), kept)
  },

  async 'delete removes one entry, and resolves where there is none'({ store, other }) {
    await store.set(NAME, entry())
    await store.set('example.org', entry())
    await store.delete(NAME)
    await store.delete(NAME)
    assert.equal(await other.get(NAME), undefined)
    assert.notEqual(await other.get('example.org'), undefined)
  },
}

const BODIES: Readonly<Record<string, string>> = {
  'of 64 KiB': `version: STSv1\n${'x'.repeat(65_536 - 15)}`,
  'that is empty': '',
  'with CRLF, LF and a byte order mark': '\uFEFFversion: STSv1\r\nmode: none\nmax_age: 1\r\n',
  'with characters of two, three and four bytes': 'x-ext: ü € 𝒮 "quoted" \\ back',
  'with NUL and other controls': 'a\0b\u0001\u001F\u007F\u2028',
}

const NAMES = ['__proto__', 'constructor', 'xn--bcher-kva.example', 'a.b', '%_*?[a]']

function bodiesAndNames(): Rules {
  const rules: Rules = {}
  for (const [what, body] of Object.entries(BODIES)) {
    rules[`a body ${what} comes back exactly`] = async ({ store, other }) => {
      await store.set(NAME, entry({ body }))
      assert.equal((await other.get(NAME))?.body, body)
    }
  }
  for (const domain of NAMES) {
    rules[`${domain} is a domain like any other`] = async ({ store }) => {
      assert.equal(await store.get(domain), undefined)
      await store.set(domain, entry({ id: 'here' }))
      assert.equal((await store.get(domain))?.id, 'here')
      if (store.list) assert.deepEqual(await namesIn(store.list()), [domain])
      await store.delete(domain)
      assert.equal(await store.get(domain), undefined)
    }
  }
  return rules
}

const ORDER: Rules = {
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

const REMOVALS: Rules = {
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

const LISTS: Rules = {
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

const LOCKS: Rules = {
  async 'a lock is held by one caller at a time, and free again when released'(stores) {
    const { store, other } = stores
    if (!store.lock || !other.lock) return
    const release = await store.lock('refresh', HOUR)
    assert.ok(release, 'a free lock was not given')
    assert.equal(await other.lock('refresh', HOUR), undefined)
    assert.equal(await store.lock('refresh', HOUR), undefined)
    assert.ok(await store.lock('another', HOUR), 'a lock goes by its name')
    await release()
    const again = await other.lock('refresh', HOUR)
    assert.ok(again)
    // Released twice: that is no lock of its own any more
    await release()
    assert.equal(await store.lock('refresh', HOUR), undefined)
  },

  async 'of many callers at once, one gets the lock'({ store, other }) {
    if (!store.lock) return
    const asked = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? store : other).lock?.('refresh', HOUR),
    )
    const got = (await Promise.all(asked)).filter((release) => release !== undefined)
    assert.equal(got.length, 1)
  },

  async 'a lock is free when its time is over, and its late owner does not release the next one'(
    stores,
  ) {
    const { store, other } = stores
    if (!store.lock) return
    const late = await store.lock('refresh', 20)
    assert.ok(late)
    await untilLocked(other, 'refresh')
    await late()
    assert.equal(await store.lock('refresh', HOUR), undefined)
  },
}

async function untilLocked(store: PolicyStore, name: string): Promise<void> {
  const end = performance.now() + 5000
  for (;;) {
    if ((await store.lock?.(name, HOUR)) !== undefined) return
    assert.ok(performance.now() < end, 'a lock of 20 ms was held for 5 s')
    await sleep(1)
  }
}

async function namesIn(entries: AsyncIterable<[string, StoredPolicy]>): Promise<string[]> {
  const names: string[] = []
  for await (const [name] of entries) names.push(name)
  return names.sort()
}

function byName([a]: [string, StoredPolicy], [b]: [string, StoredPolicy]): number {
  return a < b ? -1 : 1
}

/**
 * What every policy store must do, whatever is below it. Each store's test runs this suite; a store
 * of your own can be held to it as well.
 */

import { describe, expect, it } from 'vitest'
import type { PolicyStore, StoredPolicy } from '../../../src/policy/store.js'
import {
  DAY,
  dueOf,
  entry,
  HOUR,
  listed,
  listOf,
  lockOf,
  mustLock,
  removedAtOf,
  waitForLock,
} from './helpers.js'

export interface StoreUnderTest {
  /** Empty, with nothing left over from another test */
  store: PolicyStore
  /** The same data as another process would see it */
  other: PolicyStore
}

const BODIES: Record<string, string> = {
  'of 64 KiB': `version: STSv1\n${'x'.repeat(65_536 - 15)}`,
  empty: '',
  'with CRLF, LF and a byte order mark': '\uFEFFversion: STSv1\r\nmode: none\nmax_age: 1\r\n',
  'with characters of two, three and four bytes': 'x-ext: ü € 𝒮 "quoted" \\ back',
  'with NUL and other controls': 'a\0b\u0001\u001F\u007F\u2028',
}

export function conformance(name: string, open: () => StoreUnderTest | Promise<StoreUnderTest>) {
  describe(`${name}: entries`, () => {
    it('knows nothing at first', async () => {
      const { store } = await open()
      expect(await store.get('example.com')).toBeUndefined()
      expect(await listed(store)).toEqual([])
    })

    it('[STS-33] what was set is there for another process', async () => {
      const { store, other } = await open()
      const kept = entry()
      await store.set('example.com', kept)
      expect(await store.get('example.com')).toEqual(kept)
      expect(await other.get('example.com')).toEqual(kept)
      expect(await other.get('example.org')).toBeUndefined()
    })

    for (const [what, body] of Object.entries(BODIES)) {
      it(`brings back a body ${what} exactly`, async () => {
        const { store, other } = await open()
        await store.set('example.com', entry({ body }))
        expect((await other.get('example.com'))?.body).toBe(body)
      })
    }

    it('brings back times with fractions, and of a distant year', async () => {
      const { store, other } = await open()
      const kept = entry({ usedAt: 1_700_000_000_000.125, expiresAt: 253_402_300_799_999 })
      await store.set('example.com', kept)
      expect(await other.get('example.com')).toEqual(kept)
    })

    it.each(['__proto__', 'constructor', 'xn--bcher-kva.example', 'a.b', '%_*?[a]'])(
      'takes %s for a domain like any other',
      async (domain) => {
        const { store } = await open()
        expect(await store.get(domain)).toBeUndefined()
        await store.set(domain, entry({ id: 'here' }))
        expect((await store.get(domain))?.id).toBe('here')
        expect((await listed(store)).map(([policyDomain]) => policyDomain)).toEqual([domain])
        await store.delete(domain)
        expect(await store.get(domain)).toBeUndefined()
      },
    )

    it('keeps copies: nobody changes an entry from outside', async () => {
      const { store } = await open()
      const mine = entry({ id: 'kept' })
      await store.set('example.com', mine)
      mine.id = 'changed'
      const got = await store.get('example.com')
      if (got !== undefined) got.id = 'changed'
      for await (const [, item] of listOf(store)) item.id = 'changed'
      expect((await store.get('example.com'))?.id).toBe('kept')
    })

    it('keeps the fields of an entry and nothing else', async () => {
      const { store } = await open()
      await store.set('example.com', Object.assign(entry(), { secret: 'x' }))
      expect(Object.keys((await store.get('example.com')) ?? {}).sort()).toEqual(
        Object.keys(entry()).sort(),
      )
    })

    it.each([
      ['fetchedAt', Number.NaN],
      ['expiresAt', Number.POSITIVE_INFINITY],
      ['usedAt', undefined],
      ['id', 5],
      ['body', null],
    ])('refuses an entry whose %s is %s, and keeps what it has', async (field, value) => {
      const { store } = await open()
      const kept = entry()
      await store.set('example.com', kept)
      const wrong = Object.assign(entry(), { [field]: value })
      await expect(store.set('example.com', wrong)).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      expect(await store.get('example.com')).toEqual(kept)
    })

    it('deletes what is there, and minds not what is not', async () => {
      const { store, other } = await open()
      await store.set('example.com', entry())
      await store.set('example.org', entry())
      await store.delete('example.com')
      await store.delete('example.com')
      expect(await other.get('example.com')).toBeUndefined()
      expect(await other.get('example.org')).toBeDefined()
    })
  })

  describe(`${name}: which fetch stays`, () => {
    it('a newer fetch replaces an older one', async () => {
      const { store, other } = await open()
      const now = Date.now()
      await store.set('example.com', entry({ id: 'old', fetchedAt: now - 1 }))
      await other.set('example.com', entry({ id: 'new', fetchedAt: now }))
      expect((await store.get('example.com'))?.id).toBe('new')
    })

    it('[STS-33] an older fetch never replaces a newer one of another host', async () => {
      const { store, other } = await open()
      const newer = entry({ id: 'new' })
      await store.set('example.com', newer)
      await other.set('example.com', entry({ id: 'old', fetchedAt: newer.fetchedAt - 1 }))
      expect(await store.get('example.com')).toEqual(newer)
    })

    it('the same fetch replaces itself, so that usedAt can be noted', async () => {
      const { store } = await open()
      const first = entry()
      await store.set('example.com', first)
      await store.set('example.com', { ...first, usedAt: first.usedAt + DAY })
      expect((await store.get('example.com'))?.usedAt).toBe(first.usedAt + DAY)
    })

    it('a newer fetch that expires sooner, or at once, still ends the older one', async () => {
      const { store } = await open()
      const fetchedAt = Date.now()
      await store.set('example.com', entry({ id: 'old', fetchedAt: fetchedAt - HOUR }))
      await store.set('example.com', entry({ id: 'new', fetchedAt, expiresAt: fetchedAt }))
      expect((await store.get('example.com'))?.id).not.toBe('old')
    })

    it('of many writes at once, in any order, the newest fetch stays', async () => {
      const { store, other } = await open()
      const start = Date.now() - 1_000
      // 37 and 101 have no common factor: every age comes once, in a mixed order
      const ages = Array.from({ length: 101 }, (_, index) => (index * 37) % 101)
      const writes = ages.map((age, index) =>
        (index % 2 === 0 ? store : other).set(
          'example.com',
          entry({ id: `n${age}`, fetchedAt: start + age }),
        ),
      )
      await Promise.all(writes)
      expect((await store.get('example.com'))?.id).toBe('n100')
    })

    it('a fetch dated far ahead, by a host whose clock is wrong, does not stay for ever', async () => {
      const { store } = await open()
      await store.set('example.com', entry({ id: 'wrong', fetchedAt: Date.now() + 400 * DAY }))
      await store.set('example.com', entry({ id: 'right' }))
      expect((await store.get('example.com'))?.id).toBe('right')
    })

    it('a clock that is minutes ahead is nothing special', async () => {
      const { store } = await open()
      await store.set('example.com', entry({ id: 'ahead', fetchedAt: Date.now() + HOUR / 2 }))
      await store.set('example.com', entry({ id: 'behind' }))
      expect((await store.get('example.com'))?.id).toBe('ahead')
    })

    it('[STS-53] of two fetches the one that began later stays, though it ended first', async () => {
      const { store, other } = await open()
      const now = Date.now()
      const later = entry({ id: 'later', startedAt: now - 1000, fetchedAt: now - 500 })
      const slow = entry({ id: 'slow', startedAt: now - 60_000, fetchedAt: now })
      expect(await store.set('example.com', later)).toBe(true)
      expect(await other.set('example.com', slow)).toBe(false)
      expect(await store.get('example.com')).toEqual(later)
    })

    it('[STS-53] a fetch that began with the stored entry in hand replaces it, whatever the clocks say', async () => {
      const { store, other } = await open()
      const fast = Date.now() + 10 * 60_000
      await store.set('example.com', entry({ id: 'none', startedAt: fast, fetchedAt: fast }))
      const before = await other.get('example.com')
      const renewed = entry({ id: 'enforce' })
      expect(await other.set('example.com', renewed)).toBe(false)
      expect(await other.set('example.com', renewed, before)).toBe(true)
      expect((await store.get('example.com'))?.id).toBe('enforce')
      // The same entry in hand, but another host has replaced it since
      const late = entry({ id: 'late', startedAt: Date.now() - DAY, fetchedAt: Date.now() - DAY })
      expect(await other.set('example.com', late, before)).toBe(false)
    })

    it('[STS-61] an entry never takes back how lately another sender used the policy', async () => {
      const { store, other } = await open()
      const first = entry({ fetchedAt: Date.now() - 3 * DAY })
      const usedAt = Date.now() - 1000.125
      await store.set('example.com', { ...first, usedAt })
      await other.set('example.com', first)
      expect((await store.get('example.com'))?.usedAt).toBe(usedAt)
      const renewed = entry({ id: 'renewed', usedAt: first.usedAt })
      expect(await other.set('example.com', renewed)).toBe(true)
      expect((await store.get('example.com'))?.usedAt).toBe(usedAt)
    })

    it('[STS-54] a use that lies in the future is not taken over', async () => {
      const { store } = await open()
      const usedAt = Date.now() + 30 * DAY
      await store.set('example.com', entry({ usedAt, fetchedAt: Date.now() - DAY }))
      const renewed = entry({ id: 'renewed' })
      await store.set('example.com', renewed)
      expect((await store.get('example.com'))?.usedAt).toBe(renewed.usedAt)
    })

    it('brings back when the fetch began and when the record was last seen', async () => {
      const { store, other } = await open()
      const now = Date.now()
      const kept = entry({ startedAt: now - 250.5, fetchedAt: now, recordSeenAt: now - DAY })
      await store.set('example.com', kept)
      expect(await other.get('example.com')).toEqual(kept)
    })
  })

  describe(`${name}: removals`, () => {
    it('[STS-61] a removal is known to other senders, and refuses what was fetched before it', async () => {
      const { store, other } = await open()
      const fetched = entry({ fetchedAt: Date.now() - 1000 })
      await store.set('example.com', fetched)
      expect(await removedAtOf(other, 'example.com')).toBeUndefined()
      await store.delete('example.com')
      const removedAt = await removedAtOf(other, 'example.com')
      expect(Math.abs((removedAt ?? 0) - Date.now())).toBeLessThan(60_000)
      expect(await other.set('example.com', { ...fetched, usedAt: Date.now() }, fetched)).toBe(
        false,
      )
      expect(await store.get('example.com')).toBeUndefined()
    })

    it('[STS-61] a fetch that begins after the removal is stored', async () => {
      const { store, other } = await open()
      await store.delete('example.com')
      const startedAt = (await removedAtOf(store, 'example.com')) ?? 0
      const fresh = entry({ id: 'fresh', startedAt, fetchedAt: startedAt })
      expect(await other.set('example.com', fresh)).toBe(true)
      expect((await store.get('example.com'))?.id).toBe('fresh')
      expect(await removedAtOf(other, 'example.com')).toBe(startedAt)
    })
  })

  describe(`${name}: due`, () => {
    it('gives what is to be renewed by then, after half of max_age or a day, and nothing else', async () => {
      const { store, other } = await open()
      const now = Date.now()
      const fetchedAt = now - 10 * HOUR
      await store.set('day.example', entry({ fetchedAt, expiresAt: fetchedAt + 30 * DAY }))
      await store.set('short.example', entry({ fetchedAt, expiresAt: fetchedAt + 21 * HOUR }))
      await store.set('shorter.example', entry({ fetchedAt, expiresAt: fetchedAt + 18 * HOUR }))
      expect(await dueOf(other, now)).toEqual(['shorter.example'])
      expect((await dueOf(other, now + HOUR)).sort()).toEqual(['short.example', 'shorter.example'])
      expect((await dueOf(other, fetchedAt + DAY)).length).toBe(3)
      const renewed = entry({ fetchedAt: now, expiresAt: now + DAY })
      await store.set('shorter.example', renewed)
      expect(await dueOf(other, now)).toEqual([])
      await store.delete('short.example')
      expect(await dueOf(other, now + HOUR)).toEqual([])
    })

    it('gives every due entry once while they are renewed', async () => {
      const { store } = await open()
      const fetchedAt = Date.now() - 2 * DAY
      const domains = Array.from({ length: 350 }, (_, index) => `d${index}.example`)
      await Promise.all(
        domains.map((domain, index) =>
          store.set(domain, entry({ fetchedAt: fetchedAt + (index % 7) })),
        ),
      )
      const seen: string[] = []
      if (store.due === undefined) throw new Error('this store has no due()')
      for await (const [domain] of store.due(Date.now())) {
        seen.push(domain)
        if (seen.length % 2 === 0) await store.set(domain, entry())
      }
      expect(seen.sort()).toEqual(domains.sort())
      expect((await dueOf(store, Date.now())).length).toBe(175)
    })
  })

  describe(`${name}: list`, () => {
    it('[STS-33] gives every entry once, also where there are many', async () => {
      const { store, other } = await open()
      const base = entry()
      const expected = Array.from({ length: 523 }, (_, index): [string, StoredPolicy] => [
        `d${String(index).padStart(4, '0')}.example`,
        { ...base, id: `n${index}` },
      ])
      await Promise.all(expected.map(([domain, item]) => store.set(domain, item)))
      expect(await listed(other)).toEqual(expected)
    })

    it('is not confused by locks', async () => {
      const { store } = await open()
      await mustLock(store, 'example.com', HOUR)
      expect(await listed(store)).toEqual([])
      expect(await store.get('example.com')).toBeUndefined()
    })

    it('comes to an end while entries are deleted, set and added', async () => {
      const { store } = await open()
      const domains = Array.from({ length: 250 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, entry())))
      const seen: string[] = []
      for await (const [domain, item] of listOf(store)) {
        seen.push(domain)
        if (seen.length > 1_000) throw new Error('the list does not end')
        await store.delete(domain)
        const again = { ...item, fetchedAt: Date.now() + 1000 }
        await store.set(domain, again)
        await store.set(`0-${domain}`, again)
      }
      expect(new Set(seen).size).toBe(seen.length)
      expect((await listed(store)).length).toBeGreaterThanOrEqual(500)
    })

    it('can be left early, and run twice at once', async () => {
      const { store } = await open()
      const domains = Array.from({ length: 120 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, entry())))
      for await (const [domain] of listOf(store)) {
        expect(domains).toContain(domain)
        break
      }
      const [one, two] = await Promise.all([listed(store), listed(store)])
      expect(one.length).toBe(120)
      expect(two).toEqual(one)
    })
  })

  describe(`${name}: lock`, () => {
    it('is held by one at a time, and is free again when given back', async () => {
      const { store, other } = await open()
      const release = await mustLock(store, 'refresh', HOUR)
      expect(await lockOf(other, 'refresh', HOUR)).toBeUndefined()
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
      await release()
      const again = await mustLock(other, 'refresh', HOUR)
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
      await again()
    })

    it('goes by its name', async () => {
      const { store } = await open()
      await mustLock(store, 'one', HOUR)
      await mustLock(store, 'two', HOUR)
      expect(await lockOf(store, 'one', HOUR)).toBeUndefined()
    })

    it('of many who ask at once, one gets it', async () => {
      const { store, other } = await open()
      const asked = Array.from({ length: 20 }, (_, index) =>
        lockOf(index % 2 === 0 ? store : other, 'refresh', HOUR),
      )
      const got = (await Promise.all(asked)).filter((release) => release !== undefined)
      expect(got.length).toBe(1)
    })

    it('is free again when its time is over, though nobody gave it back', async () => {
      const { store, other } = await open()
      await mustLock(store, 'refresh', 20)
      const release = await waitForLock(other, 'refresh', HOUR)
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
      await release()
    })

    it('who comes back late does not give away the lock of the next one', async () => {
      const { store, other } = await open()
      const late = await mustLock(store, 'refresh', 20)
      await waitForLock(other, 'refresh', HOUR)
      await late()
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
    })

    it('can be given back twice', async () => {
      const { store, other } = await open()
      const release = await mustLock(store, 'refresh', HOUR)
      await release()
      await mustLock(other, 'refresh', HOUR)
      await release()
      expect(await lockOf(store, 'refresh', HOUR)).toBeUndefined()
    })
  })
}

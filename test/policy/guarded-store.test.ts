/** A policy store that is slow, down or full of invalid data is reported and does no harm. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import type { MtaStsOptions } from '../../src/options.js'
import { GuardedStore } from '../../src/policy/guarded-store.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import { fromStored } from '../../src/policy/stored-policy.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import {
  announcing,
  DAY,
  dnsError,
  emptyResolver,
  isPending,
  listen,
  ManualClock,
  MINUTE,
  makeCache,
  noConnect,
  policyText,
  recordingLogger,
  SECOND,
  SMALL,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  WEEK,
  watchedStore,
} from './scripted-network.js'

const DOMAIN = 'bob.example'
const TIMEOUT = 20

afterEach(() => {
  vi.useRealTimers()
})

/** Never answers. */
const forever = () => new Promise<never>(() => undefined)
const broken = () => Promise.reject(new Error('the disk is on fire'))
const explosive = () => {
  throw new Error('not even a promise')
}

function storeOf(parts: Partial<PolicyStore>): PolicyStore {
  return { ...memoryStore(), ...parts }
}

function guard(store: PolicyStore | undefined) {
  const clock = new ManualClock()
  const reports: Array<{ operation: string; message: string }> = []
  const guarded = new GuardedStore(store, {
    timeout: TIMEOUT,
    now: clock.now,
    report: (operation, error) =>
      reports.push({ operation, message: error instanceof Error ? error.message : String(error) }),
  })
  return { guarded, reports, clock }
}

async function listed(guarded: GuardedStore): Promise<string[]> {
  const domains: string[] = []
  for await (const [policyDomain] of guarded.list()) domains.push(policyDomain)
  return domains
}

const held = (clock: ManualClock) => fromStored(storedPolicy(clock.now()), clock.now()).cached

describe('GuardedStore', () => {
  it('answers "nothing" without a store, and reports nothing', async () => {
    const { guarded, reports, clock } = guard(undefined)
    expect(await guarded.get(DOMAIN)).toEqual({ kind: 'nothing' })
    expect(await guarded.set(DOMAIN, held(clock))).toBe('stored')
    expect(await guarded.removedAt(DOMAIN)).toBeUndefined()
    expect(await listed(guarded)).toEqual([])
    let worked = false
    const work = async () => {
      worked = true
    }
    expect(await guarded.locked('name', SECOND, work)).toBe(true)
    expect(worked).toBe(true)
    await guarded.close()
    expect(reports).toEqual([])
  })

  it('passes on the results of a good store', async () => {
    const store = watchedStore()
    const { guarded, reports, clock } = guard(store)
    expect(await guarded.set(DOMAIN, held(clock))).toBe('stored')
    const answer = await guarded.get(DOMAIN)
    if (answer.kind !== 'entry') throw new Error(`the store answered with ${answer.kind}`)
    expect(answer.cached.toStored()).toEqual(held(clock).toStored())
    expect(await listed(guarded)).toEqual([DOMAIN])
    await store.inner.delete(DOMAIN)
    expect(await guarded.get(DOMAIN)).toEqual({ kind: 'nothing' })
    await guarded.close()
    expect(store.calls).toEqual([
      `set ${DOMAIN}`,
      `get ${DOMAIN}`,
      'list',
      `get ${DOMAIN}`,
      'close',
    ])
    expect(reports).toEqual([])
  })

  it('needs only get, set and delete of a store', async () => {
    const { get, set, delete: remove } = memoryStore()
    const { guarded, reports, clock } = guard({ get, set, delete: remove })
    await guarded.set(DOMAIN, held(clock))
    expect(await listed(guarded)).toEqual([])
    expect(await guarded.locked('name', SECOND, async () => undefined)).toBe(true)
    await guarded.close()
    expect(reports).toEqual([])
  })

  const HARM = [
    ['never answers', forever, `The policy store did not answer within ${TIMEOUT} ms`],
    ['rejects', broken, 'the disk is on fire'],
    ['throws', explosive, 'not even a promise'],
  ] as const

  describe.each(HARM)('[STS-33] with a store that %s', (_, harm, message) => {
    it('[STS-52] get: "no answer", not "nothing"', async () => {
      const { guarded, reports } = guard(storeOf({ get: harm }))
      expect(await guarded.get(DOMAIN)).toEqual({ kind: 'no-answer' })
      expect(reports).toEqual([{ operation: 'get', message }])
    })

    it('set, removedAt, close: report the failure only', async () => {
      const store = storeOf({ set: harm, removedAt: harm, close: harm })
      const { guarded, reports, clock } = guard(store)
      expect(await guarded.set(DOMAIN, held(clock))).toBe('failed')
      clock.advance(MINUTE)
      expect(await guarded.removedAt(DOMAIN)).toBeUndefined()
      clock.advance(MINUTE)
      await guarded.close()
      expect(reports).toEqual(
        ['set', 'removedAt', 'close'].map((operation) => ({ operation, message })),
      )
    })

    it('list: ends', async () => {
      const list = () => ({ [Symbol.asyncIterator]: () => ({ next: harm }) })
      const { guarded, reports } = guard(storeOf({ list }))
      expect(await listed(guarded)).toEqual([])
      expect(reports).toEqual([{ operation: 'list', message }])
    })

    it('list that fails after some entries: yields those', async () => {
      async function* list(): AsyncGenerator<[string, StoredPolicy]> {
        yield ['one.example', storedPolicy(clock.now())]
        await harm()
      }
      const { guarded, reports, clock } = guard(storeOf({ list }))
      expect(await listed(guarded)).toEqual(['one.example'])
      expect(reports).toEqual([{ operation: 'list', message }])
    })

    it('lock: does the work without it', async () => {
      const { guarded, reports } = guard(storeOf({ lock: harm }))
      let worked = 0
      const work = async () => {
        worked++
      }
      expect(await guarded.locked('name', SECOND, work)).toBe(true)
      expect(worked).toBe(1)
      expect(reports).toEqual([{ operation: 'lock', message }])
    })

    it('failing release of a lock: the work was done', async () => {
      const { guarded, reports } = guard(storeOf({ lock: async () => harm }))
      let worked = 0
      const work = async () => {
        worked++
      }
      expect(await guarded.locked('name', SECOND, work)).toBe(true)
      expect(worked).toBe(1)
      expect(reports).toEqual([{ operation: 'lock', message }])
    })
  })

  it.each<[string, object]>([
    ['what is no entry', { value: ['x'] }],
    ['an unused policy', { value: ['x.example', { ...storedPolicy(0), usedAt: 0 }] }],
  ])(
    '[STS-57] a list of %s without an end stops neither the process nor close()',
    async (...of) => {
      const [, next] = of
      const list = () => ({ [Symbol.asyncIterator]: () => ({ next: async () => next as never }) })
      const { due: _, ...store } = storeOf({ list })
      const sts = new MtaSts({ store, resolver: emptyResolver(), connect: noConnect })
      const pass = sts.refresh()
      expect(await isPending(pass)).toBe(true)
      await sts.close()
      await pass
    },
  )

  it('ends a list whose steps are no results', async () => {
    const list = () => ({ [Symbol.asyncIterator]: () => ({ next: async () => 5 as never }) })
    expect(await listed(guard(storeOf({ list })).guarded)).toEqual([])
  })

  /** A store whose lists count how many of them are open; `next` gives the steps. */
  function counting(next: (read: number) => unknown, end: () => unknown = () => ({ done: true })) {
    const count = { open: 0 }
    const iterate = () => ({
      [Symbol.asyncIterator]: () => {
        let read = 0
        count.open++
        return {
          next: async () => (await next(read++)) as never,
          return: async () => {
            count.open--
            return (await end()) as never
          },
        }
      },
    })
    return { count, store: storeOf({ list: iterate, due: iterate }) }
  }

  const entry = (read: number) => ({
    value: [`d${read}.example`, storedPolicy(new ManualClock().now())],
  })

  it.each([undefined, DAY])('ends a list that its reader leaves early (due at %s)', async (due) => {
    const { count, store } = counting(entry)
    const { guarded } = guard(store)
    for await (const [policyDomain] of guarded.list(due)) {
      expect(policyDomain).toBe('d0.example')
      expect(count.open).toBe(1)
      break
    }
    expect(count.open).toBe(0)
  })

  it.each([
    ['that fails', broken],
    ['that throws', explosive],
    ['that is late', forever],
    ['whose steps are no results', () => 5],
  ])('ends a list %s', async (_, step) => {
    const { count, store } = counting((read) => (read === 0 ? entry(0) : step()))
    expect(await listed(guard(store).guarded)).toEqual(['d0.example'])
    expect(count.open).toBe(0)
  })

  it('ends a list once, and not one that has come to its end', async () => {
    const { count, store } = counting((read) => (read === 0 ? entry(0) : { done: true }))
    expect(await listed(guard(store).guarded)).toEqual(['d0.example'])
    expect(count.open).toBe(1)
  })

  it('ends the lists of a pass that close() ends', async () => {
    const { count, store } = counting((read) => ({ value: [`d${read}.example`, { x: read }] }))
    const sts = new MtaSts({ store, resolver: emptyResolver(), connect: noConnect })
    const pass = sts.refresh()
    await turns()
    expect(count.open).toBe(1)
    await sts.close()
    await pass
    expect(count.open).toBe(0)
  })

  it.each([
    ['rejects', broken, 'the disk is on fire'],
    ['is late', forever, `The policy store did not answer within ${TIMEOUT} ms`],
  ])('reports the end of a list that %s', async (_, end, message) => {
    const { store } = counting(entry, end)
    const { guarded, reports } = guard(store)
    for await (const _ of guarded.list()) break
    expect(reports).toEqual([{ operation: 'list', message }])
  })

  it('ends a list that throws before it begins', async () => {
    const { guarded, reports } = guard(storeOf({ list: explosive }))
    expect(await listed(guarded)).toEqual([])
    expect(reports).toEqual([{ operation: 'list', message: 'not even a promise' }])
  })

  it('does not work under a lock that another process holds', async () => {
    const { guarded, reports } = guard(storeOf({ lock: async () => undefined }))
    let worked = false
    const work = async () => {
      worked = true
    }
    expect(await guarded.locked('name', SECOND, work)).toBe(false)
    expect(worked).toBe(false)
    expect(reports).toEqual([])
  })

  it('releases a lock when the work fails', async () => {
    const store = watchedStore()
    const { guarded } = guard(store)
    await expect(guarded.locked('name', SECOND, broken)).rejects.toThrow('on fire')
    expect(store.calls).toEqual(['lock name', 'release name'])
  })

  it('reports once a minute at most, whatever the operation', async () => {
    const { guarded, reports, clock } = guard(storeOf({ get: broken, set: broken }))
    const fail = async () => {
      await guarded.get(DOMAIN)
      await guarded.set(DOMAIN, held(clock))
    }
    await fail()
    expect(reports).toHaveLength(1)
    clock.advance(MINUTE - 1)
    await fail()
    expect(reports).toHaveLength(1)
    clock.advance(1)
    await fail()
    expect(reports).toHaveLength(2)
  })

  it('ignores an answer that comes too late, without an unhandled rejection', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    let late: (error: Error) => void = () => undefined
    const slow = new Promise<StoredPolicy>((_, reject) => {
      late = reject
    })
    const { guarded, reports } = guard(storeOf({ get: () => slow }))
    expect(await guarded.get(DOMAIN)).toEqual({ kind: 'no-answer' })
    late(new Error('too late'))
    await turns()
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
    expect(reports).toHaveLength(1)
  })
})

/** Invalid entries that a store may return. */
const NONSENSE: Array<[string, unknown]> = [
  ['null', null],
  ['a number', 42],
  ['true', true],
  ['text', 'enforce'],
  ['an empty object', {}],
  ['an array', [1, 2, 3]],
  ['a function', () => undefined],
  ['an object that throws', throwing()],
  ['a body that is no policy', { ...sound(), body: 'hello' }],
  ['a body of another type', { ...sound(), body: 5 }],
  ['an id that is none', { ...sound(), id: 'not an id' }],
  ['a fetch at no time', { ...sound(), fetchedAt: 'yesterday' }],
  ['a policy without mx', { ...sound(), body: 'version: STSv1\nmode: enforce\nmax_age: 9\n' }],
]

function sound(): StoredPolicy {
  return storedPolicy(new ManualClock().now())
}

function throwing(): object {
  return Object.defineProperty({}, 'id', {
    get: () => {
      throw new Error('a trap')
    },
  })
}

describe('[STS-33] with a store full of invalid data', () => {
  it.each(NONSENSE)('[STS-52] %s: "no answer", not "nothing"', async (_, nonsense) => {
    const store = storeOf({ get: async () => nonsense as StoredPolicy })
    const { guarded, reports } = guard(store)
    expect(await guarded.get(DOMAIN)).toEqual({
      kind: nonsense === null ? 'nothing' : 'no-answer',
    })
    // Many databases return null for "nothing"
    expect(reports.map(({ operation }) => operation)).toEqual(
      nonsense === null ? [] : [`get ${DOMAIN}`],
    )
  })

  it('[STS-54] marks and reports an entry fetched in the future', async () => {
    const future = { ...sound(), fetchedAt: new ManualClock().now() + 100 * DAY }
    const { guarded, reports, clock } = guard(storeOf({ get: async () => future }))
    expect(await guarded.get(DOMAIN)).toMatchObject({
      kind: 'entry',
      ahead: 100 * DAY,
      cached: { fetchedAt: clock.now(), expiresAt: clock.now() + WEEK },
    })
    expect(reports).toMatchObject([{ operation: `get ${DOMAIN}` }])
  })

  it('[STS-54] ignores a removal in the future', async () => {
    const clock = new ManualClock()
    let at: unknown = clock.now()
    const { guarded } = guard(storeOf({ removedAt: async () => at as number }))
    expect(await guarded.removedAt(DOMAIN)).toBe(clock.now())
    for (at of [clock.now() + DAY, Number.NaN, 'yesterday', null, undefined]) {
      expect(await guarded.removedAt(DOMAIN)).toBeUndefined()
    }
  })

  it('[STS-53] returns whether a store has accepted an entry', async () => {
    let taken: unknown = true
    const store = storeOf({ set: async () => taken as boolean })
    const { guarded, clock } = guard(store)
    expect(await guarded.set(DOMAIN, held(clock))).toBe('stored')
    taken = false
    expect(await guarded.set(DOMAIN, held(clock))).toBe('refused')
    // A store that never refuses returns nothing
    taken = undefined
    expect(await guarded.set(DOMAIN, held(clock))).toBe('stored')
  })

  it('lists entries that are due where the store supports it, else all', async () => {
    async function* due(): AsyncGenerator<[string, StoredPolicy]> {
      yield ['due.example', sound()]
    }
    const listDue = async (store: PolicyStore) => {
      const { guarded, clock } = guard(store)
      const domains: string[] = []
      for await (const [domain] of guarded.list(clock.now())) domains.push(domain)
      return domains
    }
    const { due: _, ...store } = memoryStore()
    await store.set('other.example', sound())
    expect(await listDue({ ...store, due })).toEqual(['due.example'])
    expect(await listDue(store)).toEqual(['other.example'])
  })

  it.each(NONSENSE)('skips %s in a list', async (_, nonsense) => {
    async function* list(): AsyncGenerator<[string, StoredPolicy]> {
      yield ['one.example', sound()]
      yield ['nonsense.example', nonsense as StoredPolicy]
      yield ['two.example', sound()]
    }
    const { guarded, reports } = guard(storeOf({ list }))
    expect(await listed(guarded)).toEqual(['one.example', 'two.example'])
    expect(reports).toHaveLength(1)
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['a domain alone', ['bob.example']],
    ['nothing at all', []],
  ])('skips and reports a list of %s', async (_, nonsense) => {
    async function* list(): AsyncGenerator<[string, StoredPolicy]> {
      yield nonsense as unknown as [string, StoredPolicy]
      yield ['two.example', sound()]
    }
    const { guarded, reports } = guard(storeOf({ list }))
    expect(await listed(guarded)).toEqual(['two.example'])
    expect(reports).toHaveLength(1)
  })

  it.each([
    ['no iterable', 5],
    ['undefined', undefined],
    ['an array', [['bob.example', sound()]]],
  ])('ends a list that is %s', async (_, nonsense) => {
    const list = () => nonsense as unknown as AsyncIterable<[string, StoredPolicy]>
    const { guarded, reports } = guard(storeOf({ list }))
    expect(await listed(guarded)).toEqual([])
    expect(reports).toHaveLength(1)
  })

  it.each([
    ['a number', 5],
    ['upper case', 'BOB.example'],
    ['a path', 'bob.example/../../etc'],
    ['empty', ''],
    ['a line break', 'bob.example\r\nx'],
    ['an address', '127.0.0.1'],
  ])('skips a Policy Domain that is %s', async (_, domain) => {
    async function* list(): AsyncGenerator<[string, StoredPolicy]> {
      yield [domain as string, sound()]
      yield ['two.example', sound()]
    }
    const { guarded } = guard(storeOf({ list }))
    expect(await listed(guarded)).toEqual(['two.example'])
  })

  it('skips expired entries without a report', async () => {
    const { guarded, reports, clock } = guard(storeOf({ get: async () => sound() }))
    clock.advance(WEEK - 1)
    expect(await guarded.get(DOMAIN)).toMatchObject({ kind: 'entry', cached: { id: 'stored1' } })
    clock.advance(1)
    expect(await guarded.get(DOMAIN)).toEqual({ kind: 'nothing', stored: sound() })
    expect(reports).toEqual([])
  })

  it.each([...NONSENSE.slice(3), ['the policy in mode none', otherMode('none')] as const])(
    'never weakens the policy in memory: %s',
    async (_, nonsense) => {
      const clock = new ManualClock()
      const store = storeOf({ get: async () => sound(), lock: async () => undefined })
      const { cache } = makeCache({
        store,
        resolver: scriptedResolver(() => announcing('stored1')),
        connect: noConnect,
        now: clock.now,
      })
      expect(said(await cache.get(DOMAIN))).toBe('enforce stored1')
      store.get = async () => nonsense as StoredPolicy
      for (let day = 0; day < 6; day++) {
        expect(said(await cache.get(DOMAIN))).toBe('enforce stored1')
        expect(said(await cache.lookAgain(DOMAIN))).toBe('enforce stored1')
        expect(await cache.renew(DOMAIN)).toBe('kept')
        clock.advance(DAY)
      }
    },
  )

  it.each(NONSENSE)('keeps the policy in memory in a refresh: %s', async (_, nonsense) => {
    const clock = new ManualClock()
    const store = storeOf({ get: async () => sound() })
    const { cache } = makeCache({
      store,
      resolver: emptyResolver(),
      connect: noConnect,
      now: clock.now,
    })
    expect(said(await cache.get(DOMAIN))).toBe('enforce stored1')
    store.get = async () => nonsense as StoredPolicy
    clock.advance(DAY)
    // The record is gone: not fetched again, and kept
    expect(await cache.renew(DOMAIN)).toBe('failed')
    expect(said(await cache.get(DOMAIN))).toBe('enforce stored1')
  })
})

/** A valid entry, as old as the one in memory, with a weaker policy. */
function otherMode(mode: string): StoredPolicy {
  return { ...sound(), body: policyText({ mode }) }
}

describe('[STS-33] MtaSts with a store that fails', () => {
  function build(options: MtaStsOptions) {
    const { logger, lines } = recordingLogger()
    const sts = new MtaSts({
      ...SMALL,
      resolver: emptyResolver(),
      connect: noConnect,
      refreshInterval: 0,
      logger,
      ...options,
    })
    return { sts, lines }
  }

  it('waits two seconds for a store that never answers, and fails no delivery', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { sts } = build({ store: storeOf({ get: forever }) })
    const failures = listen('mta-sts:store-failure')
    const delivery = sts.getPolicy(DOMAIN)
    await vi.advanceTimersByTimeAsync(1999)
    expect(await isPending(delivery)).toBe(true)
    await vi.advanceTimersByTimeAsync(1)
    expect(said(await delivery)).toBe('no-record')
    failures.stop()
    expect(failures.events).toMatchObject([{ operation: 'get' }])
    expect(String(failures.events[0]?.error)).toContain('did not answer within 2000 ms')
  })

  it.each([
    ['rejects', broken],
    ['throws', explosive],
  ])('publishes and logs once a minute at most a store that %s', async (_, harm) => {
    const clock = new ManualClock()
    const { sts, lines } = build({ store: storeOf({ get: harm }), now: clock.now })
    const failures = listen('mta-sts:store-failure')
    for (let second = 0; second < 180; second++) {
      expect(said(await sts.getPolicy(`d${second}.example`))).toBe('no-record')
      clock.advance(SECOND)
    }
    failures.stop()
    expect(failures.events).toHaveLength(3)
    expect(failures.events[0]).toMatchObject({ operation: 'get', error: expect.any(Error) })
    expect(lines.map(({ level, entry }) => [level, entry.operation])).toEqual(
      new Array(3).fill(['error', 'get']),
    )
    expect(lines[0]?.text).toMatch(/policy store failed.*get.*(on fire|not even)/s)
  })

  it("escapes and truncates the store's error in the log", async () => {
    const evil = new Error(`\u001b[2J\r\nforged line ${'x'.repeat(1000)}`)
    const { sts, lines } = build({ store: storeOf({ get: () => Promise.reject(evil) }) })
    await sts.getPolicy(DOMAIN)
    expect(lines).toHaveLength(1)
    expect(lines[0]?.text).not.toMatch(/\p{Cc}/u)
    expect(lines[0]?.text.length).toBeLessThan(400)
  })

  it.each([
    ['an error', new Error('x')],
    ['undefined', undefined],
    ['text', 'ECONNREFUSED'],
    ['an object without a prototype', Object.create(null)],
  ])('fails no delivery for any rejection: %s', async (_, reason) => {
    const { sts, lines } = build({ store: storeOf({ get: () => Promise.reject(reason) }) })
    expect(said(await sts.getPolicy(DOMAIN))).toBe('no-record')
    expect(lines).toHaveLength(1)
  })

  it('uses a policy in memory while the store is down, and no delivery waits for the store', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    await store.inner.set(DOMAIN, storedPolicy(clock.now()))
    const resolver = scriptedResolver(() => dnsError('ESERVFAIL'))
    const { sts } = build({ store, now: clock.now, resolver })
    expect(said(await sts.getPolicy(DOMAIN))).toBe('enforce stored1')
    store.before = broken
    for (let hour = 1; hour < 24 * 7; hour++) {
      if (hour === 100) store.before = forever
      clock.advance(60 * MINUTE)
      const delivery = sts.getPolicy(DOMAIN)
      expect(await isPending(delivery)).toBe(false)
      expect(said(await delivery)).toBe('enforce stored1')
    }
  })

  it('close() resolves for a store that never closes, and closes it once', async () => {
    const store = watchedStore()
    store.before = broken
    const { sts } = build({ store })
    await sts.close()
    expect(store.calls).toEqual(['close'])
  })
})

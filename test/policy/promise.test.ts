/** A known policy under races, clock changes, failures of the store, floods and closing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import type { MtaStsOptions } from '../../src/options.js'
import {
  type PolicyStore,
  renewalDueAt,
  type StoredPolicy,
  startOf,
} from '../../src/policy/store.js'
import {
  announcing,
  type CacheUnderTest,
  DAY,
  deferred,
  dnsError,
  failureOf,
  HOUR,
  isPending,
  listen,
  ManualClock,
  MINUTE,
  makeCache,
  noConnect,
  policyText,
  SECOND,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  WEEK,
} from './scripted-network.js'
import { bob, stage, useStage } from './stage.js'

useStage()

const opened: MtaSts[] = []

afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(opened.splice(0).map((sts) => sts.close()))
})

const RECHECK = 5 * MINUTE

function open(options: MtaStsOptions = {}): MtaSts {
  const sts = new MtaSts(stage.options(options))
  opened.push(sts)
  return sts
}

/** Waits for the background work of deliveries. */
async function settled({ cache }: CacheUnderTest, domain = bob.name): Promise<string> {
  return said(await cache.lookAgain(domain))
}

interface SharedStore extends PolicyStore {
  readonly entries: Map<string, StoredPolicy>
  readonly calls: string[]
  /** Called before each call is carried out, and awaited: to delay it, or to throw */
  before: (method: string) => unknown
}

/** A store as {@link PolicyStore} describes it, for several senders. */
function sharedStore(now: () => number): SharedStore {
  const entries = new Map<string, StoredPolicy>()
  const removals = new Map<string, number>()
  const note = async (method: string) => {
    store.calls.push(method)
    await store.before(method)
  }
  const store: SharedStore = {
    entries,
    calls: [],
    before: () => undefined,
    async get(policyDomain) {
      await note('get')
      return entries.get(policyDomain)
    },
    async set(policyDomain, entry) {
      await note('set')
      const old = entries.get(policyDomain)
      if (old && startOf(old) > startOf(entry) && startOf(old) <= now() + HOUR) return false
      if ((removals.get(policyDomain) ?? 0) >= startOf(entry)) return false
      entries.set(policyDomain, entry)
      return true
    },
    async delete(policyDomain) {
      entries.delete(policyDomain)
      removals.set(policyDomain, now())
    },
    async removedAt(policyDomain) {
      return removals.get(policyDomain)
    },
    async *list() {
      yield* entries
    },
    async *due(time) {
      await note('due')
      for (const [domain, entry] of entries) if (renewalDueAt(entry) <= time) yield [domain, entry]
    },
  }
  return store
}

/** Forged or failing DNS answers that do not lead to the policy. */
const FORGERIES: Array<[name: string, forge: () => void]> = [
  ['NXDOMAIN', () => bob.dns.fails('nxdomain')],
  ['no record', () => bob.record(null)],
  ['two records', () => bob.dns.fails('two-records')],
  ['a malformed record', () => bob.dns.fails('malformed-record')],
  ['SERVFAIL', () => bob.dns.fails('servfail')],
]

describe('[STS-52] a store that does not answer', () => {
  const HARM: Array<[name: string, harm: (store: SharedStore) => void]> = [
    ['rejects', (store) => (store.before = () => Promise.reject(new Error('down')))],
    ['hangs', (store) => (store.before = () => new Promise(() => undefined))],
    [
      'has an entry that cannot be read',
      (store) => {
        const entry = store.entries.get(bob.name)
        store.get = async () => ({ ...entry, body: 'broken' }) as StoredPolicy
      },
    ],
  ]

  /** A store that holds the policy of bob's domain. */
  async function holding(): Promise<SharedStore> {
    const store = sharedStore(stage.clock.now)
    const { cache } = stage.cache({ store })
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    return store
  }

  describe.each(HARM)('%s', (_, harm) => {
    it.each(FORGERIES)('caches no "no policy": %s', async (_name, forge) => {
      const store = await holding()
      const well = { before: store.before, get: store.get }
      forge()
      harm(store)
      // After a restart: memory knows nothing
      const under = makeCache(stage.options({ store, negativeTtl: DAY }), 50)
      expect((await under.cache.get(bob.name)).status).toBe('none')
      Object.assign(store, well)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    })

    it.each(FORGERIES)('is the reason with requireStore: %s', async (_name, forge) => {
      const store = await holding()
      const well = { before: store.before, get: store.get }
      forge()
      harm(store)
      const under = makeCache(stage.options({ store, requireStore: true }), 50)
      expect(said(await under.cache.get(bob.name))).toBe('store-failure')
      Object.assign(store, well)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    })

    it('does not matter for a policy that can be fetched or is in memory', async () => {
      const store = await holding()
      harm(store)
      const under = makeCache(stage.options({ store, requireStore: true }), 50)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
      bob.record(null)
      stage.clock.advance(HOUR)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    })
  })

  it('defers a delivery with ESTORE under requireStore', async () => {
    const store = await holding()
    bob.record(null)
    store.before = () => Promise.reject(new Error('down'))
    const sts = open({ store, requireStore: true })
    const attempt = vi.fn(async () => undefined)
    await expect(sts.deliver(bob.name, attempt)).rejects.toMatchObject({
      code: 'ESTORE',
      permanent: false,
      policyDomain: bob.name,
    })
    expect(attempt).not.toHaveBeenCalled()
    store.before = () => undefined
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
  })
})

describe('[STS-53] two fetches', () => {
  /** Sender A starts a fetch, and sends its GET when `release` is called. */
  function slowSender(store?: PolicyStore) {
    const address = deferred()
    const begun = deferred()
    const resolver = scriptedResolver(async (question) => {
      const [type = '', name = ''] = question.split(' ')
      if (type === 'TXT') return stage.resolver.resolveTxt(name)
      if (type === 'AAAA') return dnsError('ENODATA')
      begun.resolve()
      await address.promise
      return stage.resolver.resolve4(name)
    })
    return {
      under: stage.cache({ resolver, store }),
      begun: begun.promise,
      release: address.resolve,
    }
  }

  it('a slow old answer replaces no newer one, in the store or in memory', async () => {
    const store = sharedStore(stage.clock.now)
    bob.policy({ mode: 'testing', id: 'old' })
    const slow = slowSender(store)
    const answer = slow.under.cache.get(bob.name)
    await slow.begun
    stage.clock.advance(SECOND)
    bob.policy({ mode: 'enforce', id: 'new' })
    const { cache } = stage.cache({ store })
    expect(said(await cache.get(bob.name))).toBe('enforce new')
    // The old file comes late from another server of the policy host
    stage.clock.advance(SECOND)
    bob.policy({ mode: 'testing', id: 'old' })
    slow.release()
    expect(said(await answer)).toBe('enforce new')
    expect(said(await slow.under.cache.get(bob.name))).toBe('enforce new')
    expect(store.entries.get(bob.name)?.id).toBe('new')
    expect(said(await stage.cache({ store }).cache.get(bob.name))).toBe('enforce new')
  })

  it('the later one wins even if it ends first and the store cannot be written', async () => {
    const store = sharedStore(stage.clock.now)
    bob.policy({ mode: 'enforce', id: 'one' })
    const { cache } = stage.cache({ store })
    await cache.get(bob.name)
    stage.clock.advance(RECHECK)
    bob.policy({ mode: 'enforce', id: 'two' })
    store.before = (method) => method === 'set' && Promise.reject(new Error('full'))
    expect(said(await cache.lookAgain(bob.name))).toBe('enforce two')
    store.before = () => undefined
    // The store has the older one: it is not used
    bob.dns.fails('servfail')
    bob.policyHost.fails('down')
    stage.clock.advance(RECHECK)
    expect(said(await cache.lookAgain(bob.name))).toBe('enforce two')
  })

  it('a later fetch of another process is used at the next recheck, whatever TXT answers', async () => {
    const store = sharedStore(stage.clock.now)
    bob.policy({ mode: 'testing', id: 'n1' })
    const one = stage.cache({ store })
    await one.cache.get(bob.name)
    stage.clock.advance(MINUTE)
    bob.policy({ mode: 'enforce', id: 'n2' })
    const two = stage.cache({ store })
    await two.cache.get(bob.name)
    await two.cache.lookAgain(bob.name)
    expect(said(await two.cache.get(bob.name))).toBe('enforce n2')
    // An attacker shows the first sender the old record
    bob.record('v=STSv1; id=n1;')
    bob.policyHost.fails('down')
    stage.clock.advance(RECHECK)
    expect(said(await one.cache.lookAgain(bob.name))).toBe('enforce n2')
  })

  it('[STS-54] an entry dated in the future replaces no policy in memory', async () => {
    const store = sharedStore(stage.clock.now)
    const { cache } = stage.cache({ store })
    await cache.get(bob.name)
    const future = storedPolicy(stage.clock.now() + 30 * DAY, { text: { mode: 'none' } })
    store.entries.set(bob.name, future)
    bob.policyHost.fails('down')
    for (let look = 0; look < 3; look++) {
      stage.clock.advance(RECHECK)
      expect(said(await cache.lookAgain(bob.name))).toBe('enforce n1')
    }
  })
})

describe('[STS-54] the clock', () => {
  it('a "no policy" of a clock that was ahead ends when the clock is right', async () => {
    for (const forge of [() => bob.record(null), () => bob.dns.fails('servfail')]) {
      const under = stage.cache({ negativeTtl: HOUR })
      stage.clock.advance(30 * DAY)
      forge()
      expect((await under.cache.get(bob.name)).status).toBe('none')
      stage.clock.advance(-30 * DAY)
      bob.dns.works()
      bob.policy({ mode: 'enforce', id: 'n1' })
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    }
  })

  it.each([
    ['set back', -30 * DAY],
    ['set forward', 30 * DAY],
    ['set back a little', -SECOND],
  ])('%s: a failed GET does not prevent the next one', async (_, change) => {
    const under = stage.cache()
    bob.policyHost.fails('500')
    expect(said(await under.cache.get(bob.name))).toBe('fetch-failed')
    bob.policyHost.works()
    stage.clock.advance(change)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
  })

  it('a policy keeps its age when the clock is set back, and the record is looked up again', async () => {
    const under = stage.cache()
    stage.clock.advance(30 * DAY)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    stage.clock.advance(-30 * DAY)
    stage.world.forget()
    const lookup = await under.cache.get(bob.name)
    if (lookup.status !== 'found') throw new Error('the policy is gone')
    expect(lookup.fetchedAt.getTime()).toBeLessThanOrEqual(stage.clock.now())
    expect(lookup.expiresAt.getTime()).toBeLessThanOrEqual(stage.clock.now() + WEEK)
    expect(lookup.expiresAt.getTime()).toBeGreaterThan(stage.clock.now() + WEEK - MINUTE)
    expect(await settled(under)).toBe('enforce n1')
    expect(stage.txt(bob)).toBe(1)
    // It expires by the corrected clock
    bob.policyHost.fails('down')
    stage.clock.advance(WEEK)
    expect(said(await under.cache.get(bob.name))).toBe('expired')
  })

  it('a policy that seemed expired applies again when the clock is corrected', async () => {
    const under = stage.cache({ negativeTtl: DAY })
    await under.cache.get(bob.name)
    bob.dns.fails('nxdomain')
    stage.clock.advance(30 * DAY)
    expect(said(await under.cache.get(bob.name))).toBe('no-record')
    stage.clock.advance(-30 * DAY + HOUR)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
  })

  it('an entry stored by a clock ahead applies after a restart', async () => {
    const store = sharedStore(stage.clock.now)
    stage.clock.advance(30 * DAY)
    await stage.cache({ store }).cache.get(bob.name)
    stage.clock.advance(-30 * DAY)
    bob.record(null)
    bob.policyHost.fails('down')
    const lookup = await stage.cache({ store }).cache.get(bob.name)
    expect(said(lookup)).toBe('enforce n1')
    expect(lookup).toMatchObject({ expiresAt: new Date(stage.clock.now() + WEEK) })
  })

  it('durations end by a monotonic clock when the wall clock stands still', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const resolver = scriptedResolver(() => dnsError('ENOTFOUND'))
    const { cache } = makeCache({ resolver, connect: noConnect, now: stage.clock.now })
    await cache.get('nobody.example')
    await cache.get('nobody.example')
    expect(resolver.asked).toHaveLength(1)
    vi.advanceTimersByTime(5 * MINUTE)
    await cache.get('nobody.example')
    expect(resolver.asked).toHaveLength(2)
  })
})

describe('[STS-55] renewal', () => {
  it.each([
    ['half of a day', DAY, DAY / 2],
    ['half of an hour', HOUR, HOUR / 2],
    ['a day of a week', WEEK, DAY],
  ])('runs in the background of a delivery after %s', async (_, maxAge, due) => {
    bob.policy({ id: 'n1', maxAge: maxAge / 1000 })
    const under = stage.cache()
    await under.cache.get(bob.name)
    stage.clock.advance(due - 1)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    await settled(under)
    expect(stage.gets(bob)).toBe(1)
    stage.clock.advance(RECHECK)
    const lookup = await under.cache.get(bob.name)
    expect(lookup).toMatchObject({ id: 'n1', source: 'cache' })
    await settled(under)
    expect(stage.gets(bob)).toBe(2)
    expect(await under.cache.get(bob.name)).toMatchObject({
      fetchedAt: new Date(stage.clock.now()),
    })
  })

  it.each(FORGERIES)('is not prevented by TXT: %s', async (_, forge) => {
    const under = stage.cache()
    await under.cache.get(bob.name)
    forge()
    for (let day = 1; day <= 29; day++) {
      stage.clock.advance(DAY)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
      expect(await settled(under)).toBe('enforce n1')
      expect(stage.gets(bob)).toBe(day + 1)
    }
  })

  it('a record gone for more than 30 days lets the policy expire; failing DNS does not', async () => {
    const under = stage.cache()
    for (const [forge, end] of [
      [() => bob.dns.fails('servfail'), 'enforce n1'],
      [() => bob.dns.fails('nxdomain'), 'no-record'],
    ] as const) {
      bob.dns.works()
      stage.clock.advance(RECHECK)
      await under.cache.lookAgain(bob.name)
      forge()
      for (let day = 1; day <= 45; day++) {
        stage.clock.advance(DAY)
        await under.cache.get(bob.name)
        if (day <= 30) expect(await settled(under)).toBe('enforce n1')
        else await settled(under)
      }
      expect(said(await under.cache.get(bob.name))).toBe(end)
    }
  })

  it('a failed renewal is tried again at the next recheck, within the back-off', async () => {
    const under = stage.cache()
    await under.cache.get(bob.name)
    bob.policyHost.fails('500')
    stage.clock.advance(DAY)
    for (let look = 0; look < 12; look++) {
      stage.clock.advance(RECHECK)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
      await settled(under)
    }
    // After 5, 15, 35 minutes only
    expect(stage.gets(bob)).toBe(1 + 4)
    bob.policyHost.works()
    stage.clock.advance(HOUR)
    expect(await settled(under)).toBe('enforce n1')
    expect(failureOf(await under.cache.get(bob.name))).toBeUndefined()
  })

  it.each([
    ['a message each hour', HOUR, 60],
    ['one message, and then none', 365 * DAY, 25],
  ])('a policy of a day never expires while it is in use: %s', async (_, pause, days) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    bob.policy({ id: 'n1', maxAge: DAY / 1000 })
    const passes = listen('mta-sts:refresh')
    const store = sharedStore(stage.clock.now)
    const sts = open({
      store,
      refreshInterval: DAY,
      dnsTimeout: 2 ** 31 - 1,
      fetchTimeout: 2 ** 31 - 1,
    })
    await sts.getPolicy(bob.name)
    const reader = stage.cache()
    let lastMail = stage.clock.now()
    for (let hour = 0; hour < days * 24; hour++) {
      stage.clock.advance(HOUR)
      await vi.advanceTimersByTimeAsync(HOUR)
      // A pass ends before the next hour
      const begun = store.calls.filter((call) => call === 'due').length
      while (passes.events.length < begun) await turns(1)
      const entry = store.entries.get(bob.name)
      expect(entry?.expiresAt).toBeGreaterThan(stage.clock.now())
      if (stage.clock.now() - lastMail < pause) continue
      lastMail = stage.clock.now()
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
      await sts.lookAgain(bob.name)
    }
    passes.stop()
    expect(passes.events.length).toBeGreaterThan(days / 2)
    expect(passes.events.length).toBeLessThan(days * 4)
    expect(said(await reader.cache.get(bob.name))).toBe('enforce n1')
  })

  it('a pass lists policies that are due, where the store supports it', async () => {
    const store = sharedStore(stage.clock.now)
    store.entries.set('old.example', storedPolicy(stage.clock.now() - 2 * DAY))
    store.entries.set('new.example', storedPolicy(stage.clock.now() - HOUR))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const passes = listen('mta-sts:refresh')
    const sts = new MtaSts({
      store,
      now: stage.clock.now,
      resolver: scriptedResolver(() => dnsError('ENOTFOUND')),
      connect: noConnect,
      refreshInterval: MINUTE,
    })
    opened.push(sts)
    await vi.advanceTimersByTimeAsync(MINUTE)
    passes.stop()
    expect(passes.events[0]).toMatchObject({ checked: 1 })
    // refresh() renews all
    expect(await sts.refresh()).toMatchObject({ checked: 2 })
  })
})

describe('[STS-57] bounds', () => {
  it('3,000 unknown domains: 64 lookups at once, the others wait', async () => {
    let most = 0
    let underWay = 0
    const resolver = scriptedResolver(async () => {
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay--
      throw dnsError('ENOTFOUND')
    })
    const { cache } = makeCache({ resolver, connect: noConnect, maxNegatives: 5000 })
    const lookups = Array.from({ length: 3000 }, (_, index) => cache.get(`d${index}.example`))
    expect(new Set((await Promise.all(lookups)).map(said))).toEqual(new Set(['no-record']))
    expect(most).toBe(64)
    expect(resolver.asked).toHaveLength(3000)
  })

  it('waiting lookups end at once when the sender is closed, each with its own error', async () => {
    const resolver = scriptedResolver(() => new Promise(() => undefined))
    const under = makeCache({ resolver, connect: noConnect, maxFetches: 2 })
    const lookups = Array.from({ length: 10 }, async (_, index) =>
      under.cache.get(`d${index}.example`),
    )
    await turns()
    expect(resolver.asked).toHaveLength(2)
    under.closing.abort()
    const results = await Promise.allSettled(lookups)
    const errors = results.map((result) => result.status === 'rejected' && result.reason)
    expect(errors).toEqual(new Array(10).fill(expect.objectContaining({ code: 'ECLOSED' })))
    expect(new Set(errors).size).toBe(10)
    await turns()
    expect(resolver.asked).toHaveLength(2)
  })

  it('a delivery goes before background rechecks', async () => {
    const store = sharedStore(stage.clock.now)
    for (let index = 0; index < 50; index++) {
      store.entries.set(`d${index}.example`, storedPolicy(stage.clock.now()))
    }
    const answers: Array<() => void> = []
    const resolver = scriptedResolver(
      () => new Promise((_, reject) => answers.push(() => reject(dnsError('ENOTFOUND')))),
    )
    const options = { resolver, store, connect: noConnect, now: stage.clock.now, maxFetches: 1 }
    const { cache } = makeCache(options)
    for (let index = 0; index < 50; index++) await cache.get(`d${index}.example`)
    await turns()
    const delivery = Promise.resolve(cache.get('unknown.example'))
    await turns()
    answers.shift()?.()
    await turns()
    expect(resolver.asked.at(-1)).toBe('TXT _mta-sts.unknown.example')
    answers.shift()?.()
    expect(said(await delivery)).toBe('no-record')
  })

  it('many large policies stay within maxCacheBytes; used ones and overrides stay', async () => {
    const clock = new ManualClock()
    const body = `${policyText()}${'x: y\r\n'.repeat(10_000)}`
    const store: PolicyStore = {
      get: async (policyDomain) => ({
        ...storedPolicy(clock.now()),
        ...(policyDomain.startsWith('d') ? { body } : {}),
      }),
      set: async () => undefined,
      delete: async () => undefined,
    }
    const resolver = scriptedResolver(() => announcing('stored1'))
    const maxCacheBytes = 8 * 2 ** 20
    const sts = new MtaSts({
      store,
      resolver,
      connect: noConnect,
      now: clock.now,
      maxCacheBytes,
      refreshInterval: 0,
      overrides: { 'pinned.example': 'off' },
    })
    opened.push(sts)
    await sts.getPolicy('used.example')
    global.gc?.()
    const before = process.memoryUsage()
    let asked = 0
    const { get } = store
    store.get = async (policyDomain) => {
      if (policyDomain === 'used.example') asked++
      return get(policyDomain)
    }
    for (let index = 0; index < 1000; index++) {
      expect(said(await sts.getPolicy(`d${index}.example`))).toBe('enforce stored1')
      if (index % 10 === 0) await sts.getPolicy('used.example')
    }
    expect(asked).toBe(0)
    expect(said(await sts.getPolicy('pinned.example'))).toBe('override')
    global.gc?.()
    const after = process.memoryUsage()
    // 1,000 parsed ones would be more than a gigabyte; without a garbage collection, some are left
    // over
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(400e6)
  })

  it('a new sender allocates next to nothing before it caches anything', () => {
    const senders = 50
    const before = process.memoryUsage().heapUsed
    for (let count = 0; count < senders; count++) {
      opened.push(new MtaSts({ resolver: stage.resolver, refreshInterval: 0 }))
    }
    expect((process.memoryUsage().heapUsed - before) / senders).toBeLessThan(200_000)
  })
})

describe('[STS-58] values and errors', () => {
  it.each(['wrong-name', 'self-signed', 'down', 'invalid-policy', '500'] as const)(
    'a cached failure is plain data: %s',
    async (fault) => {
      const under = stage.cache()
      bob.policyHost.fails(fault)
      const waiting = await under.cache.get(bob.name)
      const again = await under.cache.get(bob.name)
      bob.policyHost.works()
      stage.clock.advance(HOUR)
      await under.cache.get(bob.name)
      bob.policy({ id: 'n2' })
      bob.policyHost.fails(fault)
      const kept = await under.cache.lookAgain(bob.name)
      for (const { failure } of [waiting, again, kept]) {
        const text = JSON.stringify(failure)
        expect(text.length).toBeLessThan(600)
        expect(Object.keys(failure?.cause ?? {}).sort()).toEqual(['code', 'message'])
      }
    },
  )

  it('each waiting caller gets its own error', async () => {
    const resolver = scriptedResolver(() => new Promise(() => undefined))
    const sts = new MtaSts({ resolver, connect: noConnect, refreshInterval: 0 })
    const lookups = Array.from({ length: 5 }, () => sts.getPolicy('bob.example'))
    await turns()
    await sts.close()
    const results = await Promise.allSettled(lookups)
    const errors = results.map((result) => result.status === 'rejected' && result.reason)
    expect(new Set(errors).size).toBe(5)
    for (const error of errors) expect(error).toMatchObject({ code: 'ECLOSED' })
  })

  it('a logger that throws fails neither a delivery nor a refresh', async () => {
    const fail = () => {
      throw new TypeError('Converting circular structure to JSON')
    }
    const logger = { debug: fail, info: fail, warn: fail, error: fail }
    const store = sharedStore(stage.clock.now)
    const sts = open({ logger, store })
    await sts.getPolicy(bob.name)
    store.before = fail
    bob.policyHost.fails('500')
    stage.clock.advance(DAY)
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
    expect(said(await sts.lookAgain(bob.name))).toBe('enforce n1')
    expect(await sts.refresh()).toMatchObject({ checked: 1, failed: 1 })
    bob.dns.fails('servfail')
    expect((await sts.getPolicy('unknown.example')).status).toBe('none')
  })
})

describe('[STS-59] closing', () => {
  it('caches no "no policy" for a lookup that it interrupts', async () => {
    for (const forge of FORGERIES.map(([, action]) => action)) {
      const store = sharedStore(stage.clock.now)
      await stage.cache({ store }).cache.get(bob.name)
      forge()
      const sts = open({ store })
      const reading = deferred()
      store.before = () => reading.promise
      const first = sts.getPolicy(bob.name)
      await turns()
      const closed = sts.close()
      await expect(first).rejects.toMatchObject({ code: 'ECLOSED' })
      reading.resolve()
      await closed
      await expect(sts.getPolicy(bob.name)).rejects.toMatchObject({ code: 'ECLOSED' })
      await expect(sts.deliver(bob.name, async () => 'sent')).rejects.toMatchObject({
        code: 'ECLOSED',
      })
      bob.dns.works()
      bob.policy({ mode: 'enforce', id: 'n1' })
    }
  })

  it.each(['TXT', 'A'])('caches nothing that arrives later: %s', async (type) => {
    const answer = deferred<string[][] | string[]>()
    const store = sharedStore(stage.clock.now)
    const resolver = scriptedResolver((question) => {
      const [asked = ''] = question.split(' ')
      if (asked === type) return answer.promise
      return asked === 'TXT' ? announcing('n1') : dnsError('ENODATA')
    })
    const under = makeCache({ ...stage.options(), resolver, store })
    const lookup = Promise.resolve(under.cache.get(bob.name))
    await turns()
    under.closing.abort()
    await expect(lookup).rejects.toMatchObject({ code: 'ECLOSED' })
    answer.resolve(type === 'TXT' ? announcing('n1') : [bob.policyHost.ipv4])
    await sleep(50)
    expect(store.calls.filter((call) => call === 'set')).toEqual([])
    expect(() => under.cache.known(bob.name)).toThrow('closed')
    expect([...under.cache.policies()]).toEqual([])
    const { asked } = resolver
    if (type === 'TXT') expect(asked).toEqual([`TXT _mta-sts.${bob.name}`])
    expect(under.reports).toEqual([])
  })

  it('a refresh of a closed sender resolves without doing anything', async () => {
    const sts = open()
    await sts.getPolicy(bob.name)
    await sts.close()
    stage.world.forget()
    expect(await sts.refresh()).toMatchObject({ renewed: 0, changed: 0 })
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
  })
})

describe('[STS-61] a shared store', () => {
  it('gets within a day that a policy is in use', async () => {
    bob.policy({ id: 'n1', maxAge: (100 * DAY) / 1000 })
    const store = sharedStore(stage.clock.now)
    const under = stage.cache({ store })
    await under.cache.get(bob.name)
    bob.policyHost.fails('down')
    for (let hour = 0; hour < 100; hour++) {
      stage.clock.advance(HOUR)
      await under.cache.get(bob.name)
      await settled(under)
      await turns()
      const stored = store.entries.get(bob.name)
      expect(stage.clock.now() - (stored?.usedAt ?? 0)).toBeLessThanOrEqual(DAY)
    }
    expect(store.calls.filter((call) => call === 'set').length).toBeLessThan(15)
  })

  it('gets an entry at its next use after a failed write', async () => {
    const store = sharedStore(stage.clock.now)
    store.before = () => Promise.reject(new Error('full'))
    const under = stage.cache({ store })
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    expect(store.entries.size).toBe(0)
    store.before = () => undefined
    stage.clock.advance(2 * MINUTE)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    await turns()
    expect(store.entries.get(bob.name)).toMatchObject({ id: 'n1' })
    // Then no more
    const { length } = store.calls
    stage.clock.advance(2 * MINUTE)
    await under.cache.get(bob.name)
    await turns()
    expect(store.calls).toHaveLength(length)
  })

  it('gets an entry that it could not take before memory evicts it', async () => {
    const carol = stage.domain('carol.example', { mode: 'enforce' })
    const store = sharedStore(stage.clock.now)
    store.before = () => Promise.reject(new Error('full'))
    const under = stage.cache({ store, maxPolicies: 1 })
    await under.cache.get(bob.name)
    store.before = () => undefined
    await under.cache.get(carol.name)
    await turns()
    expect([...store.entries.keys()].sort()).toEqual([bob.name, carol.name])
  })

  it.each([true, false])(
    'gets an entry that it has lost at the next look, if it tells removals: %s',
    async (tellsRemovals) => {
      const store = sharedStore(stage.clock.now)
      if (!tellsRemovals) Object.assign(store, { removedAt: undefined })
      const under = stage.cache({ store })
      await under.cache.get(bob.name)
      store.entries.clear()
      for (const wait of [RECHECK, 2 * MINUTE]) {
        stage.clock.advance(wait)
        await under.cache.get(bob.name)
        await settled(under)
        await turns()
      }
      expect(store.entries.has(bob.name)).toBe(tellsRemovals)
    },
  )

  it('refuses an entry of an earlier fetch; the writer uses the stored one', async () => {
    const store = sharedStore(stage.clock.now)
    bob.policy({ mode: 'testing', id: 'n1' })
    const under = stage.cache({ store })
    await under.cache.get(bob.name)
    stage.clock.advance(13 * HOUR)
    store.entries.set(bob.name, storedPolicy(stage.clock.now() - HOUR))
    bob.dns.fails('servfail')
    bob.policyHost.fails('down')
    await under.cache.get(bob.name)
    await settled(under)
    await turns()
    expect(said(await under.cache.get(bob.name))).toBe('enforce stored1')
  })

  it("makes an operator's removal reach every running sender at its next recheck", async () => {
    const store = sharedStore(stage.clock.now)
    const running = stage.cache({ store })
    await running.cache.get(bob.name)
    await store.delete(bob.name)
    bob.policy(null)
    stage.clock.advance(RECHECK)
    await running.cache.get(bob.name)
    await turns()
    await settled(running)
    expect(said(await running.cache.get(bob.name))).toBe('no-record')
    expect(store.entries.size).toBe(0)
  })

  it('makes a removal reach a pass, too', async () => {
    const store = sharedStore(stage.clock.now)
    const running = open({ store })
    await running.getPolicy(bob.name)
    await store.delete(bob.name)
    stage.clock.advance(DAY)
    expect(await running.refresh()).toMatchObject({ checked: 1, dropped: 1 })
    expect(store.entries.size).toBe(0)
  })

  it('keeps a policy fetched after the removal', async () => {
    const store = sharedStore(stage.clock.now)
    const running = stage.cache({ store })
    await running.cache.get(bob.name)
    await store.delete(bob.name)
    stage.clock.advance(RECHECK)
    expect(await settled(running)).toBe('enforce n1')
    stage.clock.advance(RECHECK)
    bob.policyHost.fails('down')
    expect(await settled(running)).toBe('enforce n1')
    expect(store.entries.get(bob.name)).toMatchObject({ startedAt: stage.clock.now() - RECHECK })
  })
})

describe('a policy whose MX hosts do not match', () => {
  it('is fetched again although its id is the same, at most once in recheckInterval', async () => {
    const under = stage.cache()
    await under.cache.get(bob.name)
    bob.policy({ id: 'n1', patterns: ['new.example'] })
    expect(await under.cache.lookAgain(bob.name)).toMatchObject({
      policy: { mx: [`mx.${bob.name}`] },
    })
    expect(stage.gets(bob)).toBe(1)
    const again = await under.cache.lookAgain(bob.name, { mismatch: true })
    expect(again).toMatchObject({ id: 'n1', policy: { mx: ['new.example'] } })
    expect(stage.gets(bob)).toBe(2)
    for (let attempt = 0; attempt < 5; attempt++) {
      await under.cache.lookAgain(bob.name, { mismatch: true })
    }
    expect(stage.gets(bob)).toBe(2)
    stage.clock.advance(RECHECK)
    await under.cache.lookAgain(bob.name, { mismatch: true })
    expect(stage.gets(bob)).toBe(3)
  })

  it('is kept when the fetch fails', async () => {
    const under = stage.cache()
    await under.cache.get(bob.name)
    bob.policyHost.fails('500')
    const again = await under.cache.lookAgain(bob.name, { mismatch: true })
    expect(said(again)).toBe('enforce n1')
    expect(failureOf(again)).toBe('sts-policy-fetch-error http-status-500')
  })

  it('is fetched even when a recheck is under way', async () => {
    const under = stage.cache()
    await under.cache.get(bob.name)
    bob.policy({ id: 'n1', patterns: ['new.example'] })
    const recheck = under.cache.lookAgain(bob.name)
    const again = under.cache.lookAgain(bob.name, { mismatch: true })
    await recheck
    expect(await again).toMatchObject({ policy: { mx: ['new.example'] } })
    expect(await isPending(again)).toBe(false)
  })
})

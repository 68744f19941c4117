/**
 * The table "What the cache promises" of docs/control-flow.md, row by row, with every query and GET
 * counted.
 */
import { describe, expect, it } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import type { PolicyLookup } from '../../src/policy/lookup.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import {
  announcing,
  type CacheUnderTest,
  DAY,
  deferred,
  dnsError,
  failureOf,
  HOUR,
  holdCalls,
  isPending,
  MINUTE,
  makeCache,
  noConnect,
  SECOND,
  SMALL,
  type Stage,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  WEEK,
  watchedStore,
} from './scripted-network.js'
import { bob, stage, useStage } from './stage.js'

useStage()

const NOTHING = { txt: 0, gets: 0 }
const RECHECK = 5 * MINUTE

/** A cache with the policy of bob.example, just fetched; its traffic is not counted. */
async function holding(more: Parameters<Stage['cache']>[0] = {}): Promise<CacheUnderTest> {
  const under = stage.cache(more)
  expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
  stage.world.forget()
  return under
}

/** Waits for the lookup in the background, and returns its result. */
function landing({ cache }: CacheUnderTest): Promise<PolicyLookup> {
  return cache.lookAgain(bob.name)
}

describe('a domain without a cached policy', () => {
  it('makes one TXT lookup and one GET, then answers from memory', async () => {
    const { cache, reports } = stage.cache()
    const first = await cache.get(bob.name)
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect(first).toMatchObject({
      status: 'found',
      id: 'n1',
      source: 'network',
      policy: { mode: 'enforce', mx: [`mx.${bob.name}`], maxAge: 604_800 },
      body: bob.policyFile,
      fetchedAt: new Date(stage.clock.now()),
      expiresAt: new Date(stage.clock.now() + WEEK),
    })
    const second = await cache.get(bob.name)
    expect(second).toEqual({ ...first, source: 'cache' })
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect(reports).toEqual([])
  })

  it('[STS-8] looks up only the domain itself, not its parent', async () => {
    const { cache } = stage.cache()
    expect(said(await cache.get(`sub.${bob.name}`))).toBe('no-record')
    expect(stage.world.queries.map(({ type, name }) => `${type} ${name}`)).toEqual([
      `TXT _mta-sts.sub.${bob.name}`,
    ])
  })

  it.each([
    ['there is no record', () => bob.record(null), 'no-record', undefined],
    ['DNS fails', () => bob.dns.fails('servfail'), 'dns-failure', 'dns-failure'],
    ['the record is doubled', () => bob.dns.fails('two-records'), 'invalid', 'several-records'],
    ['the GET fails', () => bob.policyHost.fails('500'), 'fetch-failed', 'http-status-500'],
    ['the policy is invalid', () => bob.policyHost.fails('invalid-policy'), 'invalid', undefined],
  ] as const)('[STS-24] %s: answers as without a policy', async (_, fail, reason, why) => {
    fail()
    const { cache, reports } = stage.cache()
    const lookup = await cache.get(bob.name)
    expect(lookup).toMatchObject({ status: 'none', reason })
    expect(lookup.failure?.reason).toBe(why)
    // "No record" is no failure; every other result is reported once
    expect(reports.map(({ failure }) => failure)).toEqual(
      lookup.failure === undefined ? [] : [lookup.failure],
    )
  })
})

describe('a cached "no record"', () => {
  it('answers without the network for negativeTtl, then looks the domain up again', async () => {
    const { cache } = stage.cache({ negativeTtl: 20 * MINUTE })
    bob.record(null)
    expect(said(await cache.get(bob.name))).toBe('no-record')
    bob.policy({ id: 'n2' })
    stage.world.forget()

    stage.clock.advance(20 * MINUTE - 1)
    const known = cache.get(bob.name)
    expect(known).toMatchObject({ status: 'none', reason: 'no-record' })
    expect(stage.traffic(bob)).toEqual(NOTHING)

    stage.clock.advance(1)
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it('is cached for five minutes by default', async () => {
    const { cache } = stage.cache()
    bob.record(null)
    await cache.get(bob.name)
    stage.clock.advance(5 * MINUTE - 1)
    await cache.get(bob.name)
    expect(stage.txt(bob)).toBe(1)
    stage.clock.advance(1)
    await cache.get(bob.name)
    expect(stage.txt(bob)).toBe(2)
  })

  it('caches a failed lookup for 60 seconds only', async () => {
    const { cache } = stage.cache({ negativeTtl: HOUR })
    bob.dns.fails('servfail')
    expect(said(await cache.get(bob.name))).toBe('dns-failure')
    bob.dns.works()
    stage.clock.advance(60 * SECOND - 1)
    expect(said(await cache.get(bob.name))).toBe('dns-failure')
    expect(stage.txt(bob)).toBe(1)
    stage.clock.advance(1)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    expect(stage.txt(bob)).toBe(2)
  })

  it('caches a failed lookup for negativeTtl where that is shorter', async () => {
    const { cache } = stage.cache({ negativeTtl: 10 * SECOND })
    bob.dns.fails('refused')
    expect(said(await cache.get(bob.name))).toBe('dns-failure')
    bob.dns.works()
    stage.clock.advance(10 * SECOND)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
  })

  it('caches an invalid record for negativeTtl', async () => {
    const { cache, reports } = stage.cache()
    bob.dns.fails('malformed-record')
    expect(said(await cache.get(bob.name))).toBe('invalid')
    bob.dns.works()
    stage.clock.advance(5 * MINUTE - 1)
    expect(said(await cache.get(bob.name))).toBe('invalid')
    expect(stage.txt(bob)).toBe(1)
    expect(reports).toHaveLength(1)
    stage.clock.advance(1)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
  })

  it('caches nothing with negativeTtl 0', async () => {
    const { cache } = stage.cache({ negativeTtl: 0 })
    bob.record(null)
    await cache.get(bob.name)
    await cache.get(bob.name)
    expect(stage.txt(bob)).toBe(2)
  })

  it('lookAgain looks the domain up again, and its result applies', async () => {
    const { cache } = stage.cache()
    bob.record(null)
    await cache.get(bob.name)
    bob.policy({ id: 'n2' })
    expect(said(await cache.lookAgain(bob.name))).toBe('enforce n2')
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 1 })
  })

  it('a negative older than a policy does not return when the policy expires', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const { cache } = stage.cache({ store, negativeTtl: DAY })
    bob.record(null)
    expect(said(await cache.get(bob.name))).toBe('no-record')
    // Another process caches a policy that lives for an hour
    bob.policy({ id: 'n2', maxAge: HOUR / 1000 })
    expect(said(await stage.cache({ store }).cache.get(bob.name))).toBe('enforce n2')
    expect(said(await cache.lookAgain(bob.name))).toBe('enforce n2')
    stage.clock.advance(HOUR)
    stage.world.forget()
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    // A background recheck may be under way, and counts too
    expect(stage.traffic(bob).gets).toBe(1)
  })
})

describe('an unexpired policy that was rechecked lately', () => {
  it('[STS-29] is returned without the network, and without waiting', async () => {
    const { cache } = await holding()
    for (let second = 0; second < 300; second++) {
      // Not a promise: a delivery does not wait even for a turn of the event loop
      expect(cache.get(bob.name)).toMatchObject({ status: 'found', id: 'n1', source: 'cache' })
      stage.clock.advance(SECOND - 1)
    }
    await turns()
    expect(stage.traffic(bob)).toEqual(NOTHING)
  })

  it('is returned whatever DNS and the policy host do', async () => {
    const { cache, reports } = await holding()
    bob.dns.fails('nxdomain')
    bob.policyHost.fails('down')
    stage.clock.advance(RECHECK - 1)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    await turns()
    expect(stage.traffic(bob)).toEqual(NOTHING)
    expect(reports).toEqual([])
  })

  it('is not found by a name in another form', async () => {
    const { cache } = await holding()
    expect(cache.known(bob.name.toUpperCase())).toBeUndefined()
    expect(cache.known(`${bob.name}.`)).toBeUndefined()
  })
})

describe('an unexpired policy that is due for a recheck', () => {
  it('[STS-29] is returned at once, with one TXT lookup in the background and no GET for the same id', async () => {
    const under = await holding()
    stage.clock.advance(RECHECK)
    for (let delivery = 0; delivery < 100; delivery++) {
      expect(under.cache.get(bob.name)).toMatchObject({ status: 'found', id: 'n1' })
    }
    expect(said(await landing(under))).toBe('enforce n1')
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 0 })

    stage.clock.advance(RECHECK - 1)
    under.cache.get(bob.name)
    await turns()
    expect(stage.txt(bob)).toBe(1)
    stage.clock.advance(1)
    under.cache.get(bob.name)
    await landing(under)
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 0 })
  })

  it('[STS-29] getPolicy resolves before the resolver has answered', async () => {
    const answer = deferred<string[][]>()
    const store = memoryStore()
    await store.set(bob.name, storedPolicy(stage.clock.now()))
    const resolver = scriptedResolver(() => answer.promise)
    const sts = new MtaSts({
      ...SMALL,
      store,
      resolver,
      connect: noConnect,
      now: stage.clock.now,
      refreshInterval: 0,
    })
    // From the store the first time, from memory the second: neither waits for DNS
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
    await turns()
    expect(resolver.asked).toEqual([`TXT _mta-sts.${bob.name}`])
    stage.clock.advance(HOUR)
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
    expect(resolver.asked).toEqual([`TXT _mta-sts.${bob.name}`])
    answer.resolve(announcing('stored1'))
    await sts.close()
  })

  it('[STS-29] is due after recheckInterval, however often the policy is used', async () => {
    const store = memoryStore()
    await store.set(bob.name, storedPolicy(stage.clock.now()))
    const resolver = scriptedResolver(async () => announcing('stored1'))
    const sts = new MtaSts({
      ...SMALL,
      store,
      resolver,
      connect: noConnect,
      now: stage.clock.now,
      refreshInterval: 0,
      recheckInterval: 10 * SECOND,
    })
    const looksAfter = async (milliseconds: number) => {
      stage.clock.advance(milliseconds)
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
      await turns()
      return resolver.asked.length
    }
    expect(await looksAfter(0)).toBe(1)
    for (const age of [0, 1, 5000, 4998]) expect(await looksAfter(age)).toBe(1)
    expect(await looksAfter(1)).toBe(2)
    expect(await looksAfter(9999)).toBe(2)
    expect(await looksAfter(1)).toBe(3)
    await sts.close()
  })

  it('[STS-30] a new id causes one GET in the background; the next delivery gets the new policy', async () => {
    const under = await holding()
    bob.policy({ id: 'n2', patterns: ['mx2.example'] })
    stage.clock.advance(RECHECK)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    const landed = await landing(under)
    expect(landed).toMatchObject({ id: 'n2', source: 'network' })
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    const next = await under.cache.get(bob.name)
    expect(next).toMatchObject({
      id: 'n2',
      policy: { mx: ['mx2.example'] },
      fetchedAt: new Date(stage.clock.now()),
    })
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it('[STS-30] an id that differs only in case is a new id', async () => {
    const under = await holding()
    bob.record('v=STSv1; id=N1;')
    expect(said(await under.cache.lookAgain(bob.name))).toBe('enforce N1')
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it.each(['nxdomain', 'servfail', 'refused', 'two-records', 'malformed-record'] as const)(
    '[STS-22] TXT %s, policy host down: the policy applies to its last millisecond, and the failure is reported',
    async (fault) => {
      const under = await holding()
      bob.dns.fails(fault)
      bob.policyHost.fails('down')
      let looks = 0
      for (let age = 0; age < WEEK; age += 6 * HOUR) {
        stage.clock.advance(6 * HOUR - (looks === 0 ? 1 : 0))
        expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
        const landed = await landing(under)
        looks++
        expect(landed.failure?.reason).toMatch(
          looks < 5 ? /^(record-gone|dns-failure|.*-records?)$/ : /^connection-failed$/,
        )
      }
      // 28 rechecks in a week, the last of them a millisecond before its end
      expect(stage.traffic(bob)).toEqual({ txt: looks, gets: 0 })
      expect(under.reports).toHaveLength(looks)
      expect(under.reports.every(({ applies }) => said(applies) === 'enforce n1')).toBe(true)
    },
  )

  it('[STS-22] reports a failure with the policy, and drops it when DNS works again', async () => {
    const under = await holding()
    bob.dns.fails('servfail')
    const failed = await under.cache.lookAgain(bob.name)
    expect(failureOf(failed)).toBe('sts-policy-fetch-error dns-failure')
    const known = await under.cache.get(bob.name)
    expect(known.failure).toBe(failed.failure)
    bob.dns.works()
    expect(failureOf(await under.cache.lookAgain(bob.name))).toBeUndefined()
    expect(failureOf(await under.cache.get(bob.name))).toBeUndefined()
  })

  it('counts a failed recheck: the next one is due after recheckInterval', async () => {
    const under = await holding()
    bob.dns.fails('servfail')
    stage.clock.advance(RECHECK)
    under.cache.get(bob.name)
    await landing(under)
    stage.clock.advance(RECHECK - 1)
    under.cache.get(bob.name)
    await turns()
    expect(stage.txt(bob)).toBe(1)
  })

  it('[STS-30] mode none ends a policy whose domain has removed it for good', async () => {
    const under = await holding()
    bob.policy({ mode: 'none', id: 'n2', maxAge: DAY / 1000 })
    stage.clock.advance(RECHECK)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    expect(said(await landing(under))).toBe('none n2')
    stage.world.forget()

    // Then none: without the network, and without a report when the record is removed too
    expect(said(await under.cache.get(bob.name))).toBe('none n2')
    expect(stage.traffic(bob)).toEqual(NOTHING)
    bob.policy(null)
    stage.clock.advance(RECHECK)
    expect(said(await under.cache.get(bob.name))).toBe('none n2')
    await landing(under)
    expect(under.reports).toEqual([])
    stage.clock.advance(DAY)
    expect(said(await under.cache.get(bob.name))).toBe('no-record')
  })

  it('[STS-30] enforces a policy that changes from mode none to enforce', async () => {
    bob.policy({ mode: 'none', id: 'n0' })
    const under = stage.cache()
    expect(said(await under.cache.get(bob.name))).toBe('none n0')
    bob.policy({ mode: 'enforce', id: 'n1' })
    stage.clock.advance(RECHECK)
    under.cache.get(bob.name)
    await landing(under)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
  })
})

describe('a new id whose fetch fails', () => {
  it.each(['down', 'wrong-name', 'redirect', '404', 'html', 'invalid-policy'] as const)(
    '[STS-23] HTTPS %s: the old policy applies, and the failure is reported',
    async (fault) => {
      const under = await holding()
      bob.policy({ id: 'n2', mode: 'testing' })
      bob.policyHost.fails(fault)
      stage.clock.advance(RECHECK)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
      const landed = await landing(under)
      expect(said(landed)).toBe('enforce n1')
      expect(landed.failure?.resultType).toMatch(/^sts-/)
      expect(under.reports).toEqual([
        { policyDomain: bob.name, applies: landed, failure: landed.failure },
      ])
      expect(stage.txt(bob)).toBe(1)
      expect(stage.fetches(bob)).toBe(1)
    },
  )

  it('[STS-16] fetches the same id again only after five, then ten minutes; another id at once', async () => {
    const under = await holding({ recheckInterval: MINUTE })
    bob.policy({ id: 'n2' })
    bob.policyHost.fails('500')
    const look = async () => {
      stage.world.forget()
      stage.clock.advance(MINUTE)
      expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
      const landed = await landing(under)
      expect(stage.txt(bob)).toBe(1)
      return { gets: stage.gets(bob), said: said(landed), failure: failureOf(landed) }
    }
    const failing = { said: 'enforce n1', failure: 'sts-policy-fetch-error http-status-500' }
    const gets: number[] = []
    for (let minute = 1; minute <= 21; minute++) {
      const { gets: count, ...outcome } = await look()
      expect(outcome).toEqual(failing)
      gets.push(count)
    }
    // Minutes 1, 6 and 16
    expect(gets.flatMap((count, index) => (count === 0 ? [] : [index + 1]))).toEqual([1, 6, 16])
    expect(Math.max(...gets)).toBe(1)

    // During the wait for n2: n3 is fetched at once, and n2 still waits
    bob.policyHost.works()
    expect(await look()).toMatchObject({ gets: 0, said: 'enforce n1' })
    bob.record('v=STSv1; id=n3;')
    expect(await look()).toEqual({ gets: 1, said: 'enforce n3', failure: undefined })
  })

  it('[STS-16] delays one domain: the same id of another domain is fetched', async () => {
    const carol = stage.domain('carol.example', { mode: 'enforce', id: 'shared' })
    bob.policy({ id: 'shared' })
    bob.policyHost.fails('500')
    const { cache } = stage.cache()
    expect(said(await cache.get(bob.name))).toBe('fetch-failed')
    expect(said(await cache.get(carol.name))).toBe('enforce shared')
  })

  it('[STS-16] with nothing cached: TXT for every delivery, the GET after the wait; another id at once', async () => {
    const { cache, reports } = stage.cache()
    bob.policyHost.fails('500')
    expect(said(await cache.get(bob.name))).toBe('fetch-failed')
    bob.policyHost.works()
    stage.clock.advance(5 * MINUTE - 1)
    const waiting = await cache.get(bob.name)
    expect(said(waiting)).toBe('fetch-failed')
    expect(failureOf(waiting)).toBe('sts-policy-fetch-error http-status-500')
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 1 })
    expect(reports).toHaveLength(2)

    bob.record('v=STSv1; id=n2;')
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 3, gets: 2 })
  })

  it('[STS-16] fetches the same id after the wait', async () => {
    const { cache } = stage.cache({ fetchBackoff: 30 * SECOND })
    bob.policyHost.fails('500')
    await cache.get(bob.name)
    bob.policyHost.works()
    stage.clock.advance(30 * SECOND - 1)
    expect(said(await cache.get(bob.name))).toBe('fetch-failed')
    stage.clock.advance(1)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    expect(stage.gets(bob)).toBe(2)
  })

  it('ends the doubling after a successful GET', async () => {
    const under = await holding({ recheckInterval: MINUTE })
    bob.policy({ id: 'n2' })
    bob.policyHost.fails('500')
    await under.cache.lookAgain(bob.name)
    stage.clock.advance(5 * MINUTE)
    await under.cache.lookAgain(bob.name)
    bob.policyHost.works()
    stage.clock.advance(10 * MINUTE)
    expect(said(await under.cache.lookAgain(bob.name))).toBe('enforce n2')
    // The refresh of n2 fails: five minutes again, not twenty
    bob.policyHost.fails('500')
    expect(await under.cache.renew(bob.name)).toBe('failed')
    bob.policyHost.works()
    stage.clock.advance(5 * MINUTE)
    expect(await under.cache.renew(bob.name)).toBe('renewed')
  })
})

describe('an expired policy', () => {
  it('[STS-25] applies until its last millisecond, but not in the next one', async () => {
    const { cache } = await holding({ recheckInterval: 2 * WEEK })
    bob.dns.fails('servfail')
    stage.clock.advance(WEEK - 1)
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    stage.clock.advance(1)
    expect(said(await cache.get(bob.name))).toBe('expired')
    expect(stage.txt(bob)).toBe(1)
  })

  it('is discovered again with TXT and GET before the delivery', async () => {
    const { cache } = await holding()
    bob.policy({ id: 'n2' })
    stage.clock.advance(WEEK)
    const lookup = await cache.get(bob.name)
    expect(lookup).toMatchObject({
      id: 'n2',
      source: 'network',
      fetchedAt: new Date(stage.clock.now()),
    })
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it.each([
    ['the same id', () => undefined],
    ['another id', () => bob.record('v=STSv1; id=n2;')],
  ])('[STS-25] is never revived by a TXT record alone: %s', async (_, change) => {
    const { cache, reports } = await holding()
    change()
    bob.policyHost.fails('500')
    stage.clock.advance(WEEK)
    for (let attempt = 0; attempt < 3; attempt++) {
      const lookup = await cache.get(bob.name)
      expect(lookup.status).toBe('none')
      expect(failureOf(lookup)).toBe('sts-policy-fetch-error http-status-500')
      const again = await cache.lookAgain(bob.name)
      expect(again.status).toBe('none')
    }
    expect(stage.traffic(bob)).toEqual({ txt: 6, gets: 1 })
    expect(reports).toHaveLength(6)
  })

  it('[STS-25] gives reason expired the first time; no-record where the record is gone', async () => {
    const one = await holding()
    const two = await holding()
    stage.clock.advance(WEEK)
    bob.policyHost.fails('down')
    expect(said(await one.cache.get(bob.name))).toBe('expired')
    bob.record(null)
    expect(said(await two.cache.get(bob.name))).toBe('no-record')
  })

  it('[STS-25] is not revived by a background recheck that ends after the expiry', async () => {
    const held = deferred<string[][]>()
    let answer: Promise<string[][]> | string[][] = announcing('stored1')
    const store = watchedStore({ now: stage.clock.now })
    await store.set(bob.name, storedPolicy(stage.clock.now()))
    const resolver = scriptedResolver(() => answer)
    const under = makeCache({ resolver, store, connect: noConnect, now: stage.clock.now })
    expect(said(await under.cache.get(bob.name))).toBe('enforce stored1')
    await under.cache.lookAgain(bob.name)

    stage.clock.advance(WEEK - 1)
    answer = held.promise
    expect(said(await under.cache.get(bob.name))).toBe('enforce stored1')
    stage.clock.advance(1)
    const late = under.cache.get(bob.name)
    answer = [['nothing to do with it']]
    held.resolve(announcing('stored1'))
    expect(said(await late)).toBe('no-record')
  })
})

describe('max_age', () => {
  it('[STS-26] runs from the fetch: TXT lookups with the same id never extend it', async () => {
    bob.policy({ id: 'n1', maxAge: (2 * DAY) / 1000 })
    const under = await holding()
    const expiresAt = new Date(stage.clock.now() + 2 * DAY)
    for (let hour = 1; hour < 24; hour++) {
      stage.clock.advance(HOUR)
      expect(await under.cache.get(bob.name)).toMatchObject({ id: 'n1', expiresAt })
      expect(await landing(under)).toMatchObject({ id: 'n1', expiresAt })
    }
    expect(stage.traffic(bob)).toEqual({ txt: 23, gets: 0 })
    bob.policyHost.fails('down')
    stage.clock.advance(25 * HOUR)
    expect(said(await under.cache.get(bob.name))).toBe('expired')
  })

  it('[STS-26] is not extended by a failed GET', async () => {
    const under = await holding()
    const expiresAt = new Date(stage.clock.now() + WEEK)
    bob.policy({ id: 'n2' })
    bob.policyHost.fails('500')
    stage.clock.advance(DAY)
    expect(await under.cache.lookAgain(bob.name)).toMatchObject({ id: 'n1', expiresAt })
    expect(await under.cache.renew(bob.name)).toBe('failed')
    expect(await under.cache.get(bob.name)).toMatchObject({ id: 'n1', expiresAt })
  })

  it('[STS-26] runs from the end of the GET, not from its start', async () => {
    const { connect } = stage.options()
    const under = stage.cache({
      connect: (target) => {
        stage.clock.advance(20 * SECOND)
        if (connect === undefined) throw new Error('the world has a connect')
        return connect(target)
      },
    })
    const begin = stage.clock.now()
    expect(await under.cache.get(bob.name)).toMatchObject({
      fetchedAt: new Date(begin + 20 * SECOND),
      expiresAt: new Date(begin + 20 * SECOND + WEEK),
    })
  })

  it('[STS-26] a fetch of a new id restarts it, with the new max_age', async () => {
    const under = await holding()
    stage.clock.advance(DAY)
    bob.policy({ id: 'n2', maxAge: HOUR / 1000 })
    expect(await under.cache.lookAgain(bob.name)).toMatchObject({
      id: 'n2',
      expiresAt: new Date(stage.clock.now() + HOUR),
    })
    // The domain itself has shortened the life: the longer one of n1 is over
    bob.policyHost.fails('down')
    stage.clock.advance(HOUR)
    expect(said(await under.cache.get(bob.name))).toBe('expired')
  })

  it('[STS-25] 0: the policy applies to the delivery that fetched it only', async () => {
    bob.policy({ id: 'n2', maxAge: 0 })
    const { cache } = stage.cache()
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    expect(said(await cache.get(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 2 })
    bob.policyHost.fails('500')
    expect(said(await cache.get(bob.name))).toBe('expired')
  })

  it('[STS-30] 0 with a new id ends a policy of a week', async () => {
    const under = await holding()
    bob.policy({ id: 'n2', maxAge: 0, mode: 'none' })
    expect(said(await under.cache.lookAgain(bob.name))).toBe('none n2')
    bob.policy(null)
    expect(said(await under.cache.get(bob.name))).toBe('no-record')
  })
})

describe('shared lookups', () => {
  it('[STS-31] 1,000 deliveries to an unknown domain make one TXT lookup and one GET', async () => {
    const { cache } = stage.cache()
    const lookups = await Promise.all(Array.from({ length: 1000 }, () => cache.get(bob.name)))
    expect(new Set(lookups.map(said))).toEqual(new Set(['enforce n1']))
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect(stage.fetches(bob)).toBe(1)
  })

  it('[STS-31] share a lookup through MtaSts in many spellings', async () => {
    await using sts = new MtaSts(stage.options())
    const upper = bob.name.toUpperCase()
    const spellings = [bob.name, upper, `${bob.name}.`, `${upper}.`]
    const lookups = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => sts.getPolicy(spellings[index % 4] ?? '')),
    )
    expect(new Set(lookups.map(said))).toEqual(new Set(['enforce n1']))
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it('[STS-31] read and write the store once', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const { cache } = stage.cache({ store })
    await Promise.all(Array.from({ length: 1000 }, () => cache.get(bob.name)))
    expect(store.calls).toEqual([`get ${bob.name}`, `set ${bob.name}`])
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it('[STS-31] lookAgain joins a lookup that is under way', async () => {
    const { cache } = stage.cache()
    const lookups = [cache.get(bob.name), cache.lookAgain(bob.name), cache.lookAgain(bob.name)]
    expect((await Promise.all(lookups)).map(said)).toEqual(new Array(3).fill('enforce n1'))
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    // It starts a new one where none is under way
    await cache.lookAgain(bob.name)
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 1 })
  })

  it('[STS-31] a failed lookup is not shared with the next delivery', async () => {
    const { cache } = stage.cache({ negativeTtl: 0 })
    bob.dns.fails('servfail')
    const failed = await Promise.all([cache.get(bob.name), cache.get(bob.name)])
    expect(failed.map(said)).toEqual(['dns-failure', 'dns-failure'])
    expect(stage.txt(bob)).toBe(1)
    bob.dns.works()
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
  })

  it('[STS-31] lookups of different domains do not wait for each other', async () => {
    const slow = deferred<string[][]>()
    const resolver = scriptedResolver((question) =>
      question.endsWith('slow.example') ? slow.promise : dnsError('ENOTFOUND'),
    )
    const { cache } = makeCache({ resolver, connect: noConnect })
    const waiting = Promise.resolve(cache.get('slow.example'))
    expect(said(await cache.get('quick.example'))).toBe('no-record')
    expect(await isPending(waiting)).toBe(true)
    slow.resolve([])
    expect(said(await waiting)).toBe('no-record')
  })
})

describe('the store behind the cache', () => {
  it('[STS-33] is read when memory has no policy, and then no more', async () => {
    const store = watchedStore({ now: stage.clock.now })
    await store.inner.set(bob.name, storedPolicy(stage.clock.now() - HOUR, { id: 'n1' }))
    const under = stage.cache({ store })
    expect(await under.cache.get(bob.name)).toMatchObject({
      status: 'found',
      id: 'n1',
      source: 'cache',
      fetchedAt: new Date(stage.clock.now() - HOUR),
      expiresAt: new Date(stage.clock.now() - HOUR + WEEK),
    })
    // This process has not yet rechecked the record: once, in the background, without a GET
    await landing(under)
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 0 })
    for (let delivery = 0; delivery < 10; delivery++) under.cache.get(bob.name)
    await turns()
    expect(store.calls).toEqual([`get ${bob.name}`])
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 0 })
  })

  it('[STS-33] has a found policy before the delivery goes on', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const held = holdCalls(store, 'set')
    const { cache } = stage.cache({ store })
    const delivery = Promise.resolve(cache.get(bob.name))
    await held.begun
    expect(await isPending(delivery)).toBe(true)
    held.release()
    expect(said(await delivery)).toBe('enforce n1')
    expect(await store.inner.get(bob.name)).toMatchObject({
      id: 'n1',
      body: bob.policyFile,
      fetchedAt: stage.clock.now(),
      expiresAt: stage.clock.now() + WEEK,
      usedAt: stage.clock.now(),
    })
  })

  it('[STS-33] has it before a second delivery goes on that came during the write', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const held = holdCalls(store, 'set')
    const { cache } = stage.cache({ store })
    const first = Promise.resolve(cache.get(bob.name))
    await held.begun
    const second = Promise.resolve(cache.get(bob.name))
    const overtaken = !(await isPending(second))
    held.release()
    await Promise.all([first, second])
    expect(overtaken).toBe(false)
  })

  it('is not written for "no policy"', async () => {
    const store = watchedStore({ now: stage.clock.now })
    bob.record(null)
    const { cache } = stage.cache({ store })
    expect(said(await cache.get(bob.name))).toBe('no-record')
    expect(store.calls).toEqual([`get ${bob.name}`])
  })

  it('[STS-33] keeps a policy across a restart with DNS and HTTPS down until it expires', async () => {
    const store = memoryStore({ now: stage.clock.now })
    const before = new MtaSts(stage.options({ store }))
    expect(said(await before.getPolicy(bob.name))).toBe('enforce n1')
    await before.close()

    bob.dns.fails('servfail')
    bob.policyHost.fails('down')
    stage.clock.advance(WEEK - 1)
    const after = new MtaSts(stage.options({ store }))
    expect(said(await after.getPolicy(bob.name))).toBe('enforce n1')
    await after.close()
    stage.clock.advance(1)
    const late = new MtaSts(stage.options({ store }))
    expect((await late.getPolicy(bob.name)).status).toBe('none')
    await late.close()
  })

  it('[STS-33] provides a policy that another process has fetched with the new id', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const one = await holding({ store })
    const two = stage.cache({ store })
    await two.cache.get(bob.name)
    await two.cache.lookAgain(bob.name)
    bob.policy({ id: 'n2' })
    stage.clock.advance(RECHECK)
    stage.world.forget()

    expect(said(await one.cache.lookAgain(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect(said(await two.cache.lookAgain(bob.name))).toBe('enforce n2')
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 1 })
    // The recheck counts for the policy from the store, too
    two.cache.get(bob.name)
    await turns()
    expect(stage.traffic(bob)).toEqual({ txt: 2, gets: 1 })
  })

  it('[STS-33] never replaces the policy in memory by an older one without a GET', async () => {
    const store = watchedStore({ now: stage.clock.now })
    bob.policy({ mode: 'testing', id: 'old' })
    const under = stage.cache({ store })
    expect(said(await under.cache.get(bob.name))).toBe('testing old')
    // The store cannot be written while the domain moves on to enforce
    store.before = (method) => (method === 'set' ? Promise.reject(new Error('full')) : undefined)
    bob.policy({ mode: 'enforce', id: 'n1' })
    stage.clock.advance(RECHECK)
    expect(said(await under.cache.lookAgain(bob.name))).toBe('enforce n1')
    // An attacker who can forge DNS only announces the old id
    bob.record('v=STSv1; id=old;')
    bob.policyHost.fails('down')
    stage.clock.advance(RECHECK)
    await under.cache.lookAgain(bob.name)
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
  })

  it('[STS-25] an expired entry leads to discovery', async () => {
    const store = watchedStore({ now: stage.clock.now })
    await store.inner.set(bob.name, storedPolicy(stage.clock.now() - WEEK))
    const { cache, storeFailures } = stage.cache({ store })
    expect(said(await cache.get(bob.name))).toBe('enforce n1')
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect((await store.inner.get(bob.name))?.id).toBe('n1')
    expect(storeFailures).toEqual([])
  })

  it('[STS-26] the life of an entry follows its own policy, not its expiresAt', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const forged = storedPolicy(stage.clock.now() - WEEK, { expiresAt: stage.clock.now() + DAY })
    await store.inner.set(bob.name, forged)
    bob.policyHost.fails('down')
    const { cache } = stage.cache({ store })
    expect((await cache.get(bob.name)).status).toBe('none')
  })

  it('[STS-33] accepts our policy over an entry of a host whose clock is half an hour ahead', async () => {
    const store = memoryStore({ now: stage.clock.now })
    await store.set(bob.name, storedPolicy(stage.clock.now() + HOUR / 2))
    const before = stage.cache({ store })
    expect((await before.cache.get(bob.name)).status).toBe('found')
    bob.dns.fails('servfail')
    bob.policyHost.fails('down')
    const after = stage.cache({ store })
    expect((await after.cache.get(bob.name)).status).toBe('found')
  })
})

describe('the clock', () => {
  it('may start at the epoch: a policy fetched at 0 is not rechecked forever', async () => {
    let now = 0
    const under = stage.cache({ now: () => now })
    expect(said(await under.cache.get(bob.name))).toBe('enforce n1')
    // Background work has had its turn when later lookups of other domains have ended
    for (let other = 0; other < 3; other++) await under.cache.get(`other${other}.example`)
    const looks = stage.txt(bob)
    now = 1
    expect(looks).toBe(1)
  })
})

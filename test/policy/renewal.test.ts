/** Renewal before the expiry: its times, its owner, its frequency, and the operator's reports. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import type { MtaStsOptions } from '../../src/options.js'
import type { PolicyCache } from '../../src/policy/cache.js'
import { Refresher } from '../../src/policy/renewal.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import {
  announcing,
  DAY,
  deferred,
  dnsError,
  emptyResolver,
  failureOf,
  HOUR,
  holdCalls,
  isPending,
  type Listener,
  listen,
  ManualClock,
  MINUTE,
  noConnect,
  recordingLogger,
  SMALL,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  WEEK,
  watchedStore,
} from './scripted-network.js'
import { bob, sibling, stage, useStage } from './stage.js'

useStage()

let failures: Listener<'mta-sts:policy-failure'>
/** Objects to close after the test */
const opened: MtaSts[] = []

beforeEach(() => {
  failures = listen('mta-sts:policy-failure')
})
afterEach(async () => {
  vi.useRealTimers()
  failures.stop()
  await Promise.all(opened.splice(0).map((sts) => sts.close()))
})

const NONE = { checked: 0, renewed: 0, changed: 0, failed: 0, dropped: 0 }

function open(options: MtaStsOptions = {}): MtaSts {
  const sts = new MtaSts(stage.options(options))
  opened.push(sts)
  return sts
}

/** An object that never connects, with scripted DNS. */
function openScripted(options: MtaStsOptions): MtaSts {
  const scripted = { ...SMALL, connect: noConnect, refreshInterval: 0, ...options }
  const sts = new MtaSts({ resolver: emptyResolver(), ...scripted })
  opened.push(sts)
  return sts
}

/** Caches the policy of bob's domain, just fetched; its traffic is not counted. */
async function holding(options: MtaStsOptions = {}): Promise<MtaSts> {
  const sts = open(options)
  await sts.getPolicy(bob.name)
  stage.world.forget()
  return sts
}

describe('one pass', () => {
  it('[STS-26] [STS-27] fetches a policy with the same id again: max_age restarts', async () => {
    const sts = await holding()
    stage.clock.advance(DAY)
    const result = listen('mta-sts:refresh')
    const summary = await sts.refresh()
    result.stop()
    expect(summary).toEqual({ ...NONE, checked: 1, renewed: 1 })
    expect(result.events).toEqual([summary])
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
    expect(await sts.getPolicy(bob.name)).toMatchObject({
      id: 'n1',
      source: 'cache',
      fetchedAt: new Date(stage.clock.now()),
      expiresAt: new Date(stage.clock.now() + WEEK),
    })
  })

  it('[STS-27] keeps a used policy alive as long as it is refreshed daily', async () => {
    const sts = await holding()
    for (let day = 1; day <= 60; day++) {
      stage.clock.advance(DAY)
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
    }
    bob.dns.fails('servfail')
    bob.policyHost.fails('down')
    stage.clock.advance(WEEK - 1)
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
  })

  it('[STS-30] counts a new id, or another text under the same id, as changed', async () => {
    const sts = await holding()
    bob.policy({ id: 'n2' })
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, changed: 1 })
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n2')
    // An operator who left the id unchanged
    bob.policy({ id: 'n2', patterns: ['mx7.example'] })
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, changed: 1 })
    expect(await sts.getPolicy(bob.name)).toMatchObject({ policy: { mx: ['mx7.example'] } })
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
  })

  it('[STS-30] replaces enforce by mode none', async () => {
    const sts = await holding()
    bob.policy({ mode: 'none', id: 'n2' })
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, changed: 1 })
    expect(said(await sts.getPolicy(bob.name))).toBe('none n2')
  })

  it('counts each domain exactly once', async () => {
    const carol = stage.domain(sibling('carol'), { mode: 'enforce', id: 'c1' })
    const dave = stage.domain(sibling('dave'), { mode: 'testing', id: 'd1' })
    const erin = stage.domain(sibling('erin'), { mode: 'enforce', maxAge: HOUR / 1000 })
    const sts = await holding()
    for (const { name } of [carol, dave, erin]) await sts.getPolicy(name)
    await sts.getPolicy('nobody.example')
    carol.policy({ id: 'c2' })
    dave.policyHost.fails('500')
    stage.clock.advance(DAY)
    expect(await sts.refresh()).toEqual({
      checked: 4,
      renewed: 1,
      changed: 1,
      failed: 1,
      dropped: 1,
    })
    // The dropped one is gone
    expect(await sts.refresh()).toEqual({
      checked: 3,
      renewed: 2,
      changed: 0,
      failed: 1,
      dropped: 0,
    })
  })

  it('does nothing without cached policies', async () => {
    const sts = open()
    await sts.getPolicy('nobody.example')
    expect(await sts.refresh()).toEqual(NONE)
  })

  it('is joined by a second call while it runs', async () => {
    const sts = await holding()
    const passes = await Promise.all([sts.refresh(), sts.refresh(), sts.refresh()])
    expect(passes).toEqual(new Array(3).fill({ ...NONE, checked: 1, renewed: 1 }))
    expect(stage.traffic(bob)).toEqual({ txt: 1, gets: 1 })
  })

  it('[STS-29] returns the policy at once to concurrent deliveries', async () => {
    const answer = deferred<string[][]>()
    const store = memoryStore()
    await store.set(bob.name, storedPolicy(stage.clock.now()))
    const resolver = scriptedResolver(() => announcing('stored1'))
    const sts = openScripted({ store, resolver, now: stage.clock.now })
    await sts.getPolicy(bob.name)
    await turns()
    resolver.script = () => answer.promise
    const pass = sts.refresh()
    await turns()
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
    answer.resolve([])
    expect(await pass).toEqual({ ...NONE, checked: 1, failed: 1 })
  })

  it('waits for a running recheck, then fetches the policy again', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const first = open({ store })
    await first.getPolicy(bob.name)
    stage.world.forget()
    const held = holdCalls(store, 'get')
    const sts = open({ store })
    const delivery = sts.getPolicy(bob.name)
    await held.begun
    const pass = sts.refresh()
    await turns()
    store.before = () => undefined
    held.release()
    expect(said(await delivery)).toBe('enforce n1')
    expect(await pass).toEqual({ ...NONE, checked: 1, renewed: 1 })
    expect(stage.gets(bob)).toBe(1)
  })
})

describe('a failure in a pass', () => {
  it.each(['nxdomain', 'two-records', 'malformed-record'] as const)(
    '[STS-55] TXT %s, policy host up: renewed for 30 days, reported, then left to expire',
    async (fault) => {
      const sts = await holding()
      const { name } = bob
      bob.dns.fails(fault)
      for (let day = 1; day <= 30; day++) {
        stage.clock.advance(DAY)
        expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
        expect(said(await sts.getPolicy(name))).toBe('enforce n1')
        expect(failures.events).toHaveLength(day)
      }
      stage.world.forget()
      for (let day = 31; day < 37; day++) {
        stage.clock.advance(DAY)
        expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, failed: 1 })
        expect(said(await sts.getPolicy(name))).toBe('enforce n1')
      }
      expect(stage.gets(bob)).toBe(0)
      stage.clock.advance(DAY)
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, dropped: 1 })
      expect((await sts.getPolicy(name)).status).toBe('none')
    },
  )

  it('[STS-55] a record that returns restarts the 30 days', async () => {
    const sts = await holding()
    for (let month = 0; month < 3; month++) {
      bob.dns.fails('nxdomain')
      for (let day = 1; day <= 29; day++) {
        stage.clock.advance(DAY)
        expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
        await sts.getPolicy(bob.name)
      }
      bob.dns.works()
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
    }
  })

  it('[STS-55] a restart does not restart the 30 days', async () => {
    const entries = new Map<string, StoredPolicy>()
    const store: PolicyStore = {
      get: async (policyDomain) => entries.get(policyDomain),
      set: async (policyDomain, entry) => void entries.set(policyDomain, entry),
      delete: async (policyDomain) => void entries.delete(policyDomain),
    }
    await (await holding({ store })).close()
    bob.dns.fails('nxdomain')
    for (let day = 1; day <= 36; day++) {
      stage.clock.advance(DAY)
      const sts = open({ store })
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
      const { renewed, failed } = await sts.refresh()
      expect([renewed, failed]).toEqual(day <= 30 ? [1, 0] : [0, 1])
      await sts.close()
    }
  })

  it.each(['servfail', 'refused'] as const)(
    '[STS-22] [STS-27] TXT %s, policy host up: renewed with the old id',
    async (fault) => {
      const sts = await holding()
      bob.dns.fails(fault)
      stage.clock.advance(6 * DAY)
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
      stage.clock.advance(6 * DAY)
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
      expect(stage.gets(bob)).toBe(1)
    },
  )

  it.each(['down', 'wrong-name', '500', 'html', 'invalid-policy'] as const)(
    '[STS-23] HTTPS %s: the old policy applies until it expires',
    async (fault) => {
      const sts = await holding()
      bob.policyHost.fails(fault)
      for (let day = 1; day < 7; day++) {
        stage.clock.advance(DAY)
        expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, failed: 1 })
        expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
      }
      stage.clock.advance(DAY)
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, dropped: 1 })
    },
  )

  it('[STS-28] is published and logged, with the policy that still applies', async () => {
    const { logger, lines } = recordingLogger()
    const sts = await holding({ logger })
    bob.policyHost.fails('500')
    await sts.refresh()
    expect(failures.events).toEqual([
      {
        policyDomain: bob.name,
        policy: {
          type: 'sts',
          domain: bob.name,
          mode: 'enforce',
          id: 'n1',
          mxHosts: [`mx.${bob.name}`],
          body: bob.policyFile,
        },
        failure: {
          resultType: 'sts-policy-fetch-error',
          reason: 'http-status-500',
          cause: expect.any(Error),
        },
      },
    ])
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      level: 'warn',
      entry: { tnx: 'mta-sts', policyDomain: bob.name, mode: 'enforce', err: expect.any(Error) },
    })
    expect(lines[0]?.text).toContain(bob.name)
    expect(lines[0]?.text).toContain('sts-policy-fetch-error (http-status-500)')
    expect(lines[0]?.text).toContain('its policy (enforce) still applies')
    expect(failureOf(await sts.getPolicy(bob.name))).toBe('sts-policy-fetch-error http-status-500')
  })

  it.each(['enforce', 'testing', 'none'] as const)(
    '[STS-28] is reported unless the cached mode is none: %s',
    async (mode) => {
      bob.policy({ mode, id: 'n2' })
      const { logger, lines } = recordingLogger()
      const sts = await holding({ logger })
      bob.policyHost.fails('500')
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, failed: 1 })
      stage.clock.advance(HOUR)
      bob.dns.fails('nxdomain')
      expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, failed: 1 })
      expect(failures.events).toHaveLength(mode === 'none' ? 0 : 2)
      expect(lines).toHaveLength(mode === 'none' ? 0 : 2)
    },
  )

  it('[STS-16] a GET that failed lately is not tried again', async () => {
    const sts = await holding()
    bob.policyHost.fails('500')
    await sts.refresh()
    bob.policyHost.works()
    stage.clock.advance(5 * MINUTE - 1)
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, failed: 1 })
    expect(stage.gets(bob)).toBe(1)
    stage.clock.advance(1)
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
    expect(stage.gets(bob)).toBe(2)
  })

  it('one failing domain does not delay the others', async () => {
    const sts = await holding()
    const others = ['x', 'y', 'z'].map((label) => stage.domain(sibling(label)))
    for (const { name } of others) await sts.getPolicy(name)
    bob.policyHost.fails('down')
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 4, renewed: 3, failed: 1 })
  })

  it('never rejects, whatever the resolver returns', async () => {
    const store = memoryStore()
    await store.set(bob.name, storedPolicy(stage.clock.now()))
    for (const garbage of [null, 5, 'text', {}, [null], [['v=STSv1; id=x;', 5]], [[Symbol()]]]) {
      const resolver = scriptedResolver(() => garbage)
      const sts = openScripted({ store, resolver, now: stage.clock.now })
      expect(await sts.refresh()).toMatchObject({ checked: 1 })
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
    }
  })

  it('never rejects, whatever the store does', async () => {
    for (const list of [
      () => {
        throw new Error('no list today')
      },
      async function* () {
        yield undefined as unknown as [string, never]
      },
    ]) {
      const sts = openScripted({ store: listing(list) })
      expect(await sts.refresh()).toEqual(NONE)
    }
  })
})

describe('unused policies', () => {
  it('[STS-27] expire when they were not used for 30 days', async () => {
    bob.policy({ id: 'n2', maxAge: (100 * DAY) / 1000 })
    const sts = await holding()
    stage.clock.advance(30 * DAY)
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
    // A refresh is not a use: 30 days from the delivery
    stage.clock.advance(1)
    stage.world.forget()
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1 })
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
    // It still applies; and now it is used again
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n2')
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
  })

  it('count as used after a restart, with the store', async () => {
    bob.policy({ id: 'n2', maxAge: (100 * DAY) / 1000 })
    const store = memoryStore({ now: stage.clock.now })
    await holding({ store })
    stage.clock.advance(30 * DAY + 1)
    expect(await open({ store }).refresh()).toEqual({ ...NONE, checked: 1 })
    stage.clock.advance(-1)
    expect(await open({ store }).refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
  })
})

describe('with a store', () => {
  it('refreshes policies that only the store has', async () => {
    const store = memoryStore({ now: stage.clock.now })
    await holding({ store })
    stage.clock.advance(6 * DAY)
    expect(await open({ store }).refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
    expect(await store.get(bob.name)).toMatchObject({
      fetchedAt: stage.clock.now(),
      expiresAt: stage.clock.now() + WEEK,
    })
  })

  it('ignores expired policies of the store', async () => {
    const store = memoryStore({ now: stage.clock.now })
    await holding({ store })
    stage.clock.advance(WEEK)
    expect(await open({ store }).refresh()).toEqual(NONE)
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
  })

  it('[STS-33] two processes make one GET for each policy, and share its result', async () => {
    const store = memoryStore({ now: stage.clock.now })
    const carol = stage.domain(sibling('carol'))
    const one = open({ store })
    const two = open({ store })
    for (const sts of [one, two]) {
      for (const { name } of [bob, carol]) await sts.getPolicy(name)
      // After the background rechecks have ended
      await sts.refresh()
    }
    stage.clock.advance(DAY)
    stage.world.forget()
    expect(await one.refresh()).toEqual({ ...NONE, checked: 2, renewed: 2 })
    expect(await two.refresh()).toEqual({ ...NONE, checked: 2 })
    expect([stage.gets(bob), stage.gets(carol)]).toEqual([1, 1])
    const fetchedAt = new Date(stage.clock.now())
    for (const sts of [one, two]) {
      expect(await sts.getPolicy(bob.name)).toMatchObject({ source: 'cache', fetchedAt })
    }
  })

  it('[STS-33] two concurrent processes make one GET, by the owner of the lock', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const one = open({ store })
    const two = open({ store })
    for (const sts of [one, two]) {
      await sts.getPolicy(bob.name)
      await sts.refresh()
    }
    stage.clock.advance(DAY)
    stage.world.forget()
    const summaries = await Promise.all([one.refresh(), two.refresh()])
    expect(stage.gets(bob)).toBe(1)
    expect(summaries.map(({ checked }) => checked)).toEqual([1, 1])
    expect(summaries.map(({ renewed }) => renewed).sort()).toEqual([0, 1])
    for (const sts of [one, two]) expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
    expect(store.count('lock')).toBeGreaterThan(0)
    expect(store.count('release')).toBeGreaterThan(0)
  })

  it('respects a lock of another process', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const sts = await holding({ store })
    stage.clock.advance(DAY)
    await store.inner.lock?.(`refresh:${bob.name}`, HOUR)
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1 })
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
    // Until its time is over, whatever happened to that process
    stage.clock.advance(HOUR)
    expect(await sts.refresh()).toEqual({ ...NONE, checked: 1, renewed: 1 })
  })

  it('locks one policy each, for long enough, and releases the lock', async () => {
    const locks: Array<{ name: string; ttl: number }> = []
    const store = watchedStore({ now: stage.clock.now })
    const { lock } = store
    store.lock = (name, ttl) => {
      locks.push({ name, ttl })
      return lock(name, ttl)
    }
    const carol = stage.domain(sibling('carol'))
    const sts = await holding({ store, dnsTimeout: 1000, fetchTimeout: 10_000 })
    await sts.getPolicy(carol.name)
    await sts.refresh()
    expect(locks.map(({ name }) => name).sort()).toEqual(
      [bob.name, carol.name].map((name) => `refresh:${name}`).sort(),
    )
    // One TXT lookup and one GET fit in
    for (const { ttl } of locks) expect(ttl).toBeGreaterThanOrEqual(11_000)
    expect(store.count('release')).toBe(2)
  })

  it('[STS-33] gives a delivery the policy that only the store has, during its refresh', async () => {
    const store = watchedStore({ now: stage.clock.now })
    await store.inner.set(bob.name, storedPolicy(stage.clock.now(), { id: 'n1' }))
    const held = holdCalls(store, 'lock')
    // Another process is renewing it
    await store.inner.lock?.(`refresh:${bob.name}`, HOUR)
    const sts = open({ store })
    const pass = sts.refresh()
    await held.begun
    const delivery = sts.getPolicy(bob.name)
    await turns()
    held.release()
    expect(said(await delivery)).toBe('enforce n1')
    await pass
  })

  it('[STS-33] gives it to a delivery at any moment', async () => {
    const answers: string[] = []
    // The delivery comes this many turns of the microtask queue after the lock was refused
    for (let moment = 0; moment < 40; moment++) {
      const store = watchedStore({ now: stage.clock.now })
      await store.inner.set(bob.name, storedPolicy(stage.clock.now()))
      const locking = deferred()
      const begun = deferred()
      store.lock = async () => {
        begun.resolve()
        await locking.promise
        return undefined
      }
      const sts = openScripted({ store, now: stage.clock.now })
      const pass = sts.refresh()
      await begun.promise
      await turns()
      locking.resolve()
      for (let turn = 0; turn < moment; turn++) await undefined
      answers.push(said(await sts.getPolicy(bob.name)))
      await pass
    }
    expect(answers).toEqual(new Array(40).fill('enforce stored1'))
  })

  it('[STS-22] gives it when its record is gone', async () => {
    const store = watchedStore({ now: stage.clock.now })
    await store.inner.set(bob.name, storedPolicy(stage.clock.now()))
    const answer = deferred<string[][]>()
    const resolver = scriptedResolver(() => answer.promise)
    const sts = openScripted({ store, resolver, now: stage.clock.now })
    const pass = sts.refresh()
    await turns()
    const delivery = sts.getPolicy(bob.name)
    await turns()
    answer.resolve([])
    expect(said(await delivery)).toBe('enforce stored1')
    await pass
  })

  it('[STS-25] gives a delivery the current result during the refresh of an expired policy', async () => {
    const store = watchedStore({ now: stage.clock.now })
    const sts = await holding({ store })
    stage.clock.advance(WEEK)
    bob.policy({ id: 'n2' })
    const held = holdCalls(store, 'lock')
    const pass = sts.refresh()
    await held.begun
    const delivery = sts.getPolicy(bob.name)
    await turns()
    held.release()
    expect(said(await delivery)).toBe('enforce n2')
    expect(await pass).toMatchObject({ checked: 1 })
  })

  it('[STS-33] does not restore an older policy from an outdated list', async () => {
    const store = watchedStore({ now: stage.clock.now })
    bob.policy({ mode: 'testing', id: 'old' })
    await holding({ store })
    const stale = await store.inner.get(bob.name)
    if (stale === undefined) throw new Error('the policy was not stored')
    const sts = open({ store })
    store.list = async function* () {
      // Between the snapshot and its end, a delivery caches the new policy
      bob.policy({ mode: 'enforce', id: 'n2' })
      await sts.getPolicy(bob.name)
      yield [bob.name, stale]
    }
    store.lock = async () => undefined
    await sts.refresh()
    await vi.waitFor(async () => {
      expect(said(await sts.getPolicy(bob.name))).toBe('enforce n2')
    }, 60_000)
  })
})

describe('in the background', () => {
  it('runs only a few renewals at a time', async () => {
    const store = memoryStore()
    const clock = new ManualClock()
    for (let index = 0; index < 200; index++) {
      await store.set(`d${index}.example`, storedPolicy(clock.now()))
    }
    let waiting: Array<(answer: Error) => void> = []
    let most = 0
    const resolver = scriptedResolver(
      () =>
        new Promise((resolve) => {
          waiting.push(resolve)
          most = Math.max(most, waiting.length)
        }),
    )
    const sts = openScripted({ store, resolver, now: clock.now, maxPolicies: 300 })
    const pass = sts.refresh()
    while (await isPending(pass)) {
      const answers = waiting
      waiting = []
      for (const answer of answers) answer(dnsError('ENOTFOUND'))
    }
    expect(await pass).toEqual({ ...NONE, checked: 200, failed: 200 })
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(32)
  })

  it('[STS-27] runs automatically, about once in refreshInterval, at unpredictable times', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const interval = 100_000
    const step = 1000
    let time = 0
    const passes = Array.from({ length: 60 }, () => {
      const times: number[] = []
      const store = listing(noEntries(() => times.push(time)))
      openScripted({ store, refreshInterval: interval })
      return times
    })
    for (; time < 5 * interval; time += step) await vi.advanceTimersByTimeAsync(step)

    const firsts = passes.map((times) => times[0] ?? Number.POSITIVE_INFINITY)
    expect(Math.max(...firsts)).toBeLessThanOrEqual(interval)
    const pauses = passes.flatMap((times) =>
      times.slice(1).map((at, index) => at - (times[index] ?? 0)),
    )
    expect(pauses.length).toBeGreaterThanOrEqual(60 * 3)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(0.8 * interval - step)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1.2 * interval + step)
    // Spread out: processes that start together do not meet, and none is regular
    expect(new Set(firsts).size).toBeGreaterThan(20)
    expect(new Set(pauses).size).toBeGreaterThan(20)
  })

  it('[STS-27] fetches automatically what would expire', async () => {
    bob.policy({ id: 'n2' })
    const sts = await holding({ refreshInterval: 20 })
    stage.clock.advance(6 * DAY)
    const fetchedAt = new Date(stage.clock.now())
    await vi.waitFor(() => expect(stage.gets(bob)).toBeGreaterThan(0), 60_000)
    await vi.waitFor(
      async () => expect(await sts.getPolicy(bob.name)).toMatchObject({ fetchedAt }),
      60_000,
    )
  })

  it('goes on after a pass in which everything failed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const clock = new ManualClock()
    const store = memoryStore()
    await store.set(bob.name, storedPolicy(clock.now() - DAY))
    const resolver = scriptedResolver(() => dnsError('ENOTFOUND'))
    openScripted({ store, resolver, now: clock.now, refreshInterval: 1000 })
    const results = listen('mta-sts:refresh')
    await vi.advanceTimersByTimeAsync(10_000)
    results.stop()
    expect(results.events.length).toBeGreaterThanOrEqual(7)
    expect(results.events.every(({ failed }) => failed === 1)).toBe(true)
  })

  it('runs only by refresh() with refreshInterval 0', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let lists = 0
    const list = noEntries(() => lists++)
    const sts = openScripted({ store: listing(list), refreshInterval: 0 })
    await vi.advanceTimersByTimeAsync(10 * DAY)
    expect(lists).toBe(0)
    await sts.refresh()
    expect(lists).toBe(1)
  })

  it('does not run continuously with an interval of more than 24.8 days', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let lists = 0
    const list = noEntries(() => lists++)
    openScripted({ store: listing(list), refreshInterval: 1000 * DAY })
    await vi.advanceTimersByTimeAsync(50 * DAY)
    expect(lists).toBeLessThanOrEqual(3)
  })

  it('ends with close()', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let lists = 0
    const list = noEntries(() => lists++)
    const sts = openScripted({ store: listing(list), refreshInterval: 1000 })
    await vi.advanceTimersByTimeAsync(5000)
    expect(lists).toBeGreaterThan(2)
    const before = lists
    await sts.close()
    await vi.advanceTimersByTimeAsync(100_000)
    expect(lists).toBe(before)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('close() waits for the running pass, which skips the remaining policies', async () => {
    const clock = new ManualClock()
    const store = memoryStore()
    for (let index = 0; index < 100; index++) {
      await store.set(`d${index}.example`, storedPolicy(clock.now()))
    }
    const answer = deferred<Error>()
    const resolver = scriptedResolver(() => answer.promise)
    const sts = openScripted({ store, resolver, now: clock.now })
    const pass = sts.refresh()
    await turns()
    const begun = resolver.asked.length
    expect(begun).toBeGreaterThan(0)
    const closed = sts.close()
    expect(await isPending(closed)).toBe(true)
    answer.resolve(dnsError('ENOTFOUND'))
    await closed
    expect((await pass).checked).toBe(begun)
    expect(resolver.asked).toHaveLength(begun)
  })

  it('close() aborts a running GET', async () => {
    const sts = await holding()
    bob.policyHost.fails('drip')
    const pass = sts.refresh()
    await vi.waitFor(() => expect(stage.gets(bob)).toBe(1), 60_000)
    // The GET has 15 seconds, of a timer that does not run
    await sts.close()
    expect(await pass).toEqual({ ...NONE, checked: 1, failed: 1 })
  })

  it('does not use the store after close(), whatever is still running', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    await store.inner.set(bob.name, storedPolicy(clock.now()))
    const answer = deferred<string[][]>()
    const resolver = scriptedResolver(() => answer.promise)
    const sts = openScripted({ store, resolver, now: clock.now })
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce stored1')
    const closed = sts.close()
    await turns()
    answer.resolve(announcing('another'))
    await closed
    await turns()
    expect(store.calls.at(-1)).toBe('close')
  })

  it('keeps no process alive', async () => {
    // Neither the timer of the refresh nor the work of a delivery
    const program = `
      import { MtaSts } from './src/index.ts'
      const absent = async () => { throw Object.assign(new Error('none'), { code: 'ENOTFOUND' }) }
      const resolver = { resolveTxt: absent, resolveMx: absent, resolve4: absent, resolve6: absent }
      const sts = new MtaSts({ resolver })
      new MtaSts({ resolver, refreshInterval: 3_600_000 })
      console.log((await sts.getPolicy('bob.example')).reason)
    `
    const tsx = import.meta.resolve('tsx')
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', tsx, '--input-type=module', '--eval', program],
      { timeout: 25_000, killSignal: 'SIGKILL' },
    )
    expect(stdout.trim()).toBe('no-record')
  })
})

/** A list without entries that reports when it is read. */
function noEntries(read: () => unknown): () => AsyncGenerator<[string, never]> {
  return async function* () {
    read()
    yield* []
  }
}

/** A store without `due`. */
function listing(list: NonNullable<PolicyStore['list']>): PolicyStore {
  const { due: _, ...store } = memoryStore()
  return { ...store, list }
}

it('begins a pass outside of the async context of the delivery that asks for it', async () => {
  const context = new AsyncLocalStorage<string>()
  const contexts: Array<string | undefined> = []
  vi.spyOn(Math, 'random').mockReturnValue(0.99)
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((_: () => void) => {
    contexts.push(context.getStore())
    return { unref: () => {} }
  }) as typeof setTimeout)
  onTestFinished(() => void vi.restoreAllMocks())
  const refresher = new Refresher({} as PolicyCache, { interval: DAY, now: Date.now })

  context.run('delivery', () => refresher.within(HOUR))

  expect(contexts).toEqual([undefined, undefined])
})

/**
 * A model of the promise: several senders that share a store, driven in random order through
 * deliveries, rechecks, passes, restarts, clock changes, failures and forgeries. After each step, no
 * sender may decide by less than the policy that it, or the store that it can read, knows.
 */
import { setMaxListeners } from 'node:events'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { FoundPolicy, PolicyLookup } from '../../src/policy/lookup.js'
import { Refresher } from '../../src/policy/renewal.js'
import { type PolicyStore, type StoredPolicy, startOf } from '../../src/policy/store.js'
import type { MailDomain, NamedPolicyHostFault } from '../../src/testing/index.js'
import {
  announcing,
  type CacheUnderTest,
  DAY,
  dnsError,
  HOUR,
  ManualClock,
  MINUTE,
  makeCache,
  type Stage,
  scriptedResolver,
} from './scripted-network.js'

const SENDERS = 2

/** The last policy that a sender learnt, which binds it. */
interface Known {
  /** Position in the order in which the domain published its policies */
  sequence: number
  mode: string
  fetchedAt: number
  expiresAt: number
}

interface Sender {
  under: CacheUnderTest
  known: Known | undefined
  /** Has no answer of the store yet */
  isNew: boolean
}

type Txt = 'right' | 'old' | 'gone' | 'failed' | 'doubled' | 'garbage'
type StoreState = 'well' | 'rejects' | 'garbage'

const TXT: readonly Txt[] = ['right', 'old', 'gone', 'failed', 'doubled', 'garbage']
const HTTPS = [undefined, '500', 'down', 'wrong-name', 'invalid-policy'] as const
const STORE: readonly StoreState[] = ['well', 'rejects', 'garbage']
const MODES = ['enforce', 'testing', 'none'] as const
const MAX_AGES = [HOUR, DAY, 7 * DAY, 60 * DAY]

/** The world that the commands act on. */
class World {
  readonly clock = new ManualClock()
  readonly senders: Sender[] = []
  readonly #entries = new Map<string, StoredPolicy>()
  #removedAt: number | undefined
  #sequence = 0
  #id = 'i0'
  #oldId = 'i0'
  #txt: Txt = 'right'
  #store: StoreState = 'well'
  readonly #bob: MailDomain
  readonly #stage: Stage

  constructor(stage: Stage, bob: MailDomain) {
    this.#stage = stage
    this.#bob = bob
    bob.policyHost.works()
    this.publish('enforce', 7 * DAY, true)
    for (let index = 0; index < SENDERS; index++) {
      this.senders.push({ under: this.#start(), known: undefined, isNew: true })
    }
  }

  publish(mode: string, maxAge: number, newId: boolean): void {
    this.#sequence++
    if (newId) {
      this.#oldId = this.#id
      this.#id = `i${this.#sequence}`
    }
    const body = [
      'version: STSv1',
      `mode: ${mode}`,
      'mx: mx.bob.example',
      `max_age: ${maxAge / 1000}`,
      `x_sequence: ${this.#sequence}`,
      '',
    ]
    this.#body = body.join('\n')
    this.https(this.#fault)
  }
  #body = ''
  #fault: NamedPolicyHostFault | undefined

  txt(state: Txt): void {
    this.#txt = state
  }

  https(fault: NamedPolicyHostFault | undefined): void {
    this.#fault = fault
    this.#bob.policyHost.works()
    if (fault === undefined) {
      const headers = { 'content-type': 'text/plain' }
      this.#bob.policyHost.fails({ status: 200, headers, body: this.#body })
    } else this.#bob.policyHost.fails(fault)
  }

  store(state: StoreState): void {
    this.#store = state
  }

  /** An operator removes the policy: earlier ones may be dropped at any time. */
  remove(): void {
    this.#entries.clear()
    this.#removedAt = this.clock.now()
  }

  /** A clock that is set back makes policies from the future as old as it is now. */
  jump(milliseconds: number): void {
    this.clock.advance(milliseconds)
    const now = this.clock.now()
    for (const { known } of this.senders) {
      if (!known || known.fetchedAt <= now) continue
      known.expiresAt = Math.min(known.expiresAt, known.expiresAt - known.fetchedAt + now - MINUTE)
      known.fetchedAt = now
    }
  }

  /** Ends a sender while it looks a policy up, and starts another one in its place. */
  async restart(index: number): Promise<void> {
    const sender = this.#sender(index)
    const lookup = Promise.resolve(sender.under.cache.lookAgain(DOMAIN))
    sender.under.closing.abort()
    await expect(lookup).rejects.toMatchObject({ code: 'ECLOSED' })
    await expect(async () => sender.under.cache.get(DOMAIN)).rejects.toMatchObject({
      code: 'ECLOSED',
    })
    sender.under = this.#start()
    sender.known = undefined
    sender.isNew = true
  }

  async deliver(index: number): Promise<void> {
    const sender = this.#sender(index)
    this.#readStore(sender)
    this.#judge(sender, await sender.under.cache.get(DOMAIN))
  }

  async lookAgain(index: number, mismatch: boolean): Promise<void> {
    const sender = this.#sender(index)
    this.#readStore(sender)
    this.#judge(sender, await sender.under.cache.lookAgain(DOMAIN, { mismatch }))
  }

  async refresh(index: number): Promise<void> {
    const { cache } = this.#sender(index).under
    await new Refresher(cache, { interval: 0, now: this.clock.now }).run()
    await this.settle()
  }

  /** The decisions of two deliveries at the same time are the same. */
  async race(): Promise<void> {
    for (const sender of this.senders) {
      const { cache } = sender.under
      this.#readStore(sender)
      const lookups = await Promise.all([
        cache.get(DOMAIN),
        cache.lookAgain(DOMAIN),
        cache.renew(DOMAIN).then(() => cache.get(DOMAIN)),
        cache.get(DOMAIN),
      ])
      for (const lookup of [lookups[0], lookups[3]]) this.#judge(sender, lookup)
    }
  }

  /** Everything works again: after the waits, each sender knows what the domain publishes. */
  async heal(): Promise<void> {
    this.txt('right')
    this.https(undefined)
    this.store('well')
    this.clock.advance(3 * HOUR)
    for (const sender of this.senders) {
      this.#readStore(sender)
      await sender.under.cache.get(DOMAIN)
      const lookup = await sender.under.cache.lookAgain(DOMAIN, { mismatch: true })
      this.#judge(sender, lookup)
      expect(sequenceOf(lookup)).toBe(this.#sequence)
    }
  }

  /** Waits for background work, which commands would otherwise race with. */
  async settle(): Promise<void> {
    for (const { under } of this.senders) {
      while (under.cache.busy) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    // A policy that was published later may have been fetched in the background, with a shorter life
    for (const sender of this.senders) {
      if (sender.under.closing.signal.aborted) continue
      const lookup = sender.under.cache.peek(DOMAIN)
      if (lookup?.status !== 'found') continue
      const sequence = sequenceOf(lookup)
      if (sequence > (sender.known?.sequence ?? 0)) sender.known = knownFrom(lookup)
    }
    this.#stage.world.forget()
  }

  async close(): Promise<void> {
    for (const { under } of this.senders) under.closing.abort()
    await this.settle()
  }

  #sender(index: number): Sender {
    const sender = this.senders[index % SENDERS]
    if (sender === undefined) throw new Error('no such sender')
    return sender
  }

  /** A new sender learns the content of the store, once that answers. */
  #readStore(sender: Sender): void {
    if (!sender.isNew || this.#store !== 'well') return
    sender.isNew = false
    sender.known = this.#knownToStore()
  }

  #judge(sender: Sender, lookup: PolicyLookup): void {
    const now = this.clock.now()
    const { known } = sender
    const removed = known && this.#removedAt !== undefined && this.#removedAt >= known.fetchedAt
    if (known && !removed && now < known.expiresAt && known.mode !== 'none') {
      // The promise: the known policy applies, or a later one
      expect(lookup.status).toBe('found')
      expect(sequenceOf(lookup)).toBeGreaterThanOrEqual(known.sequence)
    }
    if (lookup.status === 'none') {
      if (known && now >= known.expiresAt) sender.known = undefined
      return
    }
    // An expired policy never applies, and no policy outlives its max_age
    const { sequence, fetchedAt, expiresAt } = knownFrom(lookup)
    expect(fetchedAt).toBeLessThanOrEqual(now)
    expect(expiresAt).toBeGreaterThan(now)
    expect(expiresAt - fetchedAt).toBe(lookup.policy.maxAge * 1000)
    expect(sequence).toBeLessThanOrEqual(this.#sequence)
    sender.isNew = false
    sender.known = knownFrom(lookup)
  }

  /** The policy that a new sender learns from the store, when that answers. */
  #knownToStore(): Known | undefined {
    const entry = this.#entries.get(DOMAIN)
    if (entry === undefined) return undefined
    const now = this.clock.now()
    const fetchedAt = Math.min(entry.fetchedAt, now)
    const maxAge = entry.expiresAt - entry.fetchedAt
    return {
      sequence: Number(/x_sequence: (\d+)/.exec(entry.body)?.[1]),
      mode: /mode: (\w+)/.exec(entry.body)?.[1] ?? '',
      fetchedAt,
      expiresAt: entry.fetchedAt > now ? now + maxAge : fetchedAt + maxAge,
    }
  }

  #start(): CacheUnderTest {
    const resolver = scriptedResolver((question) => {
      const [type = ''] = question.split(' ')
      if (type === 'AAAA') return dnsError('ENODATA')
      if (type === 'A') return [this.#bob.policyHost.ipv4]
      switch (this.#txt) {
        case 'right':
          return announcing(this.#id)
        case 'old':
          return announcing(this.#oldId)
        case 'gone':
          return dnsError('ENOTFOUND')
        case 'failed':
          return dnsError('ESERVFAIL')
        case 'doubled':
          return [...announcing(this.#id), ...announcing(this.#oldId)]
        case 'garbage':
          return [null]
      }
    })
    const under = makeCache({
      ...this.#stage.options(),
      resolver,
      now: this.clock.now,
      store: this.#policyStore(),
    })
    setMaxListeners(0, under.closing.signal)
    return under
  }

  #policyStore(): PolicyStore {
    const mustBeWell = () => {
      if (this.#store === 'rejects') throw new Error('the store is down')
    }
    return {
      get: async (policyDomain) => {
        mustBeWell()
        const entry = this.#entries.get(policyDomain)
        return entry && this.#store === 'garbage' ? { ...entry, body: 'garbage' } : entry
      },
      set: async (policyDomain, entry, before) => {
        mustBeWell()
        const now = this.clock.now()
        const kept = this.#entries.get(policyDomain)
        const removedAt = this.#removedAt ?? Number.NEGATIVE_INFINITY
        if (removedAt >= startOf(entry) && removedAt <= now) return false
        const follows =
          kept && before && startOf(kept) === startOf(before) && kept.body === before.body
        const isOlder = kept && startOf(kept) > startOf(entry) && startOf(kept) <= now + HOUR
        if (isOlder && !follows) return false
        this.#entries.set(policyDomain, entry)
        return true
      },
      delete: async () => this.remove(),
      removedAt: async () => {
        mustBeWell()
        return this.#removedAt
      },
      list: async function* (this: void) {},
    }
  }
}

const DOMAIN = 'model.example'

function sequenceOf(lookup: PolicyLookup): number {
  if (lookup.status === 'none') throw new Error(`no policy (${lookup.reason})`)
  return Number(lookup.policy.extensions?.find(({ name }) => name === 'x_sequence')?.value)
}

function knownFrom(lookup: FoundPolicy): Known {
  return {
    sequence: sequenceOf(lookup),
    mode: lookup.policy.mode,
    fetchedAt: lookup.fetchedAt.getTime(),
    expiresAt: lookup.expiresAt.getTime(),
  }
}

type Command = fc.AsyncCommand<object, World>

function command(name: string, act: (world: World) => Promise<void> | void): Command {
  return {
    check: () => true,
    run: async (_, world) => {
      await act(world)
      await world.settle()
    },
    toString: () => name,
  }
}

const sender = fc.nat({ max: SENDERS - 1 })

const COMMANDS = [
  sender.map((index) => command(`deliver ${index}`, (world) => world.deliver(index))),
  sender.map((index) => command(`deliver ${index} `, (world) => world.deliver(index))),
  fc
    .tuple(sender, fc.boolean())
    .map(([index, mismatch]) =>
      command(`lookAgain ${index} ${mismatch}`, (world) => world.lookAgain(index, mismatch)),
    ),
  sender.map((index) => command(`refresh ${index}`, (world) => world.refresh(index))),
  sender.map((index) => command(`restart ${index}`, (world) => world.restart(index))),
  fc.constant(command('race', (world) => world.race())),
  fc.constant(command('heal', (world) => world.heal())),
  fc
    .constantFrom(MINUTE, 6 * MINUTE, HOUR, 12 * HOUR, DAY, 3 * DAY)
    .map((by) => command(`advance ${by}`, (world) => world.clock.advance(by))),
  fc
    .constantFrom(-60 * DAY, -2 * DAY, -2 * HOUR, -30 * MINUTE, -1000, 30 * DAY)
    .map((by) => command(`jump ${by}`, (world) => world.jump(by))),
  fc.constantFrom(...TXT).map((state) => command(`txt ${state}`, (world) => world.txt(state))),
  fc
    .constantFrom(...HTTPS)
    .map((fault) => command(`https ${fault}`, (world) => world.https(fault))),
  fc
    .constantFrom(...STORE)
    .map((state) => command(`store ${state}`, (world) => world.store(state))),
  fc
    .tuple(fc.constantFrom(...MODES), fc.constantFrom(...MAX_AGES), fc.boolean())
    .map(([mode, maxAge, newId]) =>
      command(`publish ${mode} ${maxAge} ${newId}`, (world) => world.publish(mode, maxAge, newId)),
    ),
  fc.constant(command('remove', (world) => world.remove())),
]

/** Runs at least this many random commands. Returns their number. */
export async function runModel(stage: Stage, steps: number, seed: number): Promise<number> {
  const bob = stage.domain(DOMAIN, { mode: 'enforce' })
  let done = 0
  const property = fc.asyncProperty(
    fc.commands(COMMANDS, { maxCommands: 100, size: 'max' }),
    async (commands) => {
      const world = new World(stage, bob)
      try {
        await fc.asyncModelRun(() => ({ model: {}, real: world }), commands)
      } finally {
        await world.close()
      }
      done += [...commands].length
    },
  )
  for (let run = 0; done < steps; run++)
    await fc.assert(property, { numRuns: 20, seed: seed + run })
  return done
}

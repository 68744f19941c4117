/** Scripted clock, network and store of the policy cache's tests. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { promises as dns } from 'node:dns'
import { setMaxListeners } from 'node:events'
import type { Resolver } from '../../src/dns/resolver.js'
import type { EventMap, EventName } from '../../src/events.js'
import type { Logger } from '../../src/logger.js'
import { type MtaStsOptions, resolveOptions } from '../../src/options.js'
import { type CacheOptions, PolicyCache } from '../../src/policy/cache.js'
import { plainFailure } from '../../src/policy/failure.js'
import type { FetchOptions } from '../../src/policy/fetch.js'
import { GuardedStore } from '../../src/policy/guarded-store.js'
import type { PolicyLookup } from '../../src/policy/lookup.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import {
  createMailWorld,
  type DomainOptions,
  type MailDomain,
  type MailWorld,
} from '../../src/testing/index.js'
import type { TlsFailure } from '../../src/tls/failures.js'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** Default `max_age` of a world's policies. */
export const WEEK = 7 * DAY

/**
 * A clock that stands still until a test advances it; far from the real one, so that a mix-up
 * shows.
 */
export class ManualClock {
  #now = Date.UTC(2040, 0, 1)
  readonly now = (): number => this.#now

  advance(milliseconds: number): void {
    this.#now += milliseconds
  }
}

export interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  if (settle === undefined) throw new Error('a promise did not call its executor')
  return { promise, ...settle }
}

/** Whether a promise is still pending after everything that is ready has run. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true
  const done = () => {
    pending = false
  }
  promise.then(done, done)
  await turns()
  return pending
}

/** Runs everything that waits for no timer and no socket. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

export function dnsError(code: string): Error {
  return Object.assign(new Error(`queryTxt ${code}`), { code })
}

/** A TXT answer that announces a policy. */
export function announcing(id: string): string[][] {
  return [[`v=STSv1; id=${id};`]]
}

/** Answers `TXT _mta-sts.bob.example` and the like; an Error is what the lookup rejects with. */
export type Script = (question: string) => unknown

export interface ScriptedResolver extends Resolver {
  /** The questions, in order */
  readonly asked: string[]
  script: Script
  count(question: string): number
}

/** A resolver without sockets. The results of its script are passed on unchecked. */
export function scriptedResolver(script: Script): ScriptedResolver {
  const ask = async (question: string) => {
    resolver.asked.push(question)
    const answer = await resolver.script(question)
    if (answer instanceof Error) throw answer
    return answer
  }
  const resolver: ScriptedResolver = {
    asked: [],
    script,
    count: (question) => resolver.asked.filter((other) => other === question).length,
    resolveTxt: (name) => ask(`TXT ${name}`) as Promise<string[][]>,
    resolveMx: (name) => ask(`MX ${name}`) as Promise<[]>,
    resolve4: (name) => ask(`A ${name}`) as Promise<string[]>,
    resolve6: (name) => ask(`AAAA ${name}`) as Promise<string[]>,
  }
  return resolver
}

/** A resolver without any name. */
export function emptyResolver(): ScriptedResolver {
  return scriptedResolver(() => dnsError('ENOTFOUND'))
}

/** A `connect` for tests in which nothing may be connected to. */
export function noConnect(): never {
  throw new Error('nothing may be connected to in this test')
}

export interface PolicyText {
  mode?: string
  mx?: string
  /** Seconds */
  maxAge?: number
}

export function policyText({
  mode = 'enforce',
  mx = 'mx.bob.example',
  maxAge = WEEK / 1000,
}: PolicyText = {}): string {
  return `version: STSv1\r\nmode: ${mode}\r\nmx: ${mx}\r\nmax_age: ${maxAge}\r\n`
}

/** A stored policy, fetched at `fetchedAt`. */
export function storedPolicy(
  fetchedAt: number,
  changes: Partial<StoredPolicy> & { text?: PolicyText } = {},
): StoredPolicy {
  const { text, ...rest } = changes
  const body = policyText(text)
  const expiresAt = fetchedAt + (text?.maxAge ?? WEEK / 1000) * 1000
  return { id: 'stored1', body, fetchedAt, expiresAt, usedAt: fetchedAt, ...rest }
}

export type StoreMethod = 'get' | 'set' | 'delete' | 'list' | 'lock' | 'release' | 'close'

export interface WatchedStore extends PolicyStore {
  lock(name: string, ttl: number): Promise<(() => Promise<void>) | undefined>
  /** `get bob.example`, in order */
  readonly calls: string[]
  readonly inner: PolicyStore
  /** Called before each call is carried out, and awaited: to delay it, or to throw */
  before: (method: StoreMethod, what: string) => unknown
  count(method: StoreMethod): number
}

/** A memory store that records its calls and can be delayed. */
export function watchedStore(options: { now?: () => number } = {}): WatchedStore {
  const inner = memoryStore(options)
  const note = async (method: StoreMethod, what = '') => {
    store.calls.push(`${method} ${what}`.trim())
    await store.before(method, what)
  }
  const store: WatchedStore = {
    calls: [],
    inner,
    before: () => undefined,
    count: (method) => store.calls.filter((call) => call.split(' ')[0] === method).length,
    async get(policyDomain) {
      await note('get', policyDomain)
      return inner.get(policyDomain)
    },
    async set(policyDomain, entry, before) {
      await note('set', policyDomain)
      return inner.set(policyDomain, entry, before)
    },
    async delete(policyDomain) {
      await note('delete', policyDomain)
      await inner.delete(policyDomain)
    },
    async *list() {
      await note('list')
      if (inner.list) yield* inner.list()
    },
    async lock(name, ttl) {
      await note('lock', name)
      const release = await inner.lock?.(name, ttl)
      if (release === undefined) return undefined
      return async () => {
        await note('release', name)
        await release()
      }
    },
    async close() {
      await note('close')
    },
  }
  return store
}

/** Holds the calls of one method until they are released; `begun` resolves with the first call. */
export function holdCalls(
  store: WatchedStore,
  method: StoreMethod,
): { begun: Promise<void>; release(): void } {
  const begun = deferred()
  const released = deferred()
  store.before = (called) => {
    if (called !== method) return undefined
    begun.resolve()
    return released.promise
  }
  return { begun: begun.promise, release: () => released.resolve() }
}

export interface Listener<K extends EventName> {
  readonly events: Array<EventMap[K]>
  stop(): void
}

/** Records the events of a channel. */
export function listen<K extends EventName>(name: K): Listener<K> {
  const events: Array<EventMap[K]> = []
  const hear = (event: unknown) => {
    events.push(event as EventMap[K])
  }
  subscribe(name, hear)
  return { events, stop: () => unsubscribe(name, hear) }
}

export interface LogLine {
  level: keyof Logger
  entry: Record<string, unknown>
  /** The message with its arguments behind it */
  text: string
}

export function recordingLogger(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at =
    (level: keyof Logger) =>
    (entry: object, message: string, ...args: unknown[]) => {
      lines.push({ level, entry: { ...entry }, text: [message, ...args].join(' | ') })
    }
  return {
    lines,
    logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  }
}

export interface Report {
  policyDomain: string
  applies: PolicyLookup
  failure: TlsFailure
}

/** A cache as `MtaSts` makes it, with its reports recorded. */
export interface CacheUnderTest {
  cache: PolicyCache
  reports: Report[]
  storeFailures: Array<{ operation: string; error: unknown }>
  /** Changes apply from the next lookup on */
  network: FetchOptions
  options: CacheOptions
  /** Aborts it as `MtaSts.close()` does */
  closing: AbortController
}

/** Small bounds, because large ones take time to fill. */
export const SMALL = { maxPolicies: 100, maxNegatives: 1000 } as const

export function makeCache(options: MtaStsOptions, storeTimeout = 10 * SECOND): CacheUnderTest {
  const settings = resolveOptions({ ...SMALL, ...options })
  const reports: Report[] = []
  const storeFailures: CacheUnderTest['storeFailures'] = []
  const store = new GuardedStore(settings.store, {
    timeout: storeTimeout,
    now: settings.now,
    report: (operation, error) => storeFailures.push({ operation, error }),
  })
  // The test's own resolver: the cache alone must share lookups
  const network: FetchOptions = { ...settings, resolver: options.resolver ?? settings.resolver }
  const closing = new AbortController()
  setMaxListeners(0, closing.signal)
  const cacheOptions: CacheOptions = {
    ...settings,
    network,
    store,
    closing: closing.signal,
    // With the cause as it is cached, for comparison
    report: (policyDomain, applies, failure) =>
      reports.push({ policyDomain, applies, failure: plainFailure(failure) }),
  }
  const cache = new PolicyCache(cacheOptions)
  return { cache, reports, storeFailures, network, options: cacheOptions, closing }
}

/** Describes a lookup: `enforce n1`, `no-record`. */
export function said(lookup: PolicyLookup): string {
  return lookup.status === 'none' ? lookup.reason : `${lookup.policy.mode} ${lookup.id}`
}

/** `sts-policy-fetch-error dns-failure`; undefined without a failure. */
export function failureOf({ failure }: { failure?: TlsFailure }): string | undefined {
  return failure && [failure.resultType, failure.reason].filter(Boolean).join(' ')
}

/** A mail world with counters for everything. */
export class Stage implements AsyncDisposable {
  readonly clock = new ManualClock()
  /** Asks once for each question, so that the world's queries are the sender's lookups */
  readonly resolver = new dns.Resolver({ timeout: 20 * SECOND, tries: 1 })
  readonly world: MailWorld

  private constructor(world: MailWorld) {
    this.world = world
    this.resolver.setServers([`127.0.0.1:${world.dns.port}`])
  }

  static async open(): Promise<Stage> {
    return new Stage(await createMailWorld())
  }

  /** A domain whose policy host has one address: one dial for each GET. */
  domain(name: string, options: DomainOptions = { mode: 'enforce' }): MailDomain {
    const domain = this.world.domain(name, options)
    this.world.dns.set(domain.policyHost.name, 'AAAA', [])
    return domain
  }

  /**
   * Options of a sender in this world. Timeouts are long: operations that stall on purpose have
   * short ones.
   */
  options(more: MtaStsOptions = {}): MtaStsOptions {
    const { ca, connect } = this.world.options()
    return {
      ...SMALL,
      ca,
      connect,
      resolver: this.resolver,
      now: this.clock.now,
      refreshInterval: 0,
      dnsTimeout: 15 * SECOND,
      fetchTimeout: 15 * SECOND,
      ...more,
    }
  }

  cache(more: MtaStsOptions = {}): CacheUnderTest {
    return makeCache(this.options(more))
  }

  /** TXT queries for the record of a domain, successful or not. */
  txt(domain: MailDomain): number {
    return this.#queries('TXT', `_mta-sts.${domain.name}`)
  }

  /** GETs that were started: each looks up the address of the policy host once. */
  fetches(domain: MailDomain): number {
    return this.#queries('A', domain.policyHost.name)
  }

  /** GETs that reached the policy host. */
  gets(domain: MailDomain): number {
    return this.world.gets.filter(({ host }) => host === domain.policyHost.name).length
  }

  /** The traffic of a domain since the last `forget`. */
  traffic(domain: MailDomain): { txt: number; gets: number } {
    return { txt: this.txt(domain), gets: this.gets(domain) }
  }

  async close(): Promise<void> {
    this.resolver.cancel()
    await this.world.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #queries(type: string, name: string): number {
    return this.world.queries.filter((query) => query.type === type && query.name === name).length
  }
}

/** Numbers from 0 to 1, reproducible by a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * The policy that applies to a domain. A cached policy applies until it expires, whatever becomes of
 * DNS and HTTPS meanwhile (RFC 8461 §3.3): whoever can block those must not get rid of it.
 *
 * | state | what a delivery gets | network |
 * | --- | --- | --- |
 * | policy, not expired, rechecked lately | the policy | none |
 * | policy, not expired, due for a recheck | the policy, at once | in the background: TXT; HTTPS if the id differs or the renewal is due |
 * | policy expired, or nothing known | what discovery finds | TXT and HTTPS |
 * | no record, lately | no policy | none |
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { unlessAborted } from '../net/deadline.js'
import { textOfThrown } from '../text.js'
import type { TlsFailure } from '../tls/failures.js'
import { FetchBackoff } from './backoff.js'
import type { CachedPolicy } from './cached-policy.js'
import { plainFailure } from './failure.js'
import type { FetchOptions } from './fetch.js'
import type { GuardedStore, StoreAnswer } from './guarded-store.js'
import { type FoundPolicy, type NoPolicy, noPolicy, type PolicyLookup } from './lookup.js'
import { type MemoryOptions, NEGATIVE_SHARE, PolicyMemory } from './memory.js'
import { lookupRecord } from './record-lookup.js'
import { Slots } from './slots.js'
import { span } from './span.js'
import type { StoredPolicy } from './store.js'
import { type Occasion, Updater } from './update.js'

/** All durations in milliseconds. */
export interface CacheOptions extends MemoryOptions {
  network: FetchOptions
  store: GuardedStore
  /** The wall clock */
  now: () => number
  /** How old the last lookup of a TXT record may be before there is another one */
  recheckInterval: number
  /** How long "no policy" is believed */
  negativeTtl: number
  /** How long the same id is not fetched again after a failure; doubles */
  fetchBackoff: number
  /** Discoveries, rechecks and renewals under way at once */
  maxFetches: number
  /** Whether a store that does not answer makes "no policy" a failure (`store-failure`) */
  requireStore: boolean
  /** Aborted when the cache is to learn nothing any more, and to answer `ECLOSED` */
  closing: AbortSignal
  /** Policy Domains that are not refreshed: the operator's override goes before their policy */
  exempt?: { has(policyDomain: string): boolean } | undefined
  /** Called with what went wrong, and what applies nevertheless; may throw */
  report: (policyDomain: string, applies: PolicyLookup, failure: TlsFailure) => void
  /** Called with the milliseconds after which a policy that was cached must have been renewed */
  renewWithin?: (milliseconds: number) => void
}

/** Work on a domain, which everybody who asks for the domain meanwhile waits for. */
interface InFlight {
  purpose: 'lookup' | 'mismatch' | 'pass'
  result: Promise<PolicyLookup>
}

/** What became of a policy in a pass. */
export type Renewal = 'renewed' | 'changed' | 'failed' | 'dropped' | 'kept'

/** A lookup that failed says nothing about the domain; it is tried again soon. */
const DNS_FAILURE_TTL = 60_000

/** Resolution of `usedAt`: to update it at every use takes longer. */
const USE_PRECISION = 60_000

export class PolicyCache {
  readonly #options: CacheOptions
  readonly #now: () => number
  readonly #closing: AbortSignal
  readonly #memory: PolicyMemory
  readonly #updater: Updater
  readonly #slots: Slots
  /** One for each domain, for everything that takes time: store, TXT, GET */
  readonly #inFlight = new Map<string, InFlight>()
  /** Background work that was begun and has not ended */
  #beside = 0

  constructor(options: CacheOptions) {
    const { now, closing, maxNegatives, maxCacheBytes } = options
    this.#options = options
    this.#now = now
    this.#closing = closing
    this.#memory = new PolicyMemory({ ...options, onEvicted: this.#onEvicted })
    this.#slots = new Slots(options.maxFetches, closing, closedError)
    this.#updater = new Updater({
      ...options,
      memory: this.#memory,
      backoff: new FetchBackoff(options.fetchBackoff, {
        max: maxNegatives,
        maxBytes: Math.ceil(maxCacheBytes * NEGATIVE_SHARE),
      }),
      requireOpen: () => this.#requireOpen(),
      report: (policyDomain, applies, failure) => this.#report(policyDomain, applies, failure),
      renewBy: (_, policy) => this.#expectRenewal(policy),
    })
  }

  /**
   * Returns what applies to a Policy Domain (A-labels, lower case): at once when memory knows.
   *
   * @throws MtaStsError `ECLOSED`, or rejects with it
   */
  get(policyDomain: string): PolicyLookup | Promise<PolicyLookup> {
    return this.known(policyDomain) ?? this.#waitFor(policyDomain, 'lookup')
  }

  /**
   * Returns what memory knows, without waiting for anything. A name that is not in A-labels and
   * lower case is unknown.
   *
   * @throws MtaStsError `ECLOSED`
   */
  known(policyDomain: string): PolicyLookup | undefined {
    this.#requireOpen()
    const now = this.#now()
    const cached = this.#memory.get(policyDomain)
    if (cached !== undefined) {
      if (now < cached.quietUntil && now >= cached.quietFrom) return cached.lookup
      const used = this.#use(policyDomain, cached, now)
      if (used) return used
    }
    return this.#memory.negative(policyDomain, now)
  }

  /**
   * Returns what memory knows, as {@link known} does, but does not count as a use: nothing is begun
   * in the background.
   *
   * @throws MtaStsError `ECLOSED`
   */
  peek(policyDomain: string): PolicyLookup | undefined {
    this.#requireOpen()
    const now = this.#now()
    const policy = this.#memory.valid(policyDomain, now)
    return policy?.lookup ?? this.#memory.negative(policyDomain, now)
  }

  /**
   * Returns what applies after another look at the TXT record, however short ago the last one was.
   *
   * @param mismatch the policy does not match the MX hosts: it is fetched once more although its id
   *   is the same, once in `recheckInterval` at most
   * @throws MtaStsError `ECLOSED`
   */
  async lookAgain(policyDomain: string, { mismatch = false } = {}): Promise<PolicyLookup> {
    this.#requireOpen()
    const underWay = this.#inFlight.get(policyDomain)
    // That one does not fetch a policy whose id is the same
    if (mismatch && underWay?.purpose === 'lookup') await this.#settled(underWay)
    return this.#waitFor(policyDomain, mismatch ? 'mismatch' : 'lookup')
  }

  /** Iterates over the Policy Domains of the policies that memory and the store hold. */
  async *domains(due?: { at: number }): AsyncGenerator<string> {
    const { store, exempt } = this.#options
    const seen = new Set(this.#memory.domains())
    for (const policyDomain of seen) if (!exempt?.has(policyDomain)) yield policyDomain
    for await (const [policyDomain] of store.list(due?.at)) {
      if (!seen.has(policyDomain) && !exempt?.has(policyDomain)) yield policyDomain
    }
  }

  /** Whether work is under way, for deliveries or in the background. */
  get busy(): boolean {
    return this.#inFlight.size > 0 || this.#beside > 0
  }

  /** Iterates over the policies in memory. */
  policies(): IterableIterator<[policyDomain: string, policy: CachedPolicy]> {
    return this.#memory.entries()
  }

  /**
   * Fetches a cached policy again, whatever its id, so that max_age starts again (RFC 8461 §3.3,
   * §10.2). One process does it at a time; the others take over what it has stored. Never rejects.
   */
  async renew(policyDomain: string): Promise<Renewal> {
    let renewal: Renewal = 'kept'
    for (let other = this.#inFlight.get(policyDomain); other; ) {
      await this.#settled(other)
      other = this.#inFlight.get(policyDomain)
    }
    const work = async () => {
      const { network, store } = this.#options
      const ttl = 2 * (network.dnsTimeout + network.fetchTimeout)
      await this.#slots.run('background', () =>
        store.locked(`refresh:${policyDomain}`, ttl, async () => {
          renewal = await this.#renewCached(policyDomain)
        }),
      )
      return this.#memory.valid(policyDomain, this.#now())?.lookup ?? noPolicy('expired')
    }
    try {
      if (!this.#closing.aborted) await this.#share(policyDomain, 'pass', work)
    } catch {
      // Closing has cut it short
      return 'failed'
    }
    return renewal
  }

  async #renewCached(policyDomain: string): Promise<Renewal> {
    const { store } = this.#options
    const now = this.#now()
    let cached = this.#memory.valid(policyDomain, now)
    let read: StoredPolicy | undefined
    if (cached) {
      const synced = await this.#updater.sync(policyDomain, cached)
      if (synced === undefined) return 'dropped'
      if (synced.policy !== cached) return 'kept'
    } else {
      if (this.#memory.dropExpired(policyDomain, now)) return 'dropped'
      const stored = await store.get(policyDomain)
      this.#requireOpen()
      if (stored.kind !== 'entry') return 'kept'
      cached = stored.cached
      read = stored.stored
    }
    if (!cached.isInUse(now)) return 'kept'
    const { body, id } = cached
    const update = await this.#updater.update(policyDomain, cached, { occasion: 'pass', read })
    switch (update.kind) {
      case 'fetched':
        return update.policy.id === id && update.policy.body === body ? 'renewed' : 'changed'
      case 'removed':
        return 'dropped'
      case 'failed':
        return 'failed'
      case 'unchanged':
        return 'kept'
    }
  }

  /** What the store could not take, or does not know, it gets before memory forgets it. */
  readonly #onEvicted = (policy: CachedPolicy, policyDomain: string): void => {
    if (policy.isSaveDue()) this.#runBeside(this.#updater.save(policyDomain, policy))
  }

  /** Records that a policy is used, and begins in the background what is due. */
  #use(policyDomain: string, cached: CachedPolicy, now: number): FoundPolicy | undefined {
    const policy = this.#memory.believable(policyDomain, cached, now)
    if (!policy.isValid(now)) return undefined
    const { recheckInterval } = this.#options
    policy.usedAt = now
    if (policy.isCheckDue(now)) this.#recheckBeside(policyDomain)
    if (policy.isSaveDue()) this.#runBeside(this.#updater.save(policyDomain, policy))
    const { since } = policy.checked ?? { since: Number.NEGATIVE_INFINITY }
    policy.quietFrom = now
    policy.quietUntil = Math.min(policy.expiresAt, since + recheckInterval, now + USE_PRECISION)
    return policy.lookup
  }

  #recheckBeside(policyDomain: string): void {
    if (this.#inFlight.has(policyDomain)) return
    this.#runBeside(
      this.#share(policyDomain, 'lookup', () => this.#look(policyDomain, 'recheck', 'background')),
    )
  }

  /** Looks a domain up: rechecks its policy, or discovers it when none is cached. */
  async #look(
    policyDomain: string,
    occasion: Occasion,
    urgency: 'delivery' | 'background' = 'delivery',
  ): Promise<PolicyLookup> {
    const cached = this.#memory.valid(policyDomain, this.#now())
    if (cached === undefined) return this.#learn(policyDomain)
    const update = await this.#slots.run(urgency, () =>
      this.#updater.update(policyDomain, cached, { occasion }),
    )
    if (update.kind === 'fetched') return { ...update.policy.lookup, source: 'network' }
    // The store may hold what was removed all the same: a clock was wrong
    if (update.kind === 'removed') return this.#learn(policyDomain, { kind: 'nothing' })
    return update.policy.isValid(this.#now()) ? update.policy.lookup : this.#learn(policyDomain)
  }

  /** Asks the store, then the domain: memory knows nothing that has not expired. */
  async #learn(policyDomain: string, answer?: StoreAnswer): Promise<PolicyLookup> {
    const { store, recheckInterval, requireStore } = this.#options
    const now = this.#now()
    const stored = answer ?? (await store.get(policyDomain))
    this.#requireOpen()
    if (stored.kind === 'entry') {
      stored.cached.usedAt = now
      stored.cached.synced = span(now, recheckInterval)
      this.#updater.take(policyDomain, stored.cached)
      return stored.cached.lookup
    }
    const { lookup, failure, ttl } = await this.#slots.run('delivery', () =>
      this.#discover(policyDomain, stored.kind === 'nothing' ? stored.stored : undefined),
    )
    if (lookup.status === 'found') return { ...lookup, source: 'network' }
    if (failure) this.#report(policyDomain, lookup, failure)
    // A store that did not answer may know better: nothing is concluded from its silence
    if (stored.kind === 'no-answer') {
      return requireStore
        ? noPolicy('store-failure', lookup.failure)
        : { ...lookup, storeFailed: true }
    }
    if (ttl > 0) this.#memory.setNegative(policyDomain, lookup, span(this.#now(), ttl))
    const isExpired = this.#memory.has(policyDomain) && lookup.reason !== 'no-record'
    return isExpired ? noPolicy('expired', lookup.failure) : lookup
  }

  /** Discovers a policy (RFC 8461 §3). `ttl`: how long "no policy" is believed */
  async #discover(policyDomain: string, read?: StoredPolicy): Promise<Discovery> {
    const { negativeTtl, network } = this.#options
    const record = await lookupRecord(policyDomain, network)
    this.#requireOpen()
    switch (record.kind) {
      case 'gone':
        return { lookup: noPolicy('no-record'), ttl: negativeTtl }
      case 'invalid':
        return discovered('invalid', record.failure, negativeTtl)
      case 'failed':
        return discovered('dns-failure', record.failure, Math.min(DNS_FAILURE_TTL, negativeTtl))
      case 'found': {
        const fetched = await this.#updater.fetch(policyDomain, record.id, {
          read,
          inMemory: true,
        })
        if (fetched.kind === 'fetched') return { lookup: fetched.policy.lookup, ttl: 0 }
        const invalid = fetched.failure.resultType === 'sts-policy-invalid'
        // Not believed for any time: another id may be fetched at once, this one has its back-off
        return discovered(invalid ? 'invalid' : 'fetch-failed', fetched.failure, 0)
      }
    }
  }

  /** Waits for the work on a domain, and begins it unless it is under way. */
  #waitFor(policyDomain: string, purpose: 'lookup' | 'mismatch'): Promise<PolicyLookup> {
    const occasion = purpose === 'lookup' ? 'recheck' : 'mismatch'
    const result = this.#share(policyDomain, purpose, () => this.#look(policyDomain, occasion))
    // Others may wait for the same: each gets an error of its own
    return unlessAborted(result, this.#closing, closedError).catch((thrown: unknown) => {
      throw this.#closing.aborted ? closedError() : new MtaStsError(textOfThrown(thrown), 'ELOOKUP')
    })
  }

  #share(
    policyDomain: string,
    purpose: InFlight['purpose'],
    work: () => Promise<PolicyLookup>,
  ): Promise<PolicyLookup> {
    const underWay = this.#inFlight.get(policyDomain)
    // The outcome of a pass is no answer: the policy may be the store's alone, or have expired
    if (underWay?.purpose === 'pass') return underWay.result.then(() => this.get(policyDomain))
    if (underWay) return underWay.result
    const result = work().finally(() => {
      this.#inFlight.delete(policyDomain)
      // The record of a policy that came from the store was not looked up by this process yet
      const policy = this.#memory.valid(policyDomain, this.#now())
      if (policy && !policy.checked && !this.#closing.aborted) this.#recheckBeside(policyDomain)
    })
    this.#inFlight.set(policyDomain, { purpose, result })
    return result
  }

  async #settled({ result }: InFlight): Promise<void> {
    await result.catch(() => undefined)
  }

  /** Lets work run that nobody waits for. It fails only when the cache is closing. */
  #runBeside(work: Promise<unknown>): void {
    this.#beside++
    const end = () => {
      this.#beside--
    }
    work.then(end, end)
  }

  #requireOpen(): void {
    if (this.#closing.aborted) throw closedError()
  }

  #expectRenewal(policy: CachedPolicy): void {
    this.#options.renewWithin?.(policy.renewWithin(this.#now()))
  }

  /** RFC 8461 §3.3: the operator is informed, unless the policy asks for nothing. */
  #report(policyDomain: string, applies: PolicyLookup, failure: TlsFailure): void {
    if (applies.status === 'found' && applies.policy.mode === 'none') return
    try {
      this.#options.report(policyDomain, applies, failure)
    } catch {
      // A logger that fails must not fail a delivery, and there is nobody else to inform
    }
  }
}

interface Discovery {
  lookup: PolicyLookup
  /** With the error that caused it, for the operator */
  failure?: TlsFailure
  ttl: number
}

function discovered(reason: NoPolicy['reason'], failure: TlsFailure, ttl: number): Discovery {
  return { lookup: noPolicy(reason, plainFailure(failure)), failure, ttl }
}

function closedError(): MtaStsError {
  return new MtaStsError('The MtaSts object was closed', 'ECLOSED')
}

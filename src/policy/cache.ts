/**
 * The policy that applies to a domain. A cached policy applies until it expires, whatever DNS and
 * HTTPS answer meanwhile (RFC 8461 §3.3): an attacker who blocks them must not get rid of it.
 *
 * | state | what a delivery gets | network |
 * | --- | --- | --- |
 * | policy, not expired, rechecked lately | the policy | none |
 * | policy, not expired, due for a recheck | the policy, at once | in the background: TXT; HTTPS if the id differs or the renewal is due |
 * | policy expired, or nothing known | the result of discovery | TXT and HTTPS |
 * | no record, lately | no policy | none |
 *
 * @module
 */
import { closedError, MtaStsError } from '../errors.js'
import { onAbort, unlessAborted } from '../net/deadline.js'
import { textOfThrown } from '../text.js'
import type { TlsFailure } from '../tls/failures.js'
import { FetchBackoff } from './backoff.js'
import type { CachedPolicy } from './cached-policy.js'
import { discover } from './discover.js'
import { DomainWork, settled } from './domain-work.js'
import type { FetchOptions } from './fetch.js'
import type { GuardedStore, StoreAnswer } from './guarded-store.js'
import { type FoundPolicy, noPolicy, type PolicyLookup } from './lookup.js'
import { type MemoryOptions, NEGATIVE_SHARE, PolicyMemory } from './memory.js'
import { Slots } from './slots.js'
import { span } from './span.js'
import { type Occasion, type Renewal, Updater } from './update.js'

/** All durations in milliseconds. */
export interface CacheOptions extends MemoryOptions {
  network: FetchOptions
  store: GuardedStore
  /** The wall clock */
  now: () => number
  /** Age of the last TXT lookup at which the record is looked up again */
  recheckInterval: number
  /** Time for which "no policy" is cached */
  negativeTtl: number
  /** First wait before an id that failed is fetched again; doubles */
  fetchBackoff: number
  /** Maximum number of discoveries, rechecks and renewals at once */
  maxFetches: number
  /** Whether a store that does not answer makes "no policy" a failure (`store-failure`) */
  requireStore: boolean
  /** Aborted by closing: the cache then learns nothing, and answers `ECLOSED` */
  closing: AbortSignal
  /** Policy Domains that are not refreshed: the operator's override takes precedence */
  exempt?: { has(policyDomain: string): boolean } | undefined
  /** Called with a failure and the policy that applies nevertheless; may throw */
  report: (policyDomain: string, applies: PolicyLookup, failure: TlsFailure) => void
  /** Called when a policy is cached, with the milliseconds after which it must have been renewed */
  renewWithin?: (milliseconds: number) => void
}

/** Runs work that uses the network, and returns its result. */
type InPlace = <T>(work: () => Promise<T>) => Promise<T>

/** Resolution of `usedAt`, in milliseconds: updating it at every use would be slow. */
const MINUTE = 60_000

export class PolicyCache {
  readonly #options: CacheOptions
  readonly #now: () => number
  readonly #closing: AbortSignal
  readonly #memory: PolicyMemory
  readonly #updater: Updater
  readonly #slots: Slots
  /** Everything that takes time: store, TXT, GET */
  readonly #work: DomainWork
  /** Domains whose recheck waits for a place */
  readonly #rechecks = new Set<string>()
  /** Copy of `closing.aborted`, which takes longer to read for every answer */
  #closed = false

  constructor(options: CacheOptions) {
    const { now, closing, maxNegatives, maxCacheBytes } = options
    this.#options = options
    this.#now = now
    this.#closing = closing
    onAbort(closing, () => {
      this.#closed = true
    })
    this.#memory = new PolicyMemory({ ...options, onEvicted: this.#onEvicted })
    this.#slots = new Slots(options.maxFetches, closing, closedError)
    this.#work = new DomainWork({
      slots: this.#slots,
      onEnd: (domain) => this.#recheckStored(domain),
    })
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
   * Returns the lookup of a Policy Domain (A-labels, lower case): at once when memory has it.
   *
   * @throws MtaStsError `ECLOSED`, or rejects with it
   */
  get(policyDomain: string): PolicyLookup | Promise<PolicyLookup> {
    return this.known(policyDomain) ?? this.#waitFor(policyDomain, 'lookup')
  }

  /**
   * Returns the lookup in memory, without waiting. A name that is not in A-labels and lower case
   * has none.
   *
   * @throws MtaStsError `ECLOSED`
   */
  known(policyDomain: string): PolicyLookup | undefined {
    this.#requireOpen()
    const now = this.#now()
    const cached = this.#memory.get(policyDomain)
    if (cached !== undefined) {
      if (cached.quietMinute === Math.floor(now / MINUTE)) return cached.lookup
      const used = this.#use(policyDomain, cached, now)
      if (used) return used
    }
    return this.#memory.negative(policyDomain, now)
  }

  /**
   * Returns the lookup in memory as {@link known} does, but does not count as a use and starts no
   * background work.
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
   * Looks the TXT record up again, even directly after the last lookup, and returns the result.
   *
   * @param mismatch the policy does not match the MX hosts: it is fetched again even if its id is
   * the same, at most once in `recheckInterval`
   * @throws MtaStsError `ECLOSED`
   */
  async lookAgain(policyDomain: string, { mismatch = false } = {}): Promise<PolicyLookup> {
    this.#requireOpen()
    const underWay = this.#work.on(policyDomain)
    // A plain lookup does not fetch a policy whose id is the same
    if (mismatch && underWay?.purpose === 'lookup') await settled(underWay)
    return this.#waitFor(policyDomain, mismatch ? 'mismatch' : 'lookup')
  }

  /** Iterates over the Policy Domains of all policies in memory and in the store. */
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
    return this.#work.busy
  }

  /** Iterates over the policies in memory. */
  policies(): IterableIterator<[policyDomain: string, policy: CachedPolicy]> {
    return this.#memory.entries()
  }

  /**
   * Fetches a cached policy again, whatever its id, so that `max_age` starts again (RFC 8461 §3.3,
   * §10.2). One process does it at a time; the others use what it has stored. Never rejects.
   */
  async renew(policyDomain: string): Promise<Renewal> {
    let renewal: Renewal = 'kept'
    const work = async () => {
      const { network, store } = this.#options
      const ttl = 2 * (network.dnsTimeout + network.fetchTimeout)
      await store.locked(`refresh:${policyDomain}`, ttl, async () => {
        renewal = await this.#updater.renew(policyDomain)
      })
      return this.#memory.valid(policyDomain, this.#now())?.lookup ?? noPolicy('expired')
    }
    try {
      while (!this.#closing.aborted) {
        const other = this.#work.on(policyDomain)
        if (other) await settled(other)
        else if (await this.#work.beginWhenFree(policyDomain, 'pass', work)) break
      }
    } catch {
      // Interrupted by closing
      return 'failed'
    }
    return renewal
  }

  /** Waits for the work on a domain; begins it unless it is under way. */
  #waitFor(policyDomain: string, purpose: 'lookup' | 'mismatch'): Promise<PolicyLookup> {
    const result = this.#share(policyDomain, purpose)
    // Several callers may wait for the same work: each gets its own error
    return unlessAborted(result, this.#closing, closedError).catch((thrown: unknown) => {
      throw this.#closing.aborted ? closedError() : new MtaStsError(textOfThrown(thrown), 'ELOOKUP')
    })
  }

  #share(policyDomain: string, purpose: 'lookup' | 'mismatch'): Promise<PolicyLookup> {
    const underWay = this.#work.on(policyDomain)
    // A pass has no result to share: its policy may be in the store only, or have expired
    if (underWay?.purpose === 'pass') return underWay.result.then(() => this.get(policyDomain))
    if (underWay) return underWay.result
    const occasion = purpose === 'lookup' ? 'recheck' : 'mismatch'
    return this.#work.begin(policyDomain, purpose, () => this.#look(policyDomain, occasion))
  }

  /**
   * Looks a domain up: rechecks its policy, or discovers one when none is cached.
   *
   * @param inPlace runs what uses the network, once there is a place for it
   */
  async #look(
    policyDomain: string,
    occasion: Occasion,
    inPlace: InPlace = this.#inPlace,
  ): Promise<PolicyLookup> {
    const cached = this.#memory.valid(policyDomain, this.#now())
    if (cached === undefined) return this.#learn(policyDomain, inPlace)
    const update = await inPlace(() => this.#updater.update(policyDomain, cached, { occasion }))
    if (update.kind === 'fetched') return { ...update.policy.lookup, source: 'network' }
    // The store may still hold a removed policy, if a clock was wrong
    if (update.kind === 'removed') return this.#learn(policyDomain, inPlace, { kind: 'nothing' })
    const { policy } = update
    return policy.isValid(this.#now()) ? policy.lookup : this.#learn(policyDomain, inPlace)
  }

  readonly #inPlace: InPlace = (work) => this.#slots.run('delivery', work)

  /** Asks the store, then the domain, when memory has no unexpired policy. */
  async #learn(
    policyDomain: string,
    inPlace: InPlace,
    answer?: StoreAnswer,
  ): Promise<PolicyLookup> {
    const { store, requireStore } = this.#options
    const now = this.#now()
    const stored = answer ?? (await store.get(policyDomain))
    this.#requireOpen()
    if (stored.kind === 'entry') {
      stored.cached.usedAt = now
      stored.cached.syncedNow(now)
      this.#updater.take(policyDomain, stored.cached)
      return stored.cached.lookup
    }
    const read = stored.kind === 'nothing' ? stored.stored : undefined
    const { lookup, failure, ttl } = await inPlace(() =>
      discover(policyDomain, {
        ...this.#options,
        updater: this.#updater,
        read,
        requireOpen: () => this.#requireOpen(),
      }),
    )
    if (lookup.status === 'found') return { ...lookup, source: 'network' }
    if (failure) this.#report(policyDomain, lookup, failure)
    // The store did not answer and may hold a policy: "no policy" is not cached
    if (stored.kind === 'no-answer') {
      return requireStore
        ? noPolicy('store-failure', lookup.failure)
        : { ...lookup, storeFailed: true }
    }
    if (ttl > 0) this.#memory.setNegative(policyDomain, lookup, span(this.#now(), ttl))
    const isExpired = this.#memory.has(policyDomain) && lookup.reason !== 'no-record'
    return isExpired ? noPolicy('expired', lookup.failure) : lookup
  }

  /** Records that a policy is used, and starts the background work that is due. */
  #use(policyDomain: string, cached: CachedPolicy, now: number): FoundPolicy | undefined {
    const policy = this.#memory.believable(policyDomain, cached, now)
    if (!policy.isValid(now)) return undefined
    const { recheckInterval } = this.#options
    policy.usedAt = now
    if (policy.isCheckDue(now, recheckInterval)) this.#recheckInBackground(policyDomain)
    if (policy.isSaveDue()) this.#work.inBackground(this.#updater.save(policyDomain, policy))
    const recheckAt = policy.checkedAt === undefined ? now : policy.checkedAt + recheckInterval
    const minute = Math.floor(now / MINUTE)
    const isQuiet = Math.min(policy.expiresAt, recheckAt) >= (minute + 1) * MINUTE
    policy.quietMinute = isQuiet ? minute : undefined
    return policy.lookup
  }

  #recheckInBackground(policyDomain: string): void {
    if (this.#work.on(policyDomain) || this.#rechecks.has(policyDomain)) return
    this.#rechecks.add(policyDomain)
    const look = () => this.#look(policyDomain, 'recheck', (work) => work())
    const begun = this.#work.beginWhenFree(policyDomain, 'lookup', look, () =>
      this.#rechecks.delete(policyDomain),
    )
    this.#work.inBackground(begun)
  }

  /** Looks up the record of a policy that came from the store. */
  #recheckStored(policyDomain: string): void {
    const policy = this.#memory.valid(policyDomain, this.#now())
    if (policy && policy.checkedAt === undefined && !this.#closing.aborted)
      this.#recheckInBackground(policyDomain)
  }

  /** Saves a policy that the store could not take, or has lost, before memory evicts it. */
  readonly #onEvicted = (policy: CachedPolicy, policyDomain: string): void => {
    if (policy.isSaveDue()) this.#work.inBackground(this.#updater.save(policyDomain, policy))
  }

  #requireOpen(): void {
    if (this.#closed) throw closedError()
  }

  #expectRenewal(policy: CachedPolicy): void {
    this.#options.renewWithin?.(policy.renewWithin(this.#now()))
  }

  /** Informs the operator (RFC 8461 §3.3), unless the mode is `none`. */
  #report(policyDomain: string, applies: PolicyLookup, failure: TlsFailure): void {
    if (applies.status === 'found' && applies.policy.mode === 'none') return
    try {
      this.#options.report(policyDomain, applies, failure)
    } catch {
      // A logger that fails must not fail a delivery
    }
  }
}

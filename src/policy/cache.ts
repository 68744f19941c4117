/**
 * What a domain is held to. A policy that was learnt once applies until it expires, whatever
 * becomes of DNS and HTTPS in between (RFC 8461 §3.3): who can block those must not get rid of it.
 *
 * | state | what a delivery gets | network |
 * | --- | --- | --- |
 * | policy, not expired, looked at lately | the policy | none |
 * | policy, not expired, due for a look | the policy, at once | TXT beside it; HTTPS if the id differs |
 * | policy expired, or nothing known | what discovery finds | TXT and HTTPS |
 * | no record, lately | none | none |
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { TlsFailure } from '../tls/failures.js'
import { FetchBackoff } from './backoff.js'
import { type HeldPolicy, hold, NEVER_CHECKED, noteFailure } from './cached-policy.js'
import { type FetchOptions, fetchPolicy } from './fetch.js'
import type { GuardedStore } from './guarded-store.js'
import { type NoPolicy, noPolicy, type PolicyLookup } from './lookup.js'
import { lookupRecord, type RecordLookup } from './record-lookup.js'

/** All durations in milliseconds. */
export interface CacheOptions {
  network: FetchOptions
  store: GuardedStore
  now: () => number
  maxPolicies: number
  maxNegatives: number
  /** How old the last look at a TXT record may be before there is another one */
  recheckInterval: number
  /** How long "there is no record" is believed */
  negativeTtl: number
  /** How long the same id is not fetched again after a failure; doubles */
  fetchBackoff: number
  /** Policy Domains that are not fetched anew: the operator's word goes before theirs */
  exempt?: { has(policyDomain: string): boolean } | undefined
  /** Told what went wrong, and what applies all the same */
  report: (policyDomain: string, applies: PolicyLookup, failure: TlsFailure) => void
}

/** What waits for the network, or for a store. */
interface Flight {
  purpose: 'lookup' | 'renewal'
  landed: Promise<PolicyLookup>
}

interface Negative {
  until: number
  lookup: NoPolicy
}

/** What became of fetching a cached policy anew. */
export type Renewal = 'renewed' | 'changed' | 'failed' | 'dropped' | 'kept'

/** A lookup that failed says nothing about the domain; it is tried again soon (D9). */
const DNS_FAILURE_TTL = 60_000

/** How exactly is known when a policy was last asked for: to put it down every time takes longer */
const USE_PRECISION = 60_000

/** A policy that nobody has asked for in this long is not fetched anew. */
const USED_WITHIN = 30 * 86_400_000

export class PolicyCache {
  readonly #options: CacheOptions
  readonly #now: () => number
  /** Apart from each other: a flood of unknown domains pushes no policy out */
  readonly #policies: LRUCache<string, HeldPolicy>
  readonly #negatives: LRUCache<string, Negative>
  readonly #backoff: FetchBackoff
  /** One flight a domain, for everything that waits: store, TXT, GET */
  readonly #flights = new Map<string, Flight>()

  constructor(options: CacheOptions) {
    this.#options = options
    this.#now = options.now
    this.#policies = new LRUCache({ max: options.maxPolicies })
    this.#negatives = new LRUCache({ max: options.maxNegatives })
    this.#backoff = new FetchBackoff(options.fetchBackoff, options.maxNegatives)
  }

  /** What applies to a Policy Domain (A-labels, lower case). At once when memory knows. */
  get(policyDomain: string): PolicyLookup | Promise<PolicyLookup> {
    return this.known(policyDomain) ?? this.#fly(policyDomain, () => this.#learn(policyDomain))
  }

  /** What memory knows, without waiting for anything; of a name in another form it knows nothing. */
  known(policyDomain: string): PolicyLookup | undefined {
    const now = this.#now()
    const held = this.#policies.get(policyDomain)
    if (held !== undefined && now < held.nothingDueUntil) return held.lookup
    if (held !== undefined && now < held.expiresAt) return this.#use(policyDomain, held, now)
    const negative = this.#negatives.get(policyDomain)
    return negative !== undefined && now < negative.until ? negative.lookup : undefined
  }

  /** Returns what memory knows, without counting as a use and without a look at the TXT record. */
  peek(policyDomain: string): PolicyLookup | undefined {
    const now = this.#now()
    const held = this.#policies.peek(policyDomain)
    return held !== undefined && now < held.expiresAt ? held.lookup : undefined
  }

  /** Puts down that it is used, and looks at the TXT record where that is due. */
  #use(policyDomain: string, held: HeldPolicy, now: number): PolicyLookup {
    const { recheckInterval } = this.#options
    held.usedAt = now
    if (now - held.checkedAt >= recheckInterval) this.#recheckBeside(policyDomain, held)
    held.nothingDueUntil = Math.min(
      held.expiresAt,
      held.checkedAt + recheckInterval,
      now + USE_PRECISION,
    )
    return held.lookup
  }

  /** The same, after another look at the TXT record, however short ago the last one was. */
  lookAgain(policyDomain: string): Promise<PolicyLookup> {
    const held = this.#heldNow(policyDomain)
    return this.#fly(policyDomain, () =>
      held ? this.#recheck(policyDomain, held) : this.#learn(policyDomain),
    )
  }

  /** The Policy Domains that memory and the store hold policies of. */
  async *domains(): AsyncGenerator<string> {
    const { store, exempt } = this.#options
    const seen = new Set(this.#policies.keys())
    for (const policyDomain of seen) if (!exempt?.has(policyDomain)) yield policyDomain
    for await (const [policyDomain] of store.list()) {
      if (!seen.has(policyDomain) && !exempt?.has(policyDomain)) yield policyDomain
    }
  }

  /**
   * Fetches a held policy anew, whatever its id, so that max_age starts again (RFC 8461 §3.3,
   * §10.2). One process does it at a time; the others take over what it has put into the store.
   */
  async renew(policyDomain: string): Promise<Renewal> {
    let renewal: Renewal = 'kept'
    // A flight that is under way is about the same domain: let it land first
    for (let other = this.#flights.get(policyDomain); other; ) {
      await other.landed
      other = this.#flights.get(policyDomain)
    }
    const work = async () => {
      const { network, store } = this.#options
      const ttl = 2 * (network.dnsTimeout + network.fetchTimeout)
      await store.locked(`refresh:${policyDomain}`, ttl, async () => {
        renewal = await this.#renewHeld(policyDomain)
      })
      return this.#heldNow(policyDomain)?.lookup ?? noPolicy('expired')
    }
    await this.#fly(policyDomain, work, 'renewal')
    return renewal
  }

  async #renewHeld(policyDomain: string): Promise<Renewal> {
    const now = this.#now()
    const stored = await this.#options.store.get(policyDomain)
    const inMemory = this.#policies.peek(policyDomain)
    if (stored && inMemory && stored.fetchedAt > inMemory.fetchedAt) {
      stored.usedAt = Math.max(stored.usedAt, inMemory.usedAt)
      this.#take(policyDomain, stored)
      return 'kept'
    }
    const held = inMemory ?? stored
    if (!held) return 'kept'
    if (held.expiresAt <= now) {
      this.#policies.delete(policyDomain)
      return 'dropped'
    }
    if (now - held.usedAt > USED_WITHIN) return 'kept'
    const record = await lookupRecord(policyDomain, this.#options.network)
    const problem = problemOf(record)
    // A domain that has taken its record away is on its way out: what is held may expire. DNS that
    // fails says no such thing, and the policy host is asked all the same.
    if (problem && record.kind !== 'failed') return this.#keep(policyDomain, held, problem)
    const id = record.kind === 'found' ? record.id : held.id
    const renewed = await this.#fetch(policyDomain, id, held.usedAt)
    if (renewed.kind === 'failed') return this.#keep(policyDomain, held, renewed.failure)
    const same = renewed.held.id === held.id && renewed.held.lookup.body === held.lookup.body
    return same ? 'renewed' : 'changed'
  }

  #keep(policyDomain: string, held: HeldPolicy, failure: TlsFailure): 'failed' {
    noteFailure(held, failure)
    this.#report(policyDomain, held.lookup, failure)
    return 'failed'
  }

  /** Nothing is known that has not expired: ask the store, then the domain. */
  async #learn(policyDomain: string): Promise<PolicyLookup> {
    const stored = await this.#options.store.get(policyDomain)
    if (stored) {
      stored.usedAt = this.#now()
      this.#take(policyDomain, stored)
      return stored.lookup
    }
    const expired = this.#policies.delete(policyDomain)
    const lookup = await this.#discover(policyDomain)
    if (lookup.status === 'found') return { ...lookup, source: 'network' }
    if (lookup.failure) this.#report(policyDomain, lookup, lookup.failure)
    return expired && lookup.reason !== 'no-record' ? noPolicy('expired', lookup.failure) : lookup
  }

  async #discover(policyDomain: string): Promise<PolicyLookup> {
    const { negativeTtl } = this.#options
    const record = await lookupRecord(policyDomain, this.#options.network)
    switch (record.kind) {
      case 'gone':
        return this.#believe(policyDomain, noPolicy('no-record'), negativeTtl)
      case 'invalid':
        return this.#believe(policyDomain, noPolicy('invalid', record.failure), negativeTtl)
      case 'failed': {
        const ttl = Math.min(DNS_FAILURE_TTL, negativeTtl)
        return this.#believe(policyDomain, noPolicy('dns-failure', record.failure), ttl)
      }
      case 'found': {
        const fetched = await this.#fetch(policyDomain, record.id, this.#now())
        if (fetched.kind === 'held') return fetched.held.lookup
        const invalid = fetched.failure.resultType === 'sts-policy-invalid'
        // Not believed for any time: another id may be fetched at once, this one has its backoff
        return noPolicy(invalid ? 'invalid' : 'fetch-failed', fetched.failure)
      }
    }
  }

  #believe(policyDomain: string, lookup: NoPolicy, ttl: number): NoPolicy {
    this.#negatives.set(copied(policyDomain), { until: this.#now() + ttl, lookup })
    return lookup
  }

  #recheckBeside(policyDomain: string, held: HeldPolicy): void {
    if (this.#flights.has(policyDomain)) return
    void this.#fly(policyDomain, () => this.#recheck(policyDomain, held))
  }

  /** Looks at the TXT record; fetches the policy when the id is another one. */
  async #recheck(policyDomain: string, held: HeldPolicy): Promise<PolicyLookup> {
    const record = await lookupRecord(policyDomain, this.#options.network)
    held.checkedAt = this.#now()
    const problem = problemOf(record)
    if (problem) this.#keep(policyDomain, held, problem)
    if (record.kind !== 'found') return this.#stillHeld(policyDomain, held)
    if (record.id === held.id) {
      noteFailure(held, undefined)
      return this.#stillHeld(policyDomain, held)
    }
    // Another process may have been here first
    const stored = await this.#options.store.get(policyDomain)
    if (stored?.id === record.id && stored.fetchedAt > held.fetchedAt) {
      stored.usedAt = held.usedAt
      stored.checkedAt = held.checkedAt
      this.#take(policyDomain, stored)
      return stored.lookup
    }
    const fetched = await this.#fetch(policyDomain, record.id, held.usedAt)
    if (fetched.kind === 'held') return { ...fetched.held.lookup, source: 'network' }
    this.#keep(policyDomain, held, fetched.failure)
    return this.#stillHeld(policyDomain, held)
  }

  #stillHeld(policyDomain: string, held: HeldPolicy): PolicyLookup | Promise<PolicyLookup> {
    return this.#now() < held.expiresAt ? held.lookup : this.#learn(policyDomain)
  }

  /** One GET, unless this id has failed lately; what it brings is in the store before it counts. */
  async #fetch(
    policyDomain: string,
    id: string,
    usedAt: number,
  ): Promise<{ kind: 'held'; held: HeldPolicy } | { kind: 'failed'; failure: TlsFailure }> {
    const waiting = this.#backoff.waiting(policyDomain, id, this.#now())
    if (waiting) return { kind: 'failed', failure: waiting }
    const found = await fetchPolicy(policyDomain, this.#options.network)
    const now = this.#now()
    if (found.kind === 'failed') {
      this.#backoff.failed(policyDomain, id, { now, failure: found.failure })
      return found
    }
    this.#backoff.succeeded(policyDomain, id)
    const held = hold({ ...found, id, fetchedAt: now }, { usedAt, checkedAt: now })
    await this.#options.store.set(policyDomain, held)
    this.#take(policyDomain, held)
    return { kind: 'held', held }
  }

  /** From now on it applies; what was believed before does not come back when it expires. */
  #take(policyDomain: string, held: HeldPolicy): void {
    this.#policies.set(copied(policyDomain), held)
    this.#negatives.delete(policyDomain)
  }

  #fly(
    policyDomain: string,
    work: () => Promise<PolicyLookup>,
    purpose: Flight['purpose'] = 'lookup',
  ): Promise<PolicyLookup> {
    const underWay = this.#flights.get(policyDomain)
    // What a renewal comes to is no answer: the policy may be the store's alone, or have expired
    if (underWay?.purpose === 'renewal') return underWay.landed.then(() => this.get(policyDomain))
    if (underWay) return underWay.landed
    const landed = work().finally(() => {
      this.#flights.delete(policyDomain)
      // What came from the store has not been looked at by this process yet
      const held = this.#heldNow(policyDomain)
      if (held?.checkedAt === NEVER_CHECKED) this.#recheckBeside(policyDomain, held)
    })
    this.#flights.set(policyDomain, { purpose, landed })
    return landed
  }

  #heldNow(policyDomain: string): HeldPolicy | undefined {
    const held = this.#policies.peek(policyDomain)
    return held !== undefined && this.#now() < held.expiresAt ? held : undefined
  }

  /** RFC 8461 §3.3: the operator is told, unless the policy asks for nothing. */
  #report(policyDomain: string, applies: PolicyLookup, failure: TlsFailure): void {
    if (applies.status === 'found' && applies.policy.mode === 'none') return
    this.#options.report(policyDomain, applies, failure)
  }
}

/** What is wrong with a TXT record where there was a good one before. */
function problemOf(record: RecordLookup): TlsFailure | undefined {
  if (record.kind === 'found') return undefined
  if (record.kind === 'gone') {
    return { resultType: 'sts-policy-fetch-error', reason: 'record-gone' }
  }
  return record.failure
}

/**
 * A name to be kept. In V8 a part of a string holds on to the whole, and that may be a header with
 * a thousand recipients; a copy is also found sooner.
 */
function copied(policyDomain: string): string {
  return Buffer.from(policyDomain).toString()
}

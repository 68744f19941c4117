/**
 * A policy in memory.
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import type { FoundPolicy } from './lookup.js'
import { type Policy, parsePolicy } from './policy-file.js'
import { hasPassed, type Span, ticks } from './span.js'
import { renewalDueAt, type StoredPolicy } from './store.js'

const DAY = 86_400_000

/** Policies unused for this long are not refreshed. */
const USED_WITHIN = 30 * DAY

/** Time for which a policy is renewed after its TXT record is gone, unless `max_age` is longer. */
const RENEWED_WITHOUT_RECORD = 30 * DAY

/** Age of the stored `usedAt` at which it is written again: it is exact to within a day. */
const USE_SAVED_AFTER = DAY / 2

/** Size above which a policy is cached as bytes and parsed at each use, in characters. */
const KEPT_PARSED = 4096

/** As {@link KEPT_PARSED}, in fields. */
const KEPT_FIELDS = 64

/** Rough sizes of the cached data besides the text, in bytes. */
const ENTRY_SIZE = 1500
const FIELD_SIZE = 150

/** All times in epoch milliseconds. */
export interface PolicyTimes {
  /** Start of the HTTPS fetch: of two fetches the later one counts */
  startedAt: number
  /** End of the HTTPS fetch */
  fetchedAt: number
  /** When a delivery last used the policy */
  usedAt: number
  /** When a valid TXT record was last seen */
  recordSeenAt: number
}

/** The result of fetching a policy. */
export interface FetchedPolicy {
  id: string
  policy: Policy
  body: string
  /** Default: the fetch took no time */
  startedAt?: number
  fetchedAt: number
}

/** Fields that few policies need. */
interface Rare {
  failure?: TlsFailure | undefined
  refetched?: Span | undefined
  undated?: CachedPolicy | undefined
  dropped?: boolean
  /** The bytes of a large policy, which take at most half the memory of its text */
  bytes?: Buffer
  /** A large policy, parsed */
  policy?: WeakRef<Policy>
}

/**
 * A policy in memory. It holds text and numbers only, in as few objects as possible: each time in
 * epoch milliseconds takes 24 bytes, a small whole number 8, a `Date` more than 100. A lookup reads
 * only small numbers: V8 stores others elsewhere in memory, for which the processor waits.
 */
export class CachedPolicy {
  readonly id: string
  readonly startedAt: number
  /** The end of the fetch as two small numbers: its day, and the milliseconds of that day */
  readonly #fetchedDay: number
  readonly #fetchedTime: number
  /** In bytes, roughly */
  readonly size: number
  usedAt: number
  recordSeenAt: number
  /** Whether the store lacks this policy, because writing it failed */
  unsaved = false
  /** `usedAt` of the entry in the store */
  savedUsedAt: number
  /** Whether the entry is being written */
  saving = false
  /** Both clocks at the last TXT lookup; undefined before the first lookup of this process */
  #checkedAt: number | undefined
  #checkedTicks = 0
  /** The same when the store was last asked for a newer policy or a removal */
  #syncedAt: number | undefined
  #syncedTicks = 0
  /** The minute of the epoch in which a delivery gets the policy and nothing else is due */
  quietMinute: number | undefined
  /** Undefined for a large policy, as is the text */
  readonly #policy: Policy | undefined
  readonly #body: string | undefined
  readonly #maxAge: number
  #rare: Rare | undefined
  /** `performance.now()` at the end of the fetch, estimated for a policy from the store */
  readonly #ticks: number

  constructor(fetched: FetchedPolicy, now: number, times: Partial<PolicyTimes> = {}) {
    const { id, policy, body, fetchedAt, startedAt = fetchedAt } = fetched
    // A copy: in V8 a substring keeps the whole TXT record in memory
    this.id = Buffer.from(id).toString()
    this.startedAt = startedAt
    this.#fetchedDay = Math.floor(fetchedAt / DAY)
    this.#fetchedTime = fetchedAt - this.#fetchedDay * DAY
    this.#maxAge = policy.maxAge
    this.usedAt = times.usedAt ?? fetchedAt
    this.recordSeenAt = times.recordSeenAt ?? startedAt
    this.savedUsedAt = this.usedAt
    this.#ticks = ticks() - (now - fetchedAt)
    const fields = policy.mx.length + (policy.extensions?.length ?? 0)
    if (body.length <= KEPT_PARSED && fields <= KEPT_FIELDS) {
      this.#body = body
      this.#policy = frozen(policy)
      this.size = ENTRY_SIZE + 2 * body.length + fields * FIELD_SIZE
    } else {
      const bytes = Buffer.from(body)
      this.#rare = { bytes, policy: new WeakRef(frozen(policy)) }
      this.size = ENTRY_SIZE + bytes.length
    }
  }

  get fetchedAt(): number {
    return this.#fetchedDay * DAY + this.#fetchedTime
  }

  /** `max_age` runs from the fetch (RFC 8461 §3.3) */
  get expiresAt(): number {
    return this.fetchedAt + this.#maxAge * 1000
  }

  /**
   * The lookup for a delivery. Each gets its own: kept, it would take as much memory as all the rest.
   * The policy in it is the same object as long as it is in use.
   */
  get lookup(): FoundPolicy {
    const { body, failure, fetchedAt } = this
    const lookup: FoundPolicy = {
      status: 'found',
      policy: this.#policy ?? this.#largePolicy(body),
      id: this.id,
      fetchedAt: new Date(fetchedAt),
      expiresAt: new Date(fetchedAt + this.#maxAge * 1000),
      source: 'cache',
      body,
    }
    if (failure !== undefined) lookup.failure = failure
    return Object.freeze(lookup)
  }

  get body(): string {
    return this.#body ?? String(this.#rare?.bytes)
  }

  /** The failure of the last lookup; plain data. */
  get failure(): TlsFailure | undefined {
    return this.#rare?.failure
  }

  set failure(failure: TlsFailure | undefined) {
    if (failure !== this.failure) this.#rare = { ...this.#rare, failure }
  }

  /** Since the last fetch caused by an MX host that did not match */
  get refetched(): Span | undefined {
    return this.#rare?.refetched
  }

  set refetched(refetched: Span | undefined) {
    if (refetched !== this.refetched) this.#rare = { ...this.#rare, refetched }
  }

  /** Whether a pass has counted it as expired: later passes leave it out */
  get dropped(): boolean {
    return this.#rare?.dropped ?? false
  }

  set dropped(dropped: boolean) {
    if (dropped !== this.dropped) this.#rare = { ...this.#rare, dropped }
  }

  /** The policy with its original dates, if the clock was set back after the fetch */
  get undated(): CachedPolicy | undefined {
    return this.#rare?.undated
  }

  set undated(undated: CachedPolicy | undefined) {
    this.#rare = { ...this.#rare, undated }
  }

  isValid(now: number): boolean {
    return now < this.expiresAt
  }

  /**
   * Whether the dates make sense, and less than `max_age` has passed by a clock that cannot go
   * back.
   */
  isAlive(now: number): boolean {
    const elapsed = performance.now() - this.#ticks
    return this.fetchedAt <= now && this.isValid(now) && elapsed < this.expiresAt - this.fetchedAt
  }

  /** Whether half of `max_age`, or a day, has passed since the fetch. */
  isRenewalDue(now: number): boolean {
    return now >= renewalDueAt(this)
  }

  /**
   * Returns the milliseconds after which the policy must have been renewed, or be tried again:
   * three quarters of its life, then shorter and shorter intervals.
   */
  renewWithin(now: number): number {
    const left = this.expiresAt - now
    const life = this.expiresAt - this.fetchedAt
    return left > life / 4 ? left - life / 4 : left / 4
  }

  /** Whether a delivery has used the policy lately. Unused policies are left to expire. */
  isInUse(now: number): boolean {
    return now - this.usedAt <= USED_WITHIN
  }

  /** Whether the policy is renewed although its TXT record is gone or invalid. */
  outlivesRecord(now: number): boolean {
    const longest = Math.max(RENEWED_WITHOUT_RECORD, this.expiresAt - this.fetchedAt)
    return now - this.recordSeenAt <= longest
  }

  /** When this process last looked up the TXT record. */
  get checkedAt(): number | undefined {
    return this.#checkedAt
  }

  /** Whether the TXT record is due to be looked up again. */
  isCheckDue(now: number, interval: number): boolean {
    const since = this.#checkedAt
    if (since === undefined) return true
    return hasPassed({ since, ticks: this.#checkedTicks, length: interval }, now)
  }

  /** Whether the store is due to be asked for a later fetch or a removal. */
  isSyncDue(now: number, interval: number): boolean {
    const since = this.#syncedAt
    if (since === undefined) return true
    return hasPassed({ since, ticks: this.#syncedTicks, length: interval }, now)
  }

  /** Whether a mismatch with an MX host justifies another fetch. */
  isRefetchDue(now: number): boolean {
    return this.refetched === undefined || hasPassed(this.refetched, now)
  }

  /** Whether the store lacks this policy, or its `usedAt` is out of date. */
  isSaveDue(): boolean {
    return !this.saving && (this.unsaved || this.usedAt - this.savedUsedAt >= USE_SAVED_AFTER)
  }

  checkedNow(now: number): void {
    this.#checkedAt = now
    this.#checkedTicks = ticks()
  }

  syncedNow(now: number): void {
    this.#syncedAt = now
    this.#syncedTicks = ticks()
  }

  /** Takes over when another policy of the domain was checked, synced and fetched again. */
  continueFrom(other: CachedPolicy): void {
    this.#checkedAt = other.#checkedAt
    this.#checkedTicks = other.#checkedTicks
    this.#syncedAt = other.#syncedAt
    this.#syncedTicks = other.#syncedTicks
    this.refetched = other.refetched
  }

  /**
   * Returns a policy that seems to have been fetched in the future with the dates it would have had
   * with a correct clock.
   */
  redated(now: number): CachedPolicy {
    const fetchedAt = now - Math.max(0, performance.now() - this.#ticks)
    const { id, usedAt, recordSeenAt, lookup } = this
    const startedAt = Math.min(this.startedAt, fetchedAt)
    const fetched = { id, policy: lookup.policy, body: lookup.body, startedAt, fetchedAt }
    const times = { usedAt: Math.min(usedAt, now), recordSeenAt: Math.min(recordSeenAt, now) }
    const redated = new CachedPolicy(fetched, now, times)
    redated.continueFrom(this)
    redated.failure = this.failure
    redated.unsaved = true
    redated.undated = this.undated ?? this
    return redated
  }

  toStored(): StoredPolicy {
    const { id, body, startedAt, fetchedAt, expiresAt, usedAt, recordSeenAt } = this
    return { id, body, startedAt, fetchedAt, expiresAt, usedAt, recordSeenAt }
  }

  #largePolicy(body: string): Policy {
    const parsed = this.#rare?.policy?.deref()
    if (parsed !== undefined) return parsed
    const policy = frozen(parsePolicy(body))
    this.#rare = { ...this.#rare, policy: new WeakRef(policy) }
    return policy
  }
}

/** Freezes a policy: every delivery gets the same object. */
function frozen(policy: Policy): Policy {
  Object.freeze(policy.mx)
  return Object.freeze(policy)
}

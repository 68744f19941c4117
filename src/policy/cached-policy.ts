/**
 * A policy in memory, and its form in a store.
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import type { FoundPolicy } from './lookup.js'
import { type Policy, parsePolicy } from './policy-file.js'
import { isPolicyId } from './record.js'
import { hasPassed, type Span, span } from './span.js'
import { renewalDueAt, type StoredPolicy, startOf } from './store.js'

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

/** A policy in memory. It holds text and numbers only. */
export class CachedPolicy {
  readonly id: string
  readonly startedAt: number
  readonly fetchedAt: number
  readonly expiresAt: number
  /** In bytes, roughly */
  readonly size: number
  usedAt: number
  recordSeenAt: number
  /** Since the last TXT lookup; undefined before the first lookup of this process */
  checked: Span | undefined
  /** Since the store was last asked for a newer policy or a removal */
  synced: Span | undefined
  /** Since the last fetch caused by an MX host that did not match */
  refetched: Span | undefined
  /** Whether a pass has counted it as expired: later passes leave it out */
  dropped = false
  /** Whether the store lacks this policy, because writing it failed */
  unsaved = false
  /** `usedAt` of the entry in the store */
  savedUsedAt: number
  /** Whether the entry is being written */
  saving = false
  /** The policy with its original dates, if the clock was set back after the fetch */
  undated: CachedPolicy | undefined
  /** Period in which a delivery gets the policy and nothing else is due */
  quietFrom = Number.POSITIVE_INFINITY
  quietUntil = Number.NEGATIVE_INFINITY
  #failure: TlsFailure | undefined
  /** The text of a small policy, or the bytes of a large one, which take at most half the memory */
  readonly #body: string | Buffer
  #lookup: FoundPolicy | WeakRef<FoundPolicy>
  /** `performance.now()` at the end of the fetch, estimated for a policy from the store */
  readonly #ticks: number

  constructor(fetched: FetchedPolicy, now: number, times: Partial<PolicyTimes> = {}) {
    const { id, policy, body, fetchedAt, startedAt = fetchedAt } = fetched
    this.id = id
    this.startedAt = startedAt
    this.fetchedAt = fetchedAt
    // `max_age` runs from the fetch (RFC 8461 §3.3)
    this.expiresAt = fetchedAt + policy.maxAge * 1000
    this.usedAt = times.usedAt ?? fetchedAt
    this.recordSeenAt = times.recordSeenAt ?? startedAt
    this.savedUsedAt = this.usedAt
    this.#ticks = performance.now() - (now - fetchedAt)
    const fields = policy.mx.length + (policy.extensions?.length ?? 0)
    if (body.length <= KEPT_PARSED && fields <= KEPT_FIELDS) {
      this.#body = body
      this.#lookup = this.#found(policy, body)
      this.size = ENTRY_SIZE + 2 * body.length + fields * FIELD_SIZE
    } else {
      this.#body = Buffer.from(body)
      this.#lookup = new WeakRef(this.#found(policy, body))
      this.size = ENTRY_SIZE + this.#body.length
    }
  }

  /** The lookup for a delivery; the same object as long as nothing changes and it is in use. */
  get lookup(): FoundPolicy {
    if (!(this.#lookup instanceof WeakRef)) return this.#lookup
    const parsed = this.#lookup.deref()
    if (parsed !== undefined) return parsed
    const found = this.#found(parsePolicy(this.body), this.body)
    this.#lookup = new WeakRef(found)
    return found
  }

  get body(): string {
    return this.#body.toString()
  }

  /** The failure of the last lookup; plain data. */
  get failure(): TlsFailure | undefined {
    return this.#failure
  }

  set failure(failure: TlsFailure | undefined) {
    if (failure === this.#failure) return
    this.#failure = failure
    const { policy, body } = this.lookup
    const found = this.#found(policy, body)
    this.#lookup = this.#lookup instanceof WeakRef ? new WeakRef(found) : found
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

  /** Whether the TXT record is due to be looked up again. */
  isCheckDue(now: number): boolean {
    return this.checked === undefined || hasPassed(this.checked, now)
  }

  /** Whether the store is due to be asked for a later fetch or a removal. */
  isSyncDue(now: number): boolean {
    return this.synced === undefined || hasPassed(this.synced, now)
  }

  /** Whether a mismatch with an MX host justifies another fetch. */
  isRefetchDue(now: number): boolean {
    return this.refetched === undefined || hasPassed(this.refetched, now)
  }

  /** Whether the store lacks this policy, or its `usedAt` is out of date. */
  isSaveDue(): boolean {
    return !this.saving && (this.unsaved || this.usedAt - this.savedUsedAt >= USE_SAVED_AFTER)
  }

  checkedNow(now: number, interval: number): void {
    this.checked = span(now, interval)
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
    redated.checked = this.checked
    redated.synced = this.synced
    redated.refetched = this.refetched
    redated.failure = this.failure
    redated.unsaved = true
    redated.undated = this.undated ?? this
    return redated
  }

  toStored(): StoredPolicy {
    const { id, body, startedAt, fetchedAt, expiresAt, usedAt, recordSeenAt } = this
    return { id, body, startedAt, fetchedAt, expiresAt, usedAt, recordSeenAt }
  }

  #found(policy: Policy, body: string): FoundPolicy {
    // Every delivery gets this object: a caller must not change what applies to the others
    Object.freeze(policy.mx)
    return Object.freeze({
      status: 'found',
      policy: Object.freeze(policy),
      id: this.id,
      fetchedAt: new Date(this.fetchedAt),
      expiresAt: new Date(this.expiresAt),
      source: 'cache',
      body,
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    })
  }
}

/** A store entry that was validated like remote input. */
export interface ReadPolicy {
  cached: CachedPolicy
  /**
   * Milliseconds by which our clock is behind the fetch, or 0. An entry from the future is used
   * when nothing else is known, as if it had just been fetched; it replaces no policy.
   */
  ahead: number
}

/**
 * Reads a store entry. Its lifetime is computed from its own policy; a fetch in the future cannot
 * lengthen it.
 *
 * @throws PolicySyntaxError, TypeError when it is not a stored policy
 */
export function fromStored(stored: StoredPolicy, now: number): ReadPolicy {
  const { id, body, fetchedAt, usedAt, recordSeenAt } = stored
  if (typeof id !== 'string' || !isPolicyId(id)) throw new TypeError('its id is not a policy id')
  if (typeof body !== 'string') throw new TypeError('its body is not text')
  if (!Number.isFinite(fetchedAt)) throw new TypeError('its fetchedAt is not a time')
  const begun = startOf(stored)
  const end = Math.min(fetchedAt, now)
  const start = Number.isFinite(begun) ? Math.min(begun, end) : end
  const cached = new CachedPolicy(
    { id, policy: parsePolicy(body), body, startedAt: start, fetchedAt: end },
    now,
    {
      usedAt: Number.isFinite(usedAt) ? Math.min(usedAt, now) : end,
      recordSeenAt: isTime(recordSeenAt) ? Math.min(recordSeenAt, now) : end,
    },
  )
  return { cached, ahead: Math.max(0, fetchedAt - now) }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

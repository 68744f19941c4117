/**
 * A policy in memory, and its form in a store.
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import type { FoundPolicy } from './lookup.js'
import type { Policy } from './policy-file.js'
import { parsePolicy } from './policy-file.js'
import { isPolicyId } from './record.js'
import type { StoredPolicy } from './store.js'

/** All times in epoch milliseconds. */
export class HeldPolicy {
  readonly fetchedAt: number
  readonly expiresAt: number
  /** When a delivery last asked for it, to the minute */
  usedAt: number
  /** When its TXT record was last looked at */
  checkedAt: number
  /** Before that a delivery is told what is here, and nothing else has to be thought of */
  nothingDueUntil = Number.NEGATIVE_INFINITY
  /** What a delivery is told, made once */
  lookup: FoundPolicy

  constructor(
    lookup: FoundPolicy,
    times: Pick<HeldPolicy, 'fetchedAt' | 'expiresAt' | 'usedAt' | 'checkedAt'>,
  ) {
    this.lookup = lookup
    this.fetchedAt = times.fetchedAt
    this.expiresAt = times.expiresAt
    this.usedAt = times.usedAt
    this.checkedAt = times.checkedAt
  }

  get id(): string {
    return this.lookup.id
  }
}

export interface FetchedPolicy {
  id: string
  policy: Policy
  body: string
  fetchedAt: number
}

/** max_age runs from the fetch, and from nothing else (RFC 8461 §3.3). */
export function hold(
  fetched: FetchedPolicy,
  times: { usedAt: number; checkedAt: number },
): HeldPolicy {
  const { id, policy, body, fetchedAt } = fetched
  const expiresAt = fetchedAt + policy.maxAge * 1000
  const lookup: FoundPolicy = Object.freeze({
    status: 'found',
    policy,
    id,
    fetchedAt: new Date(fetchedAt),
    expiresAt: new Date(expiresAt),
    source: 'cache',
    body,
  })
  return new HeldPolicy(lookup, { fetchedAt, expiresAt, ...times })
}

/** Puts down, or takes back, what went wrong when the domain was last looked at. */
export function noteFailure(held: HeldPolicy, failure: TlsFailure | undefined): void {
  if (held.lookup.failure === failure) return
  const { failure: _, ...rest } = held.lookup
  held.lookup = Object.freeze(failure === undefined ? rest : { ...rest, failure })
}

export function toStored(held: HeldPolicy): StoredPolicy {
  return {
    id: held.id,
    body: held.lookup.body,
    fetchedAt: held.fetchedAt,
    expiresAt: held.expiresAt,
    usedAt: held.usedAt,
  }
}

/** Not by this process: it came from a store. */
export const NEVER_CHECKED = Number.NEGATIVE_INFINITY

/** The clock of another host may be this much ahead of ours; a store gives way beyond it. */
const CLOCK_SKEW = 3_600_000

/**
 * An entry of a store, checked like remote input: its life is reckoned from its own policy, and
 * a fetch that lies in the future cannot lengthen it.
 *
 * @throws PolicySyntaxError, TypeError when it is not a stored policy
 */
export function fromStored(stored: StoredPolicy, now: number): HeldPolicy {
  const { id, body, fetchedAt, usedAt } = stored
  if (typeof id !== 'string' || !isPolicyId(id)) throw new TypeError('its id is no policy id')
  if (typeof body !== 'string') throw new TypeError('its body is no text')
  if (!Number.isFinite(fetchedAt) || fetchedAt > now + CLOCK_SKEW) {
    throw new TypeError('its fetchedAt is no time in the past')
  }
  return hold(
    { id, policy: parsePolicy(body), body, fetchedAt: Math.min(fetchedAt, now) },
    {
      usedAt: Number.isFinite(usedAt) ? Math.min(usedAt, now) : fetchedAt,
      checkedAt: NEVER_CHECKED,
    },
  )
}

/**
 * Reads the entries of a policy store, which are validated like remote input.
 *
 * @module
 */
import { CachedPolicy } from './cached-policy.js'
import { parsePolicy } from './policy-file.js'
import { isPolicyId } from './record.js'
import { type StoredPolicy, startOf } from './store.js'

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

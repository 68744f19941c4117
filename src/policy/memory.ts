/**
 * The cached policies, and the cached "no policy", in memory. Each has its own bound, so that many
 * domains without a policy evict no policy.
 *
 * @module
 */
import { BoundedCache } from './bounded-cache.js'
import type { CachedPolicy } from './cached-policy.js'
import type { NoPolicy } from './lookup.js'
import { hasPassed, type Span } from './span.js'

export interface MemoryOptions {
  maxPolicies: number
  maxNegatives: number
  /** Bound of policies, negatives and back-off together, in bytes */
  maxCacheBytes: number
  /** Called with each policy that there is no room for */
  onEvicted?: (policy: CachedPolicy, policyDomain: string) => void
}

interface Negative {
  span: Span
  lookup: NoPolicy
}

/** Largest share of `maxCacheBytes` for negatives, and for back-off. */
export const NEGATIVE_SHARE = 1 / 8

const NEGATIVE_SIZE = 700

/** Time for which an expired policy stays in memory, in milliseconds. */
const EXPIRED_KEPT = 90 * 86_400_000

export class PolicyMemory {
  readonly #policies: BoundedCache<CachedPolicy>
  readonly #negatives: BoundedCache<Negative>

  constructor({ maxPolicies, maxNegatives, maxCacheBytes, onEvicted }: MemoryOptions) {
    const negativeBytes = Math.ceil(maxCacheBytes * NEGATIVE_SHARE)
    this.#policies = new BoundedCache(
      { max: maxPolicies, maxBytes: maxCacheBytes - 2 * negativeBytes },
      (policy, name) => policy.size + name.length,
      onEvicted,
    )
    this.#negatives = new BoundedCache(
      { max: maxNegatives, maxBytes: negativeBytes },
      (_, name) => NEGATIVE_SIZE + name.length,
    )
  }

  /** Returns what is cached, expired or not; counts as a use. */
  get(policyDomain: string): CachedPolicy | undefined {
    return this.#policies.get(policyDomain)
  }

  /** Returns the policy that applies, with plausible dates; does not count as a use. */
  valid(policyDomain: string, now: number): CachedPolicy | undefined {
    const cached = this.#policies.peek(policyDomain)
    const policy = cached && this.believable(policyDomain, cached, now)
    if (!policy?.isValid(now)) return undefined
    policy.dropped = false
    return policy
  }

  has(policyDomain: string): boolean {
    return this.#policies.peek(policyDomain) !== undefined
  }

  /** Whether this very policy is cached. */
  holds(policyDomain: string, policy: CachedPolicy): boolean {
    return this.#policies.peek(policyDomain) === policy
  }

  /**
   * Returns the policy, with new dates if it seems to have been fetched in the future because the
   * clock was set back. It gets the original dates back once they make sense again, so that a
   * temporarily wrong clock makes no policy expire.
   */
  believable(policyDomain: string, cached: CachedPolicy, now: number): CachedPolicy {
    if (cached.fetchedAt <= now) {
      const { undated } = cached
      if (cached.isValid(now) || !undated?.isAlive(now)) return cached
      // A store that accepts every entry may hold the wrong dates
      undated.unsaved = true
      if (this.holds(policyDomain, cached)) this.set(policyDomain, undated)
      return undated
    }
    const redated = cached.redated(now)
    if (this.holds(policyDomain, cached)) this.set(policyDomain, redated)
    return redated
  }

  /** Caches a policy, and drops an earlier "no policy". */
  set(policyDomain: string, policy: CachedPolicy): void {
    this.#policies.set(copied(policyDomain), policy)
    this.#negatives.delete(policyDomain)
  }

  /** Removes a policy, unless another one has taken its place. */
  remove(policyDomain: string, policy: CachedPolicy): void {
    if (this.holds(policyDomain, policy)) this.#policies.delete(policyDomain)
  }

  /**
   * Removes a policy that has expired, unless it expired lately: the clock may be ahead, and the
   * policy applies again when it is corrected.
   *
   * @returns whether there was an expired policy
   */
  dropExpired(policyDomain: string, now: number): boolean {
    const cached = this.#policies.peek(policyDomain)
    if (cached === undefined) return false
    cached.dropped = true
    if (now - cached.expiresAt > EXPIRED_KEPT) this.#policies.delete(policyDomain)
    return true
  }

  /** Iterates over the Policy Domains of policies that have not been counted as expired. */
  *domains(): Generator<string> {
    for (const [policyDomain, { dropped }] of this.#policies.entries()) {
      if (!dropped) yield policyDomain
    }
  }

  entries(): IterableIterator<[string, CachedPolicy]> {
    return this.#policies.entries()
  }

  /** Returns the cached "no policy". */
  negative(policyDomain: string, now: number): NoPolicy | undefined {
    const negative = this.#negatives.get(policyDomain)
    return negative === undefined || hasPassed(negative.span, now) ? undefined : negative.lookup
  }

  /** @param lookup plain data: it is cached */
  setNegative(policyDomain: string, lookup: NoPolicy, believed: Span): void {
    this.#negatives.set(copied(policyDomain), { span: believed, lookup })
  }
}

/**
 * Returns a copy of a name for the cache. In V8 a substring keeps the whole string in memory, which
 * may be a header with a thousand recipients. Copies are also faster keys.
 */
function copied(policyDomain: string): string {
  return Buffer.from(policyDomain).toString()
}

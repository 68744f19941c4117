/**
 * Where policies outlive the process. The cache in memory decides; a store is asked when memory
 * knows nothing of a domain, and written before a delivery goes on. What it returns is checked
 * like remote input, and when it fails, memory goes on alone.
 *
 * To write a store of your own, implement {@link PolicyStore}: `get`, `set` and `delete` are
 * enough; `list` lets `MtaSts.refresh()` see what other processes have learnt, and `lock` keeps
 * two of them from refreshing the same policy at once. Every method may reject; none may block.
 *
 * @module
 */

/** A policy as it is kept: the text that was fetched, and when. All times in epoch milliseconds. */
export interface StoredPolicy {
  /** The id of the TXT record that led to the fetch */
  id: string
  /** The policy file, as it came (UTF-8, at most 64 KiB) */
  body: string
  /** The end of the HTTPS fetch; `max_age` runs from here (RFC 8461 §3.3) */
  fetchedAt: number
  /** `fetchedAt` plus `max_age`; worth nothing afterwards, and may be deleted */
  expiresAt: number
  /** When a delivery last asked for it, to within a day */
  usedAt: number
}

/** Where policies outlive the process; see `sqliteStore` and `redisStore` for two of them. */
export interface PolicyStore {
  /** What is kept for a Policy Domain (A-label, lower case), or undefined */
  get(policyDomain: string): Promise<StoredPolicy | undefined>
  /** Keeps it; when the promise resolves, it survives the end of the process */
  set(policyDomain: string, entry: StoredPolicy): Promise<void>
  /** Forgets it; resolves also when there was nothing */
  delete(policyDomain: string): Promise<void>
  /** Every entry, in any order */
  list?(): AsyncIterable<[policyDomain: string, entry: StoredPolicy]>
  /**
   * Takes a lock by name for `ttl` milliseconds, for one process among those that share the store.
   * Resolves to a function that gives it back, or undefined when another process holds it.
   */
  lock?(name: string, ttl: number): Promise<(() => Promise<void>) | undefined>
  /** Called by `MtaSts.close()` */
  close?(): Promise<void>
}

/**
 * The interface of a policy store, in which policies outlive the process. The cache in memory
 * decides. It asks the store for domains that are not in memory, and writes to it before a delivery
 * goes on. Entries are validated like remote input. If the store fails, memory goes on alone.
 *
 * To write a store of your own, implement {@link PolicyStore}. `get`, `set` and `delete` are
 * enough. `list` and `due` let `MtaSts.refresh()` see what other processes have fetched, `lock`
 * keeps two of them from refreshing the same policy at once, and `removedAt` makes an operator's
 * removal reach running senders. Every method may reject; none may block.
 *
 * @module
 */

/** A stored policy: its text and dates. All times in epoch milliseconds. */
export interface StoredPolicy {
  /** Id of the TXT record that led to the fetch */
  id: string
  /** The text of the policy file (UTF-8, at most 64 KiB) */
  body: string
  /**
   * Start of the HTTPS fetch. Of two fetches the one that began later counts: see
   * {@link PolicyStore.set}. Entries written by version 0.1.0 lack it; `fetchedAt` stands in for it.
   */
  startedAt?: number
  /** End of the HTTPS fetch; `max_age` runs from here (RFC 8461 §3.3) */
  fetchedAt: number
  /** `fetchedAt` plus `max_age`. Afterwards the entry may be deleted */
  expiresAt: number
  /** When a delivery last used the policy, to within a day */
  usedAt: number
  /**
   * When a valid TXT record was last seen, to within a day. It bounds how long a policy is renewed
   * after its record is gone. Entries written by version 0.1.0 lack it.
   */
  recordSeenAt?: number
}

/** A place where policies outlive the process, such as `sqliteStore` and `redisStore`. */
export interface PolicyStore {
  /** Returns the entry of a Policy Domain (A-label, lower case), or undefined */
  get(policyDomain: string): Promise<StoredPolicy | undefined>
  /**
   * Stores an entry. When the promise resolves, the entry survives the end of the process.
   *
   * Resolves to `false`, and changes nothing, when the stored entry stems from a fetch that began
   * later (`startedAt`), or when an operator removed the domain's policy after the fetch began
   * ({@link PolicyStore.removedAt}): the caller then reads the stored entry. An entry of the same
   * fetch is replaced, so that `usedAt` can be updated. A start or a removal more than an hour in
   * the future is ignored. A store that never refuses an entry may resolve to nothing.
   *
   * @param before the entry that the caller had read when the fetch began. If it is still the
   * stored one, the fetch is the later of the two, whatever the clocks of the hosts say
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async method that returns nothing will do
  set(policyDomain: string, entry: StoredPolicy, before?: StoredPolicy): Promise<boolean | void>
  /**
   * Removes the entry of a Policy Domain for an operator; also resolves without an entry. A store
   * that implements `removedAt` records the time in both cases.
   */
  delete(policyDomain: string): Promise<void>
  /**
   * Returns when `delete` was last called for a Policy Domain, in epoch milliseconds, or undefined.
   * Running senders that share the store drop what they fetched before that time. Remember it for a
   * year, the longest life of a policy. Without this method, a removal reaches other senders when
   * they restart.
   */
  removedAt?(policyDomain: string): Promise<number | undefined>
  /** Iterates over all entries, in any order */
  list?(): AsyncIterable<[policyDomain: string, entry: StoredPolicy]>
  /**
   * Iterates over the entries whose renewal is due at a point in time: half of `max_age` or a day
   * after the fetch, whichever comes first. A store without this method is asked for all entries.
   */
  due?(time: number): AsyncIterable<[policyDomain: string, entry: StoredPolicy]>
  /**
   * Takes a lock by name for `ttl` milliseconds, for one process among those that share the store.
   * Resolves to a function that releases it, or to undefined when another process holds it.
   */
  lock?(name: string, ttl: number): Promise<(() => Promise<void>) | undefined>
  /** Closes the store; called by `MtaSts.close()` */
  close?(): Promise<void>
}

const DAY = 86_400_000

/** Returns when the fetch of an entry began. */
export function startOf({ startedAt, fetchedAt }: StoredPolicy): number {
  return startedAt ?? fetchedAt
}

/**
 * Returns when a policy is to be fetched again (RFC 8461 §3.3, §10.2): after half of its `max_age`,
 * or after a day, whichever comes first.
 */
export function renewalDueAt({
  fetchedAt,
  expiresAt,
}: Pick<StoredPolicy, 'fetchedAt' | 'expiresAt'>): number {
  return fetchedAt + Math.min((expiresAt - fetchedAt) / 2, DAY)
}

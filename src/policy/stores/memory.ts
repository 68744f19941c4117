/**
 * A policy store in a Map. It does not outlive the process: use it in tests, and as a model for a
 * store of your own. `policyStoreConformance` of `mta-sts/testing` checks any store.
 *
 * @module
 */

import type { PolicyStore, StoredPolicy } from '../store.js'
import { checkEntry, replacementFor, type StoreClockOptions } from './entry-json.js'

/**
 * Makes a policy store in memory.
 *
 * - `set` resolves to false, without a change, where the stored entry stems from a later fetch or
 *   the policy was removed since; it rejects with `ESTOREVALUE` for anything but a stored policy.
 * - Entries are copied on the way in and on the way out.
 * - Expired entries stay until they are replaced or deleted; a store may drop them, but need not.
 * - A lock belongs to the caller that took it, until it is released or its time is over.
 *   Releasing an expired lock that another caller has taken does nothing.
 *
 * @example
 * const store = memoryStore()
 * const before = new MtaSts({ store })
 * const after = new MtaSts({ store }) // has the policies that the first one cached
 */
export function memoryStore(options: StoreClockOptions = {}): PolicyStore {
  const { now = Date.now } = options
  const entries = new Map<string, StoredPolicy>()
  const removals = new Map<string, number>()
  const locks = new Map<string, { expiresAt: number }>()

  return {
    async get(policyDomain) {
      const kept = entries.get(policyDomain)
      return kept && { ...kept }
    },

    async set(policyDomain, entry, before) {
      const checked = checkEntry(entry, policyDomain)
      const kept = entries.get(policyDomain)
      const removedAt = removals.get(policyDomain)
      const replacement = replacementFor(checked, { kept, removedAt, before, now: now() })
      if (replacement !== undefined) entries.set(policyDomain, replacement)
      return replacement !== undefined
    },

    async delete(policyDomain) {
      entries.delete(policyDomain)
      removals.set(policyDomain, now())
    },

    removedAt: async (policyDomain) => removals.get(policyDomain),

    async *list() {
      // A snapshot: concurrent deletes and sets must not make it endless
      for (const [policyDomain, entry] of [...entries]) yield [policyDomain, { ...entry }]
    },

    async lock(name, ttl) {
      const held = locks.get(name)
      if (held !== undefined && held.expiresAt > now()) return undefined
      // The object itself is the token: each is unique
      const mine = { expiresAt: now() + ttl }
      locks.set(name, mine)
      return async () => {
        if (locks.get(name) === mine) locks.delete(name)
      }
    },

    async close() {},
  }
}

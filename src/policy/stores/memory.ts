/**
 * A policy store that is a Map. It outlives no process: use it in tests, and as the pattern for a
 * store of your own. What it does, `test/stores/conformance.ts` asks of every store.
 *
 * @module
 */

import type { PolicyStore, StoredPolicy } from '../store.js'
import { checkEntry, mayReplace, type StoreClockOptions } from './entry-json.js'

/**
 * A policy store in memory.
 *
 * - `set` resolves without a change where a newer fetch is kept already, and rejects with
 *   `ESTOREVALUE` for what is not a stored policy.
 * - Entries are copied on the way in and on the way out.
 * - Expired entries stay until they are replaced or deleted; a store may drop them, none has to.
 * - A lock belongs to whoever took it, until it is given back or its time is over. Giving back a
 *   lock that somebody else holds by now does nothing.
 *
 * @example
 * const store = memoryStore()
 * const before = new MtaSts({ store })
 * const after = new MtaSts({ store }) // knows what the first one has learnt
 */
export function memoryStore(options: StoreClockOptions = {}): PolicyStore {
  const { now = Date.now } = options
  const entries = new Map<string, StoredPolicy>()
  const locks = new Map<string, { expiresAt: number }>()

  return {
    async get(policyDomain) {
      const kept = entries.get(policyDomain)
      return kept && { ...kept }
    },

    async set(policyDomain, entry) {
      const checked = checkEntry(entry, policyDomain)
      const kept = entries.get(policyDomain)
      if (kept === undefined || mayReplace(kept, checked, now())) entries.set(policyDomain, checked)
    },

    async delete(policyDomain) {
      entries.delete(policyDomain)
    },

    async *list() {
      // A snapshot: who deletes and sets while he iterates shall come to an end
      for (const [policyDomain, entry] of [...entries]) yield [policyDomain, { ...entry }]
    },

    async lock(name, ttl) {
      const held = locks.get(name)
      if (held !== undefined && held.expiresAt > now()) return undefined
      // The object itself is the token: no two are the same
      const mine = { expiresAt: now() + ttl }
      locks.set(name, mine)
      return async () => {
        if (locks.get(name) === mine) locks.delete(name)
      }
    },

    async close() {},
  }
}

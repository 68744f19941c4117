/**
 * An entry of a policy store, and what the rules of such stores share.
 *
 * @module
 */
import type { PolicyStore, StoredPolicy } from '../policy/store.js'
import { DAY } from './conformance-cases.js'

/** An empty policy store. */
export interface PolicyStoreUnderTest {
  /** The store */
  store: PolicyStore
  /** The same data as another process sees it; default: the store itself */
  other?: PolicyStore
}

export type PolicyRules = Record<string, (stores: Required<PolicyStoreUnderTest>) => Promise<void>>

export const NAME = 'example.com'

/** Returns an entry that expires in a week. */
export function entry(changes: Partial<StoredPolicy> = {}): StoredPolicy {
  const fetchedAt = changes.fetchedAt ?? Date.now()
  return {
    id: '20260131T000000',
    body: 'version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n',
    fetchedAt,
    expiresAt: fetchedAt + 7 * DAY,
    usedAt: fetchedAt,
    ...changes,
  }
}

/** Returns the domains of entries, sorted. */
export async function namesIn(entries: AsyncIterable<[string, StoredPolicy]>): Promise<string[]> {
  const names: string[] = []
  for await (const [name] of entries) names.push(name)
  return names.sort()
}

/** Helpers of the store tests and their child processes. Independent of vitest. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { PolicyStore, StoredPolicy } from '../../../src/policy/store.js'

export { DAY, HOUR } from '../../../src/testing/conformance-cases.js'
export { entry } from '../../../src/testing/conformance-policy-entry.js'

/** Everything that `list` gives, in the order of the domains. */
export async function listed(store: PolicyStore): Promise<[string, StoredPolicy][]> {
  const entries: [string, StoredPolicy][] = []
  for await (const item of listOf(store)) entries.push(item)
  return entries.sort(([a], [b]) => (a < b ? -1 : 1))
}

export function listOf(store: PolicyStore): AsyncIterable<[string, StoredPolicy]> {
  if (store.list === undefined) throw new Error('this store has no list()')
  return store.list()
}

/** Everything that `due` gives, in its order. */
export async function dueOf(store: PolicyStore, time: number): Promise<string[]> {
  if (store.due === undefined) throw new Error('this store has no due()')
  const domains: string[] = []
  for await (const [domain] of store.due(time)) domains.push(domain)
  return domains
}

export async function removedAtOf(store: PolicyStore, domain: string): Promise<number | undefined> {
  if (store.removedAt === undefined) throw new Error('this store has no removedAt()')
  return store.removedAt(domain)
}

export type Release = () => Promise<void>

export async function lockOf(
  store: PolicyStore,
  name: string,
  ttl: number,
): Promise<Release | undefined> {
  if (store.lock === undefined) throw new Error('this store has no lock()')
  return store.lock(name, ttl)
}

/** Takes a lock that must be free. */
export async function mustLock(store: PolicyStore, name: string, ttl: number): Promise<Release> {
  const release = await lockOf(store, name, ttl)
  if (release === undefined) throw new Error(`the lock ${name} is taken`)
  return release
}

/** Asks for a lock until it is free. */
export async function waitForLock(store: PolicyStore, name: string, ttl: number): Promise<Release> {
  for (;;) {
    const release = await lockOf(store, name, ttl)
    if (release !== undefined) return release
    await sleep(1)
  }
}

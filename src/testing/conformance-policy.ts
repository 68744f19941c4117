/**
 * The rules of a policy store, as test cases.
 *
 * @module
 */
import { type ConformanceCase, casesOf, checkOpen } from './conformance-cases.js'
import type { PolicyStoreUnderTest } from './conformance-policy-entry.js'
import { LISTS } from './conformance-policy-lists.js'
import { LOCKS } from './conformance-policy-locks.js'
import { bodiesAndNames, ENTRIES } from './conformance-policy-values.js'
import { ORDER, REMOVALS } from './conformance-policy-writes.js'

export type { PolicyStoreUnderTest } from './conformance-policy-entry.js'

/**
 * Returns the rules of a policy store as test cases. Rules about a method that is optional pass
 * where the store lacks it.
 *
 * @param open makes an empty store
 *
 * @example
 * import { test } from 'node:test'
 * for (const { title, run } of policyStoreConformance(() => ({ store: myStore() }))) test(title, run)
 */
export function policyStoreConformance(
  open: () => PolicyStoreUnderTest | Promise<PolicyStoreUnderTest>,
): ConformanceCase[] {
  checkOpen('policyStoreConformance', open)
  const opened = async () => {
    const { store, other = store } = await open()
    return { store, other }
  }
  return [
    ...casesOf(opened, ENTRIES),
    ...casesOf(opened, bodiesAndNames()),
    ...casesOf(opened, ORDER),
    ...casesOf(opened, REMOVALS),
    ...casesOf(opened, LISTS),
    ...casesOf(opened, LOCKS),
  ]
}

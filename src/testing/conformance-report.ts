/**
 * The rules of a report store, as test cases.
 *
 * @module
 */
import { type ConformanceCase, casesOf, checkOpen } from './conformance-cases.js'
import { CLAIMING } from './conformance-report-claiming.js'
import { CLOSING, COUNTING } from './conformance-report-counting.js'
import { OPERATING } from './conformance-report-operating.js'
import type { ReportStoreUnderTest } from './conformance-report-samples.js'

export type { ReportStoreUnderTest } from './conformance-report-samples.js'

/**
 * Returns the rules of a report store as test cases. Rules about a method that is optional pass
 * where the store lacks it.
 *
 * @param open makes an empty store
 *
 * @example
 * import { test } from 'node:test'
 * for (const { title, run } of reportStoreConformance(() => ({ store: myStore() }))) test(title, run)
 */
export function reportStoreConformance(
  open: () => ReportStoreUnderTest | Promise<ReportStoreUnderTest>,
): ConformanceCase[] {
  checkOpen('reportStoreConformance', open)
  const opened = async () => {
    const { store, other = store } = await open()
    return { store, other }
  }
  return [
    ...casesOf(opened, COUNTING),
    ...casesOf(opened, CLOSING),
    ...casesOf(opened, CLAIMING),
    ...casesOf(opened, OPERATING),
  ]
}

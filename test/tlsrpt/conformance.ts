/** The rules of a report store, as this package's own tests run them. */
import { describe, it } from 'vitest'
import { type ReportStoreUnderTest, reportStoreConformance } from '../../src/testing/index.js'

export function conformance(
  name: string,
  open: () => ReportStoreUnderTest | Promise<ReportStoreUnderTest>,
): void {
  describe(`${name}: conformance`, () => {
    for (const { title, run } of reportStoreConformance(open)) it(title, run)
  })
}

/** The rules of a policy store, as this package's own tests run them. */
import { describe, it } from 'vitest'
import { type PolicyStoreUnderTest, policyStoreConformance } from '../../../src/testing/index.js'

export function conformance(
  name: string,
  open: () => PolicyStoreUnderTest | Promise<PolicyStoreUnderTest>,
): void {
  describe(`${name}: conformance`, () => {
    for (const { title, run } of policyStoreConformance(open)) it(title, run)
  })
}

import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.js'

/** Tests that take minutes: on one Node, not on all of them. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ['test/soak/**/*.soak.ts'] },
})

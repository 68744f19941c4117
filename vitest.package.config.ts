import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.js'

/** The packed package, all of it: on one Node, since compilers and linters say the same on each. */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    include: ['test/package/**/*.test.ts'],
    exclude: [],
    testTimeout: 120_000,
    hookTimeout: 300_000,
  },
})

import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

/** The packed package, all of it: on one Node, since compilers and linters say the same on each. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/package/**/*.test.ts'],
    exclude: [],
    testTimeout: 120_000,
    hookTimeout: 300_000,
  },
})

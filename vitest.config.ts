import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.js'

/** All tests, each file in an environment of its own. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ['test/**/*.test.ts'] },
})

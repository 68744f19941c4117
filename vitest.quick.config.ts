import { defineConfig } from 'vitest/config'
import { alone, shared, sharing } from './vitest.shared.js'

/** Tests that start no processes and need no build. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: [], projects: [sharing, alone] },
})

import { defineConfig } from 'vitest/config'
import { quickAlone, shared, sharing } from './vitest.shared.js'

/** Tests that start no processes and need no build. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: [], projects: [quickAlone, sharing] },
})

import { defineConfig } from 'vitest/config'
import { alone, shared, sharing } from './vitest.shared.js'

/** All tests. Vitest runs the projects in the order of their names: what takes longest goes first. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: [], projects: [alone, sharing] },
})

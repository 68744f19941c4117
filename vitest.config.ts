import { defineConfig } from 'vitest/config'
import { replacing, shared, sharing, slow } from './vitest.shared.js'

export default defineConfig({
  ...shared,
  test: { ...shared.test, include: [], projects: [sharing, replacing, slow] },
})

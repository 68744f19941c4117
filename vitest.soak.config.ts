import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

/** Tests that take minutes: on one Node, not on all of them. */
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/soak/**/*.soak.ts'] },
})

import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

/**
 * Beginnings of the paths of tests that start processes, need the built package, or repeat a
 * delivery for every fault: `npm run test:quick` leaves them out.
 */
export const SLOW: readonly string[] = [
  'cli/cache',
  'cli/check-',
  'cli/process',
  'cli/report',
  'cli/watch',
  'docs/',
  'e2e/environment',
  'e2e/faults',
  'e2e/modes',
  'e2e/traffic',
  'examples/',
  'nodemailer/contract',
  'package/',
  'policy/cache-faults',
  'policy/model',
  'policy/promise',
  'policy/renewal',
  'policy/stores/',
  'testing/faults',
  'testing/lifetime',
  'testing/relay',
  'testing/remote',
  'testing/runner-',
  'testing/world',
  'tlsrpt/example',
  'tlsrpt/hostile',
  'tlsrpt/processes',
  'tlsrpt/sending',
  'tlsrpt/stores',
]

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    exclude: [...(base.test?.exclude ?? []), ...SLOW.map((start) => `test/${start}**`)],
  },
})

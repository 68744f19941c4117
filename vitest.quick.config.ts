import { readdirSync, readFileSync } from 'node:fs'
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

const exclude = [...(base.test?.exclude ?? []), ...SLOW.map((start) => `test/${start}**`)]

/** Tests that replace modules: what they import must not be that of another file. */
const mocking = readdirSync(new URL('./test', import.meta.url), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`)
  .filter((path) => readFileSync(new URL(path, import.meta.url), 'utf8').includes('vi.mock('))

/** Half of the time of an isolated run is spent in importing the same sources for each file. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    // Lists of a project are added to those that it extends
    include: [],
    projects: [
      {
        extends: true,
        test: {
          name: 'quick',
          isolate: false,
          include: base.test?.include ?? [],
          exclude: [...exclude, ...mocking],
        },
      },
      { extends: true, test: { name: 'quick, mocking', include: mocking, exclude } },
    ],
  },
})

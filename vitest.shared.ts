/** What all configurations of Vitest share. */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { configDefaults, type ViteUserConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))
const test = (path: string) => fileURLToPath(new URL(`./test/nodemailer/${path}`, import.meta.url))

// NODEMAILER=8 runs the tests with that line of Nodemailer in place of the newest
const { NODEMAILER: line } = process.env

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
  'testing/fake-timers',
  'testing/faults',
  'testing/lifetime',
  'testing/relay',
  'testing/remote',
  'testing/rule-stages',
  'testing/runner-',
  'testing/world',
  'tlsrpt/example',
  'tlsrpt/hostile',
  'tlsrpt/processes',
  'tlsrpt/sending',
  'tlsrpt/stores',
]

/** Test files, below `test/`. */
const files = readdirSync(new URL('./test', import.meta.url), {
  recursive: true,
  encoding: 'utf8',
}).filter((name) => name.endsWith('.test.ts'))
const isSlow = (name: string) => SLOW.some((start) => name.startsWith(start))
/** Replaces modules, or changes the environment, of which Node warns once in a process. */
const needsProcess = (name: string) =>
  /vi\.mock\(|withoutPackage\(|stubEnv\(|emitWarning/.test(
    readFileSync(new URL(`./test/${name}`, import.meta.url), 'utf8'),
  )

export const shared = {
  resolve: {
    // The examples import the package by its name; here that is its source
    alias: [
      ...(line
        ? [
            { find: /^nodemailer(?=$|\/)/, replacement: `nodemailer-${line}` },
            // It requires nodemailer by its name, which no alias changes
            { find: /^\.\/load-nodemailer\.js$/, replacement: test('load-nodemailer.ts') },
          ]
        : []),
      { find: /^mta-sts$/, replacement: source('index.ts') },
      {
        find: /^mta-sts\/testing\/(vitest|jest|node|remote)$/,
        replacement: source('testing/$1.ts'),
      },
      {
        find: /^mta-sts\/(nodemailer|testing|tlsrpt|dane|haraka|zone-mta)$/,
        replacement: source('$1/index.ts'),
      },
      { find: /^mta-sts\/(sqlite|redis)$/, replacement: source('$1.ts') },
    ],
  },
  test: {
    // What compilers and linters say of the package is the same on each Node: `npm run test:package`
    exclude: [
      ...configDefaults.exclude,
      'test/package/{declarations,pages,tarball}.test.ts',
      // Another line stands in for the module that finds the package
      ...(line ? ['test/nodemailer/without-nodemailer.test.ts'] : []),
    ],
    // Many tests wait for processes and timeouts: one more than there are processors
    maxWorkers: availableParallelism() + 1,
    // Concurrent tests mostly wait for timeouts
    maxConcurrency: 10,
    // Ends what hangs. No test ends by it on a busy machine
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { interval: 10, timeout: 60_000 } },
  },
} satisfies ViteUserConfig

const isShared = (name: string) => !isSlow(name) && !needsProcess(name)

/**
 * Files that neither start processes nor need one of their own share an environment in each worker:
 * a fifth of the time of an isolated run is spent in importing the same sources for each file.
 */
export const sharing = project('sharing', files.filter(isShared), false)

/** All other files, each in an environment of its own. */
export const alone = project(
  'alone',
  files.filter((name) => !isShared(name)),
)

/** As {@link alone}, without the slow files. */
export const quickAlone = project(
  'alone',
  files.filter((name) => !isShared(name) && !isSlow(name)),
)

function project(name: string, names: readonly string[], isolate = true) {
  // Lists of a project are added to those that it extends: `include` of the root is empty
  const include = names.map((file) => `test/${file}`)
  return { extends: true as const, test: { name, include, isolate } }
}

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))
const test = (path: string) => fileURLToPath(new URL(`./test/nodemailer/${path}`, import.meta.url))

// NODEMAILER=8 runs the tests with that line of Nodemailer in place of the newest
const { NODEMAILER: line } = process.env

export default defineConfig({
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
    include: ['test/**/*.test.ts'],
    // What compilers and linters say of the package is the same on each Node: `npm run test:package`
    exclude: [...configDefaults.exclude, 'test/package/{declarations,tarball}.test.ts'],
    // Many tests wait for processes and timeouts: one more than there are processors
    maxWorkers: availableParallelism() + 1,
    // Ends what hangs. No test ends by it on a busy machine
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { interval: 10, timeout: 60_000 } },
  },
})

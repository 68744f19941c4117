/**
 * Runs the verdicts on Node, Bun and Deno, and the pipelines of examples/testing with Bun's runner:
 * `npm run build && npm run test:runtimes`. Bun and Deno come from npm.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const OUTPUT = join(ROOT, 'node_modules', '.cache', 'mta-sts-runtimes')
const VECTORS = join(ROOT, 'test', 'fixtures', 'vectors', 'certificate-identity.json')

const BUN = 'bun@1.4.5'
const DENO = 'deno@2.9.6'

const RUNTIMES: ReadonlyArray<readonly [name: string, ...command: string[]]> = [
  [`Node ${process.versions.node}`, process.execPath],
  [BUN, 'npx', '--yes', BUN, 'run'],
  [DENO, 'npx', '--yes', DENO, 'run', '--allow-all', '--node-modules-dir=manual'],
]

mkdirSync(OUTPUT, { recursive: true })
await build({
  config: false,
  entry: { verdicts: join(ROOT, 'test', 'runtimes', 'verdicts.ts') },
  outDir: OUTPUT,
  format: 'esm',
  target: 'node20.19',
  tsconfig: join(ROOT, 'tsconfig.json'),
  skipNodeModulesBundle: true,
  removeNodeProtocol: false,
  clean: true,
  silent: true,
})

const NPX = ['npx', '--yes', BUN]
const PIPELINES = './examples/testing/pipelines-jest.test.cjs'

if (!existsSync(join(ROOT, 'dist', 'testing', 'jest.cjs'))) {
  throw new Error('The pipelines import the built package: npm run build')
}

const failures = [
  ...RUNTIMES.map(([name, ...command]) =>
    failureOf(name, [...command, join(OUTPUT, 'verdicts.js'), VECTORS, name]),
  ),
  failureOf(`the pipelines with ${BUN}`, [...NPX, 'test', PIPELINES]),
].filter((failure) => failure !== undefined)

for (const failure of failures) console.log(failure)
process.exitCode = failures.length === 0 ? 0 : 1

/** Runs a program to its end; returns why it failed, or undefined. */
function failureOf(name: string, [command = '', ...args]: readonly string[]): string | undefined {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    cwd: ROOT,
    timeout: 300_000,
  })
  if (status === 0) return undefined
  return `${name}: failed (${error?.message ?? `status ${status}`})`
}

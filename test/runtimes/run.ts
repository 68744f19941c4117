/**
 * Runs the verdicts on Node, Bun and Deno: `npm run test:runtimes`. Bun and Deno come from npm.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
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

let failed = 0
for (const [name, command = '', ...args] of RUNTIMES) {
  const program = [...args, join(OUTPUT, 'verdicts.js'), VECTORS, name]
  const { status, error } = spawnSync(command, program, {
    stdio: 'inherit',
    cwd: ROOT,
    timeout: 300_000,
  })
  if (status !== 0) {
    failed++
    console.log(`${name}: failed (${error?.message ?? `status ${status}`})`)
  }
}
process.exitCode = failed === 0 ? 0 : 1

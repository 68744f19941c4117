/**
 * Compiles the benchmarks together with the source that they measure. A loader such as tsx would be
 * measured along: it wraps every function for its name.
 *
 * @module
 */
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Below node_modules, so that what is imported from there is found; a folder for each run, since
 * worktrees may share node_modules.
 */
const OUTPUT = `${ROOT}node_modules/.bench-${process.pid}`

/** Compiles into a folder of its own, which goes when the process ends; returns the path of `one.js`. */
export async function compile(): Promise<string> {
  process.once('exit', () => rmSync(OUTPUT, { recursive: true, force: true }))
  await build({
    config: false,
    entry: {
      one: `${ROOT}test/bench/one.ts`,
      asker: `${ROOT}test/bench/asker.ts`,
      server: `${ROOT}test/bench/servers/main.ts`,
    },
    outDir: OUTPUT,
    format: 'esm',
    target: 'node20.19',
    tsconfig: `${ROOT}tsconfig.json`,
    // What is installed stays where it is; esbuild would bundle development dependencies
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
    clean: true,
    silent: true,
  })
  return `${OUTPUT}/one.js`
}

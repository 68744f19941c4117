/**
 * Compiles the benchmarks together with the source that they measure. A loader such as tsx would be
 * measured along: it wraps every function for its name.
 *
 * @module
 */
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The compiled benchmarks. */
export interface Compiled {
  /** Path of the compiled `one.ts` */
  entry: string
  remove(): Promise<void>
}

/**
 * Below node_modules, so that what is imported from there is found; a folder for each run, since
 * worktrees may share node_modules.
 */
const OUTPUT = `${ROOT}node_modules/.bench/${process.pid}`

/** Compiles into a folder of its own. */
export async function compile(): Promise<Compiled> {
  await build({
    config: false,
    entry: {
      one: `${ROOT}test/bench/one.ts`,
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
  return { entry: `${OUTPUT}/one.js`, remove: () => rm(OUTPUT, { recursive: true }) }
}

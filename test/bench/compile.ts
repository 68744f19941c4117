/**
 * Compiles the benchmarks together with the source that they measure. A loader such as tsx would be
 * measured along: it wraps every function for its name.
 *
 * @module
 */
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Below node_modules, so that what is imported from there is found. */
const OUTPUT = `${ROOT}node_modules/.bench`

/** @returns the path of the compiled `one.ts` */
export async function compile(): Promise<string> {
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
  return `${OUTPUT}/one.js`
}

/**
 * Compiles the benchmarks together with the measured source. A loader such as tsx would distort the
 * measurement: it wraps every function for its name.
 *
 * @module
 */
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Below node_modules, so that its imports are found. */
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
    // Installed packages are not bundled; esbuild would include development dependencies
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
    clean: true,
    silent: true,
  })
  return `${OUTPUT}/one.js`
}

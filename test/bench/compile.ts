/**
 * Compiles the benchmarks together with the source that they measure, as the package itself is
 * compiled. A loader such as tsx would be measured along: it wraps every function for its name.
 *
 * @module
 */
import { fileURLToPath } from 'node:url'
import { build, type Options } from 'tsup'
import config from '../../tsup.config.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Below node_modules, so that what is imported from there is found. */
const OUTPUT = `${ROOT}node_modules/.bench`

/** The package alone, for `start`. */
export const PACKAGE = `${OUTPUT}/package`

/** @returns the path of the compiled `one.ts` */
export async function compile(): Promise<string> {
  const common: Options = {
    ...(config as Options),
    config: false,
    format: 'esm',
    dts: false,
    silent: true,
  }
  await build({ ...common, outDir: PACKAGE })
  await build({
    ...common,
    outDir: `${OUTPUT}/bench`,
    entry: {
      one: `${ROOT}test/bench/one.ts`,
      server: `${ROOT}test/bench/servers/main.ts`,
    },
    // What is installed stays where it is; esbuild would bundle development dependencies
    skipNodeModulesBundle: true,
  })
  return `${OUTPUT}/bench/one.js`
}

/**
 * Builds `dist/`: one CommonJS program that every entry shares, thin ES modules around it, and the
 * declarations. The emitted code is what TypeScript makes of each file, comments included; it is
 * neither minified nor rewritten, so that it can be read and stack traces point into it.
 *
 * The program exists once, so that a class is the same for `import` and for `require`.
 */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { type Plugin, rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'
import typescript from 'typescript'
import { entries } from './entries.js'

const DIST = 'dist'

/** Packages are not bundled: an installation brings its own. */
const external = (id: string) => isBuiltin(id) || /^[a-z@]/.test(id)

/** Resolves `./x.js` to `./x.ts`, and compiles one file at a time. */
const compile: Plugin = {
  name: 'typescript',
  resolveId(id, importer) {
    if (!importer || !id.startsWith('.')) return null
    return join(dirname(importer), id.replace(/\.js$/, '.ts'))
  },
  transform(code, fileName) {
    const { outputText, sourceMapText } = typescript.transpileModule(code, {
      fileName,
      compilerOptions: {
        target: typescript.ScriptTarget.ES2022,
        module: typescript.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        sourceMap: true,
        removeComments: false,
      },
    })
    const withoutLink = outputText.slice(0, outputText.lastIndexOf('//# sourceMappingURL='))
    return { code: withoutLink, map: sourceMapText ?? null }
  },
}

async function buildProgram(): Promise<void> {
  const bundle = await rollup({ input: entries, external, plugins: [compile], treeshake: false })
  await bundle.write({
    dir: DIST,
    format: 'cjs',
    exports: 'named',
    interop: 'auto',
    entryFileNames: '[name].cjs',
    chunkFileNames: 'parts/[name].cjs',
    generatedCode: 'es2015',
    // `import()` of optional packages stays one, so that ES modules can be loaded
    dynamicImportInCjs: true,
    hoistTransitiveImports: false,
  })
  await bundle.close()
}

async function buildDeclarations(): Promise<void> {
  const { cli: _, ...input } = entries
  const bundle = await rollup({ input, external, plugins: [dts()] })
  await bundle.write({
    dir: DIST,
    format: 'es',
    entryFileNames: '[name].d.cts',
    chunkFileNames: 'parts/[name].d.cts',
  })
  await bundle.close()
}

/** Writes an ES module for each entry, with the names that its CommonJS form exports. */
async function writeModules(): Promise<void> {
  const require = createRequire(import.meta.url)
  for (const name of Object.keys(entries)) {
    const file = join(DIST, `${name}.js`)
    await mkdir(dirname(file), { recursive: true })
    const target = `./${relative(dirname(file), join(DIST, `${name}.cjs`))}`
    if (name === 'cli') {
      await writeFile(file, `#!/usr/bin/env node\nimport '${target}'\n`)
      await chmod(file, 0o755)
      continue
    }
    const names = Object.keys(require(`../${DIST}/${name}.cjs`)).join(', ')
    await writeFile(file, `export { ${names} } from '${target}'\n`)
    await writeFile(file.replace(/\.js$/, '.d.ts'), `export * from '${target}'\n`)
  }
}

/**
 * Loaded by the folder of the package only, by which Haraka loads a line `mta-sts` in its
 * config/plugins: that line must not do nothing. `require('mta-sts')` goes by "exports", and has no
 * `register`.
 */
const MAIN = `'use strict'
module.exports = { ...require('./index.cjs'), register: require('./haraka.cjs').register }
`

await rm(DIST, { recursive: true, force: true })
await buildProgram()
await buildDeclarations()
await writeModules()
await writeFile(join(DIST, 'main.cjs'), MAIN)

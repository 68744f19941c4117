/**
 * Builds `dist/`: one CommonJS program that every entry shares, thin ES modules around it, and the
 * declarations. The emitted code is TypeScript's output for each file, with its comments (but not in
 * the command, which no program imports); it is neither minified nor rewritten, so that it is
 * readable and stack traces point into it.
 *
 * The program exists once, so that a class is the same for `import` and for `require`.
 */
import { execFile } from 'node:child_process'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { type Plugin, rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'
import typescript from 'typescript'
import { entries, modules } from './entries.js'

const DIST = 'dist'

/** Whether an import is external: installed packages are not bundled. */
const external = (id: string) => isBuiltin(id) || /^[a-z@]/.test(id)

/** Resolves `./x.js` to `./x.ts`, and compiles one file at a time. */
const compile: Plugin = {
  name: 'typescript',
  resolveId(id, importer) {
    if (!importer || !id.startsWith('.')) return null
    return join(dirname(importer), id.replace(/\.js$/, '.ts'))
  },
  transform(source, fileName) {
    const { outputText, sourceMapText } = typescript.transpileModule(withoutFileComment(source), {
      fileName,
      compilerOptions: {
        target: typescript.ScriptTarget.ES2022,
        module: typescript.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        sourceMap: true,
        removeComments: relative('.', fileName).startsWith('src/cli/'),
      },
    })
    const withoutLink = outputText.slice(0, outputText.lastIndexOf('//# sourceMappingURL='))
    return { code: withoutLink, map: sourceMapText ?? null }
  },
}

/** Entries of the CommonJS program, whose exports the ES modules use. */
const programEntries = {
  ...entries,
  ...Object.fromEntries(Object.entries(modules).map(([name, parts]) => [partsOf(name), parts])),
}

/** Returns the file of the program from which an ES module takes everything. */
function partsOf(name: string): string {
  return `${name}-parts`
}

/**
 * Files of the program that entries share, by the sources in them. What an entry does not need stays
 * out of the files that it loads: `mta-sts` neither SQLite nor Redis, tests no reporter. Rollup
 * divides the other sources by the entries that need them.
 */
const PARTS: readonly (readonly [name: string, sources: RegExp])[] = [
  [
    'common',
    /^src\/(?:(?:builtins|installed|errors|events|text|option-checks|version|policy\/store)\.ts|net\/|dns\/|tls\/(?:failures|security))/,
  ],
  [
    'core',
    /^src\/(?:logger|options|https\/.*|tls\/(?!security).*|policy\/(?:mx-pattern|names|overrides|policy-.*))\.ts/,
  ],
  ['policy-stores', /^src\/(?:storage|policy\/stores)\//],
  ['tlsrpt', /^src\/tlsrpt\/(?!counts)/],
  ['dane', /^src\/dane\//],
  ['plugins', /^src\/plugins\//],
]

function partOf(id: string): string | undefined {
  const source = relative('.', id)
  return PARTS.find(([, sources]) => sources.test(source))?.[0]
}

/** @returns the names that each entry exports */
async function buildProgram(): Promise<Map<string, string[]>> {
  const bundle = await rollup({
    input: programEntries,
    external,
    plugins: [compile],
  })
  const { output } = await bundle.write({
    dir: DIST,
    format: 'cjs',
    exports: 'named',
    interop: 'auto',
    entryFileNames: '[name].cjs',
    chunkFileNames: 'parts/[name].cjs',
    manualChunks: partOf,
    onlyExplicitManualChunks: true,
    generatedCode: 'es2015',
    // Jest does not support `import()` in CommonJS; this Node can require ES modules
    dynamicImportInCjs: false,
    hoistTransitiveImports: false,
  })
  await bundle.close()
  const chunks = output.flatMap((file) => (file.type === 'chunk' && file.isEntry ? file : []))
  return new Map(chunks.map(({ name, exports }) => [name, exports]))
}

/** Builds the entries that are ES modules only. */
async function buildModules(): Promise<void> {
  for (const [name, parts] of Object.entries(modules)) {
    const isParts = (id: string) => id.endsWith(basename(parts).replace(/ts$/, 'js'))
    const bundle = await rollup({
      input: { [name]: entries[name as keyof typeof modules] },
      external: (id) => external(id) || isParts(id),
      plugins: [compile],
      treeshake: false,
    })
    await bundle.write({
      dir: DIST,
      format: 'es',
      entryFileNames: '[name].js',
      paths: (id) => (isParts(id) ? `./${partsOf(name)}.cjs` : id),
    })
    await bundle.close()
  }
}

/**
 * Leaves out the comment on top of a source file. Many files are one in `dist/`, where these comments
 * would stand between functions and types that they are not about.
 */
function withoutFileComment(code: string): string {
  return code.replace(/\/\*\*(?:(?!\*\/)[\s\S])*@module\b(?:(?!\*\/)[\s\S])*\*\/\n+/g, '')
}

const withoutFileComments: Plugin = {
  name: 'without-file-comments',
  renderChunk: withoutFileComment,
}

async function buildDeclarations(): Promise<void> {
  const { cli: _, ...input } = entries
  const bundle = await rollup({ input, external, plugins: [dts(), withoutFileComments] })
  await bundle.write({
    dir: DIST,
    format: 'es',
    entryFileNames: '[name].d.cts',
    chunkFileNames: 'parts/[name].d.cts',
  })
  await bundle.close()
}

/** Writes a thin ES module around each entry of the program. */
async function writeModules(exported: ReadonlyMap<string, string[]>): Promise<void> {
  for (const name of Object.keys(entries)) {
    const file = join(DIST, `${name}.js`)
    const target = `./${basename(name)}.cjs`
    if (name === 'cli') {
      await writeFile(file, `#!/usr/bin/env node\nimport '${target}'\n`)
      await chmod(file, 0o755)
      continue
    }
    const names = exported.get(name)?.join(', ') ?? ''
    if (!(name in modules)) await writeFile(file, `export { ${names} } from '${target}'\n`)
    await writeFile(file.replace(/\.js$/, '.d.ts'), `export * from '${target}'\n`)
  }
}

/** Formats the emitted files like the sources: TypeScript indents by four spaces. */
async function format(): Promise<void> {
  const biome = join('node_modules', '.bin', 'biome')
  const options = ['--vcs-use-ignore-file=false', '--files-max-size=10000000']
  const config = ['--config-path=scripts/biome-dist.json']
  await promisify(execFile)(biome, ['format', '--write', ...config, ...options, DIST])
}

/**
 * Loaded only by Haraka, for a line `mta-sts` in its config/plugins, by the folder of the package.
 * It must report the mistake: `require('mta-sts')` follows "exports" and has no `register`.
 */
const MAIN = `'use strict'
module.exports = { ...require('./index.cjs'), register: require('./haraka.cjs').register }
`

await rm(DIST, { recursive: true, force: true })
const exported = await buildProgram()
await buildModules()
await buildDeclarations()
await writeModules(exported)
await writeFile(join(DIST, 'main.cjs'), MAIN)
await format()

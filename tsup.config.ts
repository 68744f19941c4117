import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename, relative } from 'node:path'
import { defineConfig, type Options } from 'tsup'

const entries = {
  index: 'src/index.ts',
  nodemailer: 'src/nodemailer/index.ts',
  testing: 'src/testing/index.ts',
  'testing/vitest': 'src/testing/vitest.ts',
  'testing/jest': 'src/testing/jest.ts',
  'testing/node': 'src/testing/node.ts',
  'testing/remote': 'src/testing/remote.ts',
  sqlite: 'src/sqlite.ts',
  redis: 'src/redis.ts',
  tlsrpt: 'src/tlsrpt/index.ts',
  dane: 'src/dane/index.ts',
  haraka: 'src/haraka/index.ts',
  'zone-mta': 'src/zone-mta/index.ts',
}

const target = 'node20.19'

/** Names in what is not known to be a module are left alone at its top */
const small = { target, minify: true, charset: 'utf8', lineLimit: 600 } as const

/**
 * What is an ES module of its own. The transports: Nodemailer is there in both formats, and a program
 * that imports it must not be made to load the other one as well. The command: nobody requires it.
 * The entry for Vitest, which says so itself when it is required.
 */
const modules = new Map([
  ['nodemailer', ''],
  ['testing/vitest', ''],
  ['cli', ''],
])

/**
 * What esbuild has split as ES modules becomes CommonJS by esbuild too: tsup would have Sucrase do
 * it, which puts helpers in the place of `?.` and `??`. Names of functions, classes and their public
 * members stay, since stack traces are made of them; and no line gets so long that an uncaught error
 * fills the screen with it.
 */
const commonJs: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'commonjs',
  setup({ esbuild, onEnd }) {
    onEnd(async ({ outputFiles = [] }) => {
      for (const file of outputFiles) {
        const name = relative('dist', file.path).replace(/\.cjs$/, '')
        if (modules.has(name)) {
          // The command catches its errors itself
          const lineLimit = name === 'cli' ? 0 : small.lineLimit
          const options = { ...small, lineLimit, format: 'esm' } as const
          modules.set(name, (await esbuild.transform(file.text, options)).code)
        }
        const module = await esbuild.transform(file.text, {
          format: 'cjs',
          platform: 'node',
          target,
          // Jest runs no `import()` in CommonJS
          supported: { 'dynamic-import': false },
        })
        // By this Node knows what can be imported by name; it is never run, and would be dropped
        const [footer = ''] = /^0 && \(module\.exports = .*/ms.exec(module.code) ?? []
        // In a second step, in which it is no module
        const { code } = await esbuild.transform(shortened(module.code), { ...small, footer })
        file.contents = Buffer.from(code)
      }
    })
  },
}

/** `import_node_net.isIP` as `$$1.isIP`: esbuild's own names for modules say nothing that is missed. */
function shortened(code: string): string {
  if (/\$\$\d/.test(code)) throw new Error('$$1 is a name already')
  const names = new Map<string, string>()
  return code.replace(/\bimport_\w+/g, (name) => {
    const short = names.get(name) ?? `$$${names.size}`
    names.set(name, short)
    return short
  })
}

/**
 * The program is there once, as CommonJS, and so is each class: who imports gets the very same as
 * who requires, and an error of one is an instance of the other's class.
 */
async function esModules(): Promise<void> {
  for (const name of Object.keys(entries)) {
    const file = `./${basename(name)}.cjs`
    const names = exportsOf(await readFile(`dist/${name}.cjs`, 'utf8'))
    await writeFile(`dist/${name}.js`, `export { ${names} } from '${file}'\n`)
    await writeFile(`dist/${name}.d.ts`, `export * from '${file}'\n`)
  }
  for (const [name, code] of modules) {
    const parts = new Map<string, string>()
    const file = `${name}-parts.cjs`
    await writeFile(`dist/${name}.js`, code.replace(PARTS, from(basename(file), parts)))
    await writeFile(`dist/${file}`, commonJsOf(parts))
  }
  await rm('dist/cli.cjs')
  await writeFile('dist/main.cjs', MAIN)
}

/** What an entry exports. It is not run: that of a test runner can only be loaded by that runner. */
function exportsOf(code: string): string {
  const [, names] = /\b0\s*&&\s*\(module\.exports\s*=\s*\{([^}]*)\}\)/.exec(code) ?? []
  if (names === undefined && code.trim() === '') return ''
  if (names === undefined) throw new Error('It does not say what it exports')
  return names
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
    .join(', ')
}

/**
 * Loaded by the folder of the package only, by which Haraka loads a line `mta-sts` in its
 * config/plugins; that line must not do nothing. `require('mta-sts')` goes by "exports", and has no
 * `register`.
 */
const MAIN = `'use strict'
module.exports = { ...require('./index.cjs'), register: require('./haraka.cjs').register }
`

/** As esbuild writes it: `import {a as b, c} from "./chunk-ABC.cjs";` */
const PARTS = /import\s*\{([^}]*)\}\s*from\s*"(\.{1,2}\/chunk-\w+\.cjs)";/g

/**
 * What an ES module needs of the program comes from one small file: Node reads through every
 * CommonJS file that is imported, to see what it exports, and the parts are not small.
 */
function from(file: string, parts: Map<string, string>) {
  return (_: string, names: string, chunk: string) => {
    for (const name of names.split(',').map((one) => one.trim().split(' as ')[0] ?? '')) {
      const known = parts.get(name) ?? chunk
      if (known !== chunk) throw new Error(`${name} is exported by ${known} and by ${chunk}`)
      parts.set(name, chunk)
    }
    return `import{${names}}from"./${file}";`
  }
}

function commonJsOf(parts: ReadonlyMap<string, string>): string {
  const names = [...parts.keys()].join()
  const getters = [...parts].map(([name, chunk]) => `${name}:require("${chunk}").${name}`).join()
  return `"use strict";module.exports={${getters}};0&&(module.exports={${names}});\n`
}

export default defineConfig([
  {
    entry: { ...entries, cli: 'src/cli/main.ts' },
    format: 'esm',
    outExtension: () => ({ js: '.cjs' }),
    target,
    splitting: true,
    clean: true,
    // `node:sqlite` is a module of its own name only with its prefix
    removeNodeProtocol: false,
    esbuildPlugins: [commonJs],
    onSuccess: esModules,
  },
  {
    entry: entries,
    format: 'cjs',
    // tsup sets baseUrl for its declarations, which TypeScript 6 calls deprecated
    dts: { only: true, compilerOptions: { ignoreDeprecations: '6.0' } },
  },
])

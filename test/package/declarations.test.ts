/**
 * The declarations as a user's compiler reads them: TypeScript 5 and 6, ES module and CommonJS, in
 * every way to resolve a package, with nothing beside it that README does not ask for.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installedPackage, ROOT, run } from './packed.js'

const CONSUMER = fileURLToPath(new URL('consumer/', import.meta.url))
const COMPILERS = { 'TypeScript 5': 'typescript-5', 'TypeScript 6': 'typescript' } as const

const RESOLUTIONS = [
  { module: 'node16', moduleResolution: 'node16' },
  { module: 'nodenext', moduleResolution: 'nodenext' },
  // Under which `import` and `import = require()` each follow their own condition
  { module: 'preserve', moduleResolution: 'bundler' },
]

const cases = Object.keys(COMPILERS).flatMap((compiler) =>
  RESOLUTIONS.map((options) => ({ compiler, ...options })),
)

/** The user's folder; `@types/node` is what every TypeScript program for Node has. */
async function newUser(...beside: string[]): Promise<string> {
  const folder = await installedPackage('@types/node', ...beside)
  folders.push(folder)
  return folder
}

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true })
})

/** Writes a program in both formats, and compiles them. Rejects with what the compiler says. */
async function compile(folder: string, program: string, options: object, compiler: string) {
  const code = await readFile(join(CONSUMER, `${program}.mts`), 'utf8')
  const required = code.replace(
    /^import (type )?\* as (\w+) from ('.*')$/gm,
    'import $1$2 = require($3)',
  )
  expect(required).not.toMatch(/^import .* from /m)
  await writeFile(join(folder, `${program}.mts`), code)
  await writeFile(join(folder, `${program}.cts`), required)
  const compilerOptions = {
    ...options,
    target: 'es2022',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  }
  const files = [`${program}.mts`, `${program}.cts`]
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const [, id] = Object.entries(COMPILERS).find(([name]) => name === compiler) ?? []
  return run([process.execPath, join(ROOT, `node_modules/${id}/lib/tsc.js`)], folder)
}

describe('with no peer installed', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await newUser()
  })

  it.each(cases)('$compiler, $moduleResolution', async ({ compiler, ...options }) => {
    expect(await compile(folder, 'types', options, compiler)).toEqual({ stdout: '', stderr: '' })
  })
})

describe('with Nodemailer', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await newUser('nodemailer')
  })

  it.each(cases)('$compiler, $moduleResolution', async ({ compiler, ...options }) => {
    expect(await compile(folder, 'nodemailer', options, compiler)).toEqual({
      stdout: '',
      stderr: '',
    })
  })
})

it('every public name is in a program that is compiled', async () => {
  const programs = await Promise.all(
    ['types', 'nodemailer'].map((name) => readFile(join(CONSUMER, `${name}.mts`), 'utf8')),
  )
  const used = new Set(
    [
      ...programs
        .join('\n')
        .matchAll(/\b(?:sts|stsTransports|testing|tlsrpt|redis|sqlite)\.(\w+)/g),
    ].map(([, name = '']) => name),
  )
  const entries = ['index', 'nodemailer/index', 'testing/index', 'tlsrpt/index', 'sqlite', 'redis']
  const exported: string[] = []
  for (const entry of entries) {
    const source = await readFile(join(ROOT, 'src', `${entry}.ts`), 'utf8')
    for (const [, list = ''] of source.matchAll(/^export (?:type )?\{(.*?)\}/gms)) {
      exported.push(...list.split(',').map((name) => name.replace('type ', '').trim()))
    }
  }
  expect(exported.length).toBeGreaterThan(80)
  expect(exported.filter((name) => name !== '' && !used.has(name))).toEqual([])
})

/**
 * The declarations as a user's compiler reads them: TypeScript 5 and 6, ES module and CommonJS, in
 * every way to resolve a package, with nothing beside it that README does not ask for.
 */
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeBlocks } from '../docs/code-blocks.js'
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

function hasTypes(folder: string): boolean {
  return existsSync(join(folder, 'node_modules/@types/nodemailer'))
}

/** Writes a program in both formats, and compiles them. Rejects with what the compiler says. */
async function compile(folder: string, program: string, options: object, compiler: string) {
  const written = await readFile(join(CONSUMER, `${program}.mts`), 'utf8')
  const code = hasTypes(folder) ? withCasts(written) : written
  const required = code.replace(
    /^import (type )?\* as (\w+) from ('.*')$/gm,
    'import $1$2 = require($3)',
  )
  expect(required).not.toMatch(/^import .* from /m)
  const files = { [`${program}.mts`]: code, [`${program}.cts`]: required }
  return compileFiles(folder, files, options, compiler)
}

async function compileFiles(
  folder: string,
  programs: Record<string, string>,
  options: object,
  compiler: string,
) {
  const files = Object.keys(programs)
  for (const name of files) await writeFile(join(folder, name), programs[name] ?? '')
  const compilerOptions = {
    ...options,
    target: 'es2022',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  }
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

/** Nodemailer 8 and 9 have no declarations of their own; `@types/nodemailer` ends with version 8. */
const LINES = {
  'Nodemailer 8': ['nodemailer-8', 'nodemailer-8-types'],
  'Nodemailer 9': ['nodemailer-9', 'nodemailer-8-types'],
  'Nodemailer 10': ['nodemailer'],
} as const

/**
 * Writes `const info = (await x) as Info` for `const info: Info = await x`: in `@types/nodemailer` the
 * result of a transport of any kind is that of SMTPTransport.
 */
function withCasts(code: string): string {
  return code.replace(/^( *const \w+): (stsTransports\.\w+) = (await .*)$/gm, '$1 = ($3) as $2')
}

describe.each(Object.entries(LINES))('with %s', (_, beside) => {
  let folder = ''
  beforeAll(async () => {
    folder = await newUser(...beside)
  })

  it.each(cases)('$compiler, $moduleResolution', async ({ compiler, ...options }) => {
    expect(await compile(folder, 'nodemailer', options, compiler)).toEqual({
      stdout: '',
      stderr: '',
    })
  })

  it.each(Object.keys(COMPILERS))('the programs of the README, %s', async (compiler) => {
    const options = { module: 'nodenext', moduleResolution: 'nodenext', esModuleInterop: true }
    const programs = await programsOfReadme(hasTypes(folder))
    expect(Object.keys(programs).length).toBeGreaterThanOrEqual(4)
    expect(await compileFiles(folder, programs, options, compiler)).toEqual({
      stdout: '',
      stderr: '',
    })
  })
})

/** The programs of the README that need nothing but Nodemailer, each as a module. */
async function programsOfReadme(casts: boolean): Promise<Record<string, string>> {
  const blocks = codeBlocks(await readFile(join(ROOT, 'README.md'), 'utf8'))
  const known = ['nodemailer', 'mta-sts', 'mta-sts/nodemailer']
  const programs = blocks
    .map(({ code }) => code)
    .filter((code) => {
      const imported = [...code.matchAll(/^import .* from '(.*)'$/gm)].map(([, id = '']) => id)
      return imported.includes('nodemailer') && imported.every((id) => known.includes(id))
    })
    .map((code) => (casts ? withInfoCast(code) : code))
  return Object.fromEntries(programs.map((code, index) => [`readme-${index}.mts`, code]))
}

function withInfoCast(code: string): string {
  const destructured = /= (await transporter\.sendMail\(message\))$/m
  if (!destructured.test(code)) return code
  const cast = code.replace(destructured, '= ($1) as SentInfo')
  return `import type { SentInfo } from 'mta-sts/nodemailer'\n${cast}`
}

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

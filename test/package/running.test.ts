/**
 * The installed package run by Node: what each entry gives, as ES module and as CommonJS, and with
 * none of its optional peers.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installedPackage, ROOT, run } from './packed.js'

/** What a program can import, beside types. */
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  'mta-sts': [
    'DeliveryRefusedError',
    'MtaSts',
    'MtaStsError',
    'PolicySyntaxError',
    'RecordSyntaxError',
    'RoutingError',
    'SmtpError',
    'TlsFailureError',
    'checkServerIdentity',
    'formatPolicy',
    'formatRecord',
    'matchesMx',
    'parsePolicy',
    'parseRecord',
    'selectRecord',
  ],
  'mta-sts/haraka': ['register'],
  'mta-sts/nodemailer': ['mtaStsTransport', 'withMtaSts'],
  'mta-sts/redis': ['redisStore'],
  'mta-sts/sqlite': ['sqliteStore'],
  'mta-sts/testing': [
    'DANE_FAULTS',
    'FAULTS',
    'RECORD_TYPES',
    'STAGES',
    'createMailWorld',
    'policyStoreConformance',
    'reportStoreConformance',
  ],
  'mta-sts/tlsrpt': [
    'ReportSyntaxError',
    'TlsReporter',
    'assess',
    'formatReport',
    'memoryReportStore',
    'parseReport',
    'parseTlsRptRecord',
    'readReports',
    'redisReportStore',
    'selectTlsRptRecord',
    'sqliteReportStore',
  ],
  'mta-sts/zone-mta': ['init', 'title'],
}

const FORMATS = ['mjs', 'cjs'] as const
const ENTRIES = Object.keys(EXPORTS)

let bare = ''
let folder = ''
beforeAll(async () => {
  bare = await installedPackage()
  folder = await installedPackage('nodemailer')
}, 300_000)

afterAll(async () => {
  for (const path of [bare, folder]) await rm(path, { recursive: true })
})

/** Runs a program; what it prints, and what it complains of. */
async function play(user: string, format: string, code: string): Promise<string> {
  await writeFile(join(user, `program.${format}`), code)
  const { stdout, stderr } = await run([process.execPath, `program.${format}`], user)
  return stdout + stderr
}

/** A program with a constant of its own for each entry. */
function program(format: string, entries: readonly string[], body: string): string {
  const lines = entries.map((id, i) =>
    format === 'cjs' ? `const e${i} = require('${id}')` : `import * as e${i} from '${id}'`,
  )
  return `${lines.join('\n')}\n${body}\n`
}

describe.each(FORMATS)('as %s', (format) => {
  it('each entry gives its own names and no other', async () => {
    const list = `[${ENTRIES.map((_, i) => `e${i}`)}].map((entry) => Object.keys(entry).sort())`
    const code = program(format, ENTRIES, `console.log(JSON.stringify(${list}))`)
    expect(JSON.parse(await play(folder, format, code))).toEqual(Object.values(EXPORTS))
  })

  it('it works without the optional peers, in all that does not need them', async () => {
    const entries = ENTRIES.filter((id) => id !== 'mta-sts/nodemailer')
    const body = `
const sts = new e0.MtaSts({ overrides: { 'a.example': 'off' } })
sts.getPolicy('a.example').then(({ reason }) => console.log(reason)).then(() => sts.close())`
    expect(entries[0]).toBe('mta-sts')
    expect(await play(bare, format, program(format, entries, body))).toBe('override\n')
  })

  it('without Nodemailer, withMtaSts() says that Nodemailer is what is missing', async () => {
    const code = program(
      format,
      ['mta-sts/nodemailer'],
      "e0.withMtaSts({ host: 'smtp.a.example' })",
    )
    await expect(play(bare, format, code)).rejects.toThrow(
      /Cannot find (module|package) 'nodemailer/,
    )
  })

  it('a bundler finds what withMtaSts() needs of Nodemailer', async () => {
    const body = "console.log(typeof e0.withMtaSts({ host: 'smtp.a.example', logger: true }).send)"
    const code = program(format, ['mta-sts/nodemailer'], body)
    await writeFile(join(folder, `entry.${format}`), code)
    const esbuild = join(ROOT, 'node_modules/.bin/esbuild')
    const options = ['--bundle', '--platform=node', '--outfile=bundle.cjs']
    await run([esbuild, `entry.${format}`, ...options], folder)
    const bundle = await readFile(join(folder, 'bundle.cjs'), 'utf8')
    expect(await play(bare, 'cjs', bundle)).toMatch(/^function$/m)
  })

  it('errors keep their names, and stack traces those of functions', async () => {
    const body = `
const calls = [['parsePolicy', e0], ['parseRecord', e0], ['parseReport', e1]]
for (const [name, entry] of calls) {
  try { entry[name]('') } catch (error) {
    const [, ...frames] = error.stack.split('\\n    at ').map((frame) => frame.split(' ')[0])
    const inside = frames.map((frame) => frame.split('.').pop())
    inside.length = inside.indexOf(name) + 1
    console.log(error.constructor.name, error instanceof e0.MtaStsError, inside.join())
  }
}`
    const printed = await play(folder, format, program(format, ['mta-sts', 'mta-sts/tlsrpt'], body))
    // A name that was cut short would have a letter or two
    const frames = String.raw`( true (\w{4,},)+)`
    expect(printed.split('\n')).toEqual([
      expect.stringMatching(`^PolicySyntaxError${frames}parsePolicy$`),
      expect.stringMatching(`^RecordSyntaxError${frames}parseRecord$`),
      expect.stringMatching(`^ReportSyntaxError${frames}parseReport$`),
      '',
    ])
  })

  it('an error that nobody catches does not fill the screen', async () => {
    const code = program(format, ['mta-sts'], 'new e0.MtaSts({ port: 0 })')
    const error = await play(folder, format, code).catch(({ cause }) => cause)
    expect(error.stderr).toContain('TypeError: The option "port"')
    expect(error.stderr.length).toBeLessThan(2500)
  })
})

it('what is imported is what is required: one class, whoever asks for it', async () => {
  const others = ENTRIES.filter((id) => id !== 'mta-sts/nodemailer')
  expect(others).toHaveLength(ENTRIES.length - 1)
  const code = `
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
for (const id of ${JSON.stringify(others)}) {
  const [imported, required] = [await import(id), require(id)]
  for (const name of Object.keys(required)) {
    if (imported[name] !== required[name]) console.log(id, name)
  }
}`
  expect(await play(folder, 'mjs', code)).toBe('')
})

it('who imports the transports gets the Nodemailer that can be imported, and no second one', async () => {
  const code = `
import { createRequire } from 'node:module'
import 'nodemailer'
import 'mta-sts/nodemailer'
import 'mta-sts'
const loaded = Object.keys(createRequire(import.meta.url).cache)
console.log(loaded.some((path) => path.includes('mta-sts')), loaded.filter((path) => path.includes('nodemailer/')))`
  expect(await play(folder, 'mjs', code)).toBe('true []\n')
})

it('the folder of the package has a Haraka plugin, which its entry has not', async () => {
  const code = `
const { dirname } = require('node:path')
const folder = dirname(require.resolve('mta-sts/package.json'))
const names = (module) => Object.keys(module).includes('register')
console.log(names(require(folder)), names(require(folder + '/haraka')), names(require('mta-sts')))`
  expect(await play(folder, 'cjs', code)).toBe('true true false\n')
})

it('the command runs', async () => {
  const { version }: { version: string } = JSON.parse(
    await readFile(join(ROOT, 'package.json'), 'utf8'),
  )
  const mtaSts = ['npm', 'exec', '--offline', '--loglevel=error', '--', 'mta-sts']
  expect(await run([...mtaSts, '--version'], bare)).toEqual({ stdout: `${version}\n`, stderr: '' })
  expect((await run([...mtaSts, '--help'], bare)).stdout).toMatch(/^Usage: mta-sts /)
})

/**
 * `mta-sts/testing` as a new user meets it: the packed package in an empty folder, the example of
 * README, as ES module and as CommonJS.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codeBlocks, withoutImports } from '../docs/code-blocks.js'
import { installedPackage, ROOT, run } from './packed.js'

const PEERS = ['nodemailer', 'smtp-server', 'dns-packet']
const FORMATS = ['ES module', 'CommonJS'] as const

const folders: string[] = []

async function newUser(...beside: string[]): Promise<string> {
  const folder = await installedPackage(...beside)
  folders.push(folder)
  return folder
}

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true })
})

/** Runs a program in one of the two formats; what it prints. Fails if it does. */
async function play(
  folder: string,
  format: (typeof FORMATS)[number],
  code: string,
): Promise<string> {
  const name = format === 'CommonJS' ? 'program.cjs' : 'program.mjs'
  await writeFile(join(folder, name), format === 'CommonJS' ? asCommonJs(code) : code)
  const { stdout } = await run([process.execPath, name], folder)
  return stdout
}

/** The same program as somebody would write it who has `require`. */
function asCommonJs(code: string): string {
  const [imports, body] = withoutImports(code)
  const required = imports.replace(
    /^import (.*) from (.*)$/gm,
    (_, names: string, id: string) => `const ${names.replaceAll(' as ', ': ')} = require(${id})`,
  )
  return `${required}\nasync function main() {\n${body}}\nmain()\n`
}

/** What the comments behind lines of code say, as something that must be so. */
function asserting(code: string): string {
  return code.replace(/^(\S.*) \/\/ (\d+|'\w+')$/gm, 'assert.equal($1, $2)')
}

/** The example, with an import of `assert`. */
async function exampleOfReadme(): Promise<string> {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const blocks = codeBlocks(readme).map(({ code }) => code)
  const example = blocks.find((code) => code.includes('createMailWorld()'))
  return `import assert from 'node:assert/strict'\n${example}`
}

describe('with all that it is made of', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await newUser(...PEERS)
  }, 300_000)

  it.each(FORMATS)(
    'the example of README runs as %s',
    async (format) => {
      const example = await exampleOfReadme()
      const code = asserting(example)
      expect(code).toContain('assert.equal(bob.inbox.length, 1)\n')
      expect(code).toContain("assert.equal(error.code, 'EMTASTS')\n")
      expect(await play(folder, format, `${code}console.log('closed')\n`)).toBe('closed\n')
    },
    60_000,
  )

  it.each(FORMATS)(
    'a refusal by the transport is of the class of mta-sts, as %s',
    async (format) => {
      const code = `
import nodemailer from 'nodemailer'
import { DeliveryRefusedError, MtaStsError } from 'mta-sts'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld } from 'mta-sts/testing'
const world = await createMailWorld()
world.domain('bob.example', { mode: 'enforce' }).mx().fails('expired')
const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
const message = { from: 'me@sender.example', to: 'b@bob.example', text: 'Hello' }
const error = await transporter.sendMail(message).catch((error) => error)
console.log(error instanceof DeliveryRefusedError, error instanceof MtaStsError, error.code)
console.log(error.failures.map(({ resultType }) => resultType).join())
console.log(world.connections.map(({ mx, mailFrom }) => [mx, mailFrom].join(' ')).join())
await world.close()
`
      expect(await play(folder, format, code)).toBe(
        'true true EMTASTS\ncertificate-expired\nmx.bob.example \n',
      )
    },
    60_000,
  )
})

describe('with nothing beside it', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await newUser()
  }, 300_000)

  it.each(FORMATS)(
    'it says what to install, as %s',
    async (format) => {
      const code = `
import { createMailWorld } from 'mta-sts/testing'
await createMailWorld().catch(({ code, message }) => console.log(code, message))
`
      expect(await play(folder, format, code)).toMatch(
        /^EPEER mta-sts\/testing needs the package \S+\. .*: npm install --save-dev smtp-server dns-packet\n$/,
      )
    },
    60_000,
  )

  it.each(FORMATS)(
    'mta-sts/dane and mta-sts/nodemailer say what to install, as %s',
    async (format) => {
      const code = `
import { dnssecResolver } from 'mta-sts/dane'
import { withMtaSts } from 'mta-sts/nodemailer'
for (const call of [() => dnssecResolver(), () => withMtaSts('smtp://mx.example')]) {
  try { call() } catch ({ code, message }) { console.log(code, message) }
}
`
      expect(await play(folder, format, code)).toBe(
        'EPEER mta-sts/dane needs the package dns-packet: npm install dns-packet\n' +
          'EPEER mta-sts/nodemailer needs the package nodemailer: npm install nodemailer\n',
      )
    },
    60_000,
  )

  it.each(FORMATS)(
    'the core needs none of it, as %s',
    async (format) => {
      const code = `
import { matchesMx } from 'mta-sts'
console.log(matchesMx('mx.bob.example', ['*.bob.example']))
`
      expect(await play(folder, format, code)).toBe('true\n')
    },
    60_000,
  )
})

/**
 * Runs every example test file by the command in its first comment. Those that need the built
 * package have the one that users install.
 */
import { readdirSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installedPackage, ROOT } from '../package/packed.js'
import { commandOf, EXAMPLES, printed, TIMEOUT } from './support.js'

/** The last lines of each test runner. */
const SUMMARIES: Readonly<Record<string, RegExp>> = {
  'vitest.test.ts': /Tests {2}4 passed \(4\)/,
  'node.test.ts': /pass 3\n.*fail 0\n/,
  'jest.test.cjs': /Tests: +4 passed, 4 total/,
  'commonjs.test.cjs': /pass 3\n.*fail 0\n/,
  'pipelines-vitest.test.ts': /Tests {2}10 passed \(10\)/,
  'pipelines-jest.test.cjs': /Tests: +10 passed, 10 total/,
  'pipelines-node.test.cjs': /pass 10\n.*fail 0\n/,
}

describe('the tests of a program', () => {
  const files = readdirSync(join(EXAMPLES, 'testing')).filter((name) => name.includes('.test.'))

  it('are all tested', () => expect(files.toSorted()).toEqual(Object.keys(SUMMARIES).toSorted()))

  it.each(files.filter((name) => name.endsWith('.ts')))(
    '%s',
    async (name) => {
      const output = await printed(commandOf(join(EXAMPLES, 'testing', name)))
      expect(output).toMatch(SUMMARIES[name] ?? '')
    },
    TIMEOUT,
  )
})

describe('the tests of a program, with the package as it is installed', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await installedPackage(
      'nodemailer',
      'smtp-server',
      'dns-packet',
      'postal-mime',
      'mailauth',
    )
    const name = join('examples', 'testing')
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }, 300_000)
  afterAll(() => rm(folder, { recursive: true }))

  const files = Object.keys(SUMMARIES).filter((name) => name.endsWith('.cjs'))

  it.each(files)(
    '%s',
    async (name) => {
      const output = await printed(commandOf(join(EXAMPLES, 'testing', name)), folder)
      expect(output).toMatch(SUMMARIES[name] ?? '')
    },
    TIMEOUT,
  )
})

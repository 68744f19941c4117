/** `docs/testing.md`: its code runs, and its table is the one that the tests go by. */
import { readFile } from 'node:fs/promises'
import nodemailer from 'nodemailer'
import * as vitest from 'vitest'
import { describe, expect, it } from 'vitest'
import * as core from '../../src/index.js'
import * as transports from '../../src/nodemailer/index.js'
import * as testing from '../../src/testing/index.js'
import { WorldForEachTest } from '../../src/testing/runner.js'
import '../../src/testing/vitest.js'
import { runProgram } from './code-blocks.js'
import { testingBlocks, testingPrograms } from './testing-programs.js'

const PAGE = new URL('../../docs/testing.md', import.meta.url)
const page = await readFile(PAGE, 'utf8')

/** What is left to do when a program has come to its end: the tests that it has. */
const tests: Array<() => unknown> = []

/** The world of a test that a program has */
const worlds = new WorldForEachTest()

const MODULES = {
  'mta-sts': core,
  'mta-sts/nodemailer': transports,
  'mta-sts/testing': testing,
  'mta-sts/testing/vitest': { useMailWorld: () => worlds.world },
  nodemailer: { __esModule: true, default: nodemailer },
  vitest: { ...vitest, test: (_: string, body: () => unknown) => tests.push(body) },
}

describe('the code', () => {
  it('is TypeScript, all of it', () => {
    expect(testingPrograms.length).toBeGreaterThan(10)
    expect(new Set(testingBlocks.map(({ language }) => language))).toEqual(new Set(['ts']))
  })

  it.each(testingPrograms.map(({ title, text }) => [title, text]))('runs: %s', async (_, text) => {
    await runProgram(text, MODULES)
    for (const body of tests.splice(0)) {
      await worlds.begin()
      await body()
      await worlds.end(false)
    }
  })
})

describe('the table of faults', () => {
  it('is the one of FAULTS', async () => {
    const table = /(?<=^<!-- faults: .*\n)(?:.*\n)*?(?=^<!-- \/faults -->)/m
    expect(page).toMatch(table)
    // With `-u` the page is written anew
    await expect(page.replace(table, faultTable())).toMatchFileSnapshot(PAGE.pathname)
  })
})

it('says what to install', () => {
  const install = /npm install --save-dev mta-sts nodemailer (.+)$/m.exec(page)?.[1]
  // Those of the error that misses one of them, and the one that messages are read by
  expect(install).toBe('smtp-server dns-packet postal-mime')
})

const PLACES = { mx: 'MX host', 'policy-host': 'policy host', dns: 'DNS' } as const

function faultTable(): string {
  const faults = Object.values(testing.FAULTS).flat()
  const rows = [['where', 'fault', 'what happens', 'message', 'failure'], ...faults.map(cells)]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => width(row, column))))
  const [head, ...body] = rows.map((row) =>
    line(row.map((cell, n) => cell.padEnd(widths?.[n] ?? 0))),
  )
  const rule = line((widths ?? []).map((length) => '-'.repeat(length)))
  return `\n${[head, rule, ...body].join('\n')}\n\n`
}

function cells({ where, name, plays, outcome, ...fault }: testing.FaultDescription): string[] {
  const failure = [fault.resultType, fault.reason && `(${fault.reason})`].filter(Boolean).join(' ')
  return [PLACES[where], `\`${name}\``, plays, outcome, failure]
}

function width(row: readonly string[], column: number): number {
  return row[column]?.length ?? 0
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

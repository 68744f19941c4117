/** The programs on the pages: they compile, they run, and what their comments say is so. */
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { hasSqlite } from '../cli/support.js'
import { codeBlocks, compileErrors, runProgram, withoutImports } from './code-blocks.js'
import { INTRODUCTIONS } from './introductions.js'
import { pageAt } from './markdown.js'
import { PROGRAMS, type Program } from './programs.js'
import { NAMES, Reader } from './reader.js'

const LANGUAGES: readonly string[] = ['js', 'ts']

const programs = PROGRAMS.map((program) => {
  const found = codeBlocks(pageAt(program.page)).filter(
    ({ language, code }) => LANGUAGES.includes(language) && code.includes(program.has),
  )
  const [block] = found
  if (block === undefined || found.length > 1) {
    throw new Error(`${found.length} blocks of ${program.page} have: ${program.has}`)
  }
  const { code, checks } = asserting(block.code)
  return {
    ...program,
    title: `${program.page}, line ${block.line}`,
    checks,
    ...whole(program, code),
  }
})

/** With what goes before and after it; import declarations on top, each once. */
function whole({ before = '', after = '' }: Program, code: string): { text: string } {
  const parts = [before, code, after].map(withoutImports)
  const imports = new Set(parts.flatMap(([lines]) => lines.split(/(?<=\n)/)))
  // In a block: a page may use a name of ours for something of its own
  return { text: [...imports, NAMES, '{\n', ...parts.map(([, body]) => body), '}\n'].join('') }
}

/** What the comments behind lines of code say, as something that must be so. */
function asserting(code: string): { code: string; checks: number } {
  let checks = 0
  const check = (indent: string, actual: string, expected: string) => {
    checks++
    return `${indent}check(${actual}, ${expected})`
  }
  const asserted = code.replace(
    /^( *)([\w.?[\]]+) \/\/ (true|false|\d+|'[^']*'|\[\{.*\}\])(?:$|: .*$)/gm,
    (_, indent, actual, expected) => check(indent, actual, expected.replace(', ...', '')),
  )
  return { code: asserted, checks }
}

it('are all of the blocks in JavaScript and TypeScript, of all pages but docs/testing.md', () => {
  expect(programs.length).toBeGreaterThan(15)
})

it('compile, and so do the examples of the modules', () => {
  const files = new Map(programs.map(({ text }, index) => [`program-${index}`, text]))
  for (const { name, examples } of INTRODUCTIONS) {
    const typed = examples.filter(({ language }) => language === 'ts')
    for (const { code } of typed) files.set(name.replaceAll('/', '-'), `${code}export {}\n`)
  }
  expect(files.size).toBeGreaterThan(programs.length + 7)
  // What somebody pastes from the README is the whole program
  const alone = codeBlocks(pageAt('README.md')).filter(({ language }) => language === 'js')
  for (const { line, code } of alone) files.set(`readme-${line}`, `${code}export {}\n`)
  expect(alone.length).toBeGreaterThan(6)
  files.set('wrong', `${NAMES}export const count: number = world.ca\n`)
  expect(compileErrors(files)).toEqual([expect.stringMatching(/wrong\.ts.*TS2322/)])
}, 120_000)

describe('run', () => {
  it.each(programs.map((program) => [program.title, program] as const))(
    '%s',
    async (_, { text, checks, needs }) => {
      await using reader = new Reader(await createMailWorld())
      const { modules, names } = reader
      if (needs === 'sqlite' && !hasSqlite()) {
        await expect(runProgram(text, modules, names)).rejects.toMatchObject({ code: 'ENOSQLITE' })
        return
      }
      await runProgram(text, modules, names)
      expect(reader.checked).toBe(checks)
    },
  )
})

it('have comments that are looked at', () => {
  const total = programs.reduce((sum, { checks }) => sum + checks, 0)
  expect(total).toBeGreaterThan(8)
})

/**
 * The programs on the pages, whole: with what goes before and after each, and with what its comments
 * say as checks.
 *
 * @module
 */
import { codeBlocks, withoutImports } from './code-blocks.js'
import { pageAt } from './markdown.js'
import { PROGRAMS, type Program } from './programs.js'
import { NAMES } from './reader.js'

const LANGUAGES: readonly string[] = ['js', 'ts']

/** All blocks of JavaScript and TypeScript, of all pages but docs/testing.md. */
export const programs = PROGRAMS.map((program) => {
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

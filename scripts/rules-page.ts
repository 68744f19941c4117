/**
 * Makes docs/rules.md: each rule of the standards for a sender, with the tests that hold it. The
 * texts are test/fixtures/rules.json; a test holds a rule whose number is in its title: `[STS-12]`.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** Path of the page, from the root. */
export const RULES_PAGE = 'docs/rules.md'

/** One rule. */
export interface Rule {
  /**
   * `STS-12`: by its prefix, of RFC 8461 (STS), 8460 (RPT), 7672 (DANE), 8689 (RTLS), 5321 (SMTP)
   */
  id: string
  /** `expected`: by operators; no RFC states it */
  level: 'must' | 'should' | 'expected'
  /** RFC and section; omitted if no RFC states the rule */
  section?: string
  /** Heading of the rule */
  group: string
  text: string
}

/** Returns all rules, in the order of the page. */
export function rules(): Rule[] {
  return JSON.parse(readFileSync(join(ROOT, 'test/fixtures/rules.json'), 'utf8'))
}

/** Returns the test files that name each rule, by its id; paths from the root, sorted. */
export function testsOfRules(): Map<string, string[]> {
  const tests = new Map<string, string[]>()
  for (const path of testFiles()) {
    const text = readFileSync(join(ROOT, path), 'utf8')
    for (const id of new Set([...text.matchAll(/\[([A-Z]+-\d+)\]/g)].map(([, id = '']) => id))) {
      tests.set(id, [...(tests.get(id) ?? []), path])
    }
  }
  return tests
}

function testFiles(): string[] {
  return readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .map((path) => join('test', path))
    .filter((path) => path.endsWith('.ts'))
    .toSorted()
}

const INTRODUCTION = `# The rules

Each rule of the standards that a sender keeps has a number, and a test that holds a rule names it in its title:
\`[STS-12]\`. This page is made of \`test/fixtures/rules.json\` and of the test files by \`npm run docs:rules\`.

"Must" and "should" are those of the RFC that is named; "expected" is what operators count on and no RFC states.
`

/** Returns the page. */
export function rulesPage(): string {
  const tests = testsOfRules()
  const groups = byGroup(rules())
  const sections = [...groups].map(([group, members]) => {
    const entries = members.map((rule) => entry(rule, tests.get(rule.id) ?? []))
    return `\n## ${group}\n\n${entries.join('')}`
  })
  return INTRODUCTION + sections.join('')
}

function entry({ id, level, section, text }: Rule, files: readonly string[]): string {
  const where = section === undefined ? level : `${level}, ${section}`
  const rule = wrapped(`- **${id}** (${where}): ${text}.`)
  const names = files.map((path) => `\`${path}\``).join(', ')
  return `${rule}\n${wrapped(`  Tests: ${names || 'none'}`)}\n`
}

/** Returns a list entry in lines of up to 120 columns, the following ones indented. */
function wrapped(text: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/(?<=\S) /)) {
    if (line !== '' && line.length + 1 + word.length > 120) {
      lines.push(line)
      line = `  ${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

function byGroup(all: readonly Rule[]): Map<string, Rule[]> {
  const groups = new Map<string, Rule[]>()
  for (const rule of all) groups.set(rule.group, [...(groups.get(rule.group) ?? []), rule])
  return groups
}

/** Every page: each block of code is somebody's to test, links lead somewhere, lines have an end. */
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { codeBlocks } from './code-blocks.js'
import { OF_HOSTS, TYPED } from './commands.js'
import { anchorsOf, linksOf, PAGES, pageAt, ROOT, withoutCode } from './markdown.js'
import { PROGRAMS } from './programs.js'
import { readScreen, SCREENS } from './screens.js'

const BLOCKS = PAGES.flatMap((page) =>
  codeBlocks(pageAt(page)).map((block) => ({ page, ...block })),
)
type Block = (typeof BLOCKS)[number]

/** How many tests there are of a block, by its language; of another language there is none. */
const TESTS: Readonly<Record<string, (block: Block) => number>> = {
  js: programsOf,
  // testing.test.ts runs all of that page
  ts: (block) => (block.page === 'docs/testing.md' ? 1 : programsOf(block)),
  // commands.test.ts has a test for each line, or fails
  sh: ({ page, line }) =>
    OF_HOSTS.has(page)
      ? 1
      : TYPED.filter((typed) => typed.page === page && typed.line === line).length,
  console: ({ page, code }) =>
    SCREENS.filter((screen) => {
      return screen.page === page && screen.command === readScreen(code).command
    }).length,
  // commands.test.ts compares it with the program beside it
  zone: ({ page }) => (page === 'docs/reports.md' ? 1 : 0),
  // test/hosts has the same settings
  ini: ({ page }) => (OF_HOSTS.has(page) ? 1 : 0),
  toml: ({ page }) => (OF_HOSTS.has(page) ? 1 : 0),
  // Output; below
  text: ({ page }) => (OF_HOSTS.has(page) || EXCERPTS.includes(page) ? 1 : 0),
  // Below
  diagram: ({ page }) => (page === 'docs/control-flow.md' ? 1 : 0),
}

function programsOf({ page, code }: Block): number {
  return PROGRAMS.filter((program) => program.page === page && code.includes(program.has)).length
}

describe('code', () => {
  it.each(PAGES)('of %s: each block has a test', (page) => {
    const blocks = BLOCKS.filter((block) => block.page === page)
    const untested = blocks.filter((block) => TESTS[block.language]?.(block) !== 1)
    expect(untested).toEqual([])
  })

  it('of every test is on its page', () => {
    const count = (language: string) => BLOCKS.filter((block) => block.language === language).length
    expect(count('console')).toBe(SCREENS.length)
    expect([count('zone'), count('diagram')]).toEqual([1, 1])
    const others = BLOCKS.filter((block) => block.page !== 'docs/testing.md')
    const programs = others.filter(({ language }) => language === 'js' || language === 'ts')
    expect(programs).toHaveLength(PROGRAMS.length)
  })

  it('without a fence, or without an end, is no code', () => {
    expect(() => codeBlocks('Do:\n\n    npm install\n')).toThrow('Line 3: code without a fence')
    expect(() => codeBlocks('```sh\nnpm install\n')).toThrow('Line 1: the block does not end')
  })
})

describe('the diagram', () => {
  const [diagram] = BLOCKS.filter(({ language }) => language === 'diagram')
  const code = diagram?.code ?? ''

  it('ends as deliveries do', () => {
    const ends = code.matchAll(/(?:> |^)(delivered|refused|failed)\b/gm)
    expect(new Set([...ends].map(([, end]) => end))).toEqual(
      new Set(['delivered', 'refused', 'failed']),
    )
  })

  it('is closed on its right', () => {
    const bars = code.split('\n').filter((line) => /[|+]$/.test(line) && line.length > 10)
    expect(new Set(bars.map((line) => line.length)).size).toBe(1)
  })
})

/** Pages that show lines of a screen, which another page has whole. */
const EXCERPTS = ['README.md', 'docs/reading-reports.md']

describe('lines of a screen', () => {
  const shown = BLOCKS.filter(
    ({ page, language }) => EXCERPTS.includes(page) && language === 'text',
  )

  it('of the demo are what the README begins with', () => {
    const demo = BLOCKS.find(({ code }) => readScreen(code).command === 'npm run demo')
    expect(demo?.code).toContain(shown[0]?.code)
    expect(shown[0]?.line).toBeLessThan(10)
  })

  it('are on a screen that another page has whole, and few', () => {
    const screens = BLOCKS.filter(({ language }) => language === 'console')
    expect(shown).toHaveLength(3)
    for (const { code } of shown) {
      expect(code.trimEnd().split('\n').length).toBeLessThanOrEqual(6)
      expect(screens.filter((screen) => screen.code.includes(code))).toHaveLength(1)
    }
  })

  it('stand for it on the pages of the package', () => {
    const long = BLOCKS.filter(({ page, language }) => isPacked(page) && language === 'console')
    expect(long).toEqual([])
  })
})

describe('links', () => {
  it.each(PAGES)('of %s lead somewhere', (page) => {
    const dead = linksOf(pageAt(page)).filter((link) => !isThere(page, link))
    expect(dead).toEqual([])
  })

  it('are found', () => {
    expect(linksOf(pageAt('README.md')).length).toBeGreaterThan(10)
    expect(isThere('README.md', 'docs/nothing.md')).toBe(false)
    expect(isThere('README.md', 'docs/testing.md#nothing')).toBe(false)
    expect(isThere('docs/testing.md', '#all-faults')).toBe(true)
  })

  it('to each page of docs are in the README, or in CONTRIBUTING where it is not in the package', () => {
    const pages = PAGES.filter((page) => dirname(page) === 'docs')
    const packed = pages.filter((page) => isPacked(page))
    expect(linksOf(pageAt('README.md'))).toEqual(expect.arrayContaining(packed))
    const others = pages.filter((page) => !isPacked(page))
    expect(linksOf(pageAt('CONTRIBUTING.md'))).toEqual(expect.arrayContaining(others))
  })

  it.each(PAGES.filter(isPacked))('of %s lead to what is in the package', (page) => {
    const outside = linksOf(pageAt(page))
      .filter((link) => !link.startsWith('https:') && !link.startsWith('#'))
      .map((link) => normalize(join(dirname(page), link.split('#')[0] ?? '')))
      .filter((path) => !isPacked(path))
    expect(outside).toEqual([])
  })
})

const PACKAGE: { files: string[] } = JSON.parse(pageAt('package.json'))

/** Whether npm puts a page into the package: `files`, and what it always adds. */
function isPacked(path: string): boolean {
  if (path === 'README.md' || PACKAGE.files.includes(path)) return true
  if (PACKAGE.files.includes(`!${path}`)) return false
  return dirname(path) === 'docs' && path.endsWith('.md') && PACKAGE.files.includes('docs/*.md')
}

/** An address on the web, a file of the repository, or a heading in one. */
function isThere(page: string, link: string): boolean {
  if (/^https:\/\/[\w.-]+(?:\/\S*)?$/.test(link)) return true
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? page : normalize(join(dirname(page), path))
  if (!existsSync(join(ROOT, file))) return false
  return anchor === undefined || anchorsOf(pageAt(file)).includes(anchor)
}

describe('lines', () => {
  it.each(PAGES)('of %s have up to 120 columns, and what is printed up to 80', (page) => {
    // A table made by a program has columns as wide as it takes
    const made =
      /^<!-- (?:faults: .*|npm run bench -- --docs) -->\n(?:.*\n)*?<!-- (?:\/faults|end) -->/m
    // Padding that aligns the columns of a table does not count
    const prose = withoutCode(pageAt(page).replace(made, ''))
      .split('\n')
      .map((line) => (line.startsWith('|') ? line.replace(/ {2,}|-{4,}/g, ' ') : line))
    expect(prose.filter((line) => line.length > 120)).toEqual([])
    const code = BLOCKS.filter((block) => block.page === page).flatMap(({ language, code }) =>
      code.split('\n').filter((line) => line.length > (language === 'console' ? 80 : 120)),
    )
    expect(code).toEqual([])
  })
})

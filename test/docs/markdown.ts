/**
 * The pages of the documentation, and what of Markdown they use besides code: tables, links,
 * headings.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeBlocks } from './code-blocks.js'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** By their paths from the root: those that stand there, and all of `docs`. */
export const PAGES: readonly string[] = ['', 'docs'].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
)

export function pageAt(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** The same lines, with nothing in those of code. */
export function withoutCode(page: string): string {
  const lines = page.split('\n')
  for (const { code, line } of codeBlocks(page)) {
    lines.fill('', line - 1, line - 1 + code.split('\n').length - 1)
  }
  return lines.join('\n')
}

/** The rows of a table behind a heading, by default the first: its head, and no rule. */
export function tableAfter(page: string, heading: string, which = 0): string[][] {
  const [, after] = page.split(`\n${heading}\n`)
  const table = after?.match(/(?:^\|.*\n)+/gm)?.[which]
  if (table === undefined) throw new Error(`The page has no such table behind "${heading}"`)
  return table
    .split('\n')
    .filter((row) => row !== '' && !/^[|\s:-]+$/.test(row))
    .map(cells)
}

/** `| a | b |`: what stands between the bars, but for those within code. */
function cells(row: string): string[] {
  const parts = row.match(/(?:`[^`]*`|[^|`])+/g) ?? []
  return parts.map((cell) => cell.trim())
}

/** Where the links of a page lead: addresses, paths from this page, `#` and a heading. */
export function linksOf(page: string): string[] {
  const prose = withoutCode(page).replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^()\s]*)\)/g)].map((match) => match[1] ?? '')
}

/** What its headings are called in links, as GitHub does it. */
export function anchorsOf(page: string): string[] {
  return [...withoutCode(page).matchAll(/^#+ (.*)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

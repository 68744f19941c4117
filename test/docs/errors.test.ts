/** docs/errors.md has every code of an error that the sources make. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pageAt, ROOT } from './markdown.js'

const PAGE = pageAt('docs/errors.md')

const SOURCE = pageAt('src/errors.ts')

/** The rows of all tables, the code without its quotes and what follows it. */
const ROWS = PAGE.split('\n')
  .filter((line) => /^\| `E/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  .map(([code = '', ...cells]) => [/\w+/.exec(code)?.[0] ?? '', ...cells])

/** Words of SMTP and Redis that look like codes. */
const OTHER_WORDS = new Set(['EHLO', 'ENHANCEDSTATUSCODES', 'EVAL', 'EXISTS', 'EXPIRE'])

/** Codes of Node's and of Nodemailer's, which are read and never made. */
const READ_ONLY = new Set([
  ...['ECONNRESET', 'EPIPE', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'],
  ...['ESOCKET', 'ETLS', 'ENOENT'],
])

/** Every text of the sources that is a code. */
function codes(): Set<string> {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  const texts = files.filter((name) => name.endsWith('.ts')).map((name) => pageAt(`src/${name}`))
  const words = texts.flatMap((text) => [...text.matchAll(/'(E[A-Z]{3,})'/g)])
  return new Set(words.map(([, word = '']) => word).filter((word) => !OTHER_WORDS.has(word)))
}

describe('docs/errors.md', () => {
  const listed = new Set([...PAGE.matchAll(/`(E[A-Z]{3,})`/g)].map(([, code = '']) => code))

  it('lists every code that the sources make', () => {
    const made = [...codes()].filter((code) => !READ_ONLY.has(code))
    expect(made.length).toBeGreaterThan(40)
    expect(made.filter((code) => !listed.has(code))).toEqual([])
  })

  it('lists no code that the sources do not have', () => {
    const known = codes()
    expect([...listed].filter((code) => !known.has(code))).toEqual([])
  })

  it('has a row for each code of ErrorCode, and for no other but an abort', () => {
    const [, union = ''] = /^export type ErrorCode =\n((?: {2}\| '\w+'\n)+)/m.exec(SOURCE) ?? []
    const codes = new Set(union.match(/\w+/g))
    expect(codes.size).toBeGreaterThan(35)
    expect(new Set(ROWS.map(([code]) => code))).toEqual(new Set([...codes, 'EABORT']))
  })

  it('says of each code what happened, whether to try again, and what to do', () => {
    for (const row of ROWS) {
      expect(row).toHaveLength(4)
      expect(row.filter((cell) => cell === '')).toEqual([])
    }
  })
})

/** Screens of 80 and 120 columns, with and without colours; wide and combining characters. */
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { renderList } from '../../src/cli/cache/render.js'
import { shorten, widthOf } from '../../src/cli/columns.js'
import { formatTable, wrap } from '../../src/cli/layout.js'
import { escapeRemoteText } from '../../src/text.js'
import { type CliOptions, useWorld } from './support.js'

describe('the width of text', () => {
  it.each([
    ['mx.example', 10],
    ['日本語', 6],
    ['コメント:', 9],
    ['한국어', 6],
    ['bücher', 6],
    ['bu\u0308cher', 6],
    ['e\u0301\u0301', 1],
    ['✓ ok', 4],
    ['📧', 2],
    ['\\u{202e}', 8],
  ])('%s takes %d columns', (text, columns) => {
    expect(widthOf(text)).toBe(columns)
  })

  it.each([
    ['日本語テスト', 5, ['日本', '語テ', 'スト']],
    ['e\u0301e\u0301e\u0301', 2, ['e\u0301e\u0301', 'e\u0301']],
    ['📧📧📧', 5, ['📧📧', '📧']],
    ['mx1.mail.example.com', 10, ['mx1.mail.', 'example.', 'com']],
    ['a\\u{202e}b', 8, ['a', '\\u{202e}', 'b']],
  ])(
    'wrap divides %s at %d columns between characters, and names after a dot',
    (text, width, lines) => {
      expect(wrap(text, width)).toEqual(lines)
    },
  )

  it('never divides an escape of a remote text', () => {
    const text = escapeRemoteText(`a\u{202e}`.repeat(40))
    for (let width = 12; width < 40; width++) {
      const lines = wrap(text, width)
      for (const line of lines) expect(line).toMatch(/^(?:a|\\u\{202e\})+$/)
      expect(lines.join('')).toBe(text)
    }
  })

  it('aligns and cuts cells by columns', () => {
    const columns = [
      { title: 'From', width: 8 },
      { title: 'Policy', width: 6 },
      { title: 'No.', width: 4, align: 'right' as const },
    ]
    const rows = [
      ['日本語', '株式会社例', '日'],
      ['bu\u0308cher', 'none', '12'],
    ]
    expect(formatTable(columns, rows, 80)).toEqual([
      'From      Policy   No.',
      '日本語    株式…     日',
      'bu\u0308cher    none      12',
    ])
    expect(shorten('日本語', 6)).toBe('日本語')
    expect(shorten('日本語', 5)).toBe('日本…')
  })
})

const stage = useWorld()

const LABEL = 'x'.repeat(50)
/** 253 characters, as long as a name of the DNS can be. */
const LONGEST = `mx.${`${LABEL}.`.repeat(4)}${'y'.repeat(253 - 3 - 4 * 51 - 8)}.example`

/** A domain with much to say about it: bad hosts, long names, a policy with text in Japanese. */
function eventful() {
  const domain = stage.domain({
    mode: 'enforce',
    mx: ['mx1', 'mx2', 'mx3', 'mx4', LONGEST],
  })
  const body = `${domain.policyFile}note: 日本語のコメント、${'とても長い行。'.repeat(12)}\r\nbu\u0308cher: \u{1b}[31mred\r\n`
  domain.policy({ body })
  domain.mx('mx2').fails('wrong-name')
  domain.mx('mx3').fails('no-starttls')
  domain.mx('mx4').fails('self-signed')
  return domain
}

describe.each([
  [80, {}],
  [120, {}],
  [80, { NO_COLOR: '1' }],
  [120, { NO_COLOR: '1' }],
] as const)('a terminal of %d columns, with %j', (columns, env) => {
  const terminal: CliOptions = { isTTY: true, columns, env }

  it('shows check within the columns, and without blanks at the end of a line', async () => {
    const { name } = eventful()
    const { stdout } = await stage.cli(['check', '--connect', name], terminal)
    const lines = stripVTControlCharacters(stdout).split('\n')
    expect(stdout.includes('\u{1b}')).toBe(!('NO_COLOR' in env))
    for (const line of lines) {
      expect(widthOf(line), line).toBeLessThanOrEqual(columns)
      expect(line).toBe(line.trimEnd())
    }
    // Text makes use of the columns, and every mark has a sign of its own
    expect(Math.max(...lines.map(widthOf))).toBeGreaterThan(columns - 10)
    expect(stripVTControlCharacters(stdout)).toMatch(/^✓ .*^✗ .*^! /ms)
  })

  it('wraps a message on standard error', async () => {
    const long = `${'no name '.repeat(20)}!`
    const { stderr } = await stage.cli(['generate', long, '--mx', 'mx.a.example'], terminal)
    const lines = stderr.split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
    expect(lines.slice(0, -2).join(' ')).toBe(`mta-sts: "${long}" is not a domain name.`)
  })
})

describe('no terminal', () => {
  it('keeps text within 80 columns, and a message on one line', async () => {
    const { name } = eventful()
    const { stdout } = await stage.cli(['check', '--connect', name], { columns: 200 })
    expect(Math.max(...stdout.split('\n').map(widthOf))).toBeLessThanOrEqual(80)
    const long = `${'no name '.repeat(20)}!`
    const { stderr } = await stage.cli(['generate', long])
    expect(stderr).toMatch(/^mta-sts: "(?:no name ){20}!" is not a domain name\.\nTry /)
  })

  it('shows a name of 253 characters whole: on its line, and label by label on a screen', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: [LONGEST] })
    const brief = await stage.cli(['check', '--brief', domain.name])
    expect(brief.stdout).toContain(`${LONGEST} (--connect`)
    const { stdout } = await stage.cli(['check', domain.name])
    expect(stdout.replace(/\n */g, '')).toContain(`mx: ${LONGEST}`.replace(' ', ''))
    for (const line of stdout.split('\n').filter((one) => one.includes('xxx'))) {
      expect(line).toMatch(new RegExp(`^[ ✓·\\w]*?(?:mx\\.)?${LABEL}\\.$`))
    }
  })
})

it('gives the domains of a store the columns that a wide terminal has more', () => {
  const time = '2026-08-01T12:00:00.000Z'
  const entry = {
    domain: 'a'.repeat(60),
    mode: 'enforce' as const,
    id: '1',
    body: '',
    expired: false,
  }
  const entries = [{ ...entry, fetchedAt: time, expiresAt: time, usedAt: time }]
  expect(renderList(entries, 80).split('\n')[1]).toBe('a'.repeat(60))
  expect(renderList(entries, 120).split('\n')[1]).toMatch(/^a{60} +enforce +2026-08-01 12:00 /)
})

it('lists a hundred thousand policies of a store', () => {
  const time = '2026-08-01T12:00:00.000Z'
  const facts = { mode: 'enforce' as const, id: '1', body: '', expired: false, usedAt: time }
  const entries = Array.from({ length: 150_000 }, (_, index) => {
    return { ...facts, domain: `d${index}.example`, fetchedAt: time, expiresAt: time }
  })
  expect(renderList(entries, 80).split('\n')).toHaveLength(150_002)
})

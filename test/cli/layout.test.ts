/** Text within its columns, and JSON that is fit for a terminal. */
import { describe, expect, it } from 'vitest'
import { formatTable, listed, toJson, wrap } from '../../src/cli/layout.js'
import { day, minute, span } from '../../src/cli/time.js'

describe('wrap', () => {
  it.each([
    ['', 10, ['']],
    ['short', 10, ['short']],
    ['two words', 9, ['two words']],
    ['two words', 8, ['two', 'words']],
    ['  indented words', 10, ['  indented', '  words']],
    ['abcdefghijkl', 5, ['abcde', 'fghij', 'kl']],
    ['a bcdefghijkl m', 5, ['a', 'bcdef', 'ghijk', 'l m']],
    ['a  b', 10, ['a  b']],
  ])('%j to %i', (text, width, lines) => {
    expect(wrap(text, width)).toEqual(lines)
  })
})

describe('formatTable', () => {
  const columns = [
    { title: 'Name', width: 6 },
    { title: 'Count', width: 5, align: 'right' as const },
  ]

  it('aligns and cuts cells, and prints a long first cell on its own line', () => {
    const rows = [
      ['a', '1'],
      ['much-too-long', '22'],
      ['b', '1234567'],
    ]
    expect(formatTable(columns, rows, 80)).toEqual([
      'Name    Count',
      'a           1',
      'much-too-long',
      '           22',
      'b       1234…',
    ])
  })
})

describe('listed', () => {
  it('names a few and counts the rest', () => {
    expect(listed(['a', 'b'])).toBe('a, b')
    expect(listed(['a', 'b', 'c'], 2)).toBe('a, b and 1 more')
  })
})

describe('toJson', () => {
  it('escapes control characters without changing the value', () => {
    const value = { text: '\u{7f}\u{9b}31m\u{202e}\u{2028}\u{e0001}\n"é"', lone: '\u{d800}' }
    const json = toJson(value)
    expect(json).not.toMatch(/[^\P{Cc}\n]|\p{Cf}|\p{Zl}|\p{Cs}/u)
    expect(JSON.parse(json)).toEqual(value)
  })
})

describe('time in words', () => {
  it.each([
    [0, '0 seconds'],
    [999, '0 seconds'],
    [1000, '1 second'],
    [59_999, '59 seconds'],
    [3_600_000, '1 hour'],
    [86_399_999, '23 hours'],
    [86_400_000 * 29.9, '29 days'],
  ])('%d ms', (milliseconds, words) => {
    expect(span(milliseconds)).toBe(words)
  })

  it('prints UTC to the minute or to the day', () => {
    const time = new Date('2026-08-01T12:34:56Z')
    expect([minute(time), day(time)]).toEqual(['2026-08-01 12:34', '2026-08-01'])
    expect(minute(new Date(Number.NaN))).toBe('unknown')
  })
})

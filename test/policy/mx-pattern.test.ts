import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toALabels } from '../../src/dns/domain-name.js'
import { isMxPattern, matchesMx } from '../../src/policy/mx-pattern.js'

interface MatchCase {
  host: string
  patterns: string[]
  expected: boolean
  rule: string
}

const vectors: { cases: MatchCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/mx-match.json', import.meta.url), 'utf8'),
)

describe('the vectors', () => {
  test.each(vectors.cases)('$host against $patterns: $rule', ({ host, patterns, expected }) => {
    expect(matchesMx(host, patterns)).toBe(expected)
  })
})

describe('isMxPattern', () => {
  test.each(['mail.example.com', '*.example.com', '*.COM', 'localhost', '*.xn--aca-6ma.com'])(
    '%s',
    (pattern) => {
      expect(isMxPattern(pattern)).toBe(true)
    },
  )

  test.each([
    '',
    '*',
    '*.',
    '.',
    '.example.com',
    '*.*.example.com',
    '*example.com',
    'mx*.example.com',
    'mx.*.example.com',
    '**.example.com',
    'mail.example.com.',
    '*..example.com',
    'ñaca.com',
    'a b',
    'a,b',
  ])('[STS-20] refuses %j', (pattern) => {
    expect(isMxPattern(pattern)).toBe(false)
  })

  test('accepts an address, as the ABNF does, which matches no host: the rest of its policy counts', () => {
    expect(isMxPattern('192.0.2.1')).toBe(true)
    expect(matchesMx('192.0.2.1', ['192.0.2.1'])).toBe(false)
  })
})

describe('matchesMx', () => {
  test.each([
    ['mail.example.com', '*.example.com', true],
    ['example.com', '*.example.com', false],
    ['a.b.example.com', '*.example.com', false],
    ['a.b.example.com', '*.b.example.com', true],
    ['.example.com', '*.example.com', false],
    ['mailexample.com', '*.example.com', false],
    ['xexample.com', '*.example.com', false],
    ['com', '*.com', false],
    ['*.example.com', '*.example.com', false],
  ])('[STS-34] matches exactly one label with `*`: %s, %s', (host, pattern, expected) => {
    expect(matchesMx(host, [pattern])).toBe(expected)
  })

  test.each([
    ['mail.example.com', 'mail.example.com', true],
    ['xmail.example.com', 'mail.example.com', false],
    ['x.mail.example.com', 'mail.example.com', false],
    ['mail.example.com.x', 'mail.example.com', false],
    ['mail.example.co', 'mail.example.com', false],
    ['ail.example.com', 'mail.example.com', false],
    ['mailxexample.com', 'mail.example.com', false],
  ])('[STS-34] compares whole names: %s, %s', (host, pattern, expected) => {
    expect(matchesMx(host, [pattern])).toBe(expected)
  })

  test.each([
    ['MAIL.example.com', 'mail.EXAMPLE.com'],
    ['mail.example.com', '*.EXAMPLE.com'],
    ['MAIL.EXAMPLE.COM.', '*.example.com'],
    ['MX.ÑACA.com', '*.XN--aca-6ma.com'],
  ])('[STS-34] ignores case: %s, %s', (host, pattern) => {
    expect(matchesMx(host, [pattern])).toBe(true)
  })

  test.each([
    ['k.example.com', '\u{212a}.example.com'],
    ['mail.kde.example', '*.\u{212a}de.example'],
    ['\u{212a}.example.com', 'k.example.com'],
    ['a[.example', 'a{.example'],
    ['a@.example', 'a`.example'],
  ])('[STS-34] ignores the case of ASCII letters only: %j, %j', (host, pattern) => {
    expect(matchesMx(host, [pattern])).toBe(false)
  })

  test.each(['mail.example.com..', 'mail..example.com', '-.example.com', 'a b.example.com', '.'])(
    'matches nothing for an invalid host name: %j',
    (host) => {
      expect(matchesMx(host, ['*.example.com', host])).toBe(false)
    },
  )

  test('matches an MX host with an underscore, which the DNS allows, by a wildcard', () => {
    expect(matchesMx('mx_1.example.com', ['*.example.com'])).toBe(true)
  })

  test.each(['', '*', '*.', '.', '..', '*.*.com', '*.*', 'mx.*'])(
    'matches nothing for an invalid pattern: %j',
    (pattern) => {
      for (const host of ['com', 'a.com', 'a.b.com', 'mx.a', '*', '*.com', '']) {
        expect(matchesMx(host, [pattern])).toBe(false)
      }
    },
  )

  test('[STS-34] agrees with a comparison label by label', () => {
    const label = fc.constantFrom('a', 'b', 'A', 'ab', 'a-b', 'xn--aca-6ma', '0')
    const labels = fc.array(label, { minLength: 1, maxLength: 4 })
    const host = fc
      .tuple(labels, fc.constantFrom('', '', '', '.'))
      .map(([parts, end]) => parts.join('.') + end)
    const pattern = fc
      .tuple(fc.constantFrom('', '*.'), labels)
      .map(([start, parts]) => start + parts.join('.'))
      .filter(isMxPattern)
    fc.assert(
      fc.property(host, fc.array(pattern, { maxLength: 4 }), (name, patterns) => {
        expect(matchesMx(name, patterns)).toBe(patterns.some((one) => matchesByLabel(name, one)))
      }),
      { numRuns: 5000 },
    )
  })

  test('agrees with that comparison for any input, and never throws', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'aA*.-_\u{212a}ñ') }),
    )
    fc.assert(
      fc.property(text, text, (host, pattern) => {
        const expected = isMxPattern(pattern) && matchesByLabel(host, pattern)
        if (isMxPattern(pattern)) expect(matchesMx(host, [pattern])).toBe(expected)
        else matchesMx(host, [pattern])
      }),
      { numRuns: 2000 },
    )
  })
})

/** RFC 8461 §4.1 word for word, and slow. */
function matchesByLabel(host: string, pattern: string): boolean {
  const name = toALabels(host)
  if (name === undefined) return false
  const labels = name.split('.')
  const wanted = pattern.toLowerCase().split('.')
  return (
    labels.length === wanted.length &&
    labels.every((label, index) => label === wanted[index] || (index === 0 && wanted[0] === '*'))
  )
}

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  domainOfMailbox,
  isAddressLiteral,
  isHostName,
  parseAddressLiteral,
  toALabels,
} from '../../src/dns/domain-name.js'

const label63 = 'a'.repeat(63)
/** 253 characters: as long as a name may be. */
const longest = `${label63}.${label63}.${label63}.${'a'.repeat(61)}`

describe('toALabels', () => {
  test.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com.', 'example.com'],
    ['localhost', 'localhost'],
    ['under_score.example.com', 'under_score.example.com'],
    ['XN--ACA-6MA.com', 'xn--aca-6ma.com'],
    ['3com.com', '3com.com'],
    ['1.2.3.4.example', '1.2.3.4.example'],
    ['example.xn--p1ai', 'example.xn--p1ai'],
    [longest, longest],
    [`${longest}.`, longest],
  ])('converts %s to %s', (name, expected) => {
    expect(toALabels(name)).toBe(expected)
  })

  test.each([
    ['ñaca.com', 'xn--aca-6ma.com'],
    ['ÑACA.COM', 'xn--aca-6ma.com'],
    ['n\u{303}aca.com', 'xn--aca-6ma.com'],
    ['faß.de', 'xn--fa-hia.de'],
    ['ΟΔΟΣ.example', 'xn--pxavbq.example'],
    ['日本語.jp.', 'xn--wgv71a119e.jp'],
    ['_x.ñaca.com', '_x.xn--aca-6ma.com'],
  ])('converts U-labels: %s to %s', (name, expected) => {
    expect(toALabels(name)).toBe(expected)
  })

  test.each([
    '',
    '.',
    '..',
    'example..com',
    '.example.com',
    'example.com..',
    '-a.example.com',
    'a-.example.com',
    'a b.example.com',
    ' example.com',
    'example.com\n',
    'exam\0ple.com',
    '*.example.com',
    'user@example.com',
    'example.com:25',
    'example.com/x',
    '[192.0.2.1]',
    `${'a'.repeat(64)}.com`,
    `${longest}a`,
    `${'ñ'.repeat(63)}.com`,
  ])('refuses %j', (name) => {
    expect(toALabels(name)).toBeUndefined()
  })

  test.each([
    '192.0.2.1',
    '192.0.2.1.',
    '127.1',
    '0x7f.1',
    '0x7F000001',
    'example.0x',
    '2130706433',
    'example.123',
    '2001:db8::1',
    '\u{ff11}\u{ff12}\u{ff17}.0.0.1',
  ])('refuses an address: %j', (name) => {
    expect(toALabels(name)).toBeUndefined()
  })

  test.each([
    ['full-width letters', '\u{ff45}xample.com'],
    ['a full-width dot', 'ñ\u{ff0e}example.com'],
    ['an ideographic dot', '日本語\u{3002}jp'],
    ['a Kelvin sign', '\u{212a}.example.com'],
    ['a soft hyphen', 'exa\u{ad}mple.com'],
    ['a soft hyphen in a U-label', 'ña\u{ad}ca.com'],
    ['a zero-width space', 'ñaca\u{200b}.com'],
    ['a character that stands for several', '\u{2100}.example.com'],
    ['an encoded dot', 'ñ%2eexample.com'],
    ['an encoded letter', 'ñ%61.example.com'],
    ['an A-label inside of a U-label', 'xn--ñ.com'],
    ['half a surrogate pair', 'ñ\u{d800}.com'],
    ['a line feed, which a URL would drop', 'ñ\n.com'],
  ])('refuses names that domainToASCII would map: %s', (_, name) => {
    expect(toALabels(name)).toBeUndefined()
  })

  test('returns a stable name in A-labels for any input', () => {
    const names = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'aZ0-_.ñ%*\u{ff0e}\u{ad}x7fn:@[]') }),
      fc.domain(),
    )
    fc.assert(
      fc.property(names, (name) => {
        const ascii = toALabels(name)
        if (ascii === undefined) return
        expect(ascii).toMatch(/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/)
        expect(ascii.length).toBeLessThanOrEqual(253)
        expect(toALabels(ascii)).toBe(ascii)
      }),
      { numRuns: 2000 },
    )
  })

  test('refuses much too long text without further work', () => {
    // Punycode takes quadratic time over letters that all differ: 2 seconds each for these.
    const differing = Array.from({ length: 20_000 }, (_, index) =>
      String.fromCodePoint(0x4e00 + index),
    )
    for (let count = 0; count < 30; count++) {
      expect(toALabels(differing.join(''))).toBeUndefined()
    }
    expect(toALabels('a.'.repeat(1_000_000))).toBeUndefined()
  })
})

describe('isHostName', () => {
  test.each([
    'mail.example.com',
    'MAIL.example.com',
    'localhost',
    'a-b.xn--aca-6ma.com',
    '1.example.com',
    longest,
  ])('accepts %s', (name) => {
    expect(isHostName(name)).toBe(true)
  })

  test.each([
    '',
    'mail.example.com.',
    'mx_1.example.com',
    'ñaca.com',
    '\u{212a}.example.com',
    '-mail.example.com',
    'mail-.example.com',
    '.example.com',
    'mail..example.com',
    '*.example.com',
    'mail.example.com ',
    'mail.example.com\n',
    '192.0.2.1',
    '192.0.2',
    'mail.0x1F',
    '::1',
    `${'a'.repeat(64)}.com`,
    `${longest}a`,
  ])('refuses %j', (name) => {
    expect(isHostName(name)).toBe(false)
  })
})

describe('address literals', () => {
  test.each([
    ['[192.0.2.1]', '192.0.2.1'],
    ['[IPv6:2001:db8::1]', '2001:db8::1'],
    ['[ipv6:::1]', '::1'],
    ['[IPv6:::ffff:192.0.2.1]', '::ffff:192.0.2.1'],
  ])('%s gives %s', (literal, address) => {
    expect(parseAddressLiteral(literal)).toBe(address)
    expect(isAddressLiteral(literal)).toBe(true)
  })

  test.each([
    '192.0.2.1',
    '[192.0.2.1',
    '192.0.2.1]',
    '[192.0.2.256]',
    '[192.0.2]',
    '[2001:db8::1]',
    '[IPv6:192.0.2.1]',
    '[IPv6:fe80::1%eth0]',
    '[IPv6:]',
    '[]',
    '[',
    '[ 192.0.2.1 ]',
    'example.com',
  ])('refuses %j', (domain) => {
    expect(parseAddressLiteral(domain)).toBeUndefined()
    expect(isAddressLiteral(domain)).toBe(false)
  })
})

describe('domainOfMailbox', () => {
  test.each([
    ['user@example.com', 'example.com'],
    ['"a@b"@example.com', 'example.com'],
    ['user@EXAMPLE.com.', 'EXAMPLE.com.'],
    ['user@[192.0.2.1]', '[192.0.2.1]'],
  ])('%s gives %s', (address, domain) => {
    expect(domainOfMailbox(address)).toBe(domain)
  })

  test.each(['', 'user', '@', '@example.com', 'user@', 'a@b@'])('refuses %j', (address) => {
    expect(domainOfMailbox(address)).toBeUndefined()
  })
})

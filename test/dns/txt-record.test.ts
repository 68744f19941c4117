import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  firstOfEach,
  parseTagList,
  selectRecords,
  trimWhiteSpace,
} from '../../src/dns/txt-record.js'
import { RecordSyntaxError } from '../../src/errors.js'

const STS = { version: 'STSv1' }
const TLSRPT = { version: 'TLSRPTv1', unchecked: ['rua'] }

interface TlsrptCase {
  name: string
  rrset: string[][]
  expected: { rua: string[] } | 'none'
}

const tlsrpt: { cases: TlsrptCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/tlsrpt-record.json', import.meta.url), 'utf8'),
)

describe('parseTagList', () => {
  test('returns the fields in order, with repeated ones and unusual names', () => {
    const text = 'v=STSv1;b=1 ;\ta=2\t; b=3;constructor=y;'
    expect(parseTagList(text, STS)).toEqual([
      { name: 'b', value: '1' },
      { name: 'a', value: '2' },
      { name: 'b', value: '3' },
      { name: 'constructor', value: 'y' },
    ])
  })

  test.each(['v=STSv1;', 'v=STSv1 ;', 'v=STSv1; '])('refuses a field: %j', (text) => {
    expect(parseTagList(text, STS)).toEqual([])
  })

  test.each(['v=STSv1;a=1', 'v=STSv1;a=1;', 'v=STSv1;a=1 \t', 'v=STSv1;a=1 ; '])(
    'accepts an end: %j',
    (text) => {
      expect(parseTagList(text, STS)).toEqual([{ name: 'a', value: '1' }])
    },
  )

  test.each([
    ['', /begin with "v=STSv1;"/],
    ['v=STSv1', /begin with "v=STSv1;"/],
    [' v=STSv1;a=1', /begin with "v=STSv1;"/],
    ['v=STSv10;a=1', /begin with "v=STSv1;"/],
    ['V=STSv1;a=1', /begin with "v=STSv1;"/],
    ['v=STSv1\u{a0};a=1', /begin with "v=STSv1;"/],
    ['v=STSv1;;', /nothing between two ";"/],
    ['v=STSv1; ;a=1', /nothing between two ";"/],
    ['v=STSv1;a', /must be name=value, but there is "a"/],
    ['v=STSv1;a=', /"a" has no value/],
    ['v=STSv1;=1', /name must be .* but it is ""/],
    ['v=STSv1;a =1', /name must be .* but it is "a "/],
    ['v=STSv1;_a=1', /name must be .* but it is "_a"/],
    ['v=STSv1;__proto__=1', /name must be .* but it is "__proto__"/],
    [`v=STSv1;${'a'.repeat(33)}=1`, /name must be 1 to 32/],
    ['v=STSv1;ä=1', /name must be/],
    ['v=STSv1;a=b=c', /visible ASCII without "="/],
    ['v=STSv1;a= b', /visible ASCII/],
    ['v=STSv1;a=b c', /visible ASCII/],
    ['v=STSv1;a=b\n', /visible ASCII .* "b\\u\{a\}"/],
    ['v=STSv1;a=\x7f', /visible ASCII/],
    ['v=STSv1;a=é', /visible ASCII/],
  ])('describes the fault of %j', (text, message) => {
    expect(() => parseTagList(text, STS)).toThrow(RecordSyntaxError)
    expect(() => parseTagList(text, STS)).toThrow(message)
  })

  test('accepts a field name of 32 characters, and visible ASCII but "=" and ";" in a value', () => {
    const name = `9${'_'.repeat(29)}.-`
    const visible = Array.from({ length: 0x5e }, (_, index) => String.fromCharCode(0x21 + index))
    const value = visible.filter((char) => char !== '=' && char !== ';').join('')
    expect(parseTagList(`v=STSv1;${name}=${value}`, STS)).toEqual([{ name, value }])
  })

  test("leaves only the values of the caller's choice unchecked", () => {
    const rua = 'mailto:a@example.com , https://r.example.com/t?d=ab'
    expect(parseTagList(`v=TLSRPTv1; rua=${rua} ; a=b`, TLSRPT)).toEqual([
      { name: 'rua', value: rua },
      { name: 'a', value: 'b' },
    ])
    expect(() => parseTagList(`v=TLSRPTv1; rue=${rua}`, TLSRPT)).toThrow(RecordSyntaxError)
    expect(() => parseTagList('v=TLSRPTv1; rua=', TLSRPT)).toThrow(/"rua" has no value/)
  })

  test.each(tlsrpt.cases)('TLSRPT: $name', ({ rrset, expected }) => {
    const records = selectRecords(rrset, TLSRPT.version)
    if (expected !== 'none') {
      const [rua] = parseTagList(records.join(), TLSRPT).filter(({ name }) => name === 'rua')
      for (const uri of expected.rua) expect(rua?.value).toContain(uri)
    } else if (records.length === 1) {
      // Not usable without a value, of the field or, as the caller checks, of a scheme.
      const read = () => parseTagList(records.join(), TLSRPT)
      if (/rua=$/.test(records.join())) expect(read).toThrow(RecordSyntaxError)
      else expect(read).not.toThrow()
    }
  })
})

describe('selectRecords', () => {
  test('[STS-2] joins the strings of a record without spaces, and only those', () => {
    expect(
      selectRecords(
        [
          ['v=ST', 'Sv1', ';id=', 'a'],
          ['v=STSv1;', ' id=b'],
        ],
        'STSv1',
      ),
    ).toEqual(['v=STSv1;id=a', 'v=STSv1; id=b'])
    expect(selectRecords([['v=STSv1'], [';id=a']], 'STSv1')).toEqual([])
  })

  test('[STS-3] selects records by version and delimiter, malformed ones included', () => {
    const kept = ['v=STSv1;', 'v=STSv1 \t;id=a', 'v=STSv1;;;', 'v=STSv1; bogus']
    const left = [
      '',
      'v=STSv1',
      'v=STSv1 ',
      'v=STSv10; id=a',
      'v=STSv2; id=a',
      'v=STSv1, id=a',
      'v=stsv1; id=a',
      'V=STSv1; id=a',
      ' v=STSv1; id=a',
      'v =STSv1; id=a',
      'id=a; v=STSv1;',
      'v=spf1 -all',
    ]
    const rrset = [...left, ...kept, ...left].map((record) => [record])
    expect(selectRecords(rrset, 'STSv1')).toEqual(kept)
    expect(selectRecords([[]], 'STSv1')).toEqual([])
  })
})

test('firstOfEach keeps the first of each name, in order', () => {
  const field = (name: string, value: string) => ({ name, value })
  const fields = [field('b', '1'), field('a', '2'), field('b', '3'), field('B', '4')]
  expect(firstOfEach(fields)).toEqual([field('b', '1'), field('a', '2'), field('B', '4')])
})

test('trimWhiteSpace removes only spaces and tabs at both ends', () => {
  expect(trimWhiteSpace(' \t a \t b\t ')).toBe('a \t b')
  expect(trimWhiteSpace('\u{a0}a\n')).toBe('\u{a0}a\n')
  expect(trimWhiteSpace(' \t')).toBe('')
  expect(trimWhiteSpace('')).toBe('')
})

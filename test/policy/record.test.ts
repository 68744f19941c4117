import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecordSyntaxError } from '../../src/errors.js'
import {
  examineRecords,
  formatRecord,
  isPolicyId,
  parseRecord,
  type StsRecord,
  selectRecord,
} from '../../src/policy/record.js'

interface RecordCase {
  name: string
  rrset: string[][]
  expected: { id: string } | 'none'
}

const vectors: { cases: RecordCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/sts-record.json', import.meta.url), 'utf8'),
)

const id = fc.stringMatching(/^[A-Za-z0-9]{1,32}$/)
const extensionName = fc
  .oneof(
    fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/),
    fc.constantFrom('constructor', 'toString', 'ID', 'V', 'id2', '0', '1'),
  )
  .filter((name) => name !== 'id' && name !== 'v')
const extensionValue = fc.stringMatching(/^[!-:<>-~]{1,40}$/)
const extensions = fc.uniqueArray(fc.record({ name: extensionName, value: extensionValue }), {
  selector: ({ name }) => name,
  minLength: 1,
  maxLength: 8,
})
const record: fc.Arbitrary<StsRecord> = fc.record(
  { version: fc.constant('STSv1' as const), id, extensions },
  { requiredKeys: ['version', 'id'] },
)

describe('the vectors', () => {
  test.each(vectors.cases)('$name', ({ rrset, expected }) => {
    const found = selectRecord(rrset)
    expect(found === undefined ? 'none' : { id: found.id }).toEqual(expected)
  })
})

describe('parseRecord', () => {
  test('returns the extensions in order, and omits an empty list', () => {
    expect(parseRecord('v=STSv1; z=1; id=a; constructor=2; a=3;')).toEqual({
      version: 'STSv1',
      id: 'a',
      extensions: [
        { name: 'z', value: '1' },
        { name: 'constructor', value: '2' },
        { name: 'a', value: '3' },
      ],
    })
    expect(Object.keys(parseRecord('v=STSv1; id=a'))).toEqual(['version', 'id'])
  })

  test.each(['v=STSv1;id=a ', 'v=STSv1;id=a\t ', 'v=STSv1;id=a ; '])(
    'tolerates white space at the end: %j',
    (txt) => {
      expect(parseRecord(txt).id).toBe('a')
    },
  )

  test.each([
    ' v=STSv1;id=a',
    'v=STSv1;id=a\n',
    'v=STSv1;id=a\r\n',
    'v=STSv1;id=a\u{a0}',
    '\u{feff}v=STSv1;id=a',
    'v=STSv1,id=a',
    'v=STSv1;id:a',
    'v=STSv1;"id=a"',
  ])('tolerates no other deviation: %j', (txt) => {
    expect(() => parseRecord(txt)).toThrow(RecordSyntaxError)
  })

  test.each([
    'v=STSv1;',
    'v=STSv1; id=',
    'v=STSv1; id=a;;',
    'v=STSv1; id=a; more=',
    'v=STSv1; id=a; x=y z',
    'v=STSv1; id=a; x=y=z',
    'v=STSv1; id=a; _x=y',
    'v=STSv1; id=a; x',
    `v=STSv1; id=a; ${'x'.repeat(33)}=y`,
    'v=STSv1; id=a; x=caf\u{e9}',
  ])('[STS-5] refuses a record that breaks the ABNF: %j', (txt) => {
    expect(() => parseRecord(txt)).toThrow(RecordSyntaxError)
    expect(selectRecord([[txt]])).toBeUndefined()
    expect(examineRecords([[txt]]).kind).toBe('malformed')
  })

  test.each(['a', 'Z9', '0', 'a'.repeat(32)])(
    '[STS-6] accepts an id of letters and digits: %s',
    (txt) => {
      expect(parseRecord(`v=STSv1; id=${txt};`).id).toBe(txt)
      expect(isPolicyId(txt)).toBe(true)
    },
  )

  test.each(['a'.repeat(33), 'a-b', 'a_b', 'a.b', 'ä', '"a"', '\u{661}'])(
    '[STS-6] refuses any other id, or one above 32 characters: %s',
    (txt) => {
      expect(() => parseRecord(`v=STSv1; id=${txt};`)).toThrow(RecordSyntaxError)
      expect(isPolicyId(txt)).toBe(false)
    },
  )

  test('[STS-6] keeps the bytes of an id: case and leading zeros', () => {
    expect(parseRecord('v=STSv1; id=00aBc').id).toBe('00aBc')
  })

  test('[STS-7] uses the first of repeated fields', () => {
    expect(parseRecord('v=STSv1; id=a; x=1; id=b; x=2; v=STSv2')).toEqual({
      version: 'STSv1',
      id: 'a',
      extensions: [{ name: 'x', value: '1' }],
    })
    // The second is well formed as a field, which is enough for ignored text.
    expect(parseRecord('v=STSv1; id=a; id=b-c').id).toBe('a')
  })

  test('[STS-7] refuses an invalid first id despite a valid second one', () => {
    expect(() => parseRecord('v=STSv1; id=b-c; id=a')).toThrow(RecordSyntaxError)
  })

  test('[STS-7] ignores unknown fields, also those that differ from id by case', () => {
    expect(parseRecord('v=STSv1; ID=x; ext=yes; id=a; i=1').id).toBe('a')
    expect(() => parseRecord('v=STSv1; ID=x')).toThrow(/no id/)
  })

  test('describes the fault, with the remote text escaped and truncated', () => {
    expect(() => parseRecord('v=STSv1; x=1')).toThrow(
      'The MTA-STS record has no id, which must be 1 to 32 letters and digits: "v=STSv1; x=1"',
    )
    expect(() => parseRecord('v=STSv1; id=2026-11-21')).toThrow(
      'The id of an MTA-STS record must be 1 to 32 letters and digits, but it is "2026-11-21"',
    )
    const hostile = [
      'v=STSv1; x=1\u{1b}[2J',
      '\u{1b}[2J',
      'v=STSv1; id=\u{202e}',
      'v=STSv1; \u{7}=1',
    ]
    for (const txt of hostile) {
      expect(messageOf(txt)).toMatch(/\\u\{/)
      expect(messageOf(txt)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    }
    const long = [
      'x'.repeat(9999),
      `v=STSv1; a=${'x'.repeat(9999)}`,
      `v=STSv1; id=${'x'.repeat(9999)}`,
    ]
    for (const txt of long) expect(messageOf(txt).length).toBeLessThan(400)
  })
})

describe('examineRecords', () => {
  test('[STS-2] joins the strings of a record split anywhere', () => {
    const whole = 'v=STSv1; id=20260831; x=y;'
    for (let cut = 0; cut <= whole.length; cut++) {
      expect(selectRecord([[whole.slice(0, cut), whole.slice(cut)]])).toEqual(parseRecord(whole))
    }
  })

  test('[STS-3] does not count records of another kind or version', () => {
    const others = [['v=spf1 -all'], ['v=STSv10; id=x'], ['v=STSv2; id=x'], ['v=STSv1'], []]
    expect(examineRecords(others)).toEqual({ kind: 'none' })
    expect(examineRecords([...others, ['v=STSv1; id=a'], ...others])).toEqual({
      kind: 'one',
      record: { version: 'STSv1', id: 'a' },
    })
  })

  test('[STS-4] returns none without a record', () => {
    expect(examineRecords([])).toEqual({ kind: 'none' })
    expect(selectRecord([])).toBeUndefined()
  })

  test.each([
    [['v=STSv1; id=a'], ['v=STSv1; id=b']],
    [['v=STSv1; id=a'], ['v=STSv1; id=a']],
    [['v=STSv1; id=a'], ['v=STSv1; bogus']],
    [['v=STSv1; bogus'], ['v=STSv1; id=a']],
    [['v=STSv1;'], ['v=STSv1;']],
  ])(
    '[STS-4] refuses more than one, even if only one or none is well formed: %j %j',
    (first, second) => {
      expect(examineRecords([first, second])).toEqual({ kind: 'several', count: 2 })
      expect(selectRecord([first, second])).toBeUndefined()
    },
  )

  test('[STS-5] returns the error of a malformed record', () => {
    const finding = examineRecords([['v=spf1 -all'], ['v=STSv1; id=a b']])
    expect(finding.kind).toBe('malformed')
    expect(finding.kind === 'malformed' && finding.error).toBeInstanceOf(RecordSyntaxError)
  })
})

describe('formatRecord', () => {
  test('writes the example of the RFC', () => {
    const text = 'v=STSv1; id=20160831085700Z;'
    expect(formatRecord({ version: 'STSv1', id: '20160831085700Z' })).toBe(text)
    expect(formatRecord({ version: 'STSv1', id: '20160831085700Z', extensions: [] })).toBe(text)
  })

  test('writes a record that reads back as the same', () => {
    fc.assert(
      fc.property(record, (value) => {
        expect(parseRecord(formatRecord(value))).toEqual(value)
      }),
    )
  })

  test('writes a record that reads back as the same, or throws, for any input', () => {
    const anything = fc.record(
      {
        version: fc.constant('STSv1' as const),
        id: fc.oneof(id, fc.string({ maxLength: 4 })),
        extensions: fc.array(
          fc.record({
            name: fc.oneof(
              extensionName,
              fc.constantFrom('id', 'v', 'x', '__proto__'),
              fc.string(),
            ),
            value: fc.oneof(extensionValue, fc.string({ maxLength: 4 })),
          }),
          { minLength: 1, maxLength: 3 },
        ),
      },
      { requiredKeys: ['version', 'id'] },
    )
    fc.assert(
      fc.property(anything, (value) => {
        const text = orSyntaxError(() => formatRecord(value))
        if (text !== undefined) expect(parseRecord(text)).toEqual(value)
      }),
      { numRuns: 1000 },
    )
  })

  test.each([
    [{ id: '' }, /id .* must be 1 to 32/],
    [{ id: 'a; x=1' }, /id .* must be 1 to 32/],
    [{ id: undefined as unknown as string }, /id .* must be 1 to 32/],
    [{ version: 'STSv2' as 'STSv1' }, /version .* must be STSv1/],
    [{ extensions: [{ name: 'id', value: 'b' }] }, /"id" is not an extension/],
    [{ extensions: [{ name: 'v', value: 'STSv1' }] }, /"v" is not an extension/],
    [{ extensions: [{ name: 'x', value: 'a;b' }] }, /visible ASCII/],
    [{ extensions: [{ name: 'x', value: '' }] }, /no value/],
    [{ extensions: [{ name: 'x=y', value: 'a' }] }, /field name must be/],
    [{ extensions: [1, 2].map((value) => ({ name: 'x', value: `${value}` })) }, /extension twice/],
  ])('refuses %j', (part, message) => {
    const format = () => formatRecord({ version: 'STSv1', id: 'a', ...part })
    expect(format).toThrow(RecordSyntaxError)
    expect(format).toThrow(message)
  })
})

describe('hostile input', () => {
  const valid = fc.oneof(record.map(formatRecord), fc.constant('v=STSv1; id=a; x=1; y=2;'))
  const mutated = fc
    .tuple(
      valid,
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.oneof(fc.string(), fc.string({ unit: 'binary' })),
    )
    .map(([text, at, drop, insert]) => {
      const cut = at % (text.length + 1)
      return text.slice(0, cut) + insert + text.slice(cut + drop)
    })
  const texts = fc.oneof(
    mutated,
    fc.string({ unit: 'binary' }).map((text) => `v=STSv1;${text}`),
  )

  test('causes only the syntax error, or a record that can be written', () => {
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ unit: 'binary' })), (text) => {
        const found = orSyntaxError(() => parseRecord(text))
        if (found !== undefined) expect(parseRecord(formatRecord(found))).toEqual(found)
      }),
      { numRuns: 2000 },
    )
    fc.assert(fc.property(fc.array(fc.array(texts)), (rrset) => void examineRecords(rrset)))
  })

  // With quadratic work anywhere, these would take minutes, and run into the time limit.
  test('of 64 KiB in the worst forms is refused in time', () => {
    const size = 64 * 1024
    const pieces = [' ', '\t', ';', ' ;', '; ', '=', 'a=1;', 'a=1; ', 'a ', 'a=', ' =', 'v=STSv1;']
    const heads = ['', 'v=STSv1', 'v=STSv1;', 'v=STSv1; id=', 'v=STSv1; id=a; x=']
    const tails = ['', '\n']
    for (const head of heads) {
      for (const piece of pieces) {
        for (const tail of tails) {
          const text = head + piece.repeat(size / piece.length) + tail
          orSyntaxError(() => parseRecord(text))
          examineRecords([[text], Array.from(text)])
        }
      }
    }
    for (const space of [' ', '\t', ' \t']) {
      const run = space.repeat(size / space.length)
      const fields = [`${run}x${run}`, `id=a${run}b`, `id=${run};x=${run}y`]
      for (const field of fields) {
        repeat(50, () => orSyntaxError(() => parseRecord(`v=STSv1${run};${field};`)))
      }
    }
  })
})

function repeat(times: number, run: () => void): void {
  for (let count = 0; count < times; count++) run()
}

function messageOf(txt: string): string {
  try {
    parseRecord(txt)
  } catch (error) {
    if (error instanceof RecordSyntaxError) return error.message
  }
  throw new Error('no RecordSyntaxError')
}

/** Returns the result of `run`; undefined if it throws the one error that it may throw. */
function orSyntaxError<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    expect(error).toBeInstanceOf(RecordSyntaxError)
    return undefined
  }
}

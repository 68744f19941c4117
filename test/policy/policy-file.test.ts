import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PolicySyntaxError } from '../../src/errors.js'
import {
  formatPolicy,
  MAX_AGE_LIMIT,
  MAX_POLICY_BYTES,
  type Policy,
  type PolicyMode,
  parsePolicy,
} from '../../src/policy/policy-file.js'

interface PolicyCase {
  name: string
  body: string
  expected: { mode: string; mx: string[]; maxAge: number } | 'invalid'
}

const vectors: { cases: PolicyCase[] } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/policy-file.json', import.meta.url), 'utf8'),
)

const VALID = ['version: STSv1', 'mode: enforce', 'mx: mail.example.com', 'max_age: 86400']
const DEFINED = ['version', 'mode', 'mx', 'max_age']

const host = fc.stringMatching(
  /^[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,8}[a-z])?){0,3}$/,
)
const pattern = fc.tuple(fc.constantFrom('', '*.'), host).map((parts) => parts.join(''))
const extensionName = fc
  .oneof(
    fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/),
    fc.constantFrom('constructor', 'toString', 'MX', 'Version', '1', '0'),
  )
  .filter((name) => !DEFINED.includes(name))
const extensionValue = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  .filter((value) => value.trim() === value)
const extensions = fc.uniqueArray(fc.record({ name: extensionName, value: extensionValue }), {
  selector: ({ name }) => name,
  minLength: 1,
  maxLength: 6,
})
const maxAge = fc.oneof(fc.integer({ min: 0, max: MAX_AGE_LIMIT }), fc.constant(MAX_AGE_LIMIT))
const policy: fc.Arbitrary<Policy> = fc
  .record(
    {
      version: fc.constant('STSv1' as const),
      mode: fc.constantFrom<PolicyMode>('enforce', 'testing', 'none'),
      mx: fc.uniqueArray(pattern, { maxLength: 5 }),
      maxAge,
      extensions,
    },
    { requiredKeys: ['version', 'mode', 'mx', 'maxAge'] },
  )
  .filter(({ mode, mx }) => mode === 'none' || mx.length > 0)

describe('the vectors', () => {
  test.each(vectors.cases)('$name', ({ body, expected }) => {
    if (expected === 'invalid') {
      expect(() => parsePolicy(body)).toThrow(PolicySyntaxError)
      expect(() => parsePolicy(bytes(body))).toThrow(PolicySyntaxError)
    } else {
      expect(parsePolicy(body)).toMatchObject({ version: 'STSv1', ...expected })
      expect(parsePolicy(bytes(body))).toEqual(parsePolicy(body))
    }
  })
})

describe('parsePolicy', () => {
  test('reads a policy', () => {
    const read = parsePolicy(file([...VALID, 'mx: *.example.net', 'z: 1', 'a: x: y; z = \u{e9}']))
    expect(read).toEqual({
      version: 'STSv1',
      mode: 'enforce',
      mx: ['mail.example.com', '*.example.net'],
      maxAge: 86400,
      extensions: [
        { name: 'z', value: '1' },
        { name: 'a', value: 'x: y; z = \u{e9}' },
      ],
    })
    expect(Object.keys(parsePolicy(file(VALID)))).toEqual(['version', 'mode', 'mx', 'maxAge'])
  })

  test.each(DEFINED)('[STS-17] requires the field %s', (name) => {
    const lines = VALID.filter((line) => !line.startsWith(`${name}:`))
    expect(lines).toHaveLength(3)
    expect(() => parsePolicy(file(lines))).toThrow(`The policy file has no "${name}" field`)
  })

  test('[STS-17] requires mx under enforce and testing, but not under none', () => {
    const without = (mode: string) => file(['version: STSv1', `mode: ${mode}`, 'max_age: 1'])
    expect(() => parsePolicy(without('enforce'))).toThrow(PolicySyntaxError)
    expect(() => parsePolicy(without('testing'))).toThrow(PolicySyntaxError)
    expect(parsePolicy(without('none')).mx).toEqual([])
  })

  test.each([
    [0, 'version: STSv2'],
    [0, 'version: stsv1'],
    [0, 'version: STSv1 STSv1'],
    [0, 'Version: STSv1'],
    [0, 'version = STSv1'],
    [0, 'version : STSv1'],
    [0, ' version: STSv1'],
    [0, 'version:'],
    [1, 'mode: ENFORCE'],
    [1, 'mode: enforce;'],
    [1, 'mode: enforced'],
    [1, 'mode: report'],
    [1, 'MODE: enforce'],
    [1, 'mode: "enforce"'],
    [1, 'mode: constructor'],
    [3, 'max_age:'],
    [3, 'max_age: '],
    [3, 'max_age: -1'],
    [3, 'max_age: +1'],
    [3, 'max_age: 1.0'],
    [3, 'max_age: 1e5'],
    [3, 'max_age: 0x10'],
    [3, 'max_age: 1 0'],
    [3, 'max_age: 00000086400'],
    [3, 'max_age: \u{661}'],
    [3, 'max-age: 1'],
  ])('[STS-17] refuses line %i as %j, as the ABNF does', (index, line) => {
    expect(() => parsePolicy(file(VALID.with(index, line)))).toThrow(PolicySyntaxError)
  })

  test.each([
    'x',
    'x:',
    'x: ',
    ':',
    ': x',
    '_x: y',
    '__proto__: y',
    'x y: z',
    'caf\u{e9}: x',
    `${'x'.repeat(33)}: y`,
    'x: a\tb',
    'x: a\u{0}b',
    'x: a\u{7f}b',
    'x: a\u{1b}[2Jb',
    'x: a\rb',
    '# a comment',
    '-----BEGIN PGP SIGNED MESSAGE-----',
  ])('[STS-17] refuses a policy with a malformed field, even an unknown one: %j', (line) => {
    expect(() => parsePolicy(file([...VALID, line]))).toThrow(PolicySyntaxError)
    expect(lineOfError(file([line, ...VALID]))).toBe(1)
    expect(lineOfError(file([...VALID, line, 'y: z']))).toBe(5)
  })

  test('[STS-18] accepts LF, CRLF or both as line ends, and a last line without one', () => {
    const expected = parsePolicy(VALID.join('\n'))
    for (const body of [
      VALID.join('\r\n'),
      `${VALID.join('\r\n')}\r\n`,
      `${VALID[0]}\r\n${VALID[1]}\n${VALID[2]} \t\r\n${VALID[3]}\n`,
    ]) {
      expect(parsePolicy(body)).toEqual(expected)
    }
  })

  test.each(['\r', '\n\r', '\r\r\n', '\u{85}', '\u{2028}', '\u{b}', '\u{c}', ';'])(
    '[STS-18] refuses all other line ends: %j',
    (end) => {
      expect(() => parsePolicy(VALID.map((line) => line + end).join(''))).toThrow(PolicySyntaxError)
    },
  )

  test('[STS-18] does not take a CR after the last line for a line end', () => {
    expect(() => parsePolicy(`${VALID.join('\n')}\r`)).toThrow(PolicySyntaxError)
  })

  test('[STS-19] ignores unknown fields at any place', () => {
    const expected = parsePolicy(file(VALID))
    for (let index = 0; index <= VALID.length; index++) {
      const lines = VALID.toSpliced(index, 0, 'Mode: none', 'constructor: x', 'MX: evil.example')
      expect(parsePolicy(file(lines))).toMatchObject(expected)
    }
  })

  test('[STS-19] uses the first of repeated fields', () => {
    const doubled = ['version: STSv2', 'mode: none', 'max_age: 1', 'x: 1', 'x: 2']
    expect(parsePolicy(file([...VALID, ...doubled]))).toEqual({
      ...parsePolicy(file(VALID)),
      extensions: [{ name: 'x', value: '1' }],
    })
    // Ignored text need only be a field.
    expect(parsePolicy(file([...VALID, 'mode: bogus', 'max_age: never'])).mode).toBe('enforce')
  })

  test.each(['version: STSv2', 'mode: bogus', 'max_age: never'])(
    '[STS-19] refuses an invalid first field despite a valid second one: %s',
    (line) => {
      expect(() => parsePolicy(file([line, ...VALID]))).toThrow(PolicySyntaxError)
      expect(lineOfError(file([line, ...VALID]))).toBe(1)
    },
  )

  test('[STS-19] adds up mx; a repeated pattern counts once', () => {
    const lines = [
      'mx: a.example',
      ...VALID,
      'mx: *.b.example',
      'mx: A.example.',
      'mx: *.B.example',
    ]
    const mx = ['a.example', 'mail.example.com', '*.b.example']
    expect(parsePolicy(file(lines)).mx).toEqual(mx)
  })

  describe('tolerates every line indented by the same white space', () => {
    const indented = (indent: string, lines = VALID) => lines.map((line) => `${indent}${line}`)

    test.each([' ', '  ', '    ', '\t', '\t\t', ' \t '])(
      'reads a file indented by %j',
      (indent) => {
        const expected = parsePolicy(file(VALID))
        expect(parsePolicy(file(indented(indent)))).toEqual(expected)
        expect(parsePolicy(indented(indent).join('\r\n'))).toEqual(expected)
        expect(parsePolicy(`\u{feff}${file(indented(indent))}`)).toEqual(expected)
        // Blank lines have no indent
        const blank = ['', indent, ...indented(indent), ' ', '\t \t']
        expect(parsePolicy(file(blank))).toEqual(expected)
      },
    )

    test('counts lines from the first one, blank ones included', () => {
      expect(lineOfError(file(['', ...indented('  ', VALID.with(1, 'mode: x'))]))).toBe(3)
    })

    test.each<[name: string, lines: string[]]>([
      ['the first line only', [`  ${VALID[0]}`, ...VALID.slice(1)]],
      ['all but the first line', [VALID[0] ?? '', ...indented('  ', VALID.slice(1))]],
      ['one line by more', indented(' ').with(2, `  ${VALID[2]}`)],
      ['one line by less', indented('  ').with(2, ` ${VALID[2]}`)],
      ['one line by a tab', indented(' ').with(3, `\t${VALID[3]}`)],
      ['a no-break space', indented('\u{a0}')],
    ])('refuses a file indented otherwise: %s', (_, lines) => {
      expect(() => parsePolicy(file(lines))).toThrow(PolicySyntaxError)
    })
  })

  test.each([
    ['mode: enforced', 'did you mean "enforce"?'],
    ['mode: enforcing', 'did you mean "enforce"?'],
    ['mode: Enforce', 'did you mean "enforce"?'],
    ['mode: live', 'did you mean "enforce"?'],
    ['mode: test', 'did you mean "testing"?'],
    ['mode: [testing]', 'did you mean "testing"?'],
    ['mode: report', 'did you mean "testing"?'],
    ['mode: off', 'did you mean "none"?'],
  ])('suggests the nearest mode: %s', (line, hint) => {
    expect(errorOf(file(VALID.with(1, line))).message).toContain(hint)
  })

  test('suggests no mode when none is near', () => {
    expect(errorOf(file(VALID.with(1, 'mode: xyz'))).message).not.toContain('did you mean')
  })

  test.each([
    ['RTF', '{\\rtf1\\ansi\\ansicpg1252\n{\\fonttbl}\nversion: STSv1\\\n}'],
    ['HTML', '<!doctype html>\n<html><body>404</body></html>\n'],
    ['HTML', '\n<html>\n'],
    ['front matter', `---\npermalink: /.well-known/mta-sts.txt\n---\n${file(VALID)}`],
    ['YAML', 'version: STSv1\nmode: enforce\nmx:\n  - mail.example.com\nmax_age: 86400\n'],
    ['YAML', 'version: STSv1\nmode: enforce\n- mx: mail.example.com\nmax_age: 86400\n'],
    ['JSON', '{"version": "STSv1", "mode": "enforce"}'],
  ])('names the format that a file looks like: %s', (look, body) => {
    expect(errorOf(body).message).toContain(`looks like`)
    expect(errorOf(body).message).toContain(look)
  })

  test.each([
    ['mx: https://mail.example.com/', 'a URL'],
    ['mx: smtp://mail.example.com', 'a URL'],
    ['mx: mail.example.com, mx2.example.com', 'on a line of its own'],
    ['mx: mail.example.com mx2.example.com', 'on a line of its own'],
    ['mx: postmaster@example.com', 'an address'],
    ['mx: _dc-mx.a1b2.example.com', 'underscore'],
    ['max_age: 86400version: STSv1', 'two policies'],
  ])('describes the fault of %s', (line, hint) => {
    const name = line.slice(0, line.indexOf(':'))
    const lines = VALID.filter((other) => !other.startsWith(`${name}:`))
    expect(errorOf(file([...lines, line])).message).toContain(hint)
  })

  test.each([
    'mx.ñaca.com',
    '\u{212a}.example.com',
    'mail\u{ff0e}example.com',
    '*',
    '*.',
    '*..example.com',
    '*.*.example.com',
    'mx*.example.com',
    'mx.*.example.com',
    '.example.com',
    'mail..example.com',
    'mail.example.com..',
    '.',
    'mail_1.example.com',
    '-mail.example.com',
    'a.example b.example',
    'a.example,b.example',
    'mail.example.com:25',
    '[192.0.2.1]',
    `${'a'.repeat(64)}.example`,
  ])('[STS-20] refuses an mx that is not a host name in A-labels, or `*.` and one: %j', (value) => {
    expect(() => parsePolicy(file([...VALID, `mx: ${value}`]))).toThrow(/"mx" in a policy must be/)
    expect(lineOfError(file([...VALID, `mx: ${value}`]))).toBe(5)
  })

  test('[STS-20] checks mx under mode none as well', () => {
    expect(() => parsePolicy('version: STSv1\nmode: none\nmx: *\nmax_age: 1')).toThrow(/"mx"/)
  })

  test('reduces a max_age above the limit to the limit', () => {
    const read = (value: string) => parsePolicy(file(VALID.with(3, `max_age: ${value}`))).maxAge
    expect(read('31557601')).toBe(MAX_AGE_LIMIT)
    expect(read('9999999999')).toBe(MAX_AGE_LIMIT)
    expect(read('31557600')).toBe(31557600)
    expect(read('31557599')).toBe(31557599)
    expect(read('0000000007')).toBe(7)
    expect(read('0')).toBe(0)
  })

  test('tolerates blank lines, also with white space', () => {
    expect(parsePolicy(`\n\r\n \t\n${VALID.join('\n\n')}\n \r\n\n`)).toEqual(
      parsePolicy(file(VALID)),
    )
  })

  test.each(['\u{a0}', '\u{b}', '\u{feff}', '\u{2003}', ' \r '])(
    'refuses a line that only looks blank: %j',
    (line) => {
      expect(() => parsePolicy(file([...VALID, line, 'x: y']))).toThrow(PolicySyntaxError)
    },
  )

  test('tolerates one byte order mark at the start', () => {
    const body = file(VALID)
    expect(parsePolicy(`\u{feff}${body}`)).toEqual(parsePolicy(body))
    expect(parsePolicy(bytes(`\u{feff}${body}`))).toEqual(parsePolicy(body))
    for (const wrong of [`\u{feff}\u{feff}${body}`, `\n\u{feff}${body}`, `\u{fffe}${body}`]) {
      expect(() => parsePolicy(wrong)).toThrow(PolicySyntaxError)
      expect(() => parsePolicy(bytes(wrong))).toThrow(PolicySyntaxError)
    }
  })

  test('tolerates upper case in mx and one trailing dot', () => {
    expect(parsePolicy(file(VALID.with(2, 'mx: *.EXAMPLE.Com. '))).mx).toEqual(['*.example.com'])
  })

  test('refuses bytes that are not UTF-8', () => {
    const broken = [
      [0xff],
      [0x61, 0x80],
      [0xc3],
      [0xc0, 0xaf],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ]
    for (const value of broken) {
      const body = Buffer.concat([bytes(`${file(VALID)}x: `), Buffer.from(value), bytes('\n')])
      expect(() => parsePolicy(body)).toThrow(/is not UTF-8/)
    }
    const utf16 = Buffer.from(`\u{feff}${file(VALID)}`, 'utf16le')
    expect(() => parsePolicy(utf16)).toThrow(PolicySyntaxError)
  })

  test('refuses a string that has no UTF-8 form', () => {
    expect(() => parsePolicy(file([...VALID, 'x: \u{d800}']))).toThrow(PolicySyntaxError)
    expect(parsePolicy(file([...VALID, 'x: \u{1f600}'])).extensions).toHaveLength(1)
  })

  test('reads a file of 64 KiB and refuses a longer one, counted in bytes', () => {
    const start = `${file(VALID)}x: `
    const full = start + 'x'.repeat(MAX_POLICY_BYTES - start.length)
    expect(MAX_POLICY_BYTES).toBe(65536)
    expect(parsePolicy(full).mode).toBe('enforce')
    expect(parsePolicy(bytes(full)).mode).toBe('enforce')
    const tooLong = [`${full}x`, start + 'é'.repeat(MAX_POLICY_BYTES / 2)]
    for (const body of tooLong) {
      expect(() => parsePolicy(body)).toThrow(/longer than 65536 bytes/)
      expect(() => parsePolicy(bytes(body))).toThrow(/longer than 65536 bytes/)
      expect(lineOfError(body)).toBe(0)
    }
  })

  test('reads a view of a larger buffer', () => {
    const body = bytes(`xx${file(VALID)}yy`)
    expect(parsePolicy(body.subarray(2, -2))).toEqual(parsePolicy(file(VALID)))
  })

  test('names the line in an error, from 1, blank ones counted, or 0 for the whole file', () => {
    expect(lineOfError('\n\r\nversion: STSv1\nmode: x\nmx: a.example\nmax_age: 1')).toBe(4)
    expect(lineOfError('<!doctype html>')).toBe(1)
    expect(lineOfError('')).toBe(0)
    expect(lineOfError(file(VALID.with(3, 'max_age: x')))).toBe(4)
    expect(lineOfError(file(VALID.slice(1)))).toBe(0)
    expect(lineOfError(Buffer.from([0xff]))).toBe(0)
  })

  test.each([
    ['mx: *', 'max_age: x', 'mode: y', 'no field'],
    ['no field', 'mode: y', 'max_age: x', 'mx: *'],
    ['mode: y', 'x: ', 'version: STSv2'],
    ['version: STSv2', 'mode: y'],
  ])('names the line of the first of several faults: %j', (...faults) => {
    expect(lineOfError(file(['x: y', ...faults]))).toBe(2)
  })

  test('reads no further than the trailing dot of an mx that is only `*.`', () => {
    for (const after of ['', '\n', '\na.example', '\nmx: a.example']) {
      expect(lineOfError(`${VALID.join('\n')}\nmx: *.${after}`)).toBe(5)
      expect(lineOfError(`${VALID.join('\n')}\nmx: *..${after}`)).toBe(5)
    }
  })

  test('describes the fault, with the remote text escaped and truncated', () => {
    expect(() => parsePolicy(file(VALID.with(1, 'mode: report')))).toThrow(
      '"mode" in a policy must be one of enforce, testing, none, but it is "report"',
    )
    const hostile = ['\u{1b}[2J', '\u{1b}: x', 'x: \u{7}', 'mx: \u{202e}', 'mx: a\u{2028}b']
    for (const line of hostile) {
      const { message } = errorOf(file([line, ...VALID]))
      expect(message).toMatch(/\\u\{/)
      expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
    }
    const x = 'x'.repeat(9999)
    for (const line of [x, `${x}: y`, `mx: ${x}`, `x: ${x}\u{0}`, `version: ${x}`]) {
      expect(errorOf(file([line, ...VALID])).message.length).toBeLessThan(400)
    }
  })
})

describe('formatPolicy', () => {
  test('writes lines that end with CRLF', () => {
    const value: Policy = {
      version: 'STSv1',
      mode: 'testing',
      mx: ['mail.example.com', '*.example.net'],
      maxAge: 1,
      extensions: [{ name: 'x', value: 'y z' }],
    }
    expect(formatPolicy(value)).toBe(
      'version: STSv1\r\nmode: testing\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 1\r\nx: y z\r\n',
    )
  })

  test('writes text that reads back as the same, also as bytes', () => {
    fc.assert(
      fc.property(policy, (value) => {
        expect(parsePolicy(formatPolicy(value))).toEqual(value)
        expect(parsePolicy(bytes(formatPolicy(value)))).toEqual(value)
      }),
    )
  })

  test('writes a reduced max_age as it was read', () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: MAX_AGE_LIMIT, max: 9_999_999_999 }), (value, age) => {
        const body = formatPolicy(value).replace(/^max_age: \d+/m, `max_age: ${age}`)
        const clamped = { ...value, maxAge: MAX_AGE_LIMIT }
        expect(parsePolicy(body)).toEqual(clamped)
        expect(parsePolicy(formatPolicy(clamped))).toEqual(clamped)
      }),
    )
  })

  test('writes text that reads back as the same, or throws, for any policy', () => {
    const odd = fc.string({
      unit: fc.constantFrom(...'aA*. \t\r\n:\u{0}\u{d800}ñ\u{feff}-'),
      maxLength: 5,
    })
    const anything = fc.record(
      {
        version: fc.constant('STSv1' as const),
        mode: fc.constantFrom<PolicyMode>('enforce', 'testing', 'none'),
        mx: fc.array(fc.oneof(pattern, odd), { maxLength: 2 }),
        maxAge: fc.oneof(maxAge, fc.double(), fc.integer()).filter((age) => !Object.is(age, -0)),
        extensions: fc.array(
          fc.record({
            name: fc.oneof(extensionName, fc.constantFrom(...DEFINED, '__proto__', 'x'), odd),
            value: fc.oneof(extensionValue, odd),
          }),
          { minLength: 1, maxLength: 2 },
        ),
      },
      { requiredKeys: ['version', 'mode', 'mx', 'maxAge'] },
    )
    fc.assert(
      fc.property(anything, (value) => {
        const body = orSyntaxError(() => formatPolicy(value))
        if (body === undefined) return
        expect(parsePolicy(body)).toEqual(value)
        expect(parsePolicy(bytes(body))).toEqual(value)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    [{ version: 'STSv2' as 'STSv1' }, /"version" .* must be STSv1/],
    [{ mode: 'report' as 'none' }, /"mode" .* must be one of/],
    [{ mx: [] }, /no "mx" field/],
    [{ mx: ['MAIL.example.com'] }, /"mx" .* in lower case/],
    [{ mx: ['mail.example.com.'] }, /"mx"/],
    [{ mx: ['a.example\r\nmode: none'] }, /"mx"/],
    [{ mx: [undefined as unknown as string] }, /"mx"/],
    [{ maxAge: -1 }, /"max_age"/],
    [{ maxAge: 1.5 }, /"max_age"/],
    [{ maxAge: Number.NaN }, /"max_age"/],
    [{ maxAge: MAX_AGE_LIMIT + 1 }, /"max_age" .* 0 to 31557600/],
    [{ extensions: [{ name: 'mx', value: 'a.example' }] }, /"mx" in a policy is not an extension/],
    [{ extensions: [{ name: 'x', value: ' y' }] }, /white space at its ends/],
    [{ extensions: [{ name: 'x', value: 'y\nmx: a.example' }] }, /control characters/],
    [{ extensions: [{ name: 'x:', value: 'y' }] }, /field name must be/],
    [{ extensions: [1, 2].map((value) => ({ name: 'x', value: `${value}` })) }, /extension twice/],
    [{ extensions: [{ name: 'x', value: 'x'.repeat(MAX_POLICY_BYTES) }] }, /longer than 65536/],
  ])('refuses %j', (part, message) => {
    const format = () => formatPolicy({ ...parsePolicy(file(VALID)), ...part })
    expect(format).toThrow(PolicySyntaxError)
    expect(format).toThrow(message)
  })
})

describe('hostile input', () => {
  const valid = fc.oneof(policy.map(formatPolicy), fc.constant(file(VALID)))
  const mutated = fc
    .tuple(
      valid,
      fc.nat(),
      fc.nat({ max: 5 }),
      fc.oneof(fc.string(), fc.string({ unit: 'binary' })),
    )
    .map(([text, at, drop, insert]) => {
      const cut = at % (text.length + 1)
      return text.slice(0, cut) + insert + text.slice(cut + drop)
    })
  const scratched = fc
    .tuple(valid, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 }))
    .map(([text, at, noise]) => {
      const body = bytes(text)
      body.set(noise, at % (body.length - noise.length))
      return body
    })

  test('causes only the syntax error, or a policy that can be written', () => {
    const bodies = fc.oneof(mutated, scratched, fc.string({ unit: 'binary' }), fc.uint8Array())
    fc.assert(
      fc.property(bodies, (body) => {
        const found = orSyntaxError(() => parsePolicy(body))
        if (found !== undefined) expect(parsePolicy(formatPolicy(found))).toEqual(found)
      }),
      { numRuns: 3000 },
    )
  })

  // With quadratic work anywhere, these would take minutes, and run into the time limit.
  test('of 64 KiB in the worst forms is refused in time', () => {
    const pieces = [
      ...[' ', '\t', '\r', '\n', '\r\n', ' \n', ':', '::', 'a', 'a:b\n', 'a: b\r\n', '\u{feff}'],
      ...[
        'mx:a\n',
        'mx: *.a.b\n',
        'a.',
        'a-',
        '-',
        '*.',
        '9',
        '\u{e9}',
        '\u{1f600}',
        'mode: none\n',
      ],
    ]
    const heads = ['', 'x:', 'mx: ', `${file(VALID)}x:`, `${file(VALID)}mx: `]
    for (const head of heads) {
      for (const piece of pieces) {
        const size = MAX_POLICY_BYTES - Buffer.byteLength(head) - 1
        const body = head + piece.repeat(size / Buffer.byteLength(piece))
        orSyntaxError(() => parsePolicy(body))
        orSyntaxError(() => parsePolicy(bytes(`${body}\u{0}`)))
      }
    }
    for (const space of [' ', '\t', ' \t']) {
      const run = space.repeat(MAX_POLICY_BYTES / 2 / space.length - 2)
      const bodies = [`x:${run}y${run}`, `${run}y${run}`, `x: y${run}y`, `${run}:${run}`]
      for (const body of bodies) repeat(25, () => orSyntaxError(() => parsePolicy(body)))
    }
  })
})

function repeat(times: number, run: () => void): void {
  for (let count = 0; count < times; count++) run()
}

function file(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

function errorOf(body: string | Uint8Array): PolicySyntaxError {
  try {
    parsePolicy(body)
  } catch (error) {
    if (error instanceof PolicySyntaxError) return error
  }
  throw new Error('no PolicySyntaxError')
}

function lineOfError(body: string | Uint8Array): number {
  return errorOf(body).line
}

/** Returns the result of `run`; undefined if it throws the one error that it may throw. */
function orSyntaxError<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    expect(error).toBeInstanceOf(PolicySyntaxError)
    return undefined
  }
}

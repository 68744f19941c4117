import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { DeliveryRefusedError, RoutingError } from '../src/delivery/errors.js'
import { MtaStsError, missingPackage, PolicySyntaxError, RecordSyntaxError } from '../src/errors.js'
import { escapeRemoteText } from '../src/text.js'
import {
  describeFailure,
  type FailureReason,
  RESULT_TYPES,
  TlsFailureError,
} from '../src/tls/failures.js'

describe('escapeRemoteText', () => {
  test.each([
    '',
    'mx.example.com',
    '250 2.0.0 OK: queued as "4Xyz" <a@b> \\ %00 ~',
    'Grüße, 世界 😀 👩‍👩',
  ])('does not change plain text: %j', (text) => {
    expect(escapeRemoteText(text)).toBe(text.replaceAll('\u{200d}', '\\u{200d}'))
  })

  test('escapes every control character', () => {
    const controls = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i)]
    for (const code of controls) {
      const escaped = `a\\u{${code.toString(16)}}b`
      expect(escapeRemoteText(`a${String.fromCharCode(code)}b`)).toBe(escaped)
    }
  })

  test.each<[name: string, char: string]>([
    ['left-to-right mark', '\u{200e}'],
    ['right-to-left mark', '\u{200f}'],
    ['Arabic letter mark', '\u{61c}'],
    ['embedding', '\u{202a}'],
    ['right-to-left override', '\u{202e}'],
    ['pop', '\u{202c}'],
    ['isolate', '\u{2066}'],
    ['pop isolate', '\u{2069}'],
    ['line separator', '\u{2028}'],
    ['paragraph separator', '\u{2029}'],
    ['zero width space', '\u{200b}'],
    ['byte order mark', '\u{feff}'],
    ['soft hyphen', '\u{ad}'],
    ['tag', '\u{e0041}'],
    ['half a surrogate pair', '\u{d83d}'],
    ['its other half', '\u{de00}'],
  ])('escapes %s', (_, char) => {
    const code = (char.codePointAt(0) ?? 0).toString(16)
    expect(escapeRemoteText(`a${char}b`)).toBe(`a\\u{${code}}b`)
  })

  test('keeps a forged log line within its line', () => {
    expect(escapeRemoteText('no\r\n2025-01-01 INFO delivered')).toBe(
      'no\\u{d}\\u{a}2025-01-01 INFO delivered',
    )
  })

  test('truncates to 200 characters', () => {
    expect(escapeRemoteText('x'.repeat(200))).toBe('x'.repeat(200))
    expect(escapeRemoteText('x'.repeat(201))).toBe(`${'x'.repeat(200)}…`)
    expect(escapeRemoteText(`${'x'.repeat(200)}\n`)).toBe(`${'x'.repeat(200)}…`)
    expect(escapeRemoteText('\n'.repeat(10_000))).toBe(`${'\\u{a}'.repeat(200)}…`)
  })

  test('leaves no half of a surrogate pair at the cut', () => {
    const text = escapeRemoteText(`${'x'.repeat(199)}😀`)
    expect(text).toBe(`${'x'.repeat(199)}\\u{d83d}…`)
    expect(text).not.toMatch(/\p{Cs}/u)
  })
})

describe('describeFailure', () => {
  test.each([
    [{ resultType: 'certificate-expired' }, 'certificate-expired'],
    [
      { resultType: 'validation-failure', reason: 'mx-mismatch' },
      'validation-failure (mx-mismatch)',
    ],
    [
      { resultType: 'certificate-expired', mxHost: 'mx.example.com', address: '192.0.2.1' },
      'mx.example.com: certificate-expired',
    ],
    [
      {
        resultType: 'validation-failure',
        reason: 'a\nb' as FailureReason,
        mxHost: 'mx\u{202e}.example',
      },
      'mx\\u{202e}.example: validation-failure (a\\u{a}b)',
    ],
  ] as const)('%j', (failure, text) => {
    expect(describeFailure(failure)).toBe(text)
  })
})

describe('DeliveryRefusedError', () => {
  const failures = [
    { resultType: 'certificate-expired', mxHost: 'mx1.example.com' },
    { resultType: 'starttls-not-supported', reason: 'not-offered', mxHost: 'mx2.example.com' },
  ] as const

  test('[STS-47] names the event, the place and the remedy; it is temporary', () => {
    const cause = new Error('certificate has expired')
    const error = new DeliveryRefusedError({
      policyDomain: 'example.com',
      mode: 'enforce',
      policyId: 'a1',
      failures,
      cause,
    })
    expect(error.message).toMatch(/^Not delivered to example\.com: /)
    expect(error.message).toContain('its MTA-STS policy')
    expect(error.message).toContain(
      '(mx1.example.com: certificate-expired; ' +
        'mx2.example.com: starttls-not-supported (not-offered))',
    )
    expect(error.message).toMatch(/Nothing was sent; try again later\.$/)
    expect(error).toBeInstanceOf(MtaStsError)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'DeliveryRefusedError',
      code: 'EMTASTS',
      permanent: false,
      policyDomain: 'example.com',
      mode: 'enforce',
      policyId: 'a1',
      failures,
      cause,
    })
  })

  test.each(['none', 'testing'] as const)("in mode %s names the operator's demand", (mode) => {
    const error = new DeliveryRefusedError({ policyDomain: 'example.com', mode, failures })
    expect(error.message).toContain('minimumSecurity')
    expect(error.message).not.toContain('MTA-STS policy')
    expect(error.policyId).toBeUndefined()
  })

  test('escapes and truncates remote text', () => {
    const { message } = new DeliveryRefusedError({
      policyDomain: `a\n${'b'.repeat(300)}`,
      mode: 'enforce',
      failures: [
        { resultType: 'validation-failure', reason: '\u{1b}' as FailureReason, mxHost: 'x\r\n' },
      ],
    })
    expect(message).toContain(`Not delivered to a\\u{a}${'b'.repeat(198)}…: no host`)
    expect(message).toContain('(x\\u{d}\\u{a}: validation-failure (\\u{1b}))')
  })

  test('has a copy of the list of failures', () => {
    const list = [...failures]
    const error = new DeliveryRefusedError({
      policyDomain: 'example.com',
      mode: 'enforce',
      failures: list,
    })
    list.length = 0
    expect(error.failures).toEqual(failures)
  })
})

describe('the other errors', () => {
  test.each<[what: string, options: ErrorOptions | undefined]>([
    ['no options', undefined],
    ['options without a cause', {}],
    ['a cause that is undefined', { cause: undefined }],
  ])('an error with %s has no property "cause"', (_, options) => {
    const errors = [
      new MtaStsError('m', 'EDNS', options),
      new RoutingError('m', {
        code: 'EDNS',
        permanent: true,
        policyDomain: 'a.example',
        ...options,
      }),
      new TlsFailureError({ resultType: 'certificate-expired', ...options }),
    ]
    for (const error of errors) {
      expect(Object.hasOwn(error, 'cause')).toBe(false)
      expect(inspect(error)).not.toContain('[cause]')
    }
  })

  test('have their name, their code and MtaStsError as their base', () => {
    const failure = { resultType: 'certificate-expired', cause: new Error('x') } as const
    const routing = { code: 'EDNS', permanent: true, policyDomain: 'example.com' } as const
    const errors: Array<[error: MtaStsError, name: string, code: string]> = [
      [new MtaStsError('m', 'EHOST'), 'MtaStsError', 'EHOST'],
      [new RecordSyntaxError('m'), 'RecordSyntaxError', 'ERECORDSYNTAX'],
      [new PolicySyntaxError('m', 3), 'PolicySyntaxError', 'EPOLICYSYNTAX'],
      [new RoutingError('m', routing), 'RoutingError', 'EDNS'],
      [new TlsFailureError(failure), 'TlsFailureError', 'ETLSFAILURE'],
    ]
    for (const [error, name, code] of errors) {
      expect(error).toBeInstanceOf(MtaStsError)
      expect(error).toBeInstanceOf(Error)
      expect([error.name, error.code]).toEqual([name, code])
      expect(error.stack).toContain(name)
    }
    expect(new PolicySyntaxError('m', 3).line).toBe(3)
    expect(new RoutingError('m', routing)).toMatchObject({ permanent: true })
    expect(new RoutingError('m', routing)).toMatchObject({ policyDomain: 'example.com' })
  })

  test('[STS-47] of a failed connection is never permanent, and has the cause', () => {
    const cause = new Error('x')
    const failure = { resultType: 'certificate-expired', mxHost: 'mx.example.com', cause } as const
    const error = new TlsFailureError(failure)
    expect(error).toMatchObject({ permanent: false, failure, cause })
    expect(error.message).toBe('mx.example.com: certificate-expired')
  })

  test('use the result types of RFC 8460 §4.3', () => {
    expect(RESULT_TYPES).toEqual([
      'starttls-not-supported',
      'certificate-host-mismatch',
      'certificate-expired',
      'certificate-not-trusted',
      'validation-failure',
      'tlsa-invalid',
      'dnssec-invalid',
      'dane-required',
      'sts-policy-fetch-error',
      'sts-policy-invalid',
      'sts-webpki-invalid',
    ])
  })
})

describe('missingPackage', () => {
  test.each(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED'])(
    'turns %s into an error that says what to install',
    (code) => {
      const cause = Object.assign(new Error('not found'), { code })
      expect(missingPackage('Reading', 'postal-mime', cause, '--save-dev ')).toMatchObject({
        code: 'EPEER',
        message: 'Reading needs the package postal-mime: npm install --save-dev postal-mime',
        cause,
      })
    },
  )

  test.each([[new SyntaxError('broken')], [undefined], ['text'], [null]])(
    'returns any other value that was thrown: %s',
    (thrown) => {
      expect(missingPackage('Reading', 'postal-mime', thrown)).toBe(thrown)
    },
  )
})

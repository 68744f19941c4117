import { describe, expect, test } from 'vitest'
import type { SmtpEnvelope } from '../../src/smtp/connection.js'
import { envelopeCommands, type HostFacts, needsSmtpUtf8 } from '../../src/smtp/envelope.js'
import { SmtpError, SmtpUtf8RequiredError } from '../../src/smtp/errors.js'
import { TlsFailureError } from '../../src/tls/failures.js'

interface Spec {
  offers?: readonly string[]
  size?: number
  secured?: boolean
  tlsFailed?: boolean
}

function hostOf({ offers = [], secured = true, tlsFailed = false }: Spec): HostFacts {
  const words = offers.map((offer): [string, string] => {
    const [keyword = '', ...parameters] = offer.split(' ')
    return [keyword, parameters.join(' ')]
  })
  return {
    mxHost: 'mx.example',
    address: '192.0.2.1',
    extensions: new Map(words),
    secured,
    tlsFailed,
  }
}

const FROM = 'ann@sender.example'

function commands(envelope: Partial<SmtpEnvelope>, spec: Spec = {}): string[] {
  const whole = { from: FROM, to: ['b@bob.example'], ...envelope }
  const { mail, recipients } = envelopeCommands(whole, spec.size, hostOf(spec))
  return [mail, ...recipients.map(({ command, error }) => command ?? String(error?.name))]
}

function refusal(envelope: Partial<SmtpEnvelope>, spec: Spec = {}): Error {
  try {
    commands(envelope, spec)
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('The envelope was not refused')
}

const EVERYTHING = ['SIZE 1000', '8BITMIME', 'SMTPUTF8', 'DSN', 'REQUIRETLS', 'PIPELINING']

describe('MAIL and RCPT', () => {
  test('include no parameter that the host does not offer', () => {
    const dsn = { ret: 'FULL', envid: 'x', notify: 'NEVER', orcpt: 'a@b.example' } as const
    expect(commands({ dsn }, { size: 100 })).toEqual([
      'MAIL FROM:<ann@sender.example>',
      'RCPT TO:<b@bob.example>',
    ])
  })

  test('[SMTP-7] include every requested parameter that the host offers', () => {
    const dsn = {
      ret: 'HDRS',
      envid: 'a+b=c d',
      notify: ['success', 'FAILURE'],
      orcpt: 'a+b@c.example',
    } as const
    expect(commands({ dsn, requireTls: true }, { offers: EVERYTHING, size: 100 })).toEqual([
      'MAIL FROM:<ann@sender.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+3Dc+20d REQUIRETLS',
      'RCPT TO:<b@bob.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c.example',
    ])
  })

  test('keep the type of an original recipient', () => {
    expect(commands({ dsn: { orcpt: 'utf-8;a@c.example' } }, { offers: ['DSN'] })[1]).toBe(
      'RCPT TO:<b@bob.example> ORCPT=utf-8;a@c.example',
    )
  })

  test('omit BODY for a message without 8-bit content', () => {
    expect(commands({ use8BitMime: false }, { offers: ['8BITMIME'] })[0]).toBe(
      'MAIL FROM:<ann@sender.example>',
    )
  })

  test.each(['', false] as const)('write the null reverse-path for %j', (from) => {
    expect(commands({ from })[0]).toBe('MAIL FROM:<>')
  })

  test('[SMTP-11] contain no root dot', () => {
    expect(
      commands({ from: 'ann@sender.example.', to: ['b@bob.example.', 'b@bücher.example.'] }),
    ).toEqual([
      'MAIL FROM:<ann@sender.example>',
      'RCPT TO:<b@bob.example>',
      'RCPT TO:<b@xn--bcher-kva.example>',
    ])
  })

  test('keep address literals, quoted local parts and postmaster unchanged', () => {
    const to = [
      'b@[192.0.2.1]',
      'b@[IPv6:2001:db8::1]',
      '"b c"@bob.example',
      '"a@b"@bob.example',
      'postmaster',
      'Ann.B@Bob.Example',
    ]
    expect(commands({ to }).slice(1)).toEqual(to.map((address) => `RCPT TO:<${address}>`))
  })
})

describe('text that could end a command early', () => {
  const ADDRESSES = [
    'a@b.example>\r\nRCPT TO:<x@y.example',
    'a@b.example\r\nDATA',
    'a@b.example\nDATA',
    'a@b.example\rDATA',
    'a\0@b.example',
    'a@b.example\0',
    'a@b.example> SIZE=1',
    'a@b.example SIZE=1',
    'a b@b.example',
    '"a b"c@b.example',
    '"a\r\nb"@b.example',
    '"a>b"@b.example',
    '<a@b.example>',
    'a\u0085@b.example',
    'a\u2028@b.example',
    'a\ud800@b.example',
    'a@b\tc.example',
    'a\u00a0b@b.example',
    'a@b。example',
    'a@.',
  ]

  test.each(ADDRESSES)('in the address %j is refused permanently', (address) => {
    for (const envelope of [
      { from: address },
      { to: [address] },
      { to: ['ok@bob.example', address] },
    ]) {
      const error = refusal(envelope, { offers: EVERYTHING })
      expect(error).toBeInstanceOf(SmtpError)
      expect(error).toMatchObject({ code: 'EENVELOPE', command: 'API', permanent: true })
      expect(error.message).not.toMatch(/[\p{Cc}\p{Zl}]/u)
    }
  })

  test('is refused like an invalid address or a missing recipient', () => {
    const lists = [[], [''], [undefined], [{ address: 'a@b.example' }], 5, null, 'b@bob.example']
    for (const to of lists) {
      const error = refusal({ to: to as unknown as string[] })
      expect(error).toMatchObject({ code: 'EENVELOPE', permanent: true })
    }
  })

  test.each([
    { envid: 'a\r\nDATA' },
    { envid: 'ä' },
    { orcpt: 'a@b\0' },
    { orcpt: 'rfc822;a\n' },
    { notify: 'SUCCESS\r\nDATA' },
    { notify: 'NEVER,SUCCESS' },
    { notify: ['ALWAYS'] },
    { ret: 'FULL SIZE=1' as 'FULL' },
    { ret: 5 as unknown as 'FULL' },
    { envid: 5 as unknown as string },
    { envid: {} as string },
    { notify: 5 as unknown as string },
    { notify: [5] as unknown as string[] },
    { notify: {} as string },
    { orcpt: 5 as unknown as string },
    { orcpt: Symbol('a@b.example') as unknown as string },
    'SUCCESS' as unknown as object,
    true as unknown as object,
  ])('in the DSN parameter %j is refused permanently, even without DSN', (dsn) => {
    for (const offers of [[], EVERYTHING]) {
      expect(refusal({ dsn }, { offers })).toMatchObject({ code: 'EENVELOPE', permanent: true })
    }
  })

  test.each([
    ['envid', 'x'.repeat(100), 'x'.repeat(101)],
    ['envid', ` ${'x'.repeat(97)}`, ` ${'x'.repeat(98)}`],
    ['orcpt', `${'x'.repeat(483)}@b.example`, `${'x'.repeat(484)}@b.example`],
    ['orcpt', `utf-8;${'x'.repeat(484)}@b.example`, `utf-8;${'x'.repeat(485)}@b.example`],
  ])('%s of DSN has a length that it may have (RFC 3461)', (field, longest, longer) => {
    expect(commands({ dsn: { [field]: longest } }, { offers: ['DSN'] }).join(' ')).toContain('xxx')
    const error = refusal({ dsn: { [field]: longer } }, { offers: [] })
    expect(error).toMatchObject({ code: 'EENVELOPE', permanent: true })
    expect(error.message).toMatch(/^DSN: \w+ has \d+ characters as it is sent, and may have \d+ /)
  })

  test('DSN options that are empty add no parameter', () => {
    const dsn = { envid: '', notify: '', orcpt: '' }
    expect(commands({ dsn }, { offers: ['DSN'] })[0]).toBe('MAIL FROM:<ann@sender.example>')
  })

  test('does not leave its parameter', () => {
    const dsn = { envid: 'x RET=FULL', orcpt: 'x@y.example NOTIFY=NEVER' }
    expect(commands({ dsn }, { offers: ['DSN'] })).toEqual([
      'MAIL FROM:<ann@sender.example> ENVID=x+20RET+3DFULL',
      'RCPT TO:<b@bob.example> ORCPT=rfc822;x@y.example+20NOTIFY+3DNEVER',
    ])
  })
})

describe('[SMTP-5] addresses beyond ASCII', () => {
  test('are sent as A-labels if only the domain has them, to any host', () => {
    for (const offers of [[], ['SMTPUTF8']]) {
      expect(commands({ to: ['b@jörg.example'] }, { offers })).toEqual([
        'MAIL FROM:<ann@sender.example>',
        'RCPT TO:<b@xn--jrg-sna.example>',
      ])
    }
  })

  test('are sent to a host that offers SMTPUTF8', () => {
    expect(commands({ to: ['jörg@jörg.example'] }, { offers: ['SMTPUTF8'] })).toEqual([
      'MAIL FROM:<ann@sender.example> SMTPUTF8',
      'RCPT TO:<jörg@xn--jrg-sna.example>',
    ])
    expect(commands({ from: 'jörg@a.example' }, { offers: ['SMTPUTF8'] })[0]).toBe(
      'MAIL FROM:<jörg@a.example> SMTPUTF8',
    )
  })

  test.each([
    [{ to: ['jörg@bob.example'] }],
    [{ to: ['jörg@bob.example', 'jürg@bob.example'] }],
    [{ from: 'jörg@a.example' }],
  ])('are a specific error for %j where it is not offered', (envelope) => {
    const error = refusal(envelope)
    expect(error).toBeInstanceOf(SmtpUtf8RequiredError)
    expect(error).toMatchObject({
      code: 'EENVELOPE',
      reason: 'smtputf8-not-offered',
      permanent: true,
    })
    expect(refusal(envelope, { tlsFailed: true })).toMatchObject({ permanent: false })
  })

  test('fail for that recipient only', () => {
    const envelope = { from: FROM, to: ['b@bob.example', 'jörg@bob.example'] }
    const { mail, recipients } = envelopeCommands(envelope, undefined, hostOf({}))
    expect(mail).toBe('MAIL FROM:<ann@sender.example>')
    expect(recipients).toMatchObject([
      { command: 'RCPT TO:<b@bob.example>' },
      {
        error: { recipient: 'jörg@bob.example', reason: 'smtputf8-not-offered', permanent: false },
      },
    ])
  })

  test('are detected in the local part only', () => {
    expect(needsSmtpUtf8('jörg@bob.example')).toBe(true)
    expect(needsSmtpUtf8('jörg')).toBe(true)
    expect(needsSmtpUtf8('b@jörg.example')).toBe(false)
    expect(needsSmtpUtf8('"ä@b"@bob.example')).toBe(true)
  })
})

describe('[SMTP-6] SIZE', () => {
  test('refuses a message over the limit permanently', () => {
    const error = refusal({}, { offers: ['SIZE 1000'], size: 1001 })
    expect(error).toMatchObject({ code: 'EMESSAGE', command: 'MAIL FROM', permanent: true })
    expect(refusal({}, { offers: ['SIZE 1000'], size: 1001, tlsFailed: true })).toMatchObject({
      permanent: false,
    })
  })

  test.each([
    ['at the limit', 'SIZE 1000', 1000, ' SIZE=1000'],
    ['without a limit', 'SIZE', 5000, ' SIZE=5000'],
    ['with the limit 0, which is none', 'SIZE 0', 5000, ' SIZE=5000'],
    ['with a limit that is no number', 'SIZE x', 5000, ' SIZE=5000'],
    ['of unknown size', 'SIZE 1000', undefined, ''],
  ])('allows a message %s', (_, offer, size, parameter) => {
    const spec = { offers: [offer], ...(size === undefined ? {} : { size }) }
    expect(commands({}, spec)[0]).toBe(`MAIL FROM:<ann@sender.example>${parameter}`)
  })
})

test.each(['1\r\nRSET', '1 RET=FULL', Number.NaN, -1, 1.5, null])(
  'refuses an envelope whose size is %j: nothing else is written into MAIL',
  (size) => {
    const spec = { offers: EVERYTHING }
    Object.assign(spec, { size })
    expect(refusal({}, spec)).toMatchObject({ code: 'EENVELOPE', command: 'API' })
  },
)

describe('[RTLS-1] REQUIRETLS', () => {
  test.each([
    ['is not offered', { offers: ['DSN'] }],
    ['is offered in plaintext', { offers: ['REQUIRETLS'], secured: false }],
  ])('refuses the host where it %s', (_, spec) => {
    const error = refusal({ requireTls: true }, spec)
    expect(error).toBeInstanceOf(TlsFailureError)
    expect(error).toMatchObject({
      failure: { reason: 'requiretls-not-offered', mxHost: 'mx.example', address: '192.0.2.1' },
    })
  })
})

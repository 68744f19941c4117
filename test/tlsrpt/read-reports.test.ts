/** `readReports`: every report in files, mails and mailboxes of other senders, complete or not. */
import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type Report, ReportSyntaxError, readReports } from '../../src/tlsrpt/index.js'
import { thrownBy } from '../support/thrown.js'

type Fields = Record<string, unknown>

/** A report with ten failed sessions of a hundred; an undefined field is left out. */
function json(id: string, changes: Fields = {}, policyChanges: Fields = {}): string {
  return JSON.stringify({
    'organization-name': 'Sender',
    'date-range': {
      'start-datetime': '2026-08-01T00:00:00Z',
      'end-datetime': '2026-08-01T23:59:59Z',
    },
    'contact-info': 'tls@sender.example',
    'report-id': id,
    policies: [
      {
        policy: { 'policy-type': 'sts', 'policy-domain': 'bob.example', ...policy(policyChanges) },
        summary: { 'total-successful-session-count': 90, 'total-failure-session-count': 10 },
        'failure-details': [{ 'result-type': 'certificate-expired', 'failed-session-count': 10 }],
        ...beside(policyChanges),
      },
    ],
    ...changes,
  })
}

const OF_POLICY = ['policy-type', 'policy-domain', 'policy-string', 'mx-host']
const policy = (changes: Fields) => only(changes, (name) => OF_POLICY.includes(name))
const beside = (changes: Fields) => only(changes, (name) => !OF_POLICY.includes(name))

function only(fields: Fields, want: (name: string) => boolean): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => want(name)))
}

function ids(bytes: Uint8Array | string): string[] {
  return readReports(bytes).map(({ reportId }) => reportId)
}

function one(bytes: Uint8Array | string, fileName?: string): Report {
  const [report, ...others] = readReports(bytes, { fileName })
  if (report === undefined || others.length > 0) throw new Error('There should be one report')
  return report
}

const base64 = (bytes: Uint8Array | string) =>
  Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n')

const lines = (...text: string[]) => text.join('\r\n')

/** A part of RFC 8460 §5.3, with other header fields where they are given. */
function part(id: string, ...fields: string[]): string {
  const header = fields.length > 0 ? fields : ['Content-Type: application/tlsrpt+gzip']
  return lines(...header, 'Content-Transfer-Encoding: base64', '', base64(gzipSync(json(id))))
}

function multipart(subtype: string, ...parts: string[]): string {
  const boundary = `b${parts.join('').length}`
  return lines(
    `Content-Type: multipart/${subtype}; boundary=${boundary}`,
    '',
    ...parts.flatMap((content) => [`--${boundary}`, content]),
    `--${boundary}--`,
    '',
  )
}

const mail = (content: string, ...fields: string[]) =>
  lines('From: tls@sender.example', 'MIME-Version: 1.0', ...fields, content)

describe('compression and encodings', () => {
  const plain = json('a')
  const utf16 = Buffer.from(`\u{feff}${plain}`, 'utf16le')

  it.each<[string, Uint8Array | string]>([
    ['gzip with a line break behind it', Buffer.concat([gzipSync(plain), Buffer.from('\r\n')])],
    [
      'gzip with a mailing list footer behind it',
      Buffer.concat([gzipSync(plain), Buffer.from('_____\nA list')]),
    ],
    [
      'gzip in several members',
      Buffer.concat([gzipSync(plain.slice(0, 50)), gzipSync(plain.slice(50))]),
    ],
    ['gzip inside gzip', gzipSync(gzipSync(plain))],
    ['zlib', deflateSync(plain)],
    ['a byte order mark', `\u{feff}${plain}`],
    ['UTF-16, little endian', utf16],
    ['UTF-16, big endian', Buffer.from(utf16).swap16()],
    ['UTF-16 without a byte order mark', Buffer.from(plain, 'utf16le')],
    ['UTF-16 under gzip', gzipSync(utf16)],
  ])('reads %s', (_, bytes) => {
    expect(ids(bytes)).toEqual(['a'])
  })

  it.each([
    ['bzip2', 'BZh91AY&SY'],
    ['xz', Buffer.from('fd377a585a000004', 'hex')],
    ['zip', 'PK\u{3}\u{4}\u{14}'],
  ])('refuses %s, with its name', (name, bytes) => {
    expect(() => readReports(bytes)).toThrow(`compressed with ${name}`)
  })
})

describe('several reports', () => {
  it.each<[string, Uint8Array | string]>([
    ['a list', `[${json('a')}, ${json('b')}]`],
    ['a report on each line', `${json('a')}\n${json('b')}\r\n`],
    ['a report on each line, under gzip', gzipSync(`${json('a')}\n\n${json('b')}`)],
    ['a mail with two of them', mail(multipart('mixed', part('a'), part('b')))],
    [
      'a mail with lists of them',
      mail(
        multipart(
          'mixed',
          lines('Content-Type: application/json', '', `[${json('a')},${json('b')}]`),
        ),
      ),
    ],
    [
      'an mbox',
      lines(
        'From tls@sender.example Sat Aug  1 00:00:00 2026',
        mail(part('a')),
        '',
        'From tls@sender.example Sat Aug  1 00:00:00 2026',
        mail(part('b')),
        '',
      ),
    ],
    [
      'a forwarded mail beside a report',
      mail(
        multipart(
          'mixed',
          part('a'),
          lines('Content-Type: message/rfc822', '', mail(multipart('report', part('b')))),
        ),
      ),
    ],
    ['a digest', mail(multipart('digest', lines('', mail(part('a'))), lines('', mail(part('b')))))],
  ])('reads both reports of %s', (_, bytes) => {
    expect(ids(bytes)).toEqual(['a', 'b'])
  })

  it('[RPT-17] reads reports next to an unreadable one, and notes that', () => {
    const broken = lines('Content-Type: application/tlsrpt+json', '', json('b').slice(0, 100))
    const bytes = mail(multipart('mixed', broken, part('a')))
    const [report, ...others] = readReports(bytes)
    expect([report?.reportId, others]).toEqual(['a', []])
    expect(report?.notes).toEqual([
      { code: 'other-report-unreadable', text: expect.stringContaining('JSON is damaged') },
    ])
  })

  it('[RPT-17] passes unreadable reports to onUnreadable', () => {
    const errors: ReportSyntaxError[] = []
    const onUnreadable = (error: ReportSyntaxError) => errors.push(error)
    const bytes = `${json('a')}\n${json('b', { policies: [1] })}\n${json('c')}`
    const reports = readReports(bytes, { onUnreadable })
    expect(reports.map(({ reportId, notes }) => [reportId, notes])).toEqual([
      ['a', []],
      ['c', []],
    ])
    expect(errors).toMatchObject([{ code: 'EREPORTSYNTAX', looksLikeReport: true }])
  })

  it.each([
    ['last', 'acd', ['a', 'c', 'd']],
    ['first', 'bacd', ['a', 'c', 'd']],
    ['in the middle', 'abcd', ['a', 'c', 'd']],
  ])('[RPT-17] tells of a line that was cut off, wherever: %s', (_, order, readable) => {
    const whole = [...(order.includes('b') ? order : `${order}b`)]
    const { length } = json('b')
    for (let end = 1; end < length; end += 10) {
      const errors: ReportSyntaxError[] = []
      const bytes = whole.map((id) => (id === 'b' ? json(id).slice(0, end) : json(id))).join('\n')
      const reports = readReports(bytes, { onUnreadable: (error) => errors.push(error) })
      expect([end, reports.map(({ reportId }) => reportId)]).toEqual([end, readable])
      expect(errors).toMatchObject([{ looksLikeReport: true }])
    }
  })
})

describe('mails', () => {
  it.each<[string, string]>([
    [
      'a name that RFC 2231 has split and encoded',
      part(
        'a',
        'Content-Type: application/octet-stream',
        "Content-Disposition: attachment; filename*0*=utf-8''sender.example%21bob.example;",
        ' filename*1="!1785542400!1785628799.json.gz"',
      ),
    ],
    [
      'a name in encoded words',
      part(
        'a',
        'Content-Type: application/octet-stream; name="=?utf-8?q?sender.example!bob.example!1!2.json.gz?="',
      ),
    ],
    ['an attachment without a name', part('a', 'Content-Type: application/octet-stream')],
    [
      'a comment in Content-Transfer-Encoding',
      lines(
        'Content-Type: application/gzip (a report)',
        'Content-Transfer-Encoding: base64 (RFC 2045)',
        '',
        base64(gzipSync(json('a'))),
      ),
    ],
    [
      'a mailing list footer as a part',
      multipart(
        'mixed',
        part('a'),
        lines('Content-Type: text/plain', '', '[A list] {unsubscribe}'),
      ),
    ],
    [
      'a mailing list footer behind Base64',
      `${part('a')}\r\n_______________________________________________\r\nA list\r\n`,
    ],
    [
      'a mailing list footer behind JSON',
      lines('Content-Type: application/tlsrpt+json', '', json('a'), '', '-- ', '[A list]', ''),
    ],
    ['JSON as text/plain', lines('Content-Type: text/plain', '', 'Hello,', '', json('a'), '')],
    [
      'a mail as an attachment',
      multipart(
        'mixed',
        lines(
          'Content-Type: message/rfc822',
          'Content-Disposition: attachment; filename=report.eml',
          '',
          mail(multipart('report', part('a'))),
        ),
      ),
    ],
    [
      'a mail as an attachment of no type',
      multipart(
        'mixed',
        lines(
          'Content-Type: application/octet-stream; name="Report.EML"',
          'Content-Transfer-Encoding: base64',
          '',
          base64(mail(multipart('report', part('a')))),
        ),
      ),
    ],
    [
      'three mails inside each other',
      lines(
        'Content-Type: message/rfc822',
        '',
        lines('Content-Type: message/rfc822', '', mail(part('a'))),
      ),
    ],
  ])('reads %s', (_, content) => {
    expect(ids(mail(content))).toEqual(['a'])
  })

  it('reads a mail that Dovecot has compressed', () => {
    expect(ids(gzipSync(mail(part('a'))))).toEqual(['a'])
  })

  it.each([
    [
      'an encrypted mail',
      multipart(
        'encrypted',
        lines('Content-Type: application/pgp-encrypted', '', 'Version: 1'),
        lines('Content-Type: application/octet-stream', '', 'hQEMA'),
      ),
      /the mail is encrypted/,
    ],
    [
      'an encrypted mail of S/MIME',
      lines(
        'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m',
        'Content-Transfer-Encoding: base64',
        '',
        'MIAGCSqGSIb3DQEHA6CAMIACAQ==',
      ),
      /the mail is encrypted/,
    ],
    [
      'a winmail.dat',
      multipart(
        'mixed',
        lines(
          'Content-Type: application/ms-tnef; name=winmail.dat',
          'Content-Transfer-Encoding: base64',
          '',
          'eJ8+IgA=',
        ),
      ),
      /only Outlook reads, winmail\.dat/,
    ],
    ['a mail without a report', lines('Content-Type: text/plain', '', 'Hello'), /neither JSON/],
  ])('refuses %s with a clear error', (_, content, message) => {
    expect(() => readReports(mail(content))).toThrow(ReportSyntaxError)
    expect(() => readReports(mail(content))).toThrow(message)
  })

  it.each<[string, string, boolean]>([
    ['a mail of another kind', mail(lines('Content-Type: text/plain', '', 'Hello')), false],
    ['a JSON file of another kind', '{"name": "x", "version": "1"}', false],
    ['a report that is cut off', json('a').slice(0, 200), true],
    [
      'a report with a wrong count',
      json('a', {
        policies: [{ summary: 1, 'failure-details': [{ 'failed-session-count': -1 }] }],
      }),
      true,
    ],
    [
      'a report mail without a report',
      mail(
        multipart('report; report-type=tlsrpt', lines('Content-Type: application/gzip', '', 'x')),
      ),
      true,
    ],
  ])('distinguishes whether %s looks like a report', (_, bytes, looksLikeReport) => {
    expect(thrownBy(() => readReports(bytes))).toMatchObject({ looksLikeReport })
  })
})

describe('incomplete reports', () => {
  const counts = ({ policies: [first] }: Report) => [
    first?.totalSuccessfulSessionCount,
    first?.totalFailureSessionCount,
  ]
  const codes = ({ notes }: Report) => notes.map(({ code }) => code)

  it.each<[string, string, [number, number], string[]]>([
    ['no report-id', json('a', { 'report-id': undefined }), [90, 10], ['no-report-id']],
    ['no summary', json('a', {}, { summary: undefined }), [0, 10], ['counts-from-details']],
    [
      'null counts',
      json(
        'a',
        {},
        { summary: { 'total-successful-session-count': 90, 'total-failure-session-count': null } },
      ),
      [90, 10],
      ['counts-from-details'],
    ],
    [
      'a summary that differs from the details',
      json(
        'a',
        {},
        { summary: { 'total-successful-session-count': 90, 'total-failure-session-count': 7 } },
      ),
      [90, 7],
      ['counts-differ'],
    ],
    ['null details', json('a', {}, { 'failure-details': [null] }), [90, 10], []],
    [
      'no result-type',
      json('a', {}, { 'failure-details': [{ 'failed-session-count': 10 }] }),
      [90, 10],
      ['no-result-type'],
    ],
    ['no policy-type', json('a', {}, { 'policy-type': null }), [90, 10], ['no-policy-type']],
    [
      'a failure without a count that its summary leaves out',
      json(
        'a',
        {},
        {
          summary: { 'total-successful-session-count': 90, 'total-failure-session-count': 0 },
          'failure-details': [{ 'result-type': 'certificate-expired' }],
        },
      ),
      [90, 0],
      ['counts-differ'],
    ],
  ])('[RPT-3] keeps the totals of a report with %s', (_, text, expected, notes) => {
    const report = one(text)
    expect([counts(report), codes(report)]).toEqual([expected, notes])
  })

  it('[RPT-3] reads names of fields that are escaped', () => {
    const escaped = json('a').replaceAll(/-(?=[a-z-]+":)/g, '\\u002d')
    expect(escaped).toContain('failed\\u002dsession\\u002dcount')
    expect(readReports(escaped)).toEqual(readReports(json('a')))
  })

  it.each<[string, Fields, string]>([
    ['STS', { 'policy-type': 'STS' }, 'sts'],
    ['no_policy_found', { 'policy-type': 'no_policy_found' }, 'no-policy-found'],
    [
      'nothing, and an MTA-STS policy',
      { 'policy-type': null, 'policy-string': ['version: STSv1'] },
      'sts',
    ],
    [
      'nothing, and a TLSA record',
      { 'policy-type': null, 'policy-string': [`3 1 1 ${'0f'.repeat(32)}`] },
      'tlsa',
    ],
    ['a new word', { 'policy-type': 'x-new' }, 'x-new'],
  ])('[RPT-3] accepts the policy type %s', (_, changes, type) => {
    expect(one(json('a', {}, changes)).policies[0]?.policyType).toBe(type)
  })

  it.each([
    ['STARTTLS_NOT_SUPPORTED', 'starttls-not-supported'],
    ['Certificate-Expired', 'certificate-expired'],
    ['Quantum_Decay', 'Quantum_Decay'],
  ])('[RPT-5] reads the result type %s as %s', (written, meant) => {
    const details = [{ 'result-type': written, 'failed-session-count': 10 }]
    const { policies } = one(json('a', {}, { 'failure-details': details }))
    expect(policies[0]?.failureDetails[0]?.resultType).toBe(meant)
  })

  it.each<[string, unknown, string, string]>([
    ['without seconds', '2026-08-01T00:00Z', '2026-08-01T23:59Z', '2026-08-01T23:59:00.000Z'],
    ['as a date', '2026-08-01', '2026-08-01', '2026-08-01T23:59:59.000Z'],
    ['as epoch seconds', 1785542400, '1785628799', '2026-08-01T23:59:59.000Z'],
    [
      'of RFC 5322',
      'Sat, 01 Aug 2026 02:00:00 +0200',
      'Sat, 1 Aug 2026 23:59:59 GMT',
      '2026-08-01T23:59:59.000Z',
    ],
    ['without an end', '2026-08-01T00:00:00Z', '', '2026-08-01T23:59:59.000Z'],
    [
      'with a leap second',
      '2026-08-01T00:00:00Z',
      '2026-08-01T23:59:60Z',
      '2026-08-01T23:59:59.000Z',
    ],
  ] as ReadonlyArray<[string, unknown, string, string]>)(
    '[RPT-6] reads dates %s',
    (_, start, end, meant) => {
      const range = { 'start-datetime': start, 'end-datetime': end }
      expect(one(json('a', { 'date-range': range })).dateRange).toEqual({
        start: new Date('2026-08-01T00:00:00Z'),
        end: new Date(meant),
      })
    },
  )

  it('[RPT-6] uses the dates of the file name for a report without dates', () => {
    const name = 'sender.example!bob.example!1785542400!1785628799!1.json'
    const report = one(json('a', { 'date-range': undefined }), name)
    expect(report.dateRange.start).toEqual(new Date('2026-08-01T00:00:00Z'))
    expect(report.dateRange.end).toEqual(new Date('2026-08-01T23:59:59Z'))
    expect(report.notes).toMatchObject([{ code: 'date-range-guessed' }])
  })

  it.each([
    ['Bob.Example.', 'bob.example'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['not a domain', 'not a domain'],
  ])('reads the policy-domain %s as %s', (written, meant) => {
    expect(one(json('a', {}, { 'policy-domain': written })).policies[0]?.policyDomain).toBe(meant)
  })

  it.each<[string, string, string | undefined]>([
    [
      'TLS-Report-Domain',
      mail(
        lines('Content-Type: application/json', '', json('a', {}, { 'policy-domain': undefined })),
        'TLS-Report-Domain: Bob.example',
        'TLS-Report-Submitter: sender.example',
      ),
      undefined,
    ],
    [
      'the name of the file',
      json('a', {}, { 'policy-domain': '' }),
      '/var/reports/sender.example!bob.example!1785542400!1785628799!1.json.gz',
    ],
    [
      'the name of the attachment',
      mail(
        lines(
          'Content-Type: application/json; name="sender.example!bob.example!1785542400!1785628799.json"',
          '',
          json('a', {}, { 'policy-domain': undefined }),
        ),
      ),
      'report.eml',
    ],
  ])('uses %s for a missing policy-domain', (_, bytes, fileName) => {
    const report = one(bytes, fileName)
    expect(report.policies[0]?.policyDomain).toBe('bob.example')
    expect(report.notes).toMatchObject([{ code: 'no-policy-domain' }])
  })
})

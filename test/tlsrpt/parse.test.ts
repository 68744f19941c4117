import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RESULT_TYPES } from '../../src/tls/failures.js'
import {
  formatReport,
  parseReport,
  ReportSyntaxError,
  type TlsReport,
} from '../../src/tlsrpt/index.js'
import { thrownBy } from '../support/thrown.js'

/** The example of RFC 8460, appendix B, in one part. */
const JSON_REPORT = {
  'organization-name': 'Company-X',
  'date-range': {
    'start-datetime': '2016-04-01T00:00:00Z',
    'end-datetime': '2016-04-01T23:59:59Z',
  },
  'contact-info': 'sts-reporting@company-x.example',
  'report-id': '5065427c-23d3-47ca-b6e0-946ea0e8c4be',
  policies: [
    {
      policy: {
        'policy-type': 'sts',
        'policy-string': ['version: STSv1', 'mode: testing', 'mx: *.mail.company-y.example'],
        'policy-domain': 'company-y.example',
        'mx-host': ['*.mail.company-y.example'],
      },
      summary: { 'total-successful-session-count': 5326, 'total-failure-session-count': 303 },
      'failure-details': [
        {
          'result-type': 'certificate-expired',
          'sending-mta-ip': '2001:db8:abcd:0012::1',
          'receiving-mx-hostname': 'mx1.mail.company-y.example',
          'failed-session-count': 100,
        },
        {
          'result-type': 'starttls-not-supported',
          'sending-mta-ip': '2001:db8:abcd:0013::1',
          'receiving-mx-hostname': 'mx2.mail.company-y.example',
          'receiving-ip': '203.0.113.56',
          'failed-session-count': 200,
          'additional-information': 'https://reports.company-x.example/report_info?id=5065427c',
        },
        {
          'result-type': 'validation-failure',
          'sending-mta-ip': '198.51.100.62',
          'receiving-ip': '203.0.113.58',
          'receiving-mx-hostname': 'mx-backup.mail.company-y.example',
          'failed-session-count': 3,
          'failure-reason-code': 'X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED',
        },
      ],
    },
  ],
}

const REPORT: TlsReport = {
  organizationName: 'Company-X',
  dateRange: {
    start: new Date('2016-04-01T00:00:00Z'),
    end: new Date('2016-04-01T23:59:59Z'),
  },
  contactInfo: 'sts-reporting@company-x.example',
  reportId: '5065427c-23d3-47ca-b6e0-946ea0e8c4be',
  policies: [
    {
      policyType: 'sts',
      policyString: ['version: STSv1', 'mode: testing', 'mx: *.mail.company-y.example'],
      policyDomain: 'company-y.example',
      mxHost: ['*.mail.company-y.example'],
      totalSuccessfulSessionCount: 5326,
      totalFailureSessionCount: 303,
      failureDetails: [
        {
          resultType: 'certificate-expired',
          sendingMtaIp: '2001:db8:abcd:0012::1',
          receivingMxHostname: 'mx1.mail.company-y.example',
          failedSessionCount: 100,
        },
        {
          resultType: 'starttls-not-supported',
          sendingMtaIp: '2001:db8:abcd:0013::1',
          receivingMxHostname: 'mx2.mail.company-y.example',
          receivingIp: '203.0.113.56',
          failedSessionCount: 200,
          additionalInformation: 'https://reports.company-x.example/report_info?id=5065427c',
        },
        {
          resultType: 'validation-failure',
          sendingMtaIp: '198.51.100.62',
          receivingMxHostname: 'mx-backup.mail.company-y.example',
          receivingIp: '203.0.113.58',
          failedSessionCount: 3,
          failureReasonCode: 'X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED',
        },
      ],
    },
  ],
}

const text = JSON.stringify(JSON_REPORT)

/** The report with one change, as text. */
function changed(change: (report: typeof JSON_REPORT & Record<string, unknown>) => void): string {
  const copy = structuredClone(JSON_REPORT)
  change(copy)
  return JSON.stringify(copy)
}

/** Sets a value that the type forbids. */
function set(target: object, key: string, value: unknown): void {
  Reflect.set(target, key, value)
}

describe('parseReport', () => {
  it('[RPT-3] reads the example of the RFC, as text, bytes and gzip', () => {
    expect(parseReport(text)).toEqual(REPORT)
    expect(parseReport(Buffer.from(text))).toEqual(REPORT)
    expect(parseReport(new Uint8Array(gzipSync(text)))).toEqual(REPORT)
    expect(parseReport(`\u{feff}\r\n ${text}`)).toEqual(REPORT)
    expect(parseReport(gzipSync(`\u{feff}${text}`))).toEqual(REPORT)
  })

  it('reads bytes within a larger buffer', () => {
    const larger = Buffer.concat([Buffer.from('###'), Buffer.from(text), Buffer.from('###')])
    expect(parseReport(larger.subarray(3, -3))).toEqual(REPORT)
  })

  it.each([
    ['2016-04-01T00:00:00', '2016-04-01T00:00:00Z'],
    ['2016-04-01 00:00:00', '2016-04-01T00:00:00Z'],
    ['2016-04-01T00:00:00.000Z', '2016-04-01T00:00:00Z'],
    ['2016-04-01t00:00:00z', '2016-04-01T00:00:00Z'],
    ['2016-04-01T00:00:00+00:00', '2016-04-01T00:00:00Z'],
    ['2016-04-01T02:00:00+0200', '2016-04-01T00:00:00Z'],
    ['2016-03-31T22:00:00-02:00', '2016-04-01T00:00:00Z'],
  ])('[RPT-6] reads the time %s', (written, meant) => {
    const report = changed((json) => set(json['date-range'], 'start-datetime', written))
    expect(parseReport(report).dateRange.start).toEqual(new Date(meant))
  })

  it.each<[string, (json: typeof JSON_REPORT) => void, (report: TlsReport) => unknown, unknown]>([
    ['a null contact-info', (j) => set(j, 'contact-info', null), (r) => r.contactInfo, undefined],
    [
      'no organization-name',
      (j) => set(j, 'organization-name', undefined),
      (r) => r.organizationName,
      undefined,
    ],
    [
      'mx-host as a string',
      (j) => set(j.policies[0]?.policy ?? {}, 'mx-host', '*.x.example'),
      (r) => r.policies[0]?.mxHost,
      ['*.x.example'],
    ],
    [
      'no mx-host',
      (j) => set(j.policies[0]?.policy ?? {}, 'mx-host', undefined),
      (r) => r.policies[0]?.mxHost,
      undefined,
    ],
    [
      'policy-string as a string',
      (j) => set(j.policies[0]?.policy ?? {}, 'policy-string', 'version: STSv1'),
      (r) => r.policies[0]?.policyString,
      ['version: STSv1'],
    ],
    [
      'an empty policy-string',
      (j) => set(j.policies[0]?.policy ?? {}, 'policy-string', []),
      (r) => r.policies[0]?.policyString,
      undefined,
    ],
    [
      'no failure-details',
      (j) => set(j.policies[0] ?? {}, 'failure-details', undefined),
      (r) => r.policies[0]?.failureDetails,
      [],
    ],
    [
      'null failure-details',
      (j) => set(j.policies[0] ?? {}, 'failure-details', null),
      (r) => r.policies[0]?.failureDetails,
      [],
    ],
    [
      'a count as text',
      (j) => set(j.policies[0]?.summary ?? {}, 'total-failure-session-count', '12'),
      (r) => r.policies[0]?.totalFailureSessionCount,
      12,
    ],
    [
      'no summary',
      (j) => set(j.policies[0] ?? {}, 'summary', undefined),
      (r) => r.policies[0]?.totalSuccessfulSessionCount,
      0,
    ],
    ['policies that are one', (j) => set(j, 'policies', j.policies[0]), (r) => r, REPORT],
    [
      'a result type that is new',
      (j) => set(j.policies[0]?.['failure-details'][0] ?? {}, 'result-type', 'quantum-decay'),
      (r) => r.policies[0]?.failureDetails[0]?.resultType,
      'quantum-decay',
    ],
    ['unknown fields', (j) => set(j, 'x', { y: [] }), (r) => r, REPORT],
  ])('accepts %s', (_, change, look, expected) => {
    expect(look(parseReport(changed(change)))).toEqual(expected)
  })

  it.each<[string, string | Uint8Array, RegExp]>([
    ['nothing', '', /neither JSON nor gzip/],
    ['a text', 'Dear postmaster,\r\n\r\nall is well.\r\n', /neither JSON nor gzip/],
    ['half a JSON', text.slice(0, 100), /JSON is damaged/],
    ['half a gzip', gzipSync(text).subarray(0, 100), /gzip is damaged/],
    ['an empty list', '[]', /it holds no report/],
    ['a list of numbers', '[1]', /the report is not an object/],
    ['no date-range', changed((j) => set(j, 'date-range', null)), /it has no date-range/],
    [
      'a day that is none',
      changed((j) => set(j['date-range'], 'end-datetime', '2016-13-01T00:00:00Z')),
      /end-datetime is "2016-13-01T00:00:00Z"/,
    ],
    ['policies of numbers', changed((j) => set(j, 'policies', [1])), /a policy is not an object/],
    [
      'a negative count',
      changed((j) => set(j.policies[0]?.summary ?? {}, 'total-failure-session-count', -1)),
      /a count is "-1"/,
    ],
    [
      'a count that is an object with the name of a method',
      changed((j) =>
        set(j.policies[0]?.summary ?? {}, 'total-failure-session-count', { toString: 0 }),
      ),
      /a count is an object/,
    ],
    [
      'a count that is 100,000 lists inside each other',
      text.replace('303', `${'['.repeat(100_000)}${']'.repeat(100_000)}`),
      /nested too deeply/,
    ],
    ['an object that is something else', '{"name": "mta-sts"}', /none of the fields/],
  ])('refuses %s', (_, bytes, message) => {
    const error = thrownBy(() => parseReport(bytes))
    expect(error).toBeInstanceOf(ReportSyntaxError)
    expect(error).toMatchObject({
      name: 'ReportSyntaxError',
      code: 'EREPORTSYNTAX',
      message: expect.stringMatching(message),
    })
  })

  it('throws only ReportSyntaxError, for any input', () => {
    const anything = fc.oneof(fc.uint8Array(), fc.json(), fc.string())
    fc.assert(
      fc.property(anything, (bytes) => {
        expect(() => parseReport(bytes)).toThrow(ReportSyntaxError)
      }),
    )
  })
})

describe('the size limit', () => {
  it('refuses 1 GB under 1 MB of gzip', () => {
    // 64 times 16 MiB: gzip may have several members
    const member = gzipSync(Buffer.alloc(16 * 1024 * 1024))
    const bomb = Buffer.concat(Array.from({ length: 64 }, () => member))
    expect(bomb.length).toBeLessThan(1_100_000)
    const before = process.memoryUsage().arrayBuffers
    expect(thrownBy(() => parseReport(bomb))).toMatchObject({
      code: 'EREPORTSYNTAX',
      message: expect.stringContaining('16777216 is the limit'),
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(128 * 1024 * 1024)
  })

  it('refuses the same amount without compression', () => {
    const large = `${text}${' '.repeat(1000)}`
    expect(thrownBy(() => parseReport(large, { maxSize: large.length - 1 }))).toMatchObject({
      code: 'EREPORTSYNTAX',
    })
    expect(parseReport(large, { maxSize: large.length })).toEqual(REPORT)
    expect(parseReport(gzipSync(large), { maxSize: large.length })).toEqual(REPORT)
    expect(
      thrownBy(() => parseReport(gzipSync(large), { maxSize: large.length - 1 })),
    ).toMatchObject({ code: 'EREPORTSYNTAX' })
  })
})

describe('a mail', () => {
  const base64 = gzipSync(text).toString('base64').replace(/.{76}/g, '$&\r\n')
  const mail = (...lines: string[]) => Buffer.from(lines.join('\r\n'))
  const header = ['From: a@x.example', 'Subject: Report', 'MIME-Version: 1.0']

  it('[RPT-7] of the form of RFC 8460 §5.3 is read', () => {
    const bytes = mail(
      ...header,
      'Content-Type: multipart/report; report-type="tlsrpt";',
      '\tboundary="----=_NextPart_000_024E_01CC9B0A.AFE54C00"',
      '',
      'This is a multipart message in MIME format.',
      '',
      '------=_NextPart_000_024E_01CC9B0A.AFE54C00',
      'Content-Type: text/plain; charset="us-ascii"',
      '',
      'This is an aggregate TLS report from mail.sender.example.com',
      '------=_NextPart_000_024E_01CC9B0A.AFE54C00',
      'Content-Type: application/tlsrpt+gzip',
      'Content-Transfer-Encoding: base64',
      'Content-Disposition: attachment;',
      '\tfilename="mail.sender.example!example.com!',
      '\t1013662812!1013749130.json.gz"',
      '',
      base64,
      '------=_NextPart_000_024E_01CC9B0A.AFE54C00--',
    )
    expect(parseReport(bytes)).toEqual(REPORT)
  })

  it.each<[string, string[]]>([
    [
      'the report alone',
      ['Content-Type: application/tlsrpt+gzip', 'Content-Transfer-Encoding: BASE64', '', base64],
    ],
    ['not packed', ['Content-Type: application/tlsrpt+json', '', text]],
    [
      'quoted-printable',
      [
        'Content-Type: application/tlsrpt+json',
        'Content-Transfer-Encoding: quoted-printable',
        '',
        text.replaceAll('=', '=3D').replace(/.{60}/g, '$&=\r\n'),
      ],
    ],
    [
      'known by its name only',
      [
        'Content-Type: application/octet-stream; name="google.com!x.example!1!2!3.json.gz"',
        'Content-Transfer-Encoding: base64',
        '',
        base64,
      ],
    ],
    [
      'known by its packing only',
      ['Content-Type: application/gzip', 'Content-Transfer-Encoding: base64', '', base64],
    ],
    [
      'forwarded, inside of another multipart',
      [
        'Content-Type: multipart/mixed; boundary=outer',
        '',
        '--outer',
        '',
        'See below',
        '--outer',
        'Content-Type: multipart/report; boundary=inner',
        '',
        '--inner',
        'Content-Type: application/json',
        '',
        '{"a": "decoy"}',
        '--inner  ',
        'Content-Type: application/tlsrpt+gzip',
        'Content-Transfer-Encoding: base64',
        '',
        base64,
        '--inner--',
        '--outer--',
      ],
    ],
    [
      'with its end cut off',
      [
        'Content-Type: multipart/report; boundary=b',
        '',
        '--b',
        'Content-Type: application/tlsrpt+gzip',
        'Content-Transfer-Encoding: base64',
        '',
        base64,
      ],
    ],
  ])('is handled: %s', (_, lines) => {
    expect(parseReport(mail(...header, ...lines))).toEqual(REPORT)
    // Stored by a system whose line ends are LF
    expect(parseReport(Buffer.from([...header, ...lines].join('\n')))).toEqual(REPORT)
  })

  it('with a thousand nested multiparts is refused in time', () => {
    const lines = Array.from({ length: 1000 }, (_, depth) => [
      `Content-Type: multipart/mixed; boundary=b${depth}`,
      '',
      `--b${depth}`,
    ])
    expect(() => parseReport(mail(...header, ...lines.flat()))).toThrow(ReportSyntaxError)
  })

  it.each<[string, string]>([
    ['spaces in a part', `Content-Type: a/b\n\n${' '.repeat(2_000_000)}x`],
    [
      'spaces in quoted-printable',
      `Content-Type: application/json\nContent-Transfer-Encoding: quoted-printable\n\n${' '.repeat(2_000_000)}x`,
    ],
    ['spaces in a header', `Content-Type: a/b; name="${' '.repeat(200_000)}x"\n\n`],
    ['semicolons in a header', `Content-Type: a/b${'; '.repeat(100_000)}\n\n`],
    ['folds in a header', `Content-Type: a/b${'\n '.repeat(100_000)}\n\n`],
    ['delimiters', `Content-Type: multipart/a; boundary=b\n\n${'--b\n'.repeat(500_000)}`],
    [
      'equal signs',
      `Content-Type: application/json\nContent-Transfer-Encoding: quoted-printable\n\n${'='.repeat(2_000_000)}`,
    ],
  ])('with %s is handled in time', (_, hostile) => {
    // Code that reads the same characters again and again exceeds the test's timeout
    expect(() => parseReport(hostile)).toThrow(ReportSyntaxError)
  })
})

describe('round trip', () => {
  const word = fc.string({ minLength: 1, unit: 'grapheme' })
  const time = fc
    .integer({ min: 0, max: Date.UTC(2100, 0) / 1000 })
    .map((seconds) => new Date(seconds * 1000))
  const failure = fc.record(
    {
      resultType: fc.constantFrom(...RESULT_TYPES),
      sendingMtaIp: fc.ipV4(),
      receivingMxHostname: fc.domain(),
      receivingMxHelo: word,
      receivingIp: fc.ipV6(),
      failedSessionCount: fc.nat(),
      additionalInformation: fc.webUrl(),
      failureReasonCode: word,
    },
    { requiredKeys: ['resultType', 'failedSessionCount'] },
  )
  const policy = fc.record(
    {
      policyType: fc.constantFrom('sts', 'tlsa', 'no-policy-found'),
      policyString: fc.array(word, { minLength: 1 }),
      policyDomain: fc.domain(),
      mxHost: fc.array(word, { minLength: 1 }),
      totalSuccessfulSessionCount: fc.nat(),
      totalFailureSessionCount: fc.nat(),
      failureDetails: fc.array(failure),
    },
    {
      requiredKeys: [
        'policyType',
        'policyDomain',
        'totalSuccessfulSessionCount',
        'totalFailureSessionCount',
        'failureDetails',
      ],
    },
  )
  const anyReport = fc.record(
    {
      organizationName: word,
      dateRange: fc.record({ start: time, end: time }),
      contactInfo: fc.emailAddress(),
      reportId: word,
      policies: fc.array(policy),
    },
    { requiredKeys: ['dateRange', 'reportId', 'policies'] },
  )

  it('[RPT-3] [RPT-15] reads a written report back unchanged', () => {
    fc.assert(
      fc.property(anyReport, (report) => {
        const written = formatReport(report)
        expect(parseReport(written)).toEqual(report)
        expect(parseReport(gzipSync(written))).toEqual(report)
      }),
    )
  })

  it('[RPT-15] writes no null or empty field', () => {
    const report = parseReport(text)
    const [first] = report.policies
    const written = formatReport({
      dateRange: report.dateRange,
      reportId: 'id',
      policies: [
        {
          ...first,
          policyType: 'no-policy-found',
          policyDomain: 'x.example',
          policyString: [],
          mxHost: [],
          totalSuccessfulSessionCount: 1,
          totalFailureSessionCount: 0,
          failureDetails: [],
        },
      ],
    })
    expect(JSON.parse(written)).toEqual({
      'date-range': JSON_REPORT['date-range'],
      'report-id': 'id',
      policies: [
        {
          policy: { 'policy-type': 'no-policy-found', 'policy-domain': 'x.example' },
          summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 0 },
        },
      ],
    })
  })

  it('[RPT-3] [RPT-4] writes the JSON of the RFC, with its names and order', () => {
    expect(JSON.parse(formatReport(REPORT))).toEqual(JSON_REPORT)
    expect(Object.keys(JSON.parse(formatReport(REPORT)))).toEqual(Object.keys(JSON_REPORT))
  })
})

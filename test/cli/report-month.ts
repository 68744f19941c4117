/**
 * A month of reports about five domains from twenty senders, the same each time: 3,000 files less a
 * few days on which nobody reported.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import {
  type FailureDetails,
  formatReport,
  type ReportedPolicy,
  type TlsReport,
} from '../../src/tlsrpt/index.js'

const DAY = 86_400_000
const FIRST = Date.parse('2026-08-01T00:00:00Z')
const DAYS = 30

const SENDERS = Array.from({ length: 20 }, (_, index) =>
  index === 0 ? 'Google Inc.' : index === 1 ? 'Microsoft Corporation' : `Sender ${index + 1}`,
)

interface Place {
  /** 1 to 30 */
  day: number
  /** 0 to 19 */
  sender: number
}

interface Scene {
  domain: string
  mode: string
  /** Undefined: the sender does not report on this day */
  policies(place: Place): ReportedPolicy[] | undefined
}

function failure(resultType: string, failedSessionCount: number, mx?: string): FailureDetails {
  return {
    resultType,
    sendingMtaIp: '192.0.2.7',
    ...(mx === undefined ? {} : { receivingMxHostname: mx, receivingIp: '198.51.100.1' }),
    failedSessionCount,
  }
}

function policy(
  domain: string,
  { mode, policyType = 'sts' }: { mode?: string; policyType?: string },
  [successes, failures]: [number, FailureDetails[]],
): ReportedPolicy {
  const lines = ['version: STSv1', `mode: ${mode}`, `mx: *.${domain}`, 'max_age: 604800']
  return {
    policyType,
    ...(policyType === 'sts' ? { policyString: lines, mxHost: [`*.${domain}`] } : {}),
    policyDomain: domain,
    totalSuccessfulSessionCount: successes,
    totalFailureSessionCount: failures.reduce((sum, one) => sum + one.failedSessionCount, 0),
    failureDetails: failures,
  }
}

/** Some hundreds of sessions, more on work days and from the first senders. */
function traffic({ day, sender }: Place): number {
  return 20 + ((day * 7 + sender * 13) % 50) + (sender < 3 ? 800 : 0) + (day % 7 < 5 ? 100 : 0)
}

const SCENES: readonly Scene[] = [
  {
    domain: 'example.com',
    mode: 'testing',
    policies: (place) => [
      policy('example.com', { mode: 'testing' }, [traffic(place), fetchErrors(place)]),
    ],
  },
  {
    domain: 'example.net',
    mode: 'testing',
    policies: (place) => [
      policy('example.net', { mode: 'testing' }, [traffic(place), mismatches(place)]),
    ],
  },
  {
    domain: 'example.org',
    mode: 'testing',
    policies: (place) =>
      place.day > 15
        ? [policy('example.org', { mode: 'testing' }, [traffic(place), []])]
        : undefined,
  },
  {
    domain: 'mail.example',
    mode: 'enforce',
    policies(place) {
      if (place.day === 11 || place.day === 12) return undefined
      if (place.sender === 7 && place.day > 9) return undefined
      const sts = policy('mail.example', { mode: 'enforce' }, [traffic(place), []])
      // Microsoft reports the same sessions under each policy
      const tlsa = policy('mail.example', { policyType: 'tlsa' }, [traffic(place), []])
      return place.sender === 1 ? [sts, tlsa] : [sts]
    },
  },
  {
    domain: 'shop.example',
    mode: 'none',
    policies: (place) => [
      policy('shop.example', { policyType: 'no-policy-found' }, [
        traffic(place),
        place.sender % 5 === 4 ? [failure('starttls-not-supported', 2, 'mx.shop.example')] : [],
      ]),
    ],
  },
]

function fetchErrors({ day, sender }: Place): FailureDetails[] {
  return sender === 4 && day % 10 === 0 ? [failure('sts-policy-fetch-error', 4)] : []
}

function mismatches({ day, sender }: Place): FailureDetails[] {
  if (day < 3 || sender >= 12) return fetchErrors({ day, sender })
  return [failure('certificate-host-mismatch', 1 + ((day + sender) % 20), 'mx2.example.net')]
}

/** Every report of the month, by day. */
export function monthOfReports(): TlsReport[] {
  const reports: TlsReport[] = []
  for (let day = 1; day <= DAYS; day++) {
    for (const scene of SCENES) {
      for (const [sender, organizationName] of SENDERS.entries()) {
        const policies = scene.policies({ day, sender })
        if (policies === undefined) continue
        const start = FIRST + (day - 1) * DAY
        reports.push({
          organizationName,
          dateRange: { start: new Date(start), end: new Date(start + DAY - 1000) },
          contactInfo: `tls@sender${sender + 1}.example`,
          reportId: `${start / 1000}.${scene.domain}@sender${sender + 1}.example`,
          policies,
        })
      }
    }
  }
  return reports
}

/** A report as a mail of RFC 8460 §5.3, with the header fields that mails have on arrival. */
export function reportMail(report: TlsReport): string {
  const data = gzipSync(formatReport(report)).toString('base64').replace(/.{76}/g, '$&\r\n')
  const [policy] = report.policies
  const domain = policy?.policyDomain ?? ''
  const { start, end } = report.dateRange
  const name = `sender.example!${domain}!${start.getTime() / 1000}!${end.getTime() / 1000}.json.gz`
  return [
    'Return-Path: <tls@sender.example>',
    ...Array.from(
      { length: 6 },
      (_, hop) =>
        `Received: from mx${hop}.example (mx${hop}.example [192.0.2.${hop}])\r\n` +
        `\tby relay${hop}.example (Postfix) with ESMTPS id 4XyZ${hop}\r\n` +
        '\tfor <tlsrpt@example.com>; Sun, 02 Aug 2026 03:00:00 +0000 (UTC)',
    ),
    `DKIM-Signature: v=1; a=rsa-sha256; d=sender.example; s=a;\r\n\tb=${'A'.repeat(300)}`,
    'From: tls@sender.example',
    'To: tlsrpt@example.com',
    `Subject: Report Domain: ${domain} Submitter: sender.example Report-ID: <${report.reportId}>`,
    `TLS-Report-Domain: ${domain}`,
    'TLS-Report-Submitter: sender.example',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type="tlsrpt"; boundary="b1_2"',
    '',
    '--b1_2',
    'Content-Type: text/plain; charset="us-ascii"',
    '',
    'This is an aggregate TLS report.',
    '--b1_2',
    'Content-Type: application/tlsrpt+gzip',
    'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment; filename="${name}"`,
    '',
    data,
    '--b1_2--',
    '',
  ].join('\r\n')
}

/** Writes the month as a Maildir. */
export function writeMaildir(folder: string): TlsReport[] {
  const reports = monthOfReports()
  for (const name of ['cur', 'new', 'tmp']) mkdirSync(join(folder, name), { recursive: true })
  for (const [index, report] of reports.entries()) {
    const place = join(folder, index % 2 === 0 ? 'cur' : 'new', `${index}.host:2,S`)
    writeFileSync(place, reportMail(report))
  }
  return reports
}

/** Writes the month as files, of which every other one is compressed. */
export function writeFiles(folder: string): TlsReport[] {
  const reports = monthOfReports()
  mkdirSync(folder, { recursive: true })
  for (const [index, report] of reports.entries()) {
    const json = formatReport(report)
    const name = `${String(index).padStart(4, '0')}.json`
    if (index % 2 === 0) writeFileSync(join(folder, name), json)
    else writeFileSync(join(folder, `${name}.gz`), gzipSync(json))
  }
  return reports
}

/**
 * The speed of reading and adding up TLS reports.
 *
 * @module
 */
import { gzipSync } from 'node:zlib'
import { assess, formatReport, readReports, type TlsReport } from '../../../src/tlsrpt/index.js'
import { composeMail } from '../../../src/tlsrpt/mail-report.js'
import { type Benchmark, planFor } from '../benchmark.js'
import { alternate, perSecond, spread } from '../pairs.js'
import { ownMxHosts, policyBody } from '../policies.js'

const DAY = 86_400_000
const FIRST_DAY = Date.UTC(2026, 7, 1)
const DOMAIN = 'reported.example'
const DAYS = 30

export const read: Benchmark = async (mode) => {
  const count = mode === 'quick' ? 100 : 3000
  const reports = Array.from({ length: count }, (_, index) => reportOf(index))
  const files = {
    'gzip files': reports.map((report) => gzipSync(formatReport(report))),
    mails: reports.map(mailOf),
  }
  const sessions = reports.length * (200 + 3)
  const rows = []
  for (const [kind, bytes] of Object.entries(files)) {
    const { ours } = await alternate(
      {
        async ours() {
          let counted = 0
          const rate = await perSecond(count, () => {
            const all = bytes.flatMap((file) => readReports(file))
            for (const { policies } of assess(all)) counted += policies[0]?.sessions ?? 0
          })
          if (counted === sessions) return rate
          throw new Error(`${counted} sessions of ${sessions} were counted`)
        },
      },
      planFor(mode),
    )
    rows.push({
      name: 'read',
      what: `TLS reports read and assessed, ${count} ${kind}`,
      unit: '/s',
      ours: spread(ours.values),
      target: { of: 'ours', bound: 'at-least', value: 1500 },
    } as const)
  }
  return { rows }
}

/** A report as of large senders: one policy, two kinds of failures. */
function reportOf(index: number): TlsReport {
  const start = FIRST_DAY + (index % DAYS) * DAY
  const mxHosts = ownMxHosts(DOMAIN)
  const failure = (resultType: string, host: string | undefined, failedSessionCount: number) => ({
    resultType,
    failedSessionCount,
    sendingMtaIp: `198.51.100.${index % 250}`,
    receivingMxHostname: host ?? '',
    receivingIp: '192.0.2.1',
  })
  return {
    organizationName: `Sender ${index}`,
    dateRange: { start: new Date(start), end: new Date(start + DAY - 1000) },
    contactInfo: `tls@sender${index}.example`,
    reportId: `${index}@sender${index}.example`,
    policies: [
      {
        policyType: 'sts',
        policyString: policyBody(mxHosts).trim().split('\r\n'),
        policyDomain: DOMAIN,
        mxHost: mxHosts,
        totalSuccessfulSessionCount: 200,
        totalFailureSessionCount: 3,
        failureDetails: [
          failure('certificate-expired', mxHosts[0], 2),
          failure('starttls-not-supported', mxHosts[1], 1),
        ],
      },
    ],
  }
}

function mailOf(report: TlsReport, index: number): Buffer {
  const submitter = `sender${index}.example`
  const { start, end } = report.dateRange
  const seconds = [start, end].map((date) => date.getTime() / 1000)
  return composeMail(
    `reports@${DOMAIN}`,
    {
      domain: DOMAIN,
      report,
      name: `${[submitter, DOMAIN, ...seconds, index].join('!')}.json.gz`,
      bytes: gzipSync(formatReport(report)),
    },
    {
      organizationName: `Sender ${index}`,
      contactInfo: `tls@${submitter}`,
      submitter,
      from: `tls@${submitter}`,
      transporter: { sendMail: async () => undefined },
      dkim: { keys: [] },
      now: () => end.getTime(),
    },
  )
}

/**
 * `--csv` (RFC 4180): a row for each policy of a report, and one for each of its failures.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { senderOf } from '../../tlsrpt/assess.js'
import { dayName, daysOf } from '../../tlsrpt/assess-days.js'
import { modeOf } from '../../tlsrpt/assess-tally.js'
import type { Report } from '../../tlsrpt/parse.js'
import type { FailureDetails, ReportedPolicy } from '../../tlsrpt/report.js'
import type { FoundReport } from './collect.js'

const HEADER = [
  'row',
  'first_day',
  'last_day',
  'organization',
  'report_id',
  'domain',
  'policy_type',
  'mode',
  'successful_sessions',
  'failed_sessions',
  'result_type',
  'mx_host',
  'receiving_ip',
  'sending_ip',
  'reason',
]

type Cell = string | number | undefined

/** Yields the lines one by one: all of them together may be large. */
export function* csvLines(
  reports: readonly FoundReport[],
  onlyFailures: boolean,
): Generator<string> {
  yield line(HEADER)
  for (const { report } of reports) {
    for (const policy of report.policies) {
      if (onlyFailures && policy.totalFailureSessionCount === 0) continue
      const start = startOf(report, policy)
      yield line([
        'policy',
        ...start,
        policy.totalSuccessfulSessionCount,
        policy.totalFailureSessionCount,
      ])
      for (const failure of policy.failureDetails)
        yield line(['failure', ...start, ...end(failure)])
    }
  }
}

function startOf(
  report: Report,
  { policyDomain, policyType, policyString }: ReportedPolicy,
): Cell[] {
  const days = daysOf(report.dateRange)
  const [first = 0] = days
  return [
    dayName(first),
    dayName(days.at(-1) ?? first),
    senderOf(report),
    report.reportId,
    policyDomain,
    policyType,
    policyType === 'sts' ? modeOf(policyString) : undefined,
  ]
}

function end(details: FailureDetails): Cell[] {
  return [
    undefined,
    details.failedSessionCount,
    details.resultType,
    details.receivingMxHostname ?? details.receivingMxHelo,
    details.receivingIp,
    details.sendingMtaIp,
    details.failureReasonCode,
  ]
}

function line(cells: readonly Cell[]): string {
  const all = HEADER.map((_, index) => cellOf(cells[index]))
  return `${all.join(',')}\r\n`
}

function cellOf(value: Cell): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return String(value)
  const text = escapeRemoteText(value)
  // Spreadsheets run what begins so, and others wrote these texts
  const harmless = text.replace(/(^|[;|])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1'")
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

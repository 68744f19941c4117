/**
 * `--details`: a row for each sender, day and policy, with its failures.
 *
 * @module
 */

import { escapeRemoteText } from '../../text.js'
import { senderOf } from '../../tlsrpt/assess.js'
import { dayName, daysOf } from '../../tlsrpt/assess-days.js'
import { modeOf } from '../../tlsrpt/assess-tally.js'
import { counted, thousands } from '../../tlsrpt/assess-verdict.js'
import type { FailureDetails, ReportedPolicy } from '../../tlsrpt/report.js'
import { type Column, formatTable, wrap } from '../layout.js'
import type { Screen } from '../terminal.js'
import type { FoundReport } from './collect.js'
import { domainName, policyName } from './names.js'

/** For each domain; the rest is counted. */
const MAX_ROWS = 1000

/** For each row. */
const MAX_FAILURES = 20

interface Row {
  day: string
  sender: string
  reported: ReportedPolicy
}

export function renderDetails(
  reports: readonly FoundReport[],
  onlyFailures: boolean,
  screen: Screen,
): string[] {
  const domains = new Map<string, Row[]>()
  for (const { report } of reports) {
    for (const reported of report.policies) {
      if (onlyFailures && reported.totalFailureSessionCount === 0) continue
      const days = daysOf(report.dateRange).map(dayName)
      const [first = ''] = days
      const row = { day: first, sender: senderOf(report), reported }
      const rows = domains.get(reported.policyDomain) ?? []
      rows.push(row)
      domains.set(reported.policyDomain, rows)
    }
  }
  return [...domains]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([domain, rows]) => [...renderDomain(domain, rows, screen), ''])
}

function renderDomain(domain: string, rows: Row[], screen: Screen): string[] {
  const sorted = rows.sort((a, b) =>
    a.day === b.day ? compare(a.sender, b.sender) : compare(a.day, b.day),
  )
  const shown = sorted.slice(0, MAX_ROWS)
  const [head = '', ...table] = formatTable(
    columnsFor(screen.width),
    shown.map(cells),
    screen.width,
  )
  const rest = sorted.length - shown.length
  return [
    ...wrap(domainName(domain), screen.width).map((line) => screen.paint('bold', line)),
    '',
    head,
    // A day is never wider than its column, so each row is one line
    ...table.flatMap((line, index) => [line, ...failureLines(shown[index], screen)]),
    ...(rest > 0 ? [`and ${counted(rest, 'more row')}: --csv has all of them`] : []),
  ]
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

function columnsFor(width: number): readonly Column[] {
  const others = 10 + 11 + 9 + 9 + 4 * 2
  return [
    { title: 'Day', width: 10 },
    { title: 'From', width: width - others - 1 },
    { title: 'Policy', width: 11 },
    { title: 'Sessions', width: 9, align: 'right' },
    { title: 'Failed', width: 9, align: 'right' },
  ]
}

function cells({ day, sender, reported }: Row): string[] {
  const { policyType, policyString } = reported
  const mode = policyType === 'sts' ? modeOf(policyString) : undefined
  const failed = reported.totalFailureSessionCount
  return [
    day,
    escapeRemoteText(sender),
    policyName(policyType, mode),
    thousands(reported.totalSuccessfulSessionCount + failed),
    thousands(failed),
  ]
}

function failureLines(row: Row | undefined, { width }: Screen): string[] {
  const failures = [...(row?.reported.failureDetails ?? [])].sort(
    (a, b) => b.failedSessionCount - a.failedSessionCount,
  )
  const indent = ' '.repeat(12)
  const lines = failures.slice(0, MAX_FAILURES).map(describeFailure)
  if (failures.length > MAX_FAILURES) {
    lines.push(`and ${counted(failures.length - MAX_FAILURES, 'more kind')} of failure`)
  }
  return lines.flatMap((line) =>
    wrap(line, width - indent.length).map((wrapped) => `${indent}${wrapped}`),
  )
}

function describeFailure(details: FailureDetails): string {
  const { failedSessionCount, resultType, failureReasonCode, sendingMtaIp } = details
  const host = details.receivingMxHostname ?? details.receivingMxHelo
  const parts = [
    `${thousands(failedSessionCount)} ${resultType}${failureReasonCode ? ` (${failureReasonCode})` : ''}`,
    [host, details.receivingIp && `[${details.receivingIp}]`].filter(Boolean).join(' '),
    sendingMtaIp && `from ${sendingMtaIp}`,
  ]
  return parts
    .filter((part) => part !== undefined && part !== '')
    .map((part) => escapeRemoteText(String(part)))
    .join(', ')
}

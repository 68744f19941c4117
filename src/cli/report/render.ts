/**
 * What other senders saw, as text within 80 columns.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type { FailureDetails } from '../../tlsrpt/report.js'
import { type Column, formatTable, WIDTH, wrap } from '../layout.js'
import type { Paint } from '../terminal.js'
import { day } from '../time.js'
import type { DomainSummary, Sighting, Totals } from './summary.js'

const COLUMNS: readonly Column[] = [
  { title: 'Day', width: 10 },
  { title: 'From', width: 32 },
  { title: 'Policy', width: 11 },
  { title: 'Sessions', width: 9, align: 'right' },
  { title: 'Failed', width: 9, align: 'right' },
]

export function renderSummary(
  domains: readonly DomainSummary[],
  totals: Totals,
  paint: Paint,
): string {
  const { reports, sessions, failed } = totals
  const last = `${reports} report${reports === 1 ? '' : 's'}: ${sessions} sessions, ${failed} failed`
  return [
    ...domains.flatMap((domain) => [...renderDomain(domain, paint), '']),
    paint(failed > 0 ? 'red' : 'green', last),
    '',
  ].join('\n')
}

function renderDomain({ domain, sightings }: DomainSummary, paint: Paint): string[] {
  const [head = '', ...rest] = formatTable(COLUMNS, sightings.map(cells))
  return [
    ...wrap(escapeRemoteText(domain) || '(no domain)', WIDTH).map((line) => paint('bold', line)),
    '',
    head,
    // Each row is one line: a day is never too wide for its column
    ...rest.flatMap((row, index) => [row, ...failureLines(sightings[index])]),
  ]
}

function cells({ day: time, organization, policy, sessions, failed }: Sighting): string[] {
  return [
    day(time),
    escapeRemoteText(organization),
    escapeRemoteText(policy),
    String(sessions),
    String(failed),
  ]
}

function failureLines(sighting: Sighting | undefined): string[] {
  const indent = ' '.repeat(12)
  return (sighting?.failures ?? []).flatMap((failure) =>
    wrap(describeFailure(failure), WIDTH - indent.length).map((line) => `${indent}${line}`),
  )
}

function describeFailure(details: FailureDetails): string {
  const { failedSessionCount, resultType, failureReasonCode, sendingMtaIp } = details
  const host = details.receivingMxHostname ?? details.receivingMxHelo
  const parts = [
    `${failedSessionCount} ${resultType}${failureReasonCode ? ` (${failureReasonCode})` : ''}`,
    [host, details.receivingIp && `[${details.receivingIp}]`].filter(Boolean).join(' '),
    sendingMtaIp && `from ${sendingMtaIp}`,
  ]
  return parts
    .filter((part) => part !== undefined && part !== '')
    .map((part) => escapeRemoteText(String(part)))
    .join(', ')
}

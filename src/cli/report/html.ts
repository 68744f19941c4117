/**
 * `--html`: the answers as one page that needs nothing beside it, no script and no other file.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type {
  DomainAssessment,
  FailureGroup,
  PolicyAssessment,
  SenderSeen,
} from '../../tlsrpt/assess-types.js'
import { counted, percent, thousands } from '../../tlsrpt/assess-verdict.js'
import { listed } from '../layout.js'
import { chartOf } from './html-chart.js'
import { STYLE } from './html-style.js'
import { domainName, nameOf, span, WEIGHT_WORDS } from './names.js'
import type { UnreadFile } from './read-files.js'

/** For each domain; the rest is counted. */
const MAX_FAILURES = 50
const MAX_SENDERS = 10
const MAX_DOMAINS = 200

export interface PageFacts {
  reports: number
  unread: readonly UnreadFile[]
}

export function htmlPage(domains: readonly DomainAssessment[], facts: PageFacts): string {
  const shown = domains.slice(0, MAX_DOMAINS)
  const hidden = domains.length - shown.length
  const lost = facts.unread.filter(({ skipped }) => !skipped)
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    // Should a text of a sender ever come through as markup, it may still do nothing
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="referrer" content="no-referrer">',
    '<title>MTA-STS: may I enforce?</title>',
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    '<main>',
    '<h1>May I enforce?</h1>',
    `<p class="dim">${counted(facts.reports, 'TLS report')}, ${counted(domains.length, 'domain')}</p>`,
    ...(lost.length > 0 ? [unreadNote(lost)] : []),
    ...(shown.length > 1 ? [`<nav>${shown.map(linkedVerdict).join('\n')}</nav>`] : []),
    ...(hidden > 0 ? [`<p>and ${counted(hidden, 'more domain')}</p>`] : []),
    ...shown.map(domainSection),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

/** Escapes for text and for attributes in double quotes. */
function html(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** The same, for what others wrote. */
function remote(text: string): string {
  return html(escapeRemoteText(text))
}

function unreadNote(lost: readonly UnreadFile[]): string {
  const files = listed(lost.map(({ file }) => escapeRemoteText(file)))
  const what = lost.length === 1 ? '1 file' : `${lost.length} files`
  return `<p class="verdict not-yet">${what} could not be read: ${html(files)}</p>`
}

function linkedVerdict({ domain, verdict }: DomainAssessment, index: number): string {
  const link = `<a href="#d${index}">${html(domainName(domain))}</a>`
  return `<p class="verdict ${verdict.answer}">${link}<br>${html(verdict.text)}</p>`
}

function domainSection(assessment: DomainAssessment, index: number): string {
  const { domain, verdict, policies } = assessment
  const [main] = policies
  return [
    `<section id="d${index}">`,
    `<h2>${html(domainName(domain))}</h2>`,
    `<p class="verdict ${verdict.answer}">${html(verdict.text)}</p>`,
    policyTable(policies),
    ...(main === undefined ? [] : [missing(main)]),
    ...policies.map((policy) => failureTable(policy)),
    ...(main === undefined
      ? []
      : [`<h3>By day, ${html(nameOf(main))}</h3>`, chartOf(main), senderTable(main)]),
    '</section>',
  ].join('\n')
}

type Cell = readonly [className: string, content: string]

function table(head: readonly Cell[], rows: ReadonlyArray<readonly string[]>): string {
  const names = head.map(([className, title]) => `<th class="${className}">${title}</th>`).join('')
  const body = rows.map((row) => {
    const cells = row.map((content, n) => `<td class="${head[n]?.[0] ?? ''}">${content}</td>`)
    return `<tr>${cells.join('')}</tr>`
  })
  return (
    `<div class="scroll"><table><thead><tr>${names}</tr></thead>` +
    `<tbody>${body.join('\n')}</tbody></table></div>`
  )
}

function policyTable(policies: readonly PolicyAssessment[]): string {
  const head: Cell[] = [
    ['', 'Policy'],
    ['number', 'Sessions'],
    ['number', 'Failed'],
    ['number', 'Share'],
    ['number', 'Days'],
    ['number optional', 'Senders'],
    ['day', 'Last failure'],
  ]
  const rows = policies
    .slice(0, 10)
    .map((policy) => [
      html(nameOf(policy)),
      thousands(policy.sessions),
      thousands(policy.failed),
      html(percent(policy.failed, policy.sessions)),
      thousands(policy.days.covered),
      thousands(policy.senders.length),
      policy.lastFailure ?? '',
    ])
  return table(head, rows)
}

function missing({ days, missingSenders }: PolicyAssessment): string {
  const gaps = `No report of ${counted(days.missing, 'day')}: ${listed(days.gaps.map(span))}`
  const names = missingSenders.map(
    ({ name, lastDay }) => `${escapeRemoteText(name)} (last ${lastDay})`,
  )
  return [
    ...(days.missing > 0 ? [`<p>${html(gaps)}</p>`] : []),
    ...(names.length > 0 ? [`<p>Silent for a week: ${html(listed(names))}</p>`] : []),
  ].join('\n')
}

function failureTable(policy: PolicyAssessment): string {
  const { failures } = policy
  if (failures.length === 0) return ''
  const head: Cell[] = [
    ['number', 'Sessions'],
    ['wide', 'Failure'],
    ['host', 'MX host'],
    ['number optional', 'Senders'],
    ['day', 'Last'],
  ]
  const shown = failures.slice(0, MAX_FAILURES)
  const rest = failures.length - shown.length
  return [
    `<h3>Failures, ${html(nameOf(policy))}</h3>`,
    table(head, shown.map(failureCells)),
    ...(rest > 0 ? [`<p class="dim">and ${counted(rest, 'more kind')}</p>`] : []),
  ].join('\n')
}

function failureCells(failure: FailureGroup): string[] {
  const { resultType, reason, mxHost, weight } = failure
  return [
    thousands(failure.sessions),
    `<span class="${weight}">${remote(resultType)}</span>${reason ? ` (${remote(reason)})` : ''}` +
      `<br><span class="dim">${html(WEIGHT_WORDS[weight])}. ${html(failure.advice)}</span>`,
    mxHost === undefined ? '' : remote(mxHost),
    thousands(failure.senders),
    failure.lastDay,
  ]
}

function senderTable({ senders }: PolicyAssessment): string {
  const head: Cell[] = [
    ['', 'Sender'],
    ['number', 'Sessions'],
    ['number', 'Failed'],
    ['number optional', 'Days'],
    ['day', 'Last report'],
  ]
  const rest = senders.length - MAX_SENDERS
  return [
    '<h3>Senders</h3>',
    table(head, senders.slice(0, MAX_SENDERS).map(senderCells)),
    ...(rest > 0 ? [`<p class="dim">and ${counted(rest, 'more sender')}</p>`] : []),
  ].join('\n')
}

function senderCells({ name, sessions, failed, days, lastDay }: SenderSeen): string[] {
  return [remote(name), thousands(sessions), thousands(failed), thousands(days), lastDay]
}

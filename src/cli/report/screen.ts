/**
 * The answer for each domain, as text: at most a screen each.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type { DomainAssessment, FailureGroup, PolicyAssessment } from '../../tlsrpt/assess-types.js'
import { counted, percent, thousands } from '../../tlsrpt/assess-verdict.js'
import { padEnd, shorten, widthOf } from '../columns.js'
import { type Column, formatTable, listed, type Mark, paintMark, wrap } from '../layout.js'
import type { Screen } from '../terminal.js'
import {
  ANSWER_MARKS,
  domainName,
  kindOf,
  nameOf,
  span,
  WEIGHT_MARKS,
  WEIGHT_WORDS,
} from './names.js'

/** A wider cell would have a line of its own. */
const POLICY_WIDTH = 14

/** Some senders write a paragraph as the reason. */
const MAX_KIND = 70

const COLUMNS: readonly Column[] = [
  { title: 'Policy', width: POLICY_WIDTH },
  { title: 'Sessions', width: 10, align: 'right' },
  { title: 'Failed', width: 8, align: 'right' },
  { title: '%', width: 7, align: 'right' },
  { title: 'Days', width: 8, align: 'right' },
  { title: 'Senders', width: 7, align: 'right' },
  { title: 'Last failure', width: 12 },
]

/** Maximum numbers of rows on the screen of a domain. */
const MAX_POLICIES = 4
const MAX_FAILURES = 5
const MAX_GAPS = 3
const MAX_SENDERS = 3

/** Domains that are shown with their numbers, and with their verdict alone. */
const MAX_DOMAINS = 30
const MAX_VERDICTS = 300

/** Width of a domain's name beside its verdict; longer names have a line of their own. */
const MAX_NAME = 24

/** A mark, and the text wrapped beside it. */
export function marked(mark: Mark, text: string, { paint, width }: Screen): string[] {
  const [first = '', ...rest] = wrap(text, width - 2)
  return [`${paintMark(mark, paint)} ${first}`, ...rest.map((line) => `  ${line}`)]
}

export function renderDomains(domains: readonly DomainAssessment[], screen: Screen): string[] {
  const shown = domains.slice(0, MAX_DOMAINS)
  const hidden = domains.length - shown.length
  return [
    ...(domains.length > 1 ? [...renderVerdicts(domains, screen), ''] : []),
    ...shown.flatMap((domain) => [...renderDomain(domain, screen), '']),
    ...(hidden > 0
      ? marked('plain', `The numbers of ${counted(hidden, 'more domain')}: --domain`, screen)
      : []),
  ]
}

/** `✓ example.com  ready: ...`, the verdicts in a column of their own. */
function renderVerdicts(domains: readonly DomainAssessment[], screen: Screen): string[] {
  const shown = domains.slice(0, MAX_VERDICTS)
  const longest = Math.max(...shown.map(({ domain }) => widthOf(domainName(domain))))
  const column = Math.min(MAX_NAME, longest) + 2
  const lines = shown.flatMap((domain) => renderVerdict(domain, column, screen))
  const hidden = domains.length - shown.length
  return hidden > 0 ? [...lines, `  and ${counted(hidden, 'more domain')}`] : lines
}

function renderVerdict(
  { domain, verdict }: DomainAssessment,
  column: number,
  screen: Screen,
): string[] {
  const mark = ANSWER_MARKS[verdict.answer]
  const name = domainName(domain)
  const indent = ' '.repeat(column)
  const [first = '', ...rest] = wrap(verdict.text, screen.width - 2 - column)
  const others = rest.map((line) => `  ${indent}${line}`)
  if (widthOf(name) + 2 <= column) {
    const label = screen.paint('bold', padEnd(name, column))
    return [`${paintMark(mark, screen.paint)} ${label}${first}`, ...others]
  }
  return [...marked(mark, name, screen), `  ${indent}${first}`, ...others]
}

function renderDomain({ domain, verdict, policies }: DomainAssessment, screen: Screen): string[] {
  return [
    ...wrap(domainName(domain), screen.width).map((line) => screen.paint('bold', line)),
    ...marked(ANSWER_MARKS[verdict.answer], verdict.text, screen),
    '',
    ...formatTable(COLUMNS, policies.slice(0, MAX_POLICIES).map(cells), screen.width).map(
      (line) => `  ${line}`,
    ),
    ...(policies.length > MAX_POLICIES
      ? [`  and ${counted(policies.length - MAX_POLICIES, 'more policy type')}: --json`]
      : []),
    ...renderFailures(policies, screen),
    ...renderMissing(policies[0], screen),
  ]
}

function cells(policy: PolicyAssessment): string[] {
  const { sessions, failed, days, senders, lastFailure } = policy
  const all = days.covered + days.missing
  return [
    shorten(nameOf(policy), POLICY_WIDTH),
    thousands(sessions),
    thousands(failed),
    percent(failed, sessions).replace(/ %$/, ''),
    days.missing > 0 ? `${days.covered} of ${all}` : String(days.covered),
    thousands(senders.length),
    lastFailure ?? '',
  ]
}

function renderFailures(policies: readonly PolicyAssessment[], screen: Screen): string[] {
  const failures = policies.flatMap((policy) =>
    policy.failures.map((failure) => ({ policy, failure })),
  )
  if (failures.length === 0) return []
  const advised = new Set<string>()
  const lines = failures.slice(0, MAX_FAILURES).flatMap(({ policy, failure }) => {
    const under = policies.length > 1 ? `, under ${shorten(nameOf(policy), POLICY_WIDTH)}` : ''
    const described = marked(WEIGHT_MARKS[failure.weight], `${describe(failure)}${under}`, screen)
    if (advised.has(failure.resultType)) return described
    advised.add(failure.resultType)
    const why = failure.weight === 'refused' ? '' : `${WEIGHT_WORDS[failure.weight]}. `
    const advice = wrap(`${why}${failure.advice}`, screen.width - 4)
    return [...described, ...advice.map((line) => `    ${screen.paint('dim', line)}`)]
  })
  const rest = failures.slice(MAX_FAILURES)
  const sessions = rest.reduce((sum, { failure }) => sum + failure.sessions, 0)
  const more = `  and ${counted(rest.length, 'more kind')}, ${counted(sessions, 'session')}: --details`
  return ['', ...lines, ...(rest.length > 0 ? [more] : [])]
}

function describe(failure: FailureGroup): string {
  const { sessions, mxHost, senders, firstDay, lastDay } = failure
  const where = mxHost === undefined ? '' : ` at ${escapeRemoteText(mxHost)}`
  const kind = shorten(kindOf(failure), MAX_KIND)
  const days = span({ first: firstDay, last: lastDay })
  return `${thousands(sessions)} × ${kind}${where}, ${counted(senders, 'sender')}, ${days}`
}

/** Renders days without a report and senders that stopped reporting, for the deciding policy type. */
function renderMissing(policy: PolicyAssessment | undefined, screen: Screen): string[] {
  const { days, missingSenders = [] } = policy ?? {}
  const lines: string[] = []
  if (days !== undefined && days.missing > 0) {
    const gaps = listed(days.gaps.map(span), MAX_GAPS)
    lines.push(
      ...marked('warning', `No report of ${counted(days.missing, 'day')}: ${gaps}`, screen),
    )
  }
  if (missingSenders.length > 0) {
    const names = missingSenders.map(
      ({ name, lastDay }) => `${escapeRemoteText(name)} (last ${lastDay})`,
    )
    lines.push(...marked('warning', `Silent for a week: ${listed(names, MAX_SENDERS)}`, screen))
  }
  return lines.length > 0 ? ['', ...lines] : []
}

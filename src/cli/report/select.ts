/**
 * Which of the reports are looked at: `--domain`, `--since`, `--until`, `--from`.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { senderOf } from '../../tlsrpt/assess.js'
import { dayName, daysOf } from '../../tlsrpt/assess-days.js'
import type { Report } from '../../tlsrpt/parse.js'
import { domainArgument } from '../arguments.js'
import { UsageError } from '../context.js'

export interface Selection {
  /** A-labels; empty: all */
  domains: readonly string[]
  since: string | undefined
  until: string | undefined
  /** Lower case */
  from: string | undefined
}

/** The options as they were given. */
export interface SelectionOptions {
  domain?: string[] | undefined
  since?: string | undefined
  until?: string | undefined
  from?: string | undefined
}

/** @throws UsageError */
export function selectionOf({ domain = [], since, until, from }: SelectionOptions): Selection {
  const selection = {
    domains: domain.map(domainArgument),
    since: since === undefined ? undefined : dayArgument('--since', since),
    until: until === undefined ? undefined : dayArgument('--until', until),
    from: from?.toLowerCase(),
  }
  if (selection.since && selection.until && selection.since > selection.until) {
    throw new UsageError('--since is later than --until.')
  }
  return selection
}

function dayArgument(option: string, text: string): string {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // Date.parse takes 30 February for a day of March
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text)) return text
  throw new UsageError(`${option} takes a day as 2026-08-31, not "${escapeRemoteText(text)}".`)
}

/** Returns the report with the policies that are selected; undefined if there are none. */
export function select(report: Report, selection: Selection): Report | undefined {
  const { domains, since, until, from } = selection
  if (from !== undefined && !senderOf(report).toLowerCase().includes(from)) return undefined
  const days = daysOf(report.dateRange)
  const [first = 0] = days
  if (until !== undefined && dayName(first) > until) return undefined
  if (since !== undefined && dayName(days.at(-1) ?? first) < since) return undefined
  if (domains.length === 0) return report
  const policies = report.policies.filter(({ policyDomain }) => domains.includes(policyDomain))
  return policies.length > 0 ? { ...report, policies } : undefined
}

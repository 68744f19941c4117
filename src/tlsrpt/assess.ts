/**
 * Turns the reports of many senders and days into one answer for each domain: whether its policy
 * may be set to mode `enforce`.
 *
 * @module
 */

import { createHash } from 'node:crypto'
import { toALabels } from '../dns/domain-name.js'
import { argumentError, checkKnown } from '../option-checks.js'
import { type DayNumber, dayNumber, daysOf } from './assess-days.js'
import { compare, PolicyTally } from './assess-tally.js'
import type { AssessOptions, DomainAssessment } from './assess-types.js'
import { verdictOf } from './assess-verdict.js'
import type { TlsReport } from './report.js'

/** Days of data that a domain needs before it uses `enforce`. */
const DEFAULT_DAYS = 30

/**
 * Adds up reports and assesses, for each domain, which mail mode `enforce` would refuse. A repeated
 * report counts once.
 *
 * ```ts
 * for (const { domain, verdict } of assess(reports)) console.log(domain, verdict.text)
 * ```
 */
export function assess(
  reports: Iterable<TlsReport>,
  options: AssessOptions = {},
): DomainAssessment[] {
  if (!Array.isArray(reports) && !(Symbol.iterator in Object(reports))) {
    const must = 'must be an array of reports, as readReports() returns it'
    throw argumentError(['assess()', 'reports'], must, reports)
  }
  checkKnown(options, ['now', 'days'], { call: 'assess()' })
  const all = [...reports]
  const assessor = new Assessor({ ...options, ...windowOf(all, options) })
  for (const report of all) assessor.add(report)
  return assessor.result()
}

interface Window {
  /** The first day that counts; undefined: all */
  first?: DayNumber
  /** The last day that counts */
  last?: DayNumber
}

function windowOf(reports: readonly TlsReport[], { now, days }: AssessOptions): Window {
  if (days === undefined) return {}
  if (now !== undefined) {
    // Today is not over: the previous days count, and today's data so far
    const today = dayNumber(timeOf(now))
    return { first: today - days, last: today }
  }
  const last = reports
    .map(({ dateRange }) => daysOf(dateRange).at(-1) ?? 0)
    .reduce((a, b) => Math.max(a, b), 0)
  return { first: last - days + 1, last }
}

function timeOf(now: NonNullable<AssessOptions['now']>): number {
  return typeof now === 'function' ? now() : Number(now)
}

/** Assesses reports one by one, without keeping all of them in memory. */
export class Assessor {
  readonly #days: number
  readonly #window: Window
  readonly #domains = new Map<string, Map<string, PolicyTally>>()
  readonly #seen = new Set<string>()

  constructor({ days = DEFAULT_DAYS, ...window }: Pick<AssessOptions, 'days'> & Window = {}) {
    this.#days = days
    this.#window = window
  }

  /** Adds a report. Returns false if it was added before or is outside the window. */
  add(report: TlsReport): boolean {
    const days = daysOf(report.dateRange)
    if (!this.#isInside(days)) return false
    const identity = identityOf(report)
    if (this.#seen.has(identity)) return false
    this.#seen.add(identity)
    const source = { sender: senderOf(report), days }
    for (const policy of report.policies) {
      this.#tally(domainOf(policy.policyDomain), policy.policyType).add(policy, source)
    }
    return true
  }

  #isInside(days: readonly DayNumber[]): boolean {
    const { first = Number.NEGATIVE_INFINITY, last = Number.POSITIVE_INFINITY } = this.#window
    return days.some((day) => day >= first && day <= last)
  }

  #tally(domain: string, policyType: string): PolicyTally {
    const types = this.#domains.get(domain) ?? new Map<string, PolicyTally>()
    this.#domains.set(domain, types)
    const tally = types.get(policyType) ?? new PolicyTally(policyType)
    types.set(policyType, tally)
    return tally
  }

  /** Returns the assessments, by domain. */
  result(): DomainAssessment[] {
    return [...this.#domains]
      .sort(([a], [b]) => compare(a, b))
      .map(([domain, types]) => {
        const policies = Array.from(types.values(), (tally) => tally.result()).sort(
          (a, b) =>
            Number(b.policyType === 'sts') - Number(a.policyType === 'sts') ||
            b.sessions - a.sessions,
        )
        return { domain, verdict: verdictOf(policies, this.#days), policies }
      })
  }
}

function domainOf(policyDomain: string): string {
  return toALabels(policyDomain.trim()) ?? policyDomain
}

export function senderOf({ organizationName, contactInfo }: TlsReport): string {
  return organizationName ?? contactInfo ?? 'unknown sender'
}

/**
 * Returns a key of a report: organization, id, days and content. Some senders use the same id for
 * different domains or days; a repeated report has the same content.
 */
export function identityOf({ organizationName, reportId, dateRange, policies }: TlsReport): string {
  const hash = createHash('sha256')
  hash.update(JSON.stringify([organizationName, reportId, dateRange]))
  for (const policy of policies) {
    const { failureDetails, ...counts } = policy
    hash.update(JSON.stringify(counts))
    for (const details of failureDetails) hash.update(JSON.stringify(details))
  }
  return hash.digest('base64')
}

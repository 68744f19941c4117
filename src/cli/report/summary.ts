/**
 * What reports say of one's domains, put in order.
 *
 * @module
 */
import { parsePolicy } from '../../policy/policy-file.js'
import type { FailureDetails, ReportedPolicy, TlsReport } from '../../tlsrpt/report.js'

/** What one sender saw of one domain on one day, under one policy. */
export interface Sighting {
  day: Date
  organization: string
  /** `sts enforce`, `sts testing`, `tlsa`, `none` */
  policy: string
  sessions: number
  failed: number
  failures: readonly FailureDetails[]
}

export interface DomainSummary {
  domain: string
  /** By day, then by sender */
  sightings: Sighting[]
}

export interface Totals {
  reports: number
  sessions: number
  failed: number
}

/** By domain. */
export function summarize(reports: readonly TlsReport[]): DomainSummary[] {
  const domains = new Map<string, Sighting[]>()
  for (const report of reports) {
    for (const policy of report.policies) {
      const sightings = domains.get(policy.policyDomain) ?? []
      sightings.push(sightingOf(report, policy))
      domains.set(policy.policyDomain, sightings)
    }
  }
  return [...domains]
    .map(([domain, sightings]) => ({ domain, sightings: sightings.sort(inOrder) }))
    .sort((a, b) => (a.domain < b.domain ? -1 : 1))
}

export function totalsOf(reports: readonly TlsReport[]): Totals {
  const policies = reports.flatMap((report) => report.policies)
  const sum = (count: (policy: ReportedPolicy) => number) =>
    policies.reduce((total, policy) => total + count(policy), 0)
  return { reports: reports.length, sessions: sum(sessionsOf), failed: sum(failedOf) }
}

function sightingOf(report: TlsReport, reported: ReportedPolicy): Sighting {
  return {
    day: report.dateRange.start,
    organization: report.organizationName ?? report.contactInfo ?? 'unknown',
    policy: policyOf(reported),
    sessions: sessionsOf(reported),
    failed: failedOf(reported),
    failures: [...reported.failureDetails].sort(
      (a, b) => b.failedSessionCount - a.failedSessionCount,
    ),
  }
}

function sessionsOf(policy: ReportedPolicy): number {
  return policy.totalSuccessfulSessionCount + policy.totalFailureSessionCount
}

function failedOf({ totalFailureSessionCount }: ReportedPolicy): number {
  return totalFailureSessionCount
}

function policyOf({ policyType, policyString }: ReportedPolicy): string {
  if (policyType === 'no-policy-found') return 'none'
  if (policyType !== 'sts' || policyString === undefined) return policyType
  try {
    return `sts ${parsePolicy(policyString.join('\n')).mode}`
  } catch {
    return policyType
  }
}

function inOrder(a: Sighting, b: Sighting): number {
  return a.day.getTime() - b.day.getTime() || (a.organization < b.organization ? -1 : 1)
}

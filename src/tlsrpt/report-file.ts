/**
 * A claimed report in the form in which it is sent: its content, its id and its file (RFC 8460
 * §5.1, §5.2). The same counts make the same bytes, so that a second copy can be recognized.
 *
 * @module
 */
import { gzipSync } from 'node:zlib'
import { type PolicyCounts, readFailure } from './counts.js'
import { rangeOf } from './day.js'
import { formatReport, type ReportedPolicy, type TlsReport } from './report.js'
import type { ClaimedReport } from './store.js'

/** The sender of reports. */
export interface Reporter {
  organizationName: string
  /** A mail address */
  contactInfo: string
  /** The domain that signs, A-labels */
  submitter: string
}

/** A report to be sent. */
export interface ReportFile {
  /** The Policy Domain of the report */
  domain: string
  report: TlsReport
  /** `submitter!domain!begin!end!id.json.gz` */
  name: string
  /** JSON under gzip */
  bytes: Buffer
}

export function makeFile(claimed: ClaimedReport, reporter: Reporter): ReportFile {
  const report = makeReport(claimed, reporter)
  const { start, end } = report.dateRange
  const parts = [reporter.submitter, claimed.domain, seconds(start), seconds(end), claimed.id]
  return {
    domain: claimed.domain,
    report,
    name: `${parts.join('!')}.json.gz`,
    bytes: gzipSync(formatReport(report)),
  }
}

export function makeReport(claimed: ClaimedReport, reporter: Reporter): TlsReport {
  const { id, day, policies } = claimed
  const { organizationName, contactInfo, submitter } = reporter
  return {
    organizationName,
    dateRange: rangeOf(day),
    contactInfo,
    // A Message-ID, because the Subject of RFC 8460 §5.3 demands one
    reportId: `${id}@${submitter}`,
    policies: [...policies].sort(byKey).map(reportedPolicy),
  }
}

/** Whether any session failed. */
export function hasFailures({ policies }: ClaimedReport): boolean {
  return policies.some(({ failures }) => failures.length > 0)
}

function reportedPolicy({ policy, successes, failures }: PolicyCounts): ReportedPolicy {
  const failureDetails = [...failures]
    // The most frequent first, whatever the order in the store
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([text, failedSessionCount]) => ({ ...readFailure(text), failedSessionCount }))
  const failed = failureDetails.reduce((sum, { failedSessionCount: n }) => sum + n, 0)
  return {
    ...policy,
    totalSuccessfulSessionCount: successes,
    totalFailureSessionCount: failed,
    failureDetails,
  }
}

function byKey(a: PolicyCounts, b: PolicyCounts): number {
  return a.key < b.key ? -1 : 1
}

function seconds(time: Date): string {
  return String(Math.floor(time.getTime() / 1000))
}

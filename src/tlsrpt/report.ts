/**
 * A report of RFC 8460 §4.4: one sender's sessions with one domain on one day.
 *
 * @module
 */
import { argumentError } from '../option-checks.js'
import type { ResultType } from '../tls/failures.js'

/** `policy-type` of RFC 8460 §4.4. */
export type PolicyType = 'sts' | 'tlsa' | 'no-policy-found'

/** A report, with the RFC's names in camel case. Missing fields are omitted. */
export interface TlsReport {
  /** The sender, for people to read */
  organizationName?: string
  /** Includes the last second: 23:59:59 */
  dateRange: { start: Date; end: Date }
  /** Usually a mail address */
  contactInfo?: string
  /** The same in a second copy */
  reportId: string
  /** Each policy that applied on the day */
  policies: readonly ReportedPolicy[]
}

/** One policy, and the outcome of the sessions under it. */
export interface ReportedPolicy extends PolicyDescription {
  /** Sessions that met the demands of the policy */
  totalSuccessfulSessionCount: number
  /** Sessions that did not meet them */
  totalFailureSessionCount: number
  /** Empty without failures */
  failureDetails: readonly FailureDetails[]
}

/** The policy of sessions (RFC 8460 §4.4, `policy`). */
export interface PolicyDescription {
  /** One of {@link PolicyType}; in reports of others, perhaps an unknown word */
  policyType: PolicyType | (string & {})
  /** The lines of the policy file, or the TLSA records */
  policyString?: readonly string[]
  /** The Policy Domain */
  policyDomain: string
  /** The `mx` patterns of the policy */
  mxHost?: readonly string[]
}

/** Sessions with the same failure (RFC 8460 §4.4, `failure-details`). */
export interface FailureDetails extends FailureDescription {
  /** Number of sessions; several may be of one message */
  failedSessionCount: number
  /** A URI with more information */
  additionalInformation?: string
}

/** The common properties of sessions that are counted together. */
export interface FailureDescription {
  /** RFC 8460 §4.3; in reports of others, perhaps an unknown word */
  resultType: ResultType | (string & {})
  /** The sender's address */
  sendingMtaIp?: string
  /** The name in the MX record */
  receivingMxHostname?: string
  /** The MX host's own name in its greeting */
  receivingMxHelo?: string
  /** The connected address */
  receivingIp?: string
  /** Details besides the type: in this package's reports, the `reason` of a `TlsFailure` */
  failureReasonCode?: string
}

/** Returns the report as JSON, which {@link parseReport} reads back as the same report. */
export function formatReport(report: TlsReport): string {
  if (!Array.isArray(report?.policies) || typeof report.dateRange !== 'object') {
    throw argumentError(['formatReport()', 'report'], 'must be a report', report)
  }
  const { organizationName, dateRange, contactInfo, reportId, policies } = report
  // JSON omits undefined fields (RPT-15), and keeps this order
  return JSON.stringify({
    'organization-name': organizationName,
    'date-range': {
      'start-datetime': formatTime(dateRange.start),
      'end-datetime': formatTime(dateRange.end),
    },
    'contact-info': contactInfo,
    'report-id': reportId,
    policies: policies.map(policyJson),
  })
}

function policyJson(reported: ReportedPolicy): object {
  const { policyType, policyString, policyDomain, mxHost } = reported
  return {
    policy: {
      'policy-type': policyType,
      'policy-string': orNothing(policyString),
      'policy-domain': policyDomain,
      'mx-host': orNothing(mxHost),
    },
    summary: {
      'total-successful-session-count': reported.totalSuccessfulSessionCount,
      'total-failure-session-count': reported.totalFailureSessionCount,
    },
    'failure-details': orNothing(reported.failureDetails.map(detailsJson)),
  }
}

function detailsJson(details: FailureDetails): object {
  return {
    'result-type': details.resultType,
    'sending-mta-ip': details.sendingMtaIp,
    'receiving-mx-hostname': details.receivingMxHostname,
    'receiving-mx-helo': details.receivingMxHelo,
    'receiving-ip': details.receivingIp,
    'failed-session-count': details.failedSessionCount,
    'additional-information': details.additionalInformation,
    'failure-reason-code': details.failureReasonCode,
  }
}

function orNothing<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list !== undefined && list.length > 0 ? list : undefined
}

/** Formats a time (RFC 3339) in UTC, without the fraction that many readers do not expect. */
function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

/**
 * A report as RFC 8460 §4.4 has it: what one sender met with at one domain on one day.
 *
 * @module
 */
import type { ResultType } from '../tls/failures.js'

/** `policy-type` of RFC 8460 §4.4. */
export type PolicyType = 'sts' | 'tlsa' | 'no-policy-found'

/** The names are the RFC's, in camel case. What a report does not say is left out. */
export interface TlsReport {
  /** Who reports, for people to read */
  organizationName?: string
  /** The last second is part of it: 23:59:59 */
  dateRange: { start: Date; end: Date }
  /** A mail address, as a rule */
  contactInfo?: string
  /** The same in a copy that was sent twice */
  reportId: string
  /** Each policy that applied on the day */
  policies: readonly ReportedPolicy[]
}

/** One policy, and how the sessions under it went. */
export interface ReportedPolicy extends PolicyDescription {
  /** Sessions that met what the policy asks for */
  totalSuccessfulSessionCount: number
  /** Sessions that did not */
  totalFailureSessionCount: number
  /** Empty where nothing failed */
  failureDetails: readonly FailureDetails[]
}

/** The policy that sessions were held to (RFC 8460 §4.4, `policy`). */
export interface PolicyDescription {
  /** One of {@link PolicyType}; in what others send, perhaps a word that is new */
  policyType: PolicyType | (string & {})
  /** The policy file, a line an element; or the TLSA records */
  policyString?: readonly string[]
  /** The Policy Domain */
  policyDomain: string
  /** The `mx` patterns of the policy */
  mxHost?: readonly string[]
}

/** Sessions that failed alike (RFC 8460 §4.4, `failure-details`). */
export interface FailureDetails extends FailureDescription {
  /** How many sessions; more than one may be of one message */
  failedSessionCount: number
  /** A URI that says more */
  additionalInformation?: string
}

/** What sessions that are counted together have in common. */
export interface FailureDescription {
  /** RFC 8460 §4.3; in what others send, perhaps a word that is new */
  resultType: ResultType | (string & {})
  /** The address that the sender connected from */
  sendingMtaIp?: string
  /** The name in the MX record */
  receivingMxHostname?: string
  /** What the MX host called itself */
  receivingMxHelo?: string
  /** The address that was connected to */
  receivingIp?: string
  /** What there is to say beside the type: from this package, the `reason` of a `TlsFailure` */
  failureReasonCode?: string
}

/** The report as JSON; {@link parseReport} reads it back as the same. */
export function formatReport(report: TlsReport): string {
  const { organizationName, dateRange, contactInfo, reportId, policies } = report
  // JSON leaves out what is undefined (RPT-15), and keeps this order
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

/** RFC 3339 in UTC, without the fraction that many readers do not expect. */
function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

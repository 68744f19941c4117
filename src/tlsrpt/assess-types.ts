/**
 * The assessment of a domain by the reports of many senders and days.
 *
 * @module
 */
import type { Day } from './day.js'

/** Options of `assess`. */
export interface AssessOptions {
  /** The end of the days in `days`; default: the last reported day */
  now?: Date | number | (() => number) | undefined
  /**
   * Number of days whose reports count; a domain is ready if reports cover nine tenths of them.
   * Default: all reports count, and 30 days are required
   */
  days?: number | undefined
}

/** The assessment of one domain: whether its policy may be set to mode `enforce`. */
export interface DomainAssessment {
  /** A-labels, lower case; unchanged if it is not a domain name */
  domain: string
  /** The answer for the domain */
  verdict: Verdict
  /** By policy type, `sts` first: some senders report the same sessions under several types */
  policies: readonly PolicyAssessment[]
}

/**
 * - `ready`: enough days, and no failed session that `enforce` would refuse
 * - `not-yet`: too little data
 * - `would-defer`: some sessions failed in a way that `enforce` refuses
 */
export type Answer = 'ready' | 'not-yet' | 'would-defer'

/** Whether a domain may use `enforce`, and the reason. */
export interface Verdict {
  /** Whether the policy may be enforced */
  answer: Answer
  /** One line, safe for a terminal */
  text: string
}

/** The sessions under one policy type. */
export interface PolicyAssessment {
  /** `sts`, `tlsa`, `no-policy-found`, or an unknown word */
  policyType: string
  /** Number of sessions */
  sessions: number
  /** Number of failed sessions */
  failed: number
  /** Number of failed sessions that mode `enforce` would refuse */
  refused: number
  /** `failed` as a percentage of `sessions` */
  percent: number
  /** Modes of the policy, as reported, the latest first; empty for other types than `sts` */
  modes: readonly ModeSeen[]
  /** Counts by day */
  days: DayCoverage
  /** In descending order of sessions */
  senders: readonly SenderSeen[]
  /** Senders that have reported, but on none of the last seven days */
  missingSenders: readonly SenderSeen[]
  /** Undefined without failures */
  lastFailure: Day | undefined
  /** Failures that `enforce` would refuse first, then in descending order of sessions */
  failures: readonly FailureGroup[]
  /** One for each day with a report, in order */
  series: readonly DayCounts[]
}

/** A mode of the policy that senders reported. */
export interface ModeSeen {
  /** `unknown` if the report does not show the policy */
  mode: 'enforce' | 'testing' | 'none' | 'unknown'
  /** Sessions in this mode */
  sessions: number
  /** First day with this mode in a report */
  firstDay: Day
  /** Last day with this mode in a report */
  lastDay: Day
}

/** Days that reports cover. */
export interface DayCoverage {
  /** First day with a report */
  first: Day
  /** Last day with a report */
  last: Day
  /** Days with at least one session that met the policy, which is not of mode `none` */
  covered: number
  /** Days between the first and the last without a report */
  missing: number
  /** Days without a report in between */
  gaps: ReadonlyArray<{ first: Day; last: Day; days: number }>
}

/** One sender of reports. */
export interface SenderSeen {
  /** As sent: escape it before you show it */
  name: string
  /** Number of sessions */
  sessions: number
  /** Number of failed sessions */
  failed: number
  /** Days with a report */
  days: number
  /** Last day with a report */
  lastDay: Day
}

/** Sessions of one day. */
export interface DayCounts {
  /** UTC day, YYYY-MM-DD */
  day: Day
  /** Number of sessions */
  sessions: number
  /** Number of failed sessions */
  failed: number
}

/**
 * - `refused`: `enforce` defers the message until an MX host proves what it must
 * - `dane`: senders with DANE refuse in any mode
 * - `not-refused`: the sender could not fetch the policy, which defers no message
 */
export type FailureWeight = 'refused' | 'dane' | 'not-refused'

/** Sessions with the same failure. Texts are as sent: escape them before you show them. */
export interface FailureGroup {
  /** Result type of RFC 8460 §4.3 */
  resultType: string
  /** Lower case; undefined if the report does not name it */
  mxHost: string | undefined
  /** `failure-reason-code` */
  reason: string | undefined
  /** Whether `enforce` would refuse the mail */
  weight: FailureWeight
  /** Number of sessions with this failure */
  sessions: number
  /** Number of senders that reported it */
  senders: number
  /** First day with this failure in a report */
  firstDay: Day
  /** Last day with this failure in a report */
  lastDay: Day
  /** Advice in one sentence */
  advice: string
}

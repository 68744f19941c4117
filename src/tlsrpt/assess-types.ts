/**
 * What reports of many senders and days say of a domain.
 *
 * @module
 */
import type { Day } from './day.js'

/** Options of `assess`. */
export interface AssessOptions {
  /** Where the days of `days` end; default: the last day that was reported */
  now?: Date | number | (() => number) | undefined
  /**
   * Reports of only so many days count, and nine tenths of these days have to be covered before a
   * domain is ready. Default: all reports count, and 30 days are asked for
   */
  days?: number | undefined
}

/** One domain: may its policy be set to mode `enforce`? */
export interface DomainAssessment {
  /** A-labels, lower case; as it was reported where it is no domain name */
  domain: string
  /** The answer for the domain */
  verdict: Verdict
  /** By policy type, `sts` first: some senders report the same sessions under several types */
  policies: readonly PolicyAssessment[]
}

/**
 * - `ready`: enough days, and no session failed that `enforce` would refuse
 * - `not-yet`: too little data to tell
 * - `would-defer`: sessions failed that `enforce` would refuse, or does refuse already
 */
export type Answer = 'ready' | 'not-yet' | 'would-defer'

/** Says whether a domain may go to `enforce`, and why. */
export interface Verdict {
  /** Whether the policy may be enforced */
  answer: Answer
  /** One line, fit for a terminal */
  text: string
}

/** The sessions under one policy type. */
export interface PolicyAssessment {
  /** `sts`, `tlsa`, `no-policy-found`, or a word that is new */
  policyType: string
  /** Sessions in all */
  sessions: number
  /** Sessions that failed */
  failed: number
  /** Of the sessions that failed: those that mode `enforce` would refuse */
  refused: number
  /** `failed` of `sessions`, 0 to 100 */
  percent: number
  /** Modes of the policy, as reported, the latest first; empty for other types than `sts` */
  modes: readonly ModeSeen[]
  /** Counts by day */
  days: DayCoverage
  /** The one with the most sessions first */
  senders: readonly SenderSeen[]
  /** Senders that reported before, but on none of the last seven days */
  missingSenders: readonly SenderSeen[]
  /** Undefined where nothing failed */
  lastFailure: Day | undefined
  /** Those that `enforce` would refuse first, then by number of sessions */
  failures: readonly FailureGroup[]
  /** One for each day with a report, in order */
  series: readonly DayCounts[]
}

/** A mode of the policy that senders reported. */
export interface ModeSeen {
  /** `unknown` where the report does not show the policy */
  mode: 'enforce' | 'testing' | 'none' | 'unknown'
  /** Sessions under it */
  sessions: number
  /** First day on which it was reported */
  firstDay: Day
  /** Last day on which it was reported */
  lastDay: Day
}

/** Days that reports cover. */
export interface DayCoverage {
  /** First day with a report */
  first: Day
  /** Last day with a report */
  last: Day
  /** Days with at least one session */
  covered: number
  /** Days between the first and the last without one */
  missing: number
  /** Days without a report in between */
  gaps: ReadonlyArray<{ first: Day; last: Day; days: number }>
}

/** One sender of reports. */
export interface SenderSeen {
  /** As it was sent: escape it before you show it */
  name: string
  /** Sessions in all */
  sessions: number
  /** Sessions that failed */
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
  /** Sessions in all */
  sessions: number
  /** Sessions that failed */
  failed: number
}

/**
 * - `refused`: `enforce` makes a message wait for an MX host that proves what it must
 * - `dane`: senders with DANE refuse already, whatever the mode
 * - `not-refused`: the sender could not fetch the policy, and no message waits for that
 */
export type FailureWeight = 'refused' | 'dane' | 'not-refused'

/** Sessions that failed alike. Texts are as they were sent: escape them before you show them. */
export interface FailureGroup {
  /** Result type of RFC 8460 §4.3 */
  resultType: string
  /** Lower case; undefined where the report does not say */
  mxHost: string | undefined
  /** `failure-reason-code` */
  reason: string | undefined
  /** Whether `enforce` would turn it into refused mail */
  weight: FailureWeight
  /** Sessions that failed so */
  sessions: number
  /** How many senders reported it */
  senders: number
  /** First day on which it was reported */
  firstDay: Day
  /** Last day on which it was reported */
  lastDay: Day
  /** What to do, in one sentence */
  advice: string
}

/**
 * Events on `node:diagnostics_channel`, for reports and metrics. A channel without subscribers
 * costs nothing.
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('mta-sts:session', (event) => console.log(event))
 *
 * @module
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import type { TlsFailure } from './tls/failures.js'

/** The policy that applied, in the terms of RFC 8460 §4.4. */
export interface AppliedPolicy {
  /** `policy-type` of RFC 8460 §4.4 */
  type: 'sts' | 'tlsa' | 'no-policy-found'
  /** The Policy Domain; of type `tlsa` the TLSA base domain */
  domain: string
  /** Mode of the policy; `none` without a policy */
  mode: 'enforce' | 'testing' | 'none'
  /** Id of the policy; omitted without a policy */
  id?: string
  /** The policy file's `mx` patterns */
  mxHosts: readonly string[]
  /** The text of the policy file; of type `tlsa` the records, one on each line */
  body?: string
}

/** One of several policies that applied to a session, with its failure. */
export interface AppliedResult {
  /** The policy that was judged */
  policy: AppliedPolicy
  /** undefined: the session met its demands */
  failure?: TlsFailure
}

/**
 * One connection to an MX host that reached STARTTLS, or should have; or a host that was not
 * connected to, because the policy does not name it.
 */
export interface SessionEvent {
  /** The policy of the session */
  policy: AppliedPolicy
  /** The name in the MX record */
  mxHost: string
  /** undefined: no connection was made */
  address?: string
  /** The local address of the connection, as text */
  localAddress?: string
  /** The MX host's own name in its greeting */
  helo?: string
  /** undefined: the session met the demands of the policy */
  failure?: TlsFailure
  /**
   * Where DANE applied: each policy of the session with its own failure, in place of `policy` and
   * `failure` (RFC 8460 §4.4)
   */
  applied?: readonly AppliedResult[]
}

/** A policy could not be fetched or renewed. */
export interface PolicyFailureEvent {
  /** A-labels, lower case */
  policyDomain: string
  /** The policy that still applies */
  policy: AppliedPolicy
  /** The failure: an `sts-` result type of RFC 8460 §4.3 */
  failure: TlsFailure
}

/** The end of a delivery to one Policy Domain, after its hosts were looked up. */
export interface DeliveryEvent {
  /** The last policy of the delivery */
  policy: AppliedPolicy
  /** `refused`: no MX host proved what it had to; `failed`: any other error */
  outcome: 'delivered' | 'refused' | 'failed'
  /** The MX host that accepted the message, or the last one tried */
  mxHost?: string
  /** All failures in order, tolerated ones included */
  failures: readonly TlsFailure[]
}

/** The counts of a pass over the cached policies. */
export interface RefreshEvent {
  /** Policies examined */
  checked: number
  /** Fetched again without a change */
  renewed: number
  /** Fetched again with another id or text */
  changed: number
  /** Not fetched; the cached policies still apply */
  failed: number
  /** Expired and dropped */
  dropped: number
}

/** A failed operation of a store; the cache in memory goes on alone. */
export interface StoreFailureEvent {
  /** The operation: `get`, `set`; of a report store, `tlsrpt add`, `tlsrpt send` */
  operation: string
  /** The store's error, or the error for a missing answer */
  error: unknown
}

/** DANE is enabled but cannot work: no answer of the DNS resolver is ever secure. */
export interface DaneEvent {
  /** The resolver gives no trusted AD bit, not even for the root */
  problem: 'resolver-does-not-validate'
}

/** The outcomes of a run over the TLS reports that were due. */
export interface TlsReportsEvent {
  /** Every destination has it */
  sent: number
  /** A destination could not be reached; it is tried again later */
  postponed: number
  /** It could not be delivered within 24 hours, and is not tried again */
  abandoned: number
  /** The domain wants no reports, or nothing failed and only failures are reported */
  unwanted: number
  /** Each report, but the first 10,000 only */
  reports: readonly TlsReportOutcome[]
}

/** The outcome of one TLS report. */
export interface TlsReportOutcome {
  /** The first part of its `report-id` */
  id: string
  /** The UTC day of the report */
  day: string
  /** The Policy Domain of the report */
  domain: string
  /** Its outcome */
  outcome: 'sent' | 'postponed' | 'abandoned' | 'unwanted'
  /** The reason why it was postponed or abandoned */
  error?: Error
  /** The time of the next attempt */
  nextAttemptAt?: Date
}

/** The channels of `node:diagnostics_channel` by name, with their events. */
export interface EventMap {
  /** For each connection, and each MX host that was refused because of its name */
  'mta-sts:session': SessionEvent
  /** For each policy that could not be fetched or renewed */
  'mta-sts:policy-failure': PolicyFailureEvent
  /** For each domain of a message */
  'mta-sts:delivery': DeliveryEvent
  /** For each pass of `MtaSts.refresh()` */
  'mta-sts:refresh': RefreshEvent
  /** For each failure of a store; for policy stores at most once a minute */
  'mta-sts:store-failure': StoreFailureEvent
  /** Once for each `dane()` whose resolver does not validate */
  'mta-sts:dane': DaneEvent
  /** For each run of `TlsReporter.sendReports()`, and each automatic one */
  'mta-sts:tlsrpt': TlsReportsEvent
}

/** The name of a channel. */
export type EventName = keyof EventMap

/**
 * Kept in memory: Node keeps channels weakly, and a channel that was collected and created again
 * can lose its subscribers to the late finalizer of the first.
 */
const CHANNELS: ReadonlyMap<EventName, Channel> = new Map(
  (
    [
      'mta-sts:session',
      'mta-sts:policy-failure',
      'mta-sts:delivery',
      'mta-sts:refresh',
      'mta-sts:store-failure',
      'mta-sts:dane',
      'mta-sts:tlsrpt',
    ] as const
  ).map((name) => [name, channel(name)]),
)

/** Publishes the result of `describe`, which is called only if the channel has subscribers. */
export function publish<K extends EventName>(name: K, describe: () => EventMap[K]): void {
  const target = CHANNELS.get(name)
  if (target?.hasSubscribers) target.publish(describe())
}

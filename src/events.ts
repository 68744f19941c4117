/**
 * What happens is published on `node:diagnostics_channel`; reports and metrics listen there, and
 * a channel that nobody listens to costs nothing.
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('mta-sts:session', (event) => console.log(event))
 *
 * @module
 */
import { type Channel, channel } from 'node:diagnostics_channel'
import type { TlsFailure } from './tls/failures.js'

/** The policy under which something happened, in the terms of RFC 8460 §4.4. */
export interface AppliedPolicy {
  /** `policy-type` of RFC 8460 §4.4 */
  type: 'sts' | 'tlsa' | 'no-policy-found'
  /** The Policy Domain; of type `tlsa` the TLSA base domain */
  domain: string
  /** Of the policy; `none` where there is no policy */
  mode: 'enforce' | 'testing' | 'none'
  /** The policy id; left out where there is no policy */
  id?: string
  /** The policy file's `mx` patterns */
  mxHosts: readonly string[]
  /** The policy file as it was fetched; of type `tlsa` the records, one a line */
  body?: string
}

/** One of several policies that a session was held to, and what it failed to meet of it. */
export interface AppliedResult {
  /** The policy that was judged */
  policy: AppliedPolicy
  /** undefined: the session met what it asks for */
  failure?: TlsFailure
}

/**
 * One connection to an MX host that got as far as STARTTLS, or should have; or the lack of one,
 * because the policy does not name the host.
 */
export interface SessionEvent {
  /** What the session was held to */
  policy: AppliedPolicy
  /** The name in the MX record */
  mxHost: string
  /** undefined: no connection was made */
  address?: string
  /** The address that the connection was made from, as text */
  localAddress?: string
  /** What the MX host called itself in its greeting */
  helo?: string
  /** undefined: the session met what the policy asks for */
  failure?: TlsFailure
  /**
   * Where DANE applied: each policy that the session was held to, with its own failure, in place of
   * `policy` and `failure` (RFC 8460 §4.4)
   */
  applied?: readonly AppliedResult[]
}

/** A policy could not be found out about, or renewed. */
export interface PolicyFailureEvent {
  /** A-labels, lower case */
  policyDomain: string
  /** What applies all the same */
  policy: AppliedPolicy
  /** Why: an `sts-` result type of RFC 8460 §4.3 */
  failure: TlsFailure
}

/** A delivery to one Policy Domain came to its end, once it was known which hosts there are. */
export interface DeliveryEvent {
  /** What the delivery was held to in the end */
  policy: AppliedPolicy
  /** `refused`: no MX host proved what it had to; `failed`: any other error */
  outcome: 'delivered' | 'refused' | 'failed'
  /** The MX host that took the message, or the last that was tried */
  mxHost?: string
  /** What went wrong on the way, in order; also what was let pass */
  failures: readonly TlsFailure[]
}

/** A pass over the cached policies: how many there were, and what became of them. */
export interface RefreshEvent {
  /** Policies that were looked at */
  checked: number
  /** Fetched anew, and the same as before */
  renewed: number
  /** Fetched anew, and another id or another text */
  changed: number
  /** Not to be had; what is held goes on applying */
  failed: number
  /** Expired, and forgotten */
  dropped: number
}

/** A policy store did not do what it was asked for; memory goes on alone. */
export interface StoreFailureEvent {
  /** What the store was to do: `get`, `set`; of a report store, `tlsrpt add`, `tlsrpt send` */
  operation: string
  /** What it rejected with, or that it did not answer in time */
  error: unknown
}

/** DANE is turned on and cannot work: no answer of the DNS resolver is ever secure. */
export interface DaneEvent {
  /** The resolver gives no AD bit that can be trusted, not even for the root */
  problem: 'resolver-does-not-validate'
}

/** A run over the TLS reports that were due: how many, and what became of each. */
export interface TlsReportsEvent {
  /** Every destination has it */
  sent: number
  /** A destination could not be reached; it is tried again later */
  postponed: number
  /** It could not be delivered within 24 hours, and is not tried again */
  abandoned: number
  /** The domain does not ask for reports, or nothing failed and only failures are reported */
  unwanted: number
  /** Each report, but the first 10,000 only */
  reports: readonly TlsReportOutcome[]
}

/** What became of one TLS report. */
export interface TlsReportOutcome {
  /** The first part of its `report-id` */
  id: string
  /** The UTC day that it is about */
  day: string
  /** The Policy Domain that it is about */
  domain: string
  /** What became of it */
  outcome: 'sent' | 'postponed' | 'abandoned' | 'unwanted'
  /** Why it was postponed or abandoned */
  error?: Error
  /** When it is tried again */
  nextAttemptAt?: Date
}

/** The channels of `node:diagnostics_channel` by name, and what is published on each. */
export interface EventMap {
  /** For each connection, and each MX host that was not connected to for its name */
  'mta-sts:session': SessionEvent
  /** When a policy could not be found out about or renewed */
  'mta-sts:policy-failure': PolicyFailureEvent
  /** For each domain of a message */
  'mta-sts:delivery': DeliveryEvent
  /** For each pass of `MtaSts.refresh()` */
  'mta-sts:refresh': RefreshEvent
  /** When a store failed; of policy stores once a minute at most */
  'mta-sts:store-failure': StoreFailureEvent
  /** Once for each `dane()` whose resolver does not validate */
  'mta-sts:dane': DaneEvent
  /** For each run of `TlsReporter.sendReports()`, and each automatic one */
  'mta-sts:tlsrpt': TlsReportsEvent
}

/** The name of a channel. */
export type EventName = keyof EventMap

/**
 * Held for good: Node keeps channels weakly, and one that was collected and made anew can lose its
 * subscribers to the late finalizer of the first.
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

/** Publishes what `describe` returns, which is called only when somebody listens. */
export function publish<K extends EventName>(name: K, describe: () => EventMap[K]): void {
  const target = CHANNELS.get(name)
  if (target?.hasSubscribers) target.publish(describe())
}

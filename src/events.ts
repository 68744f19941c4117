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
import type { TlsFailure } from './errors.js'

/** The policy under which something happened, in the terms of RFC 8460 §4.4. */
export interface AppliedPolicy {
  type: 'sts' | 'no-policy-found'
  /** The Policy Domain */
  domain: string
  mode: 'enforce' | 'testing' | 'none'
  id?: string
  /** The policy file's `mx` patterns */
  mxHosts: readonly string[]
  /** The policy file as it was fetched */
  body?: string
}

/**
 * One connection to an MX host that got as far as STARTTLS, or should have; or the lack of one,
 * because the policy does not name the host.
 */
export interface SessionEvent {
  policy: AppliedPolicy
  mxHost: string
  /** undefined: no connection was made */
  address?: string
  localAddress?: string
  /** What the MX host called itself in its greeting */
  helo?: string
  /** undefined: the session met what the policy asks for */
  failure?: TlsFailure
}

/** A policy could not be found out about, or renewed. */
export interface PolicyFailureEvent {
  policyDomain: string
  /** What applies all the same */
  policy: AppliedPolicy
  failure: TlsFailure
}

/** A delivery to one Policy Domain came to its end, once it was known which hosts there are. */
export interface DeliveryEvent {
  policy: AppliedPolicy
  outcome: 'delivered' | 'refused' | 'failed'
  mxHost?: string
  failures: readonly TlsFailure[]
}

export interface RefreshEvent {
  checked: number
  renewed: number
  changed: number
  failed: number
  dropped: number
}

/** A policy store did not do what it was asked for; memory goes on alone. */
export interface StoreFailureEvent {
  operation: string
  error: unknown
}

export interface EventMap {
  'mta-sts:session': SessionEvent
  'mta-sts:policy-failure': PolicyFailureEvent
  'mta-sts:delivery': DeliveryEvent
  'mta-sts:refresh': RefreshEvent
  'mta-sts:store-failure': StoreFailureEvent
}

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
    ] as const
  ).map((name) => [name, channel(name)]),
)

/** Publishes what `describe` returns, which is called only when somebody listens. */
export function publish<K extends EventName>(name: K, describe: () => EventMap[K]): void {
  const target = CHANNELS.get(name)
  if (target?.hasSubscribers) target.publish(describe())
}

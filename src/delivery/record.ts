/**
 * The record of one delivery: begun before the first lookup, closed once, and the only source of
 * events, `info.deliveries`, `error.deliveries`, refusals and logs.
 *
 * @module
 */
import { AsyncResource } from 'node:async_hooks'
import { type AppliedPolicy, publish } from '../events.js'
import { appliedPolicy, noPolicy, type PolicyLookup } from '../policy/lookup.js'
import type { SessionReport, SmtpConnection } from '../smtp/connection.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Proved } from '../tls/security.js'
import { appliedPolicies, type SessionOutcome } from './applied-policies.js'
import type { Destination } from './destination.js'
import { DeliveryRefusedError } from './errors.js'

/** The course and the outcome of a delivery to one destination. */
export interface DeliverySummary {
  /** A-labels, lower case; or an address literal */
  policyDomain: string
  /** `refused`: no host proved what it had to; `failed`: any other error */
  status: 'delivered' | 'refused' | 'failed'
  /** Mode of the policy; `none` also without a policy */
  mode: 'enforce' | 'testing' | 'none'
  /** Id of the policy; omitted without one */
  policyId?: string
  /** The MX host that accepted the message, or the last one tried */
  mxHost?: string
  /** The connected address, as text */
  address?: string
  /** false: plaintext, or no connection at all */
  tls?: false | { version: string; cipher: string }
  /** The proof that the host gave before MAIL FROM; `dane` also where it gave both */
  proved: 'nothing' | 'sts' | 'dane'
  /** Every proof, where the host gave more than one */
  proofs?: Proved
  /** All failures of the delivery, in order, those that did not stop it included */
  failures: readonly TlsFailure[]
  /** The failure to fetch or renew the policy; a cached policy still applies */
  policyFailure?: TlsFailure
}

/** The known facts of the connection. */
export interface ConnectionFacts {
  mxHost: string
  address?: string
  tls?: false | { version: string; cipher: string }
  proved?: Proved
}

/** Records one delivery. */
export class DeliveryRecord {
  readonly destination: Destination
  /** In order of occurrence */
  readonly failures: TlsFailure[] = []
  /** Errors of the plan that do not concern TLS, in order of occurrence */
  readonly errors: unknown[] = []
  /** Number of the plan's hosts that did not prove what they had to */
  refusals = 0
  #lookup: PolicyLookup | undefined
  #facts: ConnectionFacts | undefined
  #status: DeliverySummary['status'] | undefined
  /** A pool may open the connection while it serves another message */
  readonly #context = new AsyncResource('mta-sts:delivery')

  constructor(destination: Destination) {
    this.destination = destination
  }

  /** Begins a plan under this policy; failures of earlier plans remain recorded. */
  begin(lookup: PolicyLookup): void {
    this.#lookup = lookup
    this.refusals = 0
    this.errors.length = 0
  }

  get lookup(): PolicyLookup {
    return this.#lookup ?? noPolicy('dns-failure')
  }

  /** The policy in the terms of RFC 8460 §4.4. */
  get policy(): AppliedPolicy {
    return appliedPolicy(this.destination.name, this.lookup)
  }

  /** A key that distinguishes the policy of this delivery from others. */
  get policyKey(): string {
    const { name } = this.destination
    return this.lookup.status === 'found' ? `${name} ${this.lookup.id}` : name
  }

  /** Records a failure, whether or not it ends the attempt. */
  note(failure: TlsFailure): void {
    this.failures.push(failure)
  }

  /** Records the host of the current attempt. */
  trying(mxHost: string): void {
    this.#facts = { mxHost }
  }

  /** Records the connection that carries the message. */
  connected({ mxHost, address, tls, proved }: SmtpConnection): void {
    this.#facts = { mxHost, address, tls, proved }
  }

  /** Publishes a session, or its absence because of a policy. */
  session(
    mxHost: string,
    report: Partial<SessionReport>,
    { security, judgement }: Partial<Omit<SessionOutcome, 'failure'>> = {},
  ): void {
    this.#context.runInAsyncScope(publish, undefined, 'mta-sts:session', () => {
      const { policy } = this
      const outcome = { security, judgement, failure: report.failure }
      const applied = appliedPolicies(policy, outcome)
      return { policy, mxHost, ...report, ...(applied ? { applied } : {}) }
    })
  }

  /** Closes the record of an accepted message. */
  succeed(): void {
    this.#close('delivered')
  }

  /** Closes the record of a delivery that failed with this error. */
  fail(error: unknown): void {
    this.#close(error instanceof DeliveryRefusedError ? 'refused' : 'failed')
  }

  /** Publishes the record; it is closed only once. */
  #close(status: DeliverySummary['status']): void {
    if (this.#status !== undefined) return
    this.#status = status
    publish('mta-sts:delivery', () => {
      const { status: outcome, mxHost, failures } = this.summary()
      return {
        policy: this.policy,
        outcome,
        failures,
        ...(mxHost === undefined ? {} : { mxHost }),
      }
    })
  }

  /** Returns a copy of the record's current state. */
  summary(): DeliverySummary {
    const { lookup } = this
    const found = lookup.status === 'found' ? lookup : undefined
    const { proved = [], ...facts } = this.#facts ?? {}
    return {
      policyDomain: this.destination.name,
      status: this.#status ?? 'failed',
      mode: found?.policy.mode ?? 'none',
      ...(found === undefined ? {} : { policyId: found.id }),
      tls: false,
      ...facts,
      proved: provedWord(proved),
      ...(proved.length > 1 ? { proofs: proved } : {}),
      failures: [...this.failures],
      ...(lookup.failure === undefined ? {} : { policyFailure: lookup.failure }),
    }
  }
}

function provedWord(proved: Proved): DeliverySummary['proved'] {
  if (proved.includes('dane')) return 'dane'
  return proved.includes('sts') ? 'sts' : 'nothing'
}

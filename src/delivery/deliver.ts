/**
 * The control flow of RFC 8461 §5.1 round somebody's own attempt at a candidate: those that fail
 * are followed by the next; before a delivery is refused, the domain is asked for a new policy.
 *
 * @module
 */

import { type AppliedPolicy, publish } from '../events.js'
import { appliedPolicy, type PolicyLookup } from '../policy/lookup.js'
import { escapeRemoteText } from '../text.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { failedHandshake, isCertificateError } from '../tls/verdict.js'
import { DeliveryRefusedError, RoutingError } from './errors.js'
import type { Candidate, DeliveryPlan } from './plan.js'

/** What an attempt may want to know, and to say. */
export interface DeliveryContext {
  /** What the candidate is part of; after a new policy was learnt on the way, the new plan */
  readonly plan: DeliveryPlan
  /** What went wrong so far, in order */
  readonly failures: readonly TlsFailure[]
  /** Puts down a failure that does not stop the attempt: mode `testing` */
  note(failure: TlsFailure): void
  /** Ends the delivery with this error; no other candidate is tried */
  stop(error: unknown): never
}

/**
 * Tries to hand the message to one candidate. It resolves when the host has taken it, and rejects
 * - with a {@link TlsFailureError}, or an error of `tls.connect` about the certificate, when the
 *   host did not prove what it had to: the next candidate is tried;
 * - with an error whose `permanent` is true or whose `responseCode` is 500 or more when the host
 *   said a final no: no other candidate is tried;
 * - with anything else when it did not work out: the next candidate is tried.
 */
export type Attempt<T> = (candidate: Candidate, context: DeliveryContext) => Promise<T>

export interface DeliverySteps {
  plan(): Promise<DeliveryPlan>
  /** Another look at the TXT record */
  lookAgain(): Promise<PolicyLookup>
  /** Ends the delivery between two steps */
  signal?: AbortSignal | undefined
}

class Stop extends Error {
  readonly error: unknown
  constructor(error: unknown) {
    super('stop')
    this.error = error
  }
}

/** One run through the candidates of a plan. */
class Round<T> implements DeliveryContext {
  readonly plan: DeliveryPlan
  readonly failures: TlsFailure[]
  /** Errors that say nothing about security */
  readonly errors: unknown[] = []
  refusals: number
  /** The last that was tried */
  mxHost: string | undefined

  constructor(plan: DeliveryPlan, before: readonly TlsFailure[] = []) {
    this.plan = plan
    this.failures = [...before, ...plan.refused]
    this.refusals = plan.refused.filter(isRefusal).length
  }

  note(failure: TlsFailure): void {
    this.failures.push(failure)
  }

  stop(error: unknown): never {
    throw new Stop(error)
  }

  /** Resolves to what the first attempt that succeeds resolves to; undefined when none does. */
  async run(
    attempt: Attempt<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ value: T } | undefined> {
    for (const failure of this.plan.refused.filter(isMismatch)) this.#publishRefusal(failure)
    for (const candidate of this.plan.candidates) {
      signal?.throwIfAborted()
      this.mxHost = candidate.mxHost
      if (candidate.failure) this.note(candidate.failure)
      try {
        const value = await attempt(candidate, this)
        this.publish('delivered')
        return { value }
      } catch (error) {
        signal?.throwIfAborted()
        this.#putDown(error, candidate)
      }
    }
    return undefined
  }

  /** How it ended, for whoever listens. */
  publish(outcome: 'delivered' | 'refused' | 'failed'): void {
    const { mxHost, failures } = this
    publish('mta-sts:delivery', () => ({
      policy: this.#policy(),
      outcome,
      failures,
      ...(mxHost === undefined ? {} : { mxHost }),
    }))
  }

  /** A session that was not even begun is one that failed (RFC 8460 §4.3). */
  #publishRefusal(failure: TlsFailure): void {
    const { mxHost = '' } = failure
    publish('mta-sts:session', () => ({ policy: this.#policy(), mxHost, failure }))
  }

  #policy(): AppliedPolicy {
    return appliedPolicy(this.plan.policyDomain, this.plan.lookup)
  }

  #putDown(error: unknown, candidate: Candidate): void {
    if (error instanceof Stop) throw error.error
    const failure = failureOf(error, candidate)
    if (failure) {
      this.refusals++
      this.note({ mxHost: candidate.mxHost, ...failure })
      return
    }
    if (isFinal(error)) throw error
    this.errors.push(error)
  }
}

/**
 * @throws DeliveryRefusedError when a host was refused and none has taken the message
 * @throws RoutingError when there is no host to deliver to
 * @throws what an attempt rejected with, when it was final or nothing else is left
 * @throws the signal's reason when it is aborted
 */
export async function deliver<T>(steps: DeliverySteps, attempt: Attempt<T>): Promise<T> {
  const { signal } = steps
  let round = new Round<T>(await abortable(steps.plan(), signal))
  try {
    let delivered = await round.run(attempt, signal)
    if (!delivered && round.refusals > 0 && (await hasNewPolicy(steps, round.plan))) {
      round = new Round<T>(await abortable(steps.plan(), signal), round.failures)
      delivered = await round.run(attempt, signal)
    }
    if (delivered) return delivered.value
    throw endOf(round)
  } catch (error) {
    round.publish(error instanceof DeliveryRefusedError ? 'refused' : 'failed')
    throw error
  }
}

/** Stops waiting when the signal is aborted; others may wait for the same flight. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** RFC 8461 §5.1: has the id changed, and can the new policy be had? */
async function hasNewPolicy(steps: DeliverySteps, { lookup }: DeliveryPlan): Promise<boolean> {
  if (lookup.status === 'none') return false
  const again = await abortable(steps.lookAgain(), steps.signal)
  return again.status === 'found' && again.id !== lookup.id
}

function endOf({ plan, failures, refusals, errors }: Round<unknown>): unknown {
  const { policyDomain, lookup } = plan
  if (refusals > 0) {
    const found = lookup.status === 'found' ? lookup : undefined
    return new DeliveryRefusedError({
      policyDomain,
      mode: found?.policy.mode ?? 'none',
      policyId: found?.id,
      failures,
      cause: errors.at(-1) ?? failures.at(-1)?.cause,
    })
  }
  if (errors.length > 0) return errors.at(-1)
  const why = failures.map(({ mxHost = '', reason }) => `${escapeRemoteText(mxHost)}: ${reason}`)
  return new RoutingError(
    `No MX host of ${policyDomain} can be contacted (${why.join('; ')}). Try again later.`,
    { code: 'EDNS', permanent: false, policyDomain, cause: failures.at(-1)?.cause },
  )
}

/** A host that could not be looked up was not refused: it may be there tomorrow, as it is. */
function isRefusal(failure: TlsFailure): boolean {
  return isMismatch(failure) || failure.reason === 'requiretls-without-policy'
}

/** The one failure of the domain's own that needs no connection. */
function isMismatch({ reason }: TlsFailure): boolean {
  return reason === 'mx-mismatch'
}

/** The failure that an attempt's error stands for, if it is one of what the host had to prove. */
function failureOf(error: unknown, { security }: Candidate): TlsFailure | undefined {
  if (error instanceof TlsFailureError) return error.failure
  if (security.level === 'opportunistic') return undefined
  if (isCertificateError(error)) return failedHandshake(error)
  // Whatever the reply to STARTTLS was, a stripping attacker may have sent it (D6)
  if (commandOf(error) === 'STARTTLS') {
    return { resultType: 'starttls-not-supported', reason: 'refused', cause: error }
  }
  return undefined
}

/** A reply of 5yz to MAIL, RCPT or DATA is the receiver's own answer; any MX host would give it. */
function isFinal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || BEFORE_MAIL.has(commandOf(error))) return false
  if ('permanent' in error && typeof error.permanent === 'boolean') return error.permanent
  return 'responseCode' in error && Number(error.responseCode) >= 500
}

/** Replies that anybody in between may have sent (D6); `CONN` is Nodemailer's word for the greeting. */
const BEFORE_MAIL: ReadonlySet<unknown> = new Set(['CONN', 'EHLO', 'HELO', 'STARTTLS'])

function commandOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'command' in error && error.command
}

/**
 * Tries the candidates of one plan in turn, until one has accepted the message.
 *
 * @module
 */
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { isFinalError, isRefusedStartTls } from '../smtp/error-meaning.js'
import { SmtpUtf8RequiredError } from '../smtp/errors.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { failedHandshake, isCertificateError } from '../tls/verdict.js'
import { isOfDane } from './applied-policies.js'
import type { Attempt, CandidateChanges, DeliveryContext } from './attempt.js'
import type { Candidate } from './candidate.js'
import { PolicyChangedError } from './errors.js'
import type { DeliveryPlan } from './plan.js'
import type { DeliveryRecord } from './record.js'

/** The steps with a candidate that the caller carries out. */
export interface CandidateSteps {
  /** Whether memory still has the plan's policy */
  isCurrent(plan: DeliveryPlan): boolean
  /** Connects to a candidate within the remaining time of the delivery */
  open(
    candidate: Candidate,
    options: OpenOptions | undefined,
    changes: CandidateChanges | undefined,
  ): Promise<SmtpConnection>
  /**
   * Counts a session of an earlier delivery under this delivery's policy, if that is another one.
   * Throws unless the connection has proved what the candidate must
   */
  reuse(connection: SmtpConnection, candidate: Candidate): void
  /** Each message goes with REQUIRETLS (RFC 8689 §2) */
  requireTls?: boolean
  /** Ends the delivery between two steps */
  signal?: AbortSignal | undefined
}

/** `changed`: the policy is no longer that of the plan. */
export type LoopEnd<T> =
  | { kind: 'delivered'; value: T }
  | { kind: 'exhausted' }
  | { kind: 'changed' }

/** Tries the candidates of one plan in the order of MX preference. */
export class CandidateLoop<T> implements DeliveryContext {
  readonly plan: DeliveryPlan
  readonly #steps: CandidateSteps
  readonly #record: DeliveryRecord
  #candidate: Candidate | undefined

  constructor(plan: DeliveryPlan, steps: CandidateSteps, record: DeliveryRecord) {
    this.plan = plan
    this.#steps = steps
    this.#record = record
  }

  /** Tries the candidates, and returns how that ended. */
  async run(attempt: Attempt<T>): Promise<LoopEnd<T>> {
    this.#recordRefused()
    const { signal } = this.#steps
    for (const candidate of this.plan.candidates) {
      signal?.throwIfAborted()
      if (this.outdated) return { kind: 'changed' }
      this.#candidate = candidate
      this.#record.trying(candidate.mxHost)
      if (candidate.failure) this.note(candidate.failure)
      try {
        return { kind: 'delivered', value: await attempt(candidate, this) }
      } catch (error) {
        signal?.throwIfAborted()
        if (error instanceof PolicyChangedError) return { kind: 'changed' }
        this.#recordError(error, candidate)
      }
    }
    return { kind: 'exhausted' }
  }

  /**
   * Records the hosts that are not candidates. One outside the policy is a failed session (RFC 8460
   * §4.3).
   */
  #recordRefused(): void {
    for (const failure of this.plan.refused) {
      this.note(failure)
      if (isRefusal(failure)) this.#record.refusals++
      if (isMismatch(failure) || isOfDane(failure)) {
        this.#record.session(failure.mxHost ?? '', { failure })
      }
    }
  }

  /** Records the error of an attempt after which the next candidate is tried; throws others. */
  #recordError(error: unknown, candidate: Candidate): void {
    if (error instanceof Stop) throw error.error
    const failure = failureOf(error, candidate)
    if (failure) {
      this.#record.refusals++
      this.note({ mxHost: candidate.mxHost, ...failure })
      return
    }
    // The next host may offer SMTPUTF8
    const mayBeOffered = error instanceof SmtpUtf8RequiredError
    if (isFinalError(error) && !mayBeOffered) throw error
    this.#record.errors.push(error)
  }

  get failures(): readonly TlsFailure[] {
    return this.#record.failures
  }

  note(failure: TlsFailure): void {
    this.#record.note(failure)
  }

  stop(error: unknown): never {
    throw new Stop(error)
  }

  get outdated(): boolean {
    try {
      return !this.#steps.isCurrent(this.plan)
    } catch {
      // The object is closed
      return true
    }
  }

  assertCurrent(): void {
    if (!this.#steps.isCurrent(this.plan)) throw new PolicyChangedError(this.plan.policyDomain)
  }

  async open(options?: OpenOptions, changes?: CandidateChanges): Promise<SmtpConnection> {
    if (!this.#candidate) throw new TypeError('open() belongs to an attempt that is under way')
    this.assertCurrent()
    const connection = await this.#steps.open(this.#candidate, options, changes)
    for (const failure of connection.failures) this.note(failure)
    if (this.outdated) {
      connection.close()
      this.assertCurrent()
    }
    return this.#take(connection)
  }

  use(connection: SmtpConnection): void {
    if (!this.#candidate) throw new TypeError('use() belongs to an attempt that is under way')
    this.assertCurrent()
    this.#steps.reuse(connection, this.#candidate)
    for (const failure of connection.failures) this.note(failure)
    this.#take(connection)
  }

  /** Has the plan checked after each wait of a message that is sent on the connection. */
  #take(connection: SmtpConnection): SmtpConnection {
    connection.checkBy(() => this.assertCurrent(), this.#steps.requireTls)
    this.#record.connected(connection)
    return connection
  }
}

/**
 * Returns the failure in an attempt's error, if it is about the proof that the host had to give.
 */
function failureOf(error: unknown, { security }: Candidate): TlsFailure | undefined {
  if (error instanceof TlsFailureError) return error.failure
  if (security.level === 'opportunistic') return undefined
  if (isCertificateError(error)) return failedHandshake(error)
  // A stripping attacker may have sent any reply to STARTTLS
  if (isRefusedStartTls(error)) {
    return { resultType: 'starttls-not-supported', reason: 'refused', cause: error }
  }
  return undefined
}

/** Whether a failure refuses a host. A failed lookup does not: it may succeed later. */
function isRefusal(failure: TlsFailure): boolean {
  return (
    isMismatch(failure) || REFUSALS.has(failure.reason) || failure.resultType === 'dane-required'
  )
}

/** Reasons for which a host is refused before a connection to it. */
const REFUSALS: ReadonlySet<TlsFailure['reason']> = new Set([
  'requiretls-without-policy',
  'tlsa-lookup-failed',
  'dnssec-bogus',
])

/** Whether a host is outside the policy, which needs no connection to find out. */
export function isMismatch({ reason }: TlsFailure): boolean {
  return reason === 'mx-mismatch'
}

/** Ends a delivery with an error that the attempt chose. */
class Stop extends Error {
  readonly error: unknown
  constructor(error: unknown) {
    super('stop')
    this.error = error
  }
}

/**
 * The control flow of RFC 8461 §5.1 around an attempt at a candidate: a candidate that fails is
 * followed by the next one; before a delivery is refused, the domain is asked for a new policy.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import type { Connect } from '../net/connect.js'
import { unlessAborted } from '../net/deadline.js'
import type { PolicyLookup } from '../policy/lookup.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { isFinalError, isRefusedStartTls, SmtpUtf8RequiredError } from '../smtp/reply.js'
import { escapeRemoteText } from '../text.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { failedHandshake, isCertificateError } from '../tls/verdict.js'
import { isOfDane } from './applied-policies.js'
import { DeliveryRefusedError, RoutingError } from './errors.js'
import type { Candidate, DeliveryPlan } from './plan.js'
import type { DeliveryRecord } from './record.js'

/** The access of an attempt to its delivery: the plan, the records, connections. */
export interface DeliveryContext {
  /** The plan that the candidate belongs to; another one after a new policy was learnt */
  readonly plan: DeliveryPlan
  /** The failures so far, in order */
  readonly failures: readonly TlsFailure[]
  /** Records a failure that does not stop the attempt: mode `testing` */
  note(failure: TlsFailure): void
  /** Ends the delivery with this error; no other candidate is tried */
  stop(error: unknown): never
  /**
   * Connects to the candidate: TCP to each address in turn, greeting, EHLO, STARTTLS, verdict, EHLO.
   * Publishes the session. The connection has proved what it must, and the plan is still current.
   *
   * @throws TlsFailureError when the host did not prove what it must
   * @throws an error with `code` ECONNECTION, ETIMEDOUT or EPROTOCOL when it cannot be reached
   */
  open(options?: OpenOptions, changes?: CandidateChanges): Promise<SmtpConnection>
  /**
   * Records a connection that was opened for an earlier message as the one that this message is
   * sent on.
   *
   * @throws as {@link assertCurrent} does
   */
  use(connection: SmtpConnection): void
  /**
   * Throws unless the plan is still what the domain's policy asks for. Call it after every wait,
   * at the latest before MAIL FROM, and let the error pass: `deliver` then plans anew.
   */
  assertCurrent(): void
  /** Whether {@link assertCurrent} would throw. */
  readonly outdated: boolean
}

/** Settings of a smart host's configuration that replace those of the plan. */
export interface CandidateChanges
  extends Partial<Pick<Candidate, 'addresses' | 'port' | 'tls' | 'security'>> {
  /** TLS begins before the greeting: port 465 */
  implicitTls?: boolean
  /** Opens the TCP connection: a proxy */
  connect?: Connect
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

/** The steps of a delivery that are carried out elsewhere. */
export interface DeliverySteps {
  plan(): Promise<DeliveryPlan>
  /** Another look at the TXT record; with `mismatch`, at the policy file too, whatever the id */
  lookAgain(options: { mismatch: boolean }): Promise<PolicyLookup>
  /** Whether memory knows no other policy than the plan's */
  isCurrent(plan: DeliveryPlan): boolean
  /** Connects to a candidate within what is left of the delivery's time */
  open(
    candidate: Candidate,
    options: OpenOptions | undefined,
    changes: CandidateChanges | undefined,
  ): Promise<SmtpConnection>
  /** Counts a session of an earlier delivery under the policy of this one, where they differ */
  reuse(connection: SmtpConnection): void
  /** Ends the delivery between two steps */
  signal?: AbortSignal | undefined
}

/** Ends a delivery with an error of the attempt's choice. */
class Stop extends Error {
  readonly error: unknown
  constructor(error: unknown) {
    super('stop')
    this.error = error
  }
}

/** The policy has changed since the plan was made. Temporary: `deliver` plans anew. */
class PolicyChangedError extends MtaStsError {
  readonly permanent: false
  constructor(policyDomain: string) {
    super(
      `The MTA-STS policy of ${escapeRemoteText(policyDomain)} has changed. Try again.`,
      'EPOLICYCHANGED',
    )
    this.permanent = false
  }
}

/** A policy that changes more often than this during one delivery ends it, temporarily. */
const MAX_PLANS = 5

/**
 * Delivers to the first candidate whose attempt succeeds.
 *
 * @throws DeliveryRefusedError when a host was refused and none has taken the message
 * @throws RoutingError when there is no host to deliver to
 * @throws the attempt's error, when it was final or nothing else is left
 * @throws the signal's reason when it is aborted
 */
export async function deliver<T>(
  steps: DeliverySteps,
  record: DeliveryRecord,
  attempt: Attempt<T>,
): Promise<T> {
  try {
    const value = await throughPlans(steps, record, attempt)
    record.succeed()
    return value
  } catch (error) {
    record.fail(error)
    throw error
  }
}

/** Plans until one plan leads to the end: delivered, refused or failed. */
async function throughPlans<T>(
  steps: DeliverySteps,
  record: DeliveryRecord,
  attempt: Attempt<T>,
): Promise<T> {
  let lookedAgain = false
  for (let plans = 1; ; plans++) {
    const plan = await unlessAborted(steps.plan(), steps.signal)
    const loop = new CandidateLoop<T>(plan, steps, record)
    const end = await loop.run(attempt)
    if (end.kind === 'delivered') return end.value
    if (plans === MAX_PLANS) throw endOf(plan, record)
    if (end.kind === 'changed') continue
    if (record.refusals > 0 && !lookedAgain) {
      lookedAgain = true
      if (await hasNewPolicy(steps, plan)) continue
    }
    throw endOf(plan, record)
  }
}

type LoopEnd<T> = { kind: 'delivered'; value: T } | { kind: 'exhausted' } | { kind: 'changed' }

/** Goes through the candidates of one plan, in the order of MX preference. */
class CandidateLoop<T> implements DeliveryContext {
  readonly plan: DeliveryPlan
  readonly #steps: DeliverySteps
  readonly #record: DeliveryRecord
  #candidate: Candidate | undefined

  constructor(plan: DeliveryPlan, steps: DeliverySteps, record: DeliveryRecord) {
    this.plan = plan
    this.#steps = steps
    this.#record = record
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
    return !this.#steps.isCurrent(this.plan)
  }

  assertCurrent(): void {
    if (this.outdated) throw new PolicyChangedError(this.plan.policyDomain)
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
    this.#record.connected(connection)
    return connection
  }

  use(connection: SmtpConnection): void {
    this.assertCurrent()
    for (const failure of connection.failures) this.note(failure)
    this.#steps.reuse(connection)
    this.#record.connected(connection)
  }

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

  /** Records the hosts that are no candidates. One outside the policy is a failed session (RFC 8460 §4.3). */
  #recordRefused(): void {
    for (const failure of this.plan.refused) {
      this.note(failure)
      if (isRefusal(failure)) this.#record.refusals++
      if (isMismatch(failure) || isOfDane(failure)) {
        this.#record.session(failure.mxHost ?? '', { failure })
      }
    }
  }

  #recordError(error: unknown, candidate: Candidate): void {
    if (error instanceof Stop) throw error.error
    const failure = failureOf(error, candidate)
    if (failure) {
      this.#record.refusals++
      this.note({ mxHost: candidate.mxHost, ...failure })
      return
    }
    // Final only where no host offers it: see endOf
    const mayBeOffered = error instanceof SmtpUtf8RequiredError
    if (isFinalError(error) && !mayBeOffered) throw error
    this.#record.errors.push(error)
  }
}

/** RFC 8461 §5.1: has the id changed, and can the new policy be had? */
async function hasNewPolicy(steps: DeliverySteps, plan: DeliveryPlan): Promise<boolean> {
  const { lookup } = plan
  if (lookup.status === 'none') return false
  // The file may have changed under the same id, unless it has just been fetched
  const mismatch = lookup.source === 'cache' && plan.refused.some(isMismatch)
  const again = await unlessAborted(steps.lookAgain({ mismatch }), steps.signal)
  return again.status === 'found' && (again.id !== lookup.id || again.body !== lookup.body)
}

/** The error of a delivery that no candidate has taken. */
function endOf({ policyDomain }: DeliveryPlan, record: DeliveryRecord): unknown {
  const { lookup, refusals, errors } = record
  const failures = [...record.failures]
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
  // A host that may take the message later says more than one that never will
  if (errors.length > 0) return errors.findLast((error) => !isFinalError(error)) ?? errors.at(-1)
  if (failures.length === 0) return new PolicyChangedError(policyDomain)
  const why = failures.map(({ mxHost = '', reason }) => `${escapeRemoteText(mxHost)}: ${reason}`)
  return new RoutingError(
    `No MX host of ${policyDomain} can be contacted (${why.join('; ')}). Try again later.`,
    { code: 'EDNS', permanent: false, policyDomain, cause: failures.at(-1)?.cause },
  )
}

/** A host that could not be looked up was not refused: it may be there tomorrow, as it is. */
function isRefusal(failure: TlsFailure): boolean {
  return (
    isMismatch(failure) || REFUSALS.has(failure.reason) || failure.resultType === 'dane-required'
  )
}

const REFUSALS: ReadonlySet<TlsFailure['reason']> = new Set([
  'requiretls-without-policy',
  'tlsa-lookup-failed',
  'dnssec-bogus',
])

/** The one failure of the domain's own that needs no connection. */
function isMismatch({ reason }: TlsFailure): boolean {
  return reason === 'mx-mismatch'
}

/** The failure that an attempt's error stands for, if it is about what the host had to prove. */
function failureOf(error: unknown, { security }: Candidate): TlsFailure | undefined {
  if (error instanceof TlsFailureError) return error.failure
  if (security.level === 'opportunistic') return undefined
  if (isCertificateError(error)) return failedHandshake(error)
  // Whatever the reply to STARTTLS was, a stripping attacker may have sent it
  if (isRefusedStartTls(error)) {
    return { resultType: 'starttls-not-supported', reason: 'refused', cause: error }
  }
  return undefined
}

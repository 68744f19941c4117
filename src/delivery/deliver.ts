/**
 * The control flow of RFC 8461 §5.1: tries the candidates in turn, and looks for a new policy of
 * the domain before it refuses a delivery.
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
import type { Candidate } from './candidate.js'
import { DeliveryRefusedError, RoutingError } from './errors.js'
import type { DeliveryPlan } from './plan.js'
import type { DeliveryRecord } from './record.js'

/** An attempt's access to its delivery: plan, records, connections. */
export interface DeliveryContext {
  /** The plan with the candidate; replaced when a new policy is found */
  readonly plan: DeliveryPlan
  /** The failures so far, in order */
  readonly failures: readonly TlsFailure[]
  /** Records a failure that does not stop the attempt: mode `testing` */
  note(failure: TlsFailure): void
  /** Ends the delivery with this error, without trying other candidates */
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
   * @throws as {@link assertCurrent} does; MtaStsError `ECONNECTION` when the connection leads to
   * another host than the candidate, or has not proved what it must: open a new one then
   */
  use(connection: SmtpConnection): void
  /**
   * Throws unless the plan still follows the domain's policy. Call it after every wait, at the
   * latest before MAIL FROM, and do not catch the error: `deliver` then makes a new plan.
   */
  assertCurrent(): void
  /** Whether {@link assertCurrent} would throw. */
  readonly outdated: boolean
}

/** Settings of a smart host's configuration that replace those of the plan. */
export interface CandidateChanges
  extends Partial<Pick<Candidate, 'addresses' | 'port' | 'tls' | 'security'>> {
  /** TLS starts before the greeting: port 465 */
  implicitTls?: boolean
  /** Opens the TCP connection: a proxy */
  connect?: Connect
}

/**
 * Tries to send the message to one candidate. It resolves when the host has accepted it, and
 * rejects
 * - with a {@link TlsFailureError}, or an error of `tls.connect` about the certificate, when the
 *   host did not prove what it had to: the next candidate is tried;
 * - with an error whose `permanent` is true or whose `responseCode` is 500 or more when the
 *   host's answer is final: no other candidate is tried;
 * - with any other error: the next candidate is tried.
 */
export type Attempt<T> = (candidate: Candidate, context: DeliveryContext) => Promise<T>

/** The steps of a delivery that the caller carries out. */
export interface DeliverySteps {
  plan(): Promise<DeliveryPlan>
  /**
   * Looks the TXT record up again; with `mismatch`, also fetches the policy file, whatever the id
   */
  lookAgain(options: { mismatch: boolean }): Promise<PolicyLookup>
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

/** Ends a delivery with an error that the attempt chose. */
class Stop extends Error {
  readonly error: unknown
  constructor(error: unknown) {
    super('stop')
    this.error = error
  }
}

/** The policy has changed since the plan was made. Temporary: `deliver` makes a new plan. */
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

/**
 * Maximum number of plans in one delivery: a policy that changes more often ends it, temporarily.
 */
const MAX_PLANS = 5

/**
 * Delivers to the first candidate whose attempt succeeds.
 *
 * @throws DeliveryRefusedError when a host was refused and no other accepted the message
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

/** Makes plans until one has a result: delivered, refused or failed. */
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

/** Tries the candidates of one plan in the order of MX preference. */
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
    try {
      return !this.#steps.isCurrent(this.plan)
    } catch {
      // ECLOSED
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

  /** The policy may change during each wait of a message that is sent on the connection. */
  #take(connection: SmtpConnection): SmtpConnection {
    connection.checkBy(() => this.assertCurrent(), this.#steps.requireTls)
    this.#record.connected(connection)
    return connection
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

  #recordError(error: unknown, candidate: Candidate): void {
    if (error instanceof Stop) throw error.error
    const failure = failureOf(error, candidate)
    if (failure) {
      this.#record.refusals++
      this.note({ mxHost: candidate.mxHost, ...failure })
      return
    }
    // Final only if no host offers it: see endOf
    const mayBeOffered = error instanceof SmtpUtf8RequiredError
    if (isFinalError(error) && !mayBeOffered) throw error
    this.#record.errors.push(error)
  }
}

/** Whether the domain has published a new policy that could be fetched (RFC 8461 §5.1). */
async function hasNewPolicy(steps: DeliverySteps, plan: DeliveryPlan): Promise<boolean> {
  const { lookup } = plan
  if (lookup.status === 'none') return false
  // The file may have changed under the same id, unless it was just fetched
  const mismatch = lookup.source === 'cache' && plan.refused.some(isMismatch)
  const again = await unlessAborted(steps.lookAgain({ mismatch }), steps.signal)
  return again.status === 'found' && (again.id !== lookup.id || again.body !== lookup.body)
}

/** Returns the error of a delivery that no candidate accepted. */
function endOf({ policyDomain, candidates }: DeliveryPlan, record: DeliveryRecord): unknown {
  const { lookup, refusals, errors } = record
  const failures = [...record.failures]
  if (refusals > 0) {
    const found = lookup.status === 'found' ? lookup : undefined
    return new DeliveryRefusedError({
      policyDomain,
      mode: found?.policy.mode ?? 'none',
      policyId: found?.id,
      failures,
      dane: candidates.some(
        ({ security }) => 'proofs' in security && security.proofs.some(({ by }) => by === 'dane'),
      ),
      cause: errors.at(-1) ?? failures.at(-1)?.cause,
    })
  }
  // A temporary error takes precedence over a final one
  if (errors.length > 0) return errors.findLast((error) => !isFinalError(error)) ?? errors.at(-1)
  if (failures.length === 0) return new PolicyChangedError(policyDomain)
  const why = failures.map(({ mxHost = '', reason }) => `${escapeRemoteText(mxHost)}: ${reason}`)
  return new RoutingError(
    `No MX host of ${policyDomain} can be contacted (${why.join('; ')}). Try again later.`,
    { code: 'EDNS', permanent: false, policyDomain, cause: failures.at(-1)?.cause },
  )
}

/** Whether a failure refuses a host. A failed lookup does not: it may succeed later. */
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

/** Whether a host is outside the policy, which needs no connection to find out. */
function isMismatch({ reason }: TlsFailure): boolean {
  return reason === 'mx-mismatch'
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

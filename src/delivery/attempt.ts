/**
 * The contract of an attempt: what a program must do with a candidate, and what it may use.
 *
 * @module
 */
import type { Connect } from '../net/connect.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import type { Candidate } from './candidate.js'
import type { DeliveryPlan } from './plan.js'

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

/**
 * The meaning of an error of any SMTP client, Nodemailer's own included: whether it is final, refuses
 * STARTTLS, or is about a connection that a new one can replace.
 *
 * @module
 */
import type { SmtpError } from './errors.js'
import { asksForTls, NEVER_FINAL } from './reply.js'

/**
 * Whether an error of any SMTP client is the receiver's final answer. Another client's own
 * `permanent` counts, except before MAIL FROM and for a demand for TLS.
 */
export function isFinalError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { command, permanent, responseCode, response } = error as Record<string, unknown>
  if (typeof command === 'string' && BEFORE_MAIL.test(command)) return false
  if (NEVER_FINAL.has(Number(responseCode))) return false
  if (typeof response === 'string' && response.split('\n').some(asksForTls)) return false
  if (typeof permanent === 'boolean') return permanent
  return Number(responseCode) >= 500
}

/**
 * Sets `permanent` on an error of Nodemailer's if a host has replied, or if no host can get the
 * envelope. Returns the same error.
 */
export function withPermanence<E extends Error>(error: E): E {
  const { command, code, responseCode } = error as unknown as Record<string, unknown>
  if (command === 'API' && code === 'EENVELOPE') return Object.assign(error, { permanent: true })
  if (typeof responseCode !== 'number') return error
  // Refused as a whole only if each recipient was: the error has the code of one of them
  const recipients = recipientsWithPermanence(error)
  const permanent = isFinalError(error) && recipients.every(isFinalError)
  return Object.assign(error, { permanent })
}

/** Sets `permanent` on the error of each recipient that was refused, and returns these errors. */
export function recipientsWithPermanence(outcome: object): Error[] {
  const errors: unknown = Reflect.get(outcome, 'rejectedErrors')
  return Array.isArray(errors) ? errors.map((error: Error) => withPermanence(error)) : []
}

/** Commands before MAIL FROM, as Nodemailer names them; `CONN` is the greeting. */
const BEFORE_MAIL = /^(?:CONN|EHLO|HELO|LHLO|STARTTLS|AUTH\b)/

/** Whether an error of any SMTP client is a refusal of STARTTLS. */
export function isRefusedStartTls(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Reflect.get(error, 'command') === 'STARTTLS'
}

/** Whether a host refused a connection because it has too many (RFC 5321 §3.8). */
export function isTooManyConnections(error: unknown): boolean {
  return isSmtpError(error) && error.responseCode === 421 && BEFORE_MAIL.test(error.command)
}

/** Replies to MAIL that a fresh connection may not give (a limit of messages, an idle timeout). */
const STALE_CODES: ReadonlySet<number> = new Set([421, 451, 452, 503])

/**
 * Whether a message that failed on a reused connection should be sent once more on a new one:
 * nothing of it was read, and the connection was lost, broke the protocol, or answered RSET, or
 * answered MAIL with 421, 451, 452 or 503.
 */
export function isStaleConnection(error: unknown): boolean {
  if (!isSmtpError(error) || !error.messageUntouched) return false
  const { command, responseCode } = error
  if (responseCode === undefined) {
    return error.code === 'ECONNECTION' || error.code === 'EPROTOCOL'
  }
  if (responseCode === 421 || command === 'RSET' || error.code === 'EPROTOCOL') return true
  return command === 'MAIL FROM' && STALE_CODES.has(responseCode)
}

/** Whether an error is an SmtpError, of this or another copy of the package. */
function isSmtpError(error: unknown): error is SmtpError {
  return typeof Object(error).messageUntouched === 'boolean'
}

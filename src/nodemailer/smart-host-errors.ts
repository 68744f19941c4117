/**
 * What an error of the plain transport means to a delivery.
 *
 * @module
 */
import { errorOfThrown } from '../text.js'
import { withPermanence } from './errors.js'
import { brokenSocket } from './smart-host-connect.js'
import type { SocketOptions } from './smart-host-types.js'

const REASON = Symbol('reason')

/** Fails an SMTP session for a reason that {@link settledError} finds again. */
export function failSession(reason: unknown): SocketOptions {
  const error = errorOfThrown(reason)
  // The session writes to the error that it reports
  const carrier = Object.assign(new Error(error.message), { [REASON]: error })
  return brokenSocket(carrier)
}

/** Returns the error to report for one of the plain transport's, with `permanent` where a host replied. */
export function settledError(error: Error): Error {
  const reason: unknown = Reflect.get(error, REASON)
  if (reason instanceof Error) return reason
  const known = withPermanence(error)
  const { command, code } = known as { command?: unknown; code?: unknown }
  // An envelope that could be sent to no host
  if (command === 'API' && code === 'EENVELOPE') return Object.assign(known, { permanent: true })
  // Whatever is said before MAIL FROM may have been said by somebody in between, or pass: a login
  // that was refused may be a password that is being changed
  if (!BEFORE_MAIL.test(String(command)) || !('responseCode' in known)) return known
  return Object.assign(known, { permanent: false })
}

/** The session names the command that failed; AUTH with its mechanism, CONN is the greeting. */
const BEFORE_MAIL = /^(?:CONN|EHLO|HELO|LHLO|STARTTLS|AUTH)\b/i

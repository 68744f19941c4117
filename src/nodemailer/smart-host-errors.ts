/**
 * Errors of the plain transport, as a delivery reads them.
 *
 * @module
 */
import { withPermanence } from '../smtp/reply.js'
import { errorOfThrown } from '../text.js'
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
  return withPermanence(error)
}

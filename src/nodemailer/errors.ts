/**
 * Promises as callbacks, and thrown values as errors, in Nodemailer's conventions.
 *
 * @module
 */
import { errorOfThrown } from '../text.js'

/** Calls back outside of the promise: an error of the callback must not become a rejection. */
export function settle<T>(
  promise: Promise<T>,
  callback: (error: Error | null, result?: T) => void,
): void {
  promise.then(
    (result) => process.nextTick(callback, null, result),
    (error) => process.nextTick(callback, error),
  )
}

/** Returns the error to report: that of an aborted signal, else what was thrown. */
export function errorOf(thrown: unknown, signal: AbortSignal | undefined): Error {
  if (signal?.aborted) return abortError(signal)
  return errorOfThrown(thrown)
}

/** Creates the error of Nodemailer's own transports for an aborted signal. */
function abortError(signal: AbortSignal): Error {
  const error = new Error('Message sending aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'EABORT' })
}

/**
 * Promises as callbacks, and thrown values as errors, in Nodemailer's conventions.
 *
 * @module
 */
import { errorOfThrown } from '../text.js'

/** Calls back outside the promise: what the callback throws is thrown where it can be seen. */
export function settle<T>(
  promise: Promise<T>,
  callback: (error: Error | null, result?: T) => void,
): void {
  promise.then(
    (result) => process.nextTick(callback, null, result),
    (error) => process.nextTick(callback, error),
  )
}

/** The error to report for what was thrown, which an aborted signal explains better. */
export function errorOf(thrown: unknown, signal: AbortSignal | undefined): Error {
  if (signal?.aborted) return abortError(signal)
  return errorOfThrown(thrown)
}

/** Creates the error of Nodemailer's own transports for an aborted signal. */
function abortError(signal: AbortSignal): Error {
  const error = new Error('Message sending aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'EABORT' })
}

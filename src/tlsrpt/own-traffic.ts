/**
 * The sessions that carry reports are not reported themselves (RFC 8460 §3), or two senders would
 * tell each other about nothing but their reports for ever.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/** Follows a report through whatever its delivery calls, callbacks and timers included. */
const sendingReport = new AsyncLocalStorage<true>()

/** What `send` does, and all that follows from it, is not counted by any reporter. */
export function asOwnTraffic<T>(send: () => Promise<T>): Promise<T> {
  return sendingReport.run(true, send)
}

/** Events are published synchronously, so this is asked where the session is. */
export function isOwnTraffic(): boolean {
  return sendingReport.getStore() === true
}

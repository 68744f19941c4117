/**
 * Excludes the sessions that carry reports from reports (RFC 8460 §3): two senders would otherwise
 * report each other's reports for ever.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/** Marks everything that the delivery of a report calls, callbacks and timers included. */
const sendingReport = new AsyncLocalStorage<true>()

/** Runs `send` so that no reporter counts its sessions. */
export function asOwnTraffic<T>(send: () => Promise<T>): Promise<T> {
  return sendingReport.run(true, send)
}

/** Whether the current session carries a report. Events are published synchronously. */
export function isOwnTraffic(): boolean {
  return sendingReport.getStore() === true
}

/**
 * A length of time that survives changes of the wall clock.
 *
 * @module
 */

/** A length of time from a moment on, measured by the wall clock and by a monotonic one. */
export interface Span {
  /** Epoch milliseconds */
  readonly since: number
  /** `performance.now()` of the same moment, in whole milliseconds: V8 keeps those in the object */
  readonly ticks: number
  /** In milliseconds */
  readonly length: number
}

/** Returns a span of this length that begins now. */
export function span(now: number, length: number): Span {
  return { since: now, ticks: Math.floor(performance.now()), length }
}

/**
 * Whether a span has passed by either clock. A wall clock set forward ends it early. One set back
 * makes it begin in the future, which ends it too.
 */
export function hasPassed({ since, ticks, length }: Span, now: number): boolean {
  return now < since || now - since >= length || performance.now() - ticks >= length
}

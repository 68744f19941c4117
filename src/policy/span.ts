/**
 * A length of time that holds against a wall clock that is set.
 *
 * @module
 */

/** A length of time from a moment on, by the wall clock and by one that cannot go back. */
export interface Span {
  /** Epoch milliseconds */
  readonly since: number
  /** `performance.now()` of the same moment */
  readonly ticks: number
  /** In milliseconds */
  readonly length: number
}

/** Returns the span of this length that begins now. */
export function span(now: number, length: number): Span {
  return { since: now, ticks: performance.now(), length }
}

/**
 * Whether a span has passed by either of the clocks. A wall clock that was set forward ends it
 * early. One that was set back makes it begin in the future, which is not believed: it ends too.
 */
export function hasPassed({ since, ticks, length }: Span, now: number): boolean {
  return now < since || now - since >= length || performance.now() - ticks >= length
}

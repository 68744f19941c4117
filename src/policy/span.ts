/**
 * A length of time that survives changes of the wall clock.
 *
 * @module
 */

/** A length of time from a moment on, measured by the wall clock and by a monotonic one. */
export interface Span {
  /** Epoch milliseconds */
  readonly since: number
  /** The {@link ticks} of the same moment */
  readonly ticks: number
  /** In milliseconds */
  readonly length: number
}

/**
 * Returns milliseconds of a clock that cannot go back. A whole number takes no memory besides its
 * field.
 */
export function ticks(): number {
  return Math.floor(performance.now())
}

/** Returns a span of this length that begins now. */
export function span(now: number, length: number): Span {
  return { since: now, ticks: ticks(), length }
}

/**
 * Whether a span has passed by either clock. A wall clock set forward ends it early. One set back
 * makes it begin in the future, which ends it too.
 */
export function hasPassed({ since, ticks, length }: Span, now: number): boolean {
  return now < since || now - since >= length || performance.now() - ticks >= length
}

/**
 * The schedule of reports: sent some hours after the day, not at midnight by all senders (RFC 8460
 * §4.1), and repeated after failures (RFC 8460 §5.5).
 *
 * @module
 */
import { DAY, type Day, dayOf, startOf } from './day.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** Time after its end at which a day is closed: every process has stored its counts by then. */
export const SETTLING_TIME = 5 * MINUTE

/**
 * Tolerated difference between the clocks of processes that share a store. A day is closed this
 * much later: if a fast clock closed it while others still count, each of their flushes would make
 * a report.
 */
export const CLOCK_DIFFERENCE = 10 * MINUTE

/**
 * Time for which a process may work on a report without extending its claim. It extends it every
 * minute, so that a process with a fast clock does not take the report over.
 */
export const CLAIM_TIME = 15 * MINUTE
export const CLAIM_EXTENSION = MINUTE

/** From the first attempt to the last, RFC 8460 §5.5. */
export const RETRY_TIME = 24 * HOUR

const FIRST_WAIT = 5 * MINUTE
const LONGEST_WAIT = 4 * HOUR

/** Returns the first day that is not closed yet. */
export function openDay(now: number): Day {
  return dayOf(now - SETTLING_TIME)
}

/**
 * Returns the sending time of a day's report: any time in the `spread` milliseconds after its end.
 *
 * @param random from 0 up to 1, as of `Math.random`
 */
export function sendingTime(day: Day, spread: number, random: number): number {
  return startOf(day) + DAY + SETTLING_TIME + Math.floor(random * spread)
}

/**
 * Returns the time of the next attempt after so many failures: 5 minutes later, then twice that, up
 * to 4 hours, each plus or minus a fifth. Undefined: 24 hours have passed since the first attempt.
 */
export function nextAttempt(
  { firstAttemptAt, attempts }: { firstAttemptAt: number; attempts: number },
  now: number,
  random: number,
): number | undefined {
  const wait = Math.min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
  const next = now + Math.floor(wait * (0.8 + 0.4 * random))
  return next <= firstAttemptAt + RETRY_TIME ? next : undefined
}

/**
 * The times of a report: it is sent some hours after its day, not at midnight by all senders
 * (RFC 8460 §4.1), and tried again where it could not be delivered (RFC 8460 §5.5).
 *
 * @module
 */
import { DAY, type Day, dayOf, startOf } from './day.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** How long after its end a day is closed: by then every process has stored its counts. */
export const SETTLING_TIME = 5 * MINUTE

/**
 * How far the clocks of processes that share a store may be apart. A day is closed this much later:
 * if a fast clock closed it while others still count, each of their flushes would make a report.
 */
export const CLOCK_DIFFERENCE = 10 * MINUTE

/**
 * How long a process may work on a report without extending its claim. It does so every minute, so
 * that a process whose clock is fast does not take the report over.
 */
export const CLAIM_TIME = 15 * MINUTE
export const CLAIM_EXTENSION = MINUTE

/** From the first attempt to the last, RFC 8460 §5.5. */
export const RETRY_TIME = 24 * HOUR

const FIRST_WAIT = 5 * MINUTE
const LONGEST_WAIT = 4 * HOUR

/** Returns the first day that is not closed yet: those before it are reported. */
export function openDay(now: number): Day {
  return dayOf(now - SETTLING_TIME)
}

/**
 * Returns when the report of a day is sent: any time in the `spread` milliseconds after its end.
 *
 * @param random from 0 up to 1, as of `Math.random`
 */
export function sendingTime(day: Day, spread: number, random: number): number {
  return startOf(day) + DAY + SETTLING_TIME + Math.floor(random * spread)
}

/**
 * Returns when to try again after so many failed attempts: 5 minutes later, then twice that, up to
 * 4 hours, each a fifth more or less. Undefined: 24 hours have passed since the first attempt.
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

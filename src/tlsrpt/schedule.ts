/**
 * When a report is sent: some hours after its day, not at midnight by everybody (RFC 8460 §4.1);
 * and when again, where it could not be delivered (RFC 8460 §5.5).
 *
 * @module
 */
import { DAY, type Day, dayOf, startOf } from './day.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** How long after its end a day is closed: by then every process has written down its counts. */
export const SETTLING_TIME = 5 * MINUTE

/** How long one process may work on a report without saying that it still does. */
export const CLAIM_TIME = 15 * MINUTE

/** From the first attempt to the last, RFC 8460 §5.5. */
export const RETRY_TIME = 24 * HOUR

const FIRST_WAIT = 5 * MINUTE
const LONGEST_WAIT = 4 * HOUR

/** The first day that is not closed yet: those before it are reported. */
export function openDay(now: number): Day {
  return dayOf(now - SETTLING_TIME)
}

/**
 * When the report of a day is sent: any time in the `spread` milliseconds after it was closed.
 *
 * @param random from 0 up to 1, as of `Math.random`
 */
export function sendingTime(day: Day, spread: number, random: number): number {
  return startOf(day) + DAY + SETTLING_TIME + Math.floor(random * spread)
}

/**
 * When to try again after so many attempts that failed: 5 minutes later, then twice that, up to 4
 * hours, each a fifth more or less. Undefined: 24 hours after the first attempt it is enough.
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

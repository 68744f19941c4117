/**
 * UTC days: a report covers one day (RFC 8460 §4.1).
 *
 * @module
 */

/** `2026-01-31`, in UTC. Days sort as text. */
export type Day = string

export const DAY = 86_400_000

/** Returns the day of a point in time (epoch milliseconds). */
export function dayOf(time: number): Day {
  return new Date(time).toISOString().slice(0, 10)
}

/** Returns its first millisecond, in epoch milliseconds; NaN for anything but a day. */
export function startOf(day: Day): number {
  return Date.parse(`${day}T00:00:00Z`)
}

/** Returns the range of the day for a report: it includes the last second. */
export function rangeOf(day: Day): { start: Date; end: Date } {
  const start = startOf(day)
  return { start: new Date(start), end: new Date(start + DAY - 1000) }
}

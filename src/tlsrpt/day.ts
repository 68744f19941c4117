/**
 * UTC days: one report covers one of them (RFC 8460 §4.1).
 *
 * @module
 */

/** `2026-01-31`, in UTC. Days written so are in the order of their letters. */
export type Day = string

export const DAY = 86_400_000

/** The day that a point in time (epoch milliseconds) belongs to. */
export function dayOf(time: number): Day {
  return new Date(time).toISOString().slice(0, 10)
}

/** Its first millisecond, in epoch milliseconds; NaN for what is no day. */
export function startOf(day: Day): number {
  return Date.parse(`${day}T00:00:00Z`)
}

/** What a report of the day says of its range: the last second is part of it. */
export function rangeOf(day: Day): { start: Date; end: Date } {
  const start = startOf(day)
  return { start: new Date(start), end: new Date(start + DAY - 1000) }
}

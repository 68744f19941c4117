/**
 * Spans and points of time in words.
 *
 * @module
 */
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

const UNITS = [
  ['day', DAY],
  ['hour', HOUR],
  ['minute', MINUTE],
  ['second', SECOND],
] as const

/** `3 days`, `1 hour`: in the largest unit that fits, rounded down. */
export function span(milliseconds: number): string {
  for (const [unit, size] of UNITS) {
    const count = Math.floor(milliseconds / size)
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'}`
  }
  return '0 seconds'
}

/** `2026-08-01 12:00`, in UTC. */
export function minute(time: Date): string {
  return Number.isNaN(time.getTime())
    ? 'unknown'
    : time.toISOString().slice(0, 16).replace('T', ' ')
}

/** `2026-08-01`, in UTC. */
export function day(time: Date): string {
  return Number.isNaN(time.getTime()) ? 'unknown' : time.toISOString().slice(0, 10)
}

/**
 * The UTC days of reports.
 *
 * @module
 */
import type { DayCoverage } from './assess-types.js'
import { type Day, dayOf } from './day.js'

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR

/** A range up to this long is one day, in any time zone of the sender. */
const ONE_DAY = 26 * HOUR

/** Bound of a range: weeks and months are reported; a longer range says little of each day. */
const MAX_DAYS = 31

/** A day as its number since 1970. */
export type DayNumber = number

export function dayName(day: DayNumber): Day {
  return dayOf(day * DAY)
}

export function dayNumber(time: number): DayNumber {
  return Math.floor(time / DAY)
}

/** Returns the days that a report covers; its sessions are counted on the first. */
export function daysOf({ start, end }: { start: Date; end: Date }): DayNumber[] {
  const length = end.getTime() - start.getTime()
  if (!(length > 0)) return [dayNumber(start.getTime())]
  if (length <= ONE_DAY) return [dayNumber(start.getTime() + length / 2)]
  const first = dayNumber(start.getTime())
  const last = dayNumber(end.getTime())
  if (last - first >= MAX_DAYS) return [first]
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/**
 * @param days with a report
 * @param covered how many of them have sessions
 */
export function coverageOf(days: Iterable<DayNumber>, covered: number): DayCoverage {
  const sorted = [...new Set(days)].sort((a, b) => a - b)
  const gaps = sorted.slice(1).flatMap((day, index) => {
    const before = sorted[index] ?? day
    const missing = day - before - 1
    return missing > 0
      ? [{ first: dayName(before + 1), last: dayName(day - 1), days: missing }]
      : []
  })
  return {
    first: dayName(sorted[0] ?? 0),
    last: dayName(sorted.at(-1) ?? 0),
    covered,
    missing: gaps.reduce((sum, { days: missing }) => sum + missing, 0),
    gaps,
  }
}

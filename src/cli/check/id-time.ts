/**
 * Most policy ids are the time when the policy was changed. Where one can be read as such, it tells
 * whether the policy file was touched after it.
 *
 * @module
 */
import { DAY } from '../time.js'

/** Covers any time zone, and any time of the day. */
const TOLERANCE = 2 * DAY

/** Before RFC 8461 nobody had an id */
const EARLIEST = Date.UTC(2016, 0, 1)

/**
 * The latest time that an id can stand for, in epoch milliseconds: `20260801`, `20260801T120000Z`,
 * seconds or milliseconds since 1970. Undefined where it is none, or one in the future.
 */
export function latestTimeOf(id: string, now: number): number | undefined {
  const candidates = [calendarDay(id), ...epoch(id)]
  const time = candidates.find((one) => one !== undefined && one >= EARLIEST && one <= now + DAY)
  return time === undefined ? undefined : time + TOLERANCE
}

function calendarDay(id: string): number | undefined {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)/.exec(id) ?? []
  const time = Date.parse(`${year}-${month}-${day}T00:00:00Z`)
  return Number.isNaN(time) ? undefined : time
}

function epoch(id: string): number[] {
  if (/^\d{10}$/.test(id)) return [Number(id) * 1000]
  return /^\d{13}$/.test(id) ? [Number(id)] : []
}

/**
 * Reads the dates of reports. RFC 8460 §4.4 demands RFC 3339; dates without seconds or a zone,
 * epoch seconds and RFC 5322 dates also occur.
 *
 * @module
 */
import type { Json } from './read-json.js'

const SECOND = 1000
const DAY = 24 * 60 * 60 * SECOND

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)? ?([Zz]|[+-]\d\d:?\d\d)?$/
const DATE = /^\d{4}-\d\d-\d\d$/
const EPOCH = /^\d{9,13}$/
const RFC_5322 =
  /^(?:[A-Za-z]{3}, ?)?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d:\d\d(?::\d\d)?)(?: ([+-]\d{4}|GMT|UTC?|Z))?(?: \([^)]*\))?$/

/** Latest valid date: years have four digits, and the year 9000 is not plausible. */
const LAST_TIME = Date.UTC(9000, 0)

/** Numbers from here on are milliseconds: as seconds they would be in the year 5138. */
const FIRST_MILLISECONDS = 1e11

/**
 * Returns the point in time, or undefined for an invalid value. Without a zone it is UTC, as the
 * days of reports are. A date without a time is its first second, or its last one for the end of a
 * range.
 */
export function readTime(value: Json | undefined, edge: 'start' | 'end'): Date | undefined {
  if (typeof value === 'number') return fromEpoch(value)
  if (typeof value !== 'string' || value.length > 100) return undefined
  const text = value.trim()
  if (EPOCH.test(text)) return fromEpoch(Number(text))
  if (DATE.test(text)) {
    const start = valid(new Date(`${text}T00:00:00Z`))
    return start && edge === 'end' ? lastSecond(start) : start
  }
  return fromRfc3339(text) ?? fromRfc5322(text)
}

/** Returns the last second of the day that begins at this time. */
export function lastSecond(start: Date): Date {
  return new Date(start.getTime() + DAY - SECOND)
}

/** Returns the first second of the day that ends at this time. */
export function firstSecond(end: Date): Date {
  return new Date(Math.floor(end.getTime() / DAY) * DAY)
}

function fromEpoch(value: number): Date | undefined {
  return valid(new Date(value < FIRST_MILLISECONDS ? value * SECOND : value))
}

function fromRfc3339(text: string): Date | undefined {
  const [, date, time, seconds = ':00', zone = 'Z'] = RFC_3339.exec(text) ?? []
  if (date === undefined) return undefined
  const offset = zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase()
  // JavaScript has no leap seconds
  return valid(new Date(`${date}T${time}${seconds.replace(':60', ':59')}${offset}`))
}

function fromRfc5322(text: string): Date | undefined {
  const [, day, month, year, time, zone = 'GMT'] = RFC_5322.exec(text) ?? []
  if (day === undefined) return undefined
  const offset = /^[+-]/.test(zone) ? zone : 'GMT'
  return valid(new Date(`${day} ${month} ${year} ${time} ${offset}`))
}

function valid(date: Date): Date | undefined {
  return date.getTime() >= 0 && date.getTime() < LAST_TIME ? date : undefined
}

/**
 * Checks of names at run time. A name that is unknown is a TypeError that shows what was given,
 * where, and the nearest name that is known.
 *
 * @module
 */
import { nearest } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'

const LIST_LIMIT = 6

/** Throws unless `value` is one of the names. */
export function checkName<Name extends string>(
  field: string,
  value: unknown,
  names: readonly Name[],
): asserts value is Name {
  if (typeof value === 'string' && names.some((name) => name === value)) return
  throw new TypeError(`${field} is ${shown(value)}, ${unknownOf(value, names)}`)
}

/** Throws unless `value` is an object all of whose keys are known. */
export function checkKeys(
  field: string,
  value: unknown,
  keys: readonly string[],
): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${field} must be an object, but it is ${shown(value)}`)
  }
  for (const key of Object.keys(value)) {
    if (keys.includes(key)) continue
    throw new TypeError(`${field} has no option ${shown(key)}, ${unknownOf(key, keys)}`)
  }
}

/** Throws unless the value is absent, a string or a RegExp. */
export function checkText(field: string, value: unknown): void {
  if (value === undefined || typeof value === 'string' || value instanceof RegExp) return
  throw new TypeError(`${field} must be a string or a RegExp, but it is ${shown(value)}`)
}

/** Whether a text has a string in it, or matches. Where a RegExp is sticky or global, it is not. */
export function matchesText(wanted: string | RegExp, text: string): boolean {
  if (typeof wanted === 'string') return text.includes(wanted)
  return new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, '')).test(text)
}

/** Returns the value for a message: JSON where it has one, cut. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (value instanceof RegExp) return String(value)
  try {
    return escapeRemoteText(JSON.stringify(value) ?? String(value))
  } catch {
    return typeof value
  }
}

function unknownOf(value: unknown, names: readonly string[]): string {
  const near =
    typeof value === 'string' ? nearest(value, names, Number.POSITIVE_INFINITY) : undefined
  const hint = near === undefined ? '' : `; did you mean ${shown(near)}?`
  if (names.length > LIST_LIMIT)
    return `which is unknown${hint || `; known are ${names.join(', ')}`}`
  return `which is none of ${names.map(shown).join(', ')}${hint}`
}

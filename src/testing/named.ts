/**
 * Checks of arguments. Their TypeErrors name the field, its value and the accepted values; for an
 * unknown name, the nearest one.
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
  if (!isOptions(value)) {
    throw new TypeError(`${field} must be an object, but it is ${shown(value)}`)
  }
  for (const key of Object.keys(value)) {
    if (keys.includes(key)) continue
    throw new TypeError(`${field} has no option ${shown(key)}, ${unknownOf(key, keys)}`)
  }
}

/**
 * Whether a value is an object with fields. A RegExp, a Date or a Map has none of its own: it would
 * pass as an object without options.
 */
export function isOptions(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const parent: unknown = Object.getPrototypeOf(value)
  const isPlain = parent === null || Object.getPrototypeOf(parent) === null
  return isPlain || Object.keys(value).length > 0
}

/** Throws when a call that takes no arguments has one. */
export function checkNoArguments(call: string, given: readonly unknown[]): void {
  if (given.length === 0) return
  throw new TypeError(`${call} takes no arguments, but it has ${given.map(shown).join(', ')}`)
}

/** Throws unless a value is accepted for a field. */
export type Check = (field: string, value: unknown) => void

/** Throws unless `value` is an object whose keys are known and whose values are accepted. */
export function checkFields(
  field: string,
  value: unknown,
  checks: Readonly<Record<string, Check>>,
): asserts value is object {
  checkKeys(field, value, Object.keys(checks))
  for (const [key, one] of Object.entries(value)) {
    if (one !== undefined) checks[key]?.(`${field}: ${key}`, one)
  }
}

/** Throws unless an object has one of these fields, without which it would have no effect. */
export function checkSome(field: string, value: object, keys: readonly string[]): void {
  const some = Object.entries(value).some(([key, one]) => keys.includes(key) && one !== undefined)
  if (!some)
    throw new TypeError(`${field} needs one of ${keys.join(', ')}, but it is ${shown(value)}`)
}

/** Returns a check, with the words for accepted values. */
export function must(words: string, is: (value: unknown) => boolean): Check {
  return (field, value) => {
    if (!is(value)) throw new TypeError(`${field} must be ${words}, but it is ${shown(value)}`)
  }
}

export const oneOf =
  (names: readonly string[]): Check =>
  (field, value) =>
    checkName(field, value, names)

export const listOf =
  (item: Check, example: string): Check =>
  (field, value) => {
    must(`a list such as ${example}`, Array.isArray)(field, value)
    if (Array.isArray(value)) for (const one of value) item(`${field}: an entry`, one)
  }

export const numberFrom = (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  must(
    `a number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`,
    (value) => typeof value === 'number' && value >= least && value <= most,
  )

export const wholeFrom = (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  must(
    `a whole number, ${least}${most === Number.MAX_SAFE_INTEGER ? ' or more' : ` to ${most}`}`,
    (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  )

export const isText = must('a string', (value) => typeof value === 'string')
export const isFilledText = must(
  'a string that is not empty',
  (value) => typeof value === 'string' && value !== '',
)
export const isFlag = must('true or false', (value) => typeof value === 'boolean')
export const isTextOrPattern = must(
  'a string or a RegExp, and not empty',
  (value) => (typeof value === 'string' && value !== '') || value instanceof RegExp,
)

/** Whether a text contains a string, or matches. Flags g and y of a RegExp are ignored. */
export function matchesText(wanted: string | RegExp, text: string): boolean {
  if (typeof wanted === 'string') return text.includes(wanted)
  return new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, '')).test(text)
}

/** Returns a value for an error: as JSON if possible, cut. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'number' || value instanceof RegExp) return String(value)
  try {
    return escapeRemoteText(JSON.stringify(value, plainly) ?? String(value))
  } catch {
    return typeof value
  }
}

/** Replaces what JSON writes as null or as {}. */
function plainly(_key: string, value: unknown): unknown {
  const isOdd = typeof value === 'number' && !Number.isFinite(value)
  return isOdd || value instanceof RegExp ? String(value) : value
}

export function unknownOf(value: unknown, names: readonly string[]): string {
  const near =
    typeof value === 'string' ? nearest(value, names, Number.POSITIVE_INFINITY) : undefined
  const hint = near === undefined ? '' : `; did you mean ${shown(near)}?`
  if (names.length > LIST_LIMIT)
    return `which is unknown${hint || `; known are ${names.join(', ')}`}`
  return `which is none of ${names.map(shown).join(', ')}${hint}`
}

/**
 * Checks of options. Their errors name the field, its value and the accepted values.
 *
 * @module
 */

import { escapeRemoteText } from './text.js'

/** The longest time of a timer of Node, in milliseconds; a longer one fires at once. */
export const MAX_TIMER = 2 ** 31 - 1

/** Creates the error for a wrong option: its name, the accepted values, and its value. */
export function optionError(field: string, must: string, value: unknown): TypeError {
  return configError(`The option ${quoted(field)} ${must}, but it is ${shown(value)}`)
}

/** Creates the error for a wrong argument of a public function, such as `matchesMx()`. */
export function argumentError(
  [call, argument]: readonly [call: string, argument: string],
  must: string,
  value: unknown,
): TypeError {
  return configError(`${call}: the argument "${argument}" ${must}, but it is ${shown(value)}`)
}

/** Creates a TypeError with the code of all faults in a program's options and arguments. */
export function configError(message: string, cause?: unknown): TypeError {
  const error = cause === undefined ? new TypeError(message) : new TypeError(message, { cause })
  return Object.assign(error, { code: 'ECONFIG' as const })
}

/** The call whose options are checked, and known options that belong elsewhere. */
export interface CheckedCall {
  /** The call as the user writes it, such as `new MtaSts()` */
  call: string
  /** The advice for an option that belongs elsewhere, by its name */
  elsewhere?: Readonly<Record<string, string>>
}

/**
 * Throws for an unknown option: a misspelt one would otherwise be ignored, together with the
 * protection that it enables. Undefined values count as absent.
 *
 * @throws TypeError that names the option and the nearest known one
 */
export function checkKnown(
  options: unknown,
  names: readonly string[],
  { call, elsewhere = {} }: CheckedCall,
): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw optionError('options', `must be an object in ${call}`, options)
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name) || Reflect.get(options, name) === undefined) continue
    throw configError(`The option ${quoted(name)} of ${call} is unknown${hint(name)}`)
  }

  function hint(name: string): string {
    if (Object.hasOwn(elsewhere, name)) return `: ${elsewhere[name]}`
    const near = nearest(name, names, Math.ceil(name.length / 2))
    return near === undefined ? `; known are ${names.join(', ')}` : `; did you mean "${near}"?`
  }
}

/** Returns the keys of a table that the compiler has compared with an interface. */
export function namesOf<K extends string>(table: Readonly<Record<K, true>>): readonly K[] {
  return Object.keys(table) as K[]
}

/**
 * Returns the candidate with the fewest edits to the word, ignoring case; of two equally near ones,
 * the one with the same first letter. Undefined if all are further than `limit` edits.
 *
 * @param limit default: 2, and 1 for candidates of fewer than four characters, since every other
 * short word is two edits away
 */
export function nearest(
  word: string,
  candidates: Iterable<string>,
  limit?: number,
): string | undefined {
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const edits = editsBetween(word.toLowerCase(), candidate.toLowerCase())
    if (edits > (limit ?? (candidate.length < 4 ? 1 : 2))) continue
    const distance = edits + (candidate[0] === word[0] ? 0 : 0.5)
    if (best === undefined || distance < best.distance) best = { candidate, distance }
  }
  return best?.candidate
}

/** Counts the characters to insert, delete, replace or swap with their neighbour. */
function editsBetween(from: string, to: string): number {
  // A hint for longer words is pointless, and would cost time
  if (from.length > 100) return Number.POSITIVE_INFINITY
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      const isSwap = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      const swapped = i > 1 && j > 1 && isSwap ? at(before, j - 2) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(at(row, j) + 1, at(next, j - 1) + 1, replaced, swapped))
    }
    before = row
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}

/** Returns a whole number within its bounds, or the default. */
export function number<K extends string>(
  options: { [P in K]?: number | undefined },
  field: K,
  bounds: { default: number; min: number; max?: number },
): number {
  const value: unknown = options[field]
  if (value === undefined) return bounds.default
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value
  }
  const upTo = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
  throw optionError(field, `must be a whole number, ${upTo}`, value)
}

/** Returns a whole number within its bounds, or undefined. */
export function optionalNumber<K extends string>(
  options: { [P in K]?: number | undefined },
  field: K,
  bounds: { min: number; max?: number },
): number | undefined {
  if (options[field] === undefined) return undefined
  return number(options, field, { default: bounds.min, ...bounds })
}

/** Returns true or false; default false. */
export function flag<K extends string>(
  options: { [P in K]?: boolean | undefined },
  field: K,
): boolean {
  const value: unknown = options[field]
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw optionError(field, 'must be true or false', value)
}

/** Returns one of the words, by default the first. */
export function oneOf<K extends string, const V extends string>(
  options: { [P in K]?: NoInfer<V> | undefined },
  field: K,
  words: readonly [V, ...V[]],
): V {
  const value = options[field]
  if (value === undefined || words.includes(value)) return value ?? words[0]
  throw optionError(field, `must be one of ${words.join(', ')}`, value)
}

/** Returns a value for a message: short text unchanged, otherwise its kind. */
function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (value === null) return 'null'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean' || value === undefined) return String(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'function') return 'a function'
  const kind = classOf(value)
  return kind === undefined || kind === 'Object' ? `of type ${typeof value}` : `a ${kind}`
}

function quoted(text: string): string {
  return escapeRemoteText(JSON.stringify(text.slice(0, 100)))
}

function classOf(value: unknown): string | undefined {
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
    return typeof name === 'string' && /^\w{1,40}$/.test(name) ? name : undefined
  } catch {
    // A proxy may throw
    return undefined
  }
}

/**
 * Checks of options. Each names the field, what it got and what it takes.
 *
 * @module
 */

/** What a timer of Node can count to, in milliseconds; beyond it fires at once. */
export const MAX_TIMER = 2 ** 31 - 1

/** The error for an option that is wrong: it names the field and says what it must be. */
export function optionError(field: string, must: string, value: unknown): TypeError {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : typeName(value)
  return Object.assign(new TypeError(`The option "${field}" ${must}, but it is ${shown}`), {
    code: 'ECONFIG',
  })
}

/** A whole number in its bounds, or the default. */
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

/** A whole number in its bounds, or undefined. */
export function optionalNumber<K extends string>(
  options: { [P in K]?: number | undefined },
  field: K,
  bounds: { min: number; max?: number },
): number | undefined {
  if (options[field] === undefined) return undefined
  return number(options, field, { default: bounds.min, ...bounds })
}

/** True or false; default false. */
export function flag<K extends string>(
  options: { [P in K]?: boolean | undefined },
  field: K,
): boolean {
  const value: unknown = options[field]
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw optionError(field, 'must be true or false', value)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'number' ? String(value) : `of type ${typeof value}`
}

/**
 * Checks that options have the names that they should have.
 *
 * @module
 */
import { optionError } from '../option-checks.js'

/** A misspelt `require` would be a demand that nobody makes: an unknown option is an error. */
export function checkOptionNames<T extends object>(
  options: T,
  known: ReadonlyArray<keyof T & string>,
): void {
  if (typeof options !== 'object' || options === null) {
    throw optionError('options', 'must be an object', options)
  }
  for (const [name, value] of Object.entries(options)) {
    if (known.some((each) => each === name)) continue
    throw optionError(name, `is none of ${known.join(', ')}`, value)
  }
}

/**
 * The base class of the errors, and those about the syntax of what a domain publishes.
 *
 * @module
 */

/** The base of every error that this package makes itself. */
export class MtaStsError extends Error {
  /** A stable word for programs: `EMTASTS`, `EDNS`, `EENVELOPE`, ... */
  readonly code: string

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MtaStsError'
    this.code = code
  }
}

/**
 * Returns an error of its own for another recipient or caller: class, message, stack and fields of
 * the given one, which is not written to.
 */
export function copyOfError<E extends Error>(error: E): E {
  const { stack, ...fields } = Object.getOwnPropertyDescriptors(error)
  // Created by a constructor, so that Node still takes it for an error
  const copy = Object.setPrototypeOf(new Error(error.message), Object.getPrototypeOf(error))
  Object.defineProperties(copy, fields)
  Object.defineProperty(copy, 'stack', { value: error.stack, writable: true, configurable: true })
  return copy
}

/** A TXT record that breaks the ABNF of RFC 8461 §3.1. */
export class RecordSyntaxError extends MtaStsError {
  constructor(message: string) {
    super(message, 'ERECORDSYNTAX')
    this.name = 'RecordSyntaxError'
  }
}

/** A policy file that breaks the ABNF of RFC 8461 §3.2. */
export class PolicySyntaxError extends MtaStsError {
  /** The line that is wrong, counted from 1; 0 where the whole file is */
  readonly line: number

  constructor(message: string, line: number) {
    super(message, 'EPOLICYSYNTAX')
    this.name = 'PolicySyntaxError'
    this.line = line
  }
}

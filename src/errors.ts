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

/**
 * The base class of all errors, and the syntax errors in what a domain publishes.
 *
 * @module
 */

/**
 * The codes of {@link MtaStsError}. A code keeps its meaning; later versions may add codes.
 *
 * Delivery:
 * - `EMTASTS`: no host proved what the policy, DANE or `minimumSecurity` demands; nothing was sent
 * - `EDNS`: MX hosts could not be looked up, or the domain does not exist (`permanent` tells which)
 * - `ENULLMX`: the domain takes no mail (RFC 7505)
 * - `EDOMAIN`: the text is not a domain name
 * - `EPOLICYCHANGED`: the policy changed during the delivery; only as a `cause`
 * - `ETLSFAILURE`: one host failed its check; only as a `cause`
 * - `ELOOKUP`: the lookup of a policy failed for an unforeseen reason
 * - `EPOLICYFETCH`: the policy file could not be fetched; only as a `cause`
 * - `EHTTPS`: the reply of a policy host or report receiver cannot be used; only as a `cause`
 * - `ECLOSED`: the `MtaSts` object was closed
 *
 * SMTP, as Nodemailer names them:
 * - `ECONNECTION`: no connection, or the host ended it, or the transport was closed
 * - `ETIMEDOUT`: a time limit has passed
 * - `EENVELOPE`: the sender or the recipients were rejected
 * - `EMESSAGE`: the message was rejected
 * - `EPROTOCOL`: a reply that is out of order or cannot be read
 * - `ESTREAM`: the content of the message could not be read
 *
 * Syntax and options:
 * - `ERECORDSYNTAX`, `EPOLICYSYNTAX`, `EREPORTSYNTAX`: what a domain published breaks its grammar
 * - `ECONFIG`: an option or a setting is wrong; most often on a `TypeError`
 * - `EUSAGE`: the command line is wrong
 *
 * Stores:
 * - `ESTORE`: the store failed, or did not answer; try again later
 * - `ESTOREOPEN`, `ESTOREFORMAT`: the store cannot be opened, or is not one of this package
 * - `ESTOREVALUE`: an entry of the store is damaged
 * - `ENOSQLITE`: this Node has no `node:sqlite`
 * - `EREDISCLIENT`: the Redis client is of a kind that cannot be used
 *
 * Reports:
 * - `EREPORT`, `EREPORTMAIL`, `EREPORTPOST`: a report could not be made, mailed or posted
 * - `EREPORTER`: this process has a reporter of the same submitter already
 * - `EREPORTS`: a report file could not be read
 *
 * Surroundings:
 * - `ENODEMAILER`, `EHOST`: this version of Nodemailer, Haraka or ZoneMTA is not known
 * - `EPEER`: an optional package is not installed
 * - `ERUNTIME`: this runtime does not check certificates as Node does
 * - `ENOWORLD`, `ENOMAIL`: in tests: no mail world was found, or an awaited message did not arrive
 * - `ETIMEOUT`: a name server did not answer the command line tool
 * - `EBUG`: a self-check failed; please report it
 */
export type ErrorCode =
  | 'EMTASTS'
  | 'EDNS'
  | 'ENULLMX'
  | 'EDOMAIN'
  | 'EPOLICYCHANGED'
  | 'ETLSFAILURE'
  | 'ELOOKUP'
  | 'EPOLICYFETCH'
  | 'EHTTPS'
  | 'ECLOSED'
  | 'ECONNECTION'
  | 'ETIMEDOUT'
  | 'EENVELOPE'
  | 'EMESSAGE'
  | 'EPROTOCOL'
  | 'ESTREAM'
  | 'ERECORDSYNTAX'
  | 'EPOLICYSYNTAX'
  | 'EREPORTSYNTAX'
  | 'ECONFIG'
  | 'EUSAGE'
  | 'ESTORE'
  | 'ESTOREOPEN'
  | 'ESTOREFORMAT'
  | 'ESTOREVALUE'
  | 'ENOSQLITE'
  | 'EREDISCLIENT'
  | 'EREPORT'
  | 'EREPORTMAIL'
  | 'EREPORTPOST'
  | 'EREPORTER'
  | 'EREPORTS'
  | 'ENODEMAILER'
  | 'EHOST'
  | 'EPEER'
  | 'ERUNTIME'
  | 'ENOWORLD'
  | 'ENOMAIL'
  | 'ETIMEOUT'
  | 'EBUG'

/** The base of every error that this package makes itself. */
export class MtaStsError extends Error {
  /** The kind of failure, for programs to decide on */
  readonly code: ErrorCode

  constructor(message: string, code: ErrorCode, options?: ErrorOptions) {
    // An own property of this name is shown even when it is undefined
    super(message, options?.cause === undefined ? undefined : options)
    this.name = 'MtaStsError'
    this.code = code
  }
}

const MISSING = ['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED']

/** Whether an import failed because a package is not installed, or has no such file. */
export function isMissingPackage(error: unknown): boolean {
  return typeof error === 'object' && MISSING.includes(String(Object(error).code))
}

/** Returns the error for an optional package that is not installed; another error as it is. */
export function missingPackage(
  user: string,
  name: string,
  cause: unknown,
  option: '' | '--save-dev ' = '',
): unknown {
  if (!isMissingPackage(cause)) return cause
  const message = `${user} needs the package ${name}: npm install ${option}${name}`
  return new MtaStsError(message, 'EPEER', { cause })
}

/** Returns the error of every call to a closed `MtaSts`. */
export function closedError(): MtaStsError {
  return new MtaStsError('The MtaSts object was closed', 'ECLOSED')
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

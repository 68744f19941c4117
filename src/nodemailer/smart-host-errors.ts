/**
 * Errors of the plain transport, as a delivery reads them.
 *
 * @module
 */
import { copyOfError, MtaStsError } from '../errors.js'
import { ConnectError } from '../net/connect.js'
import { recipientsWithPermanence, withPermanence } from '../smtp/error-meaning.js'
import { SmtpError } from '../smtp/errors.js'
import { errorOfThrown } from '../text.js'
import { brokenSocket } from './smart-host-connect.js'
import type { SocketOptions } from './smart-host-types.js'

const REASON = Symbol('reason')

/** Returns a socket that fails an SMTP session, for a reason that {@link settledError} finds. */
export function failSession(reason: unknown): SocketOptions {
  const error = errorOfThrown(reason)
  if (isClosedBeforeGreeting(error)) return brokenSocket()
  // The session writes to the error that it reports
  const carrier = Object.assign(new Error(error.message), { [REASON]: error })
  return brokenSocket(carrier)
}

/** Returns the error to report for one of the plain transport's, with `permanent` where a host replied. */
export function settledError(error: Error): Error {
  const reason: unknown = Reflect.get(error, REASON)
  if (reason instanceof Error) return reason
  return withPermanence(error)
}

/** Returns the result to report: with `permanent` on the error of each recipient that was refused. */
export function settledInfo(info: object): object {
  recipientsWithPermanence(info)
  return info
}

/** The pools of Nodemailer queue a message again when a connection ends before its greeting. */
function isClosedBeforeGreeting(error: Error): boolean {
  if (!(error instanceof SmtpError) || error.cause !== undefined) return false
  return error.code === 'ECONNECTION' && error.command === 'CONN' && !error.responseCode
}

/** Returns an error with the code and the command that Nodemailer has where it connects by itself. */
export function asConnectionError(error: Error): Error {
  const change = changeOf(error)
  return change ? Object.assign(copyOfError(error), change) : error
}

function changeOf(error: Error): { code?: string; command?: string } | undefined {
  if (error instanceof ConnectError) {
    const timedOut = error.errors.some((one) => Reflect.get(one.error, 'code') === 'ETIMEDOUT')
    return { code: timedOut ? 'ETIMEDOUT' : 'ESOCKET', command: 'CONN' }
  }
  if (!(error instanceof SmtpError)) return undefined
  return error.responseCode === undefined ? { command: 'CONN' } : { code: 'EPROTOCOL' }
}

/** Returns the error for a Nodemailer whose pool may work in another way: nothing is sent. */
export function unknownNodemailer(): Error {
  return new MtaStsError(
    'withMtaSts() does not know this version of Nodemailer: use version 8, 9 or 10',
    'ENODEMAILER',
  )
}

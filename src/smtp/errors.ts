/**
 * The errors of SMTP sessions, in Nodemailer's shape. Each says whether it is permanent.
 *
 * @module
 */
import { copyOfError, MtaStsError } from '../errors.js'
import { escapeRemoteText } from '../text.js'
import {
  FINAL_STEPS,
  isFinalReply,
  type Reply,
  type ReplyContext,
  replyText,
  type SmtpStep,
} from './reply.js'

/** Codes of {@link SmtpError}, as Nodemailer has them. */
export type SmtpErrorCode =
  | 'EENVELOPE'
  | 'EMESSAGE'
  | 'EPROTOCOL'
  | 'ECONNECTION'
  | 'ETIMEDOUT'
  | 'ESTREAM'

interface SmtpErrorDetails {
  code: SmtpErrorCode
  step: SmtpStep
  permanent: boolean
  reply?: Reply | undefined
  recipient?: string | undefined
  cause?: unknown
}

/**
 * An SMTP session, a message or a recipient failed. The fields are Nodemailer's.
 *
 * @example
 * catch (error) {
 *   if (error instanceof SmtpError && error.permanent) bounce(error.response)
 *   else tryAgainLater()
 * }
 */
export class SmtpError extends MtaStsError {
  declare readonly code: SmtpErrorCode
  /** The command that failed: `CONN`, `EHLO`, `MAIL FROM`, `RCPT TO`, `DATA`, ... */
  readonly command: string
  /** True: the host's refusal is final. False: trying again later may help */
  permanent: boolean
  /** The reply code, where the host replied */
  declare readonly responseCode?: number
  /** The reply, escaped and truncated, with LF between its lines */
  declare readonly response?: string
  /** The recipient that was refused, as the caller wrote it */
  declare readonly recipient?: string
  /** Recipients that did not get the message */
  declare rejected?: string[]
  /** One error for each of `rejected` */
  declare rejectedErrors?: Error[]
  /** False once any part of the message was read or sent */
  readonly messageUntouched: boolean

  constructor(message: string, details: SmtpErrorDetails) {
    const { code, step, permanent, reply, recipient, cause } = details
    super(message, code, cause === undefined ? undefined : { cause })
    this.name = 'SmtpError'
    this.command = step === 'message' ? 'DATA' : step
    this.permanent = permanent
    this.messageUntouched = step !== 'message'
    if (reply !== undefined) {
      this.responseCode = reply.code
      this.response = replyText(reply)
    }
    if (recipient !== undefined) this.recipient = recipient
  }
}

/**
 * An address needs SMTPUTF8, which the host does not offer (RFC 6531 §3.2). Final only if there is
 * no other host to try.
 */
export class SmtpUtf8RequiredError extends SmtpError {
  readonly reason = 'smtputf8-not-offered'

  constructor(message: string, details: SmtpErrorDetails) {
    super(message, details)
    this.name = 'SmtpUtf8RequiredError'
  }
}

/** Nodemailer's messages from MAIL FROM on, which operators search logs for. */
const FAILED: Record<SmtpStep, string> = {
  CONN: 'The host refused the connection',
  EHLO: 'The host refused EHLO',
  HELO: 'The host refused HELO',
  STARTTLS: 'The host refused STARTTLS',
  RSET: 'The host refused RSET',
  'MAIL FROM': 'Mail command failed',
  'RCPT TO': 'Recipient command failed',
  DATA: 'Data command failed',
  message: 'Message failed',
  QUIT: 'The host refused QUIT',
  API: 'The message cannot be sent',
}

/** Returns Nodemailer's code for a refusal at a step. */
function codeOfStep(step: SmtpStep): SmtpErrorCode {
  if (step === 'MAIL FROM' || step === 'RCPT TO') return 'EENVELOPE'
  return step === 'DATA' || step === 'message' ? 'EMESSAGE' : 'EPROTOCOL'
}

/**
 * Returns the error for a reply of 4yz or 5yz, or for any other, an error that it is out of order.
 */
export function replyError(
  step: SmtpStep,
  reply: Reply,
  context: ReplyContext,
  recipient?: string,
): SmtpError {
  const said = `: ${escapeRemoteText(reply.lines.join(' '))}`
  if (reply.code < 400)
    return protocolError(step, `The reply to ${step} is out of order${said}`, reply)
  return new SmtpError(`${FAILED[step]}${said}`, {
    // RFC 5321 §3.8: the host ends the session
    code: reply.code === 421 && !FINAL_STEPS.has(step) ? 'ECONNECTION' : codeOfStep(step),
    step,
    permanent: isFinalReply(step, reply, context),
    reply,
    recipient,
  })
}

/** Returns the error for an unexpected reply; always temporary. */
export function earlyReplyError(step: SmtpStep, reply: Reply): SmtpError {
  const said = escapeRemoteText(reply.lines.join(' '))
  if (reply.code < 400) {
    return protocolError(step, `The host sent an unexpected reply: ${said}`, reply)
  }
  const what = step === 'message' ? 'before the end of the message' : 'and ended the session'
  return new SmtpError(`The host replied ${what}: ${said}`, {
    code: reply.code === 421 && !FINAL_STEPS.has(step) ? 'ECONNECTION' : codeOfStep(step),
    step,
    permanent: false,
    reply,
  })
}

/** Returns the error for a host that violates SMTP; always temporary. */
export function protocolError(step: SmtpStep, message: string, reply?: Reply): SmtpError {
  return new SmtpError(message, { code: 'EPROTOCOL', step, permanent: false, reply })
}

/** Returns the error for a connection that was lost, timed out, or was never opened. */
export function connectionError(
  step: SmtpStep,
  message: string,
  details: { code?: 'ECONNECTION' | 'ETIMEDOUT' | 'ESTREAM'; cause?: unknown } = {},
): SmtpError {
  const { code = 'ECONNECTION', cause } = details
  return new SmtpError(message, { code, step, permanent: false, cause })
}

/** Returns the error for an envelope that no host can get. */
export function envelopeError(message: string, recipient?: string): SmtpError {
  return new SmtpError(message, { code: 'EENVELOPE', step: 'API', permanent: true, recipient })
}

/** Returns the error for a message over the host's limit (RFC 1870 §6.1). */
export function tooLargeError(size: number, limit: number, context: ReplyContext): SmtpError {
  const message = `The message has ${size} bytes, and the host takes no more than ${limit}`
  return new SmtpError(message, {
    code: 'EMESSAGE',
    step: 'MAIL FROM',
    permanent: !context.tlsFailed,
  })
}

/**
 * Returns the error for an address that needs SMTPUTF8 where it is not offered.
 *
 * @param whole nothing can be sent to this host; false: other recipients get the message, and a
 * later delivery to this one alone finds out whether any host offers SMTPUTF8
 */
export function smtpUtf8Error(
  address: string,
  context: ReplyContext,
  whole: boolean,
  recipient?: string,
): SmtpUtf8RequiredError {
  const message = `The address ${escapeRemoteText(address)} needs SMTPUTF8, and the host does not offer it`
  return new SmtpUtf8RequiredError(message, {
    code: 'EENVELOPE',
    step: recipient === undefined ? 'MAIL FROM' : 'RCPT TO',
    permanent: whole && !context.tlsFailed,
    recipient,
  })
}

/** Returns the error for a message whose recipients were all refused. */
export function allRejectedError(rejectedErrors: readonly SmtpError[]): SmtpError {
  // The reply to a recipient that may be accepted later, for those who look at the code alone
  const deferred = rejectedErrors.find(({ responseCode }) => Number(responseCode) < 500)
  const reply = deferred ?? rejectedErrors.at(-1)
  const why = reply === undefined ? '' : `: ${reply.message}`
  const error = new SmtpError(`Can't send mail - all recipients were rejected${why}`, {
    code: 'EENVELOPE',
    step: 'RCPT TO',
    permanent: true,
  })
  if (reply?.responseCode !== undefined) {
    Object.assign(error, { responseCode: reply.responseCode, response: reply.response })
  }
  return withRejections(error, rejectedErrors)
}

/**
 * Adds the outcome of each recipient to the error of a whole message. It stays permanent only if
 * every refusal was final.
 */
export function withRejections(error: SmtpError, rejectedErrors: readonly SmtpError[]): SmtpError {
  error.rejected = rejectedErrors.map(({ recipient = '' }) => recipient)
  error.rejectedErrors = [...rejectedErrors]
  error.permanent &&= rejectedErrors.every(({ permanent }) => permanent)
  return error
}

/** Returns a separate error for one recipient of a message that failed as a whole. */
export function forRecipient(error: SmtpError, recipient: string): SmtpError {
  return Object.assign(copyOfError(error), { recipient })
}

/**
 * The time limit of each reply.
 *
 * @module
 */

/** Limits of each kind of reply, and of sending one block of a message, in milliseconds. */
export interface ReplyTimeouts {
  readonly mail: number
  readonly recipient: number
  readonly data: number
  readonly block: number
  readonly message: number
  /** All of them together, except the reply to the message */
  readonly total: number
}

const MINUTE = 60_000

/** RFC 5321 §4.5.3.2. EHLO, which it omits, belongs to opening the connection. */
const DEFAULTS: ReplyTimeouts = {
  mail: 5 * MINUTE,
  recipient: 5 * MINUTE,
  data: 2 * MINUTE,
  block: 3 * MINUTE,
  message: 10 * MINUTE,
  // A slow host could use up the limit of each of a thousand recipients
  total: 60 * MINUTE,
}

/** Limit of the greeting (RFC 5321 §4.5.3.2.1). */
export const GREETING_TIMEOUT = 5 * MINUTE

/** Limit of a TCP connection, of each EHLO, and of STARTTLS with its handshake. */
export const CONNECTION_TIMEOUT = 30_000

/** Returns the defaults, or the caller's one duration for all of them. */
export function replyTimeouts(commandTimeout: number | undefined): ReplyTimeouts {
  if (commandTimeout === undefined) return DEFAULTS
  return {
    mail: commandTimeout,
    recipient: commandTimeout,
    data: commandTimeout,
    block: commandTimeout,
    message: commandTimeout,
    total: Math.max(commandTimeout, DEFAULTS.total),
  }
}

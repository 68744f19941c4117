/**
 * How long each reply is waited for.
 *
 * @module
 */

/** Milliseconds for each kind of reply, and for one block of a message to be taken. */
export interface ReplyTimeouts {
  readonly mail: number
  readonly recipient: number
  readonly data: number
  readonly block: number
  readonly message: number
}

const MINUTE = 60_000

/** RFC 5321 §4.5.3.2. EHLO is not named there: it is part of opening the connection. */
const DEFAULTS: ReplyTimeouts = {
  mail: 5 * MINUTE,
  recipient: 5 * MINUTE,
  data: 2 * MINUTE,
  block: 3 * MINUTE,
  message: 10 * MINUTE,
}

/** For the greeting (RFC 5321 §4.5.3.2.1). */
export const GREETING_TIMEOUT = 5 * MINUTE

/** For a TCP connection, for each EHLO, and for STARTTLS with its handshake. */
export const CONNECTION_TIMEOUT = 30_000

/** Returns the defaults, or the one duration that the caller set for all of them. */
export function replyTimeouts(commandTimeout: number | undefined): ReplyTimeouts {
  if (commandTimeout === undefined) return DEFAULTS
  return {
    mail: commandTimeout,
    recipient: commandTimeout,
    data: commandTimeout,
    block: commandTimeout,
    message: commandTimeout,
  }
}

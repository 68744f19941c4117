/**
 * A host's reply, and whether it is the receiver's final answer.
 *
 * @module
 */
import { escapeRemoteText } from '../text.js'

/**
 * The step of a session that a reply answers. `CONN` is the greeting, `API` a check of this
 * package.
 */
export type SmtpStep =
  | 'CONN'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'RSET'
  | 'MAIL FROM'
  | 'RCPT TO'
  | 'DATA'
  | 'message'
  | 'QUIT'
  | 'API'

/** A reply of one or more lines, each with its code, without line ends. */
export interface Reply {
  readonly code: number
  readonly lines: readonly string[]
}

/** The state of the connection that the meaning of a reply depends on. */
export interface ReplyContext {
  /** A handshake or STARTTLS with this address has just failed, and this connection is plaintext */
  readonly tlsFailed: boolean
}

/** Steps whose replies may be final; a reply before MAIL FROM never is. */
export const FINAL_STEPS: ReadonlySet<SmtpStep> = new Set([
  'MAIL FROM',
  'RCPT TO',
  'DATA',
  'message',
])

/** 503 is about the order of commands; 530 and 538 demand TLS. Another session may succeed. */
export const NEVER_FINAL: ReadonlySet<number> = new Set([503, 530, 538])

/** "Encryption needed" and "encryption required" (RFC 5248 §2.4, RFC 4954 §6). */
const ASKS_FOR_TLS = /^\d{3}[ -][245]\.7\.1[01](?:\D|$)/

/**
 * Whether a reply is the receiver's final answer for a message or a recipient: a 5yz to MAIL, RCPT,
 * DATA or the message that does not demand TLS. After a failed handshake no plaintext reply is
 * final: an attacker may have sent it.
 */
export function isFinalReply(step: SmtpStep, reply: Reply, context: ReplyContext): boolean {
  if (reply.code < 500 || NEVER_FINAL.has(reply.code) || !FINAL_STEPS.has(step)) return false
  if (reply.lines.some(asksForTls)) return false
  return !context.tlsFailed
}

export function asksForTls(line: string): boolean {
  return ASKS_FOR_TLS.test(line)
}

/** Characters of a reply that an error or a result stores, in all its lines. */
const KEPT_TEXT = 2000

/** Returns the text of a reply, each line escaped and truncated, with LF between them. */
export function replyText({ lines }: Reply): string {
  const text = lines.map(escapeRemoteText).join('\n')
  return text.length > KEPT_TEXT ? `${text.slice(0, KEPT_TEXT)}…` : text
}

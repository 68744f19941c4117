/**
 * Text of remote parties and of thrown values, for messages and logs.
 *
 * @module
 */

/** Returns the message of an error, or the text of anything else that was thrown. */
export function textOfThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return typeof thrown
  }
}

/** Returns the thrown error, or wraps any other thrown value in one. */
export function errorOfThrown(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOfThrown(thrown))
}

const REMOTE_TEXT_LIMIT = 200

/** A name of the DNS (RFC 1035 §2.3.4), with what this package puts before it: `_25._tcp.` */
const DNS_NAME = /^(?=.{1,265}$)[\w*-]{1,63}(?:\.[\w*-]{1,63})+\.?$/

/**
 * Makes text of a remote party safe for a message or a log: escapes control characters,
 * bidirectional overrides and line separators, and truncates it to 200 characters. A name of the DNS
 * stays whole: part of one would be another name.
 */
export function escapeRemoteText(text: string): string {
  const isLong = text.length > REMOTE_TEXT_LIMIT && !DNS_NAME.test(text)
  const cut = isLong ? `${text.slice(0, REMOTE_TEXT_LIMIT)}…` : text
  return cut.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

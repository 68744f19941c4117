/**
 * SMTP replies in options.
 *
 * @module
 */
import { must } from './named.js'

/** Throws unless a value is a 4xx or 5xx reply, with the same code in all lines. */
export const isReply = must(
  "a reply of 4xx or 5xx, such as '451 4.7.1 Come back later'",
  (value) =>
    typeof value === 'string' && /^([45]\d\d)(?:[ -].*)?(?:\r?\n\1(?:[ -].*)?)*$/.test(value),
)

/** Parses a checked reply. */
export function parseReply(reply: string): { code: number; lines: string[] } {
  const lines = reply.split(/\r?\n/).map((line) => line.slice(4))
  return { code: Number(reply.slice(0, 3)), lines }
}

/**
 * Replies of SMTP as a test writes them.
 *
 * @module
 */
import { shown } from './named.js'

/** A reply as it was asked for, taken apart. Throws a TypeError unless it is a 4xx or 5xx. */
export function parseReply(reply: string): { code: number; lines: string[] } {
  const text = String(reply)
  const lines = text.split(/\r?\n/)
  const code = Number(/^([45]\d\d)(?:[ -]|$)/.exec(text)?.[1])
  if (!code) throw new TypeError(`A reply that fails begins with 4xx or 5xx, not ${shown(reply)}`)
  return { code, lines: lines.map((line) => line.replace(/^\d{3}[ -]?/, '')) }
}

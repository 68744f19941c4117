/**
 * Matches MX hosts against the mx patterns of a policy (RFC 8461 §4.1).
 *
 * @module
 */
import { isDomainSyntax, toALabels } from '../dns/domain-name.js'
import { argumentError } from '../option-checks.js'

const ASTERISK = 0x2a
const UPPER_A = 0x41
const UPPER_Z = 0x5a
const TO_LOWER = 0x20

/**
 * Whether a text, or a part of it, is a domain in A-labels, or `*.` and one: `sts-policy-mx-value`
 * of RFC 8461 §3.2, in any case. An IPv4 address passes, and matches nothing: dropping the policy
 * for it would be the weaker reading.
 */
export function isMxPattern(text: string, from = 0, to = text.length): boolean {
  return isDomainSyntax(text, text.startsWith('*.', from) ? from + 2 : from, to)
}

/**
 * Returns whether one of the patterns names the host. `*` stands for exactly one label, case does not count,
 * and the host may carry the root dot or be written in U-labels. The patterns are those of a
 * policy: what `parsePolicy` accepts.
 *
 * ```ts
 * matchesMx('mx1.example.com', ['mail.example.com', '*.example.com']) // true
 * matchesMx('a.b.example.com', ['*.example.com']) // false
 * ```
 *
 * @throws TypeError when the host is not a string, or the patterns are not an array
 */
export function matchesMx(host: string, patterns: readonly string[]): boolean {
  if (typeof host !== 'string') {
    throw argumentError(['matchesMx()', 'host'], 'must be a host name', host)
  }
  checkPatterns(patterns)
  const name = toALabels(host)
  if (name === undefined) return false
  const dot = name.indexOf('.')
  for (const pattern of patterns) {
    if (pattern === name || namesHost(pattern, name, dot)) return true
  }
  return false
}

function checkPatterns(patterns: readonly string[]): void {
  let sound = Array.isArray(patterns)
  if (sound) for (const one of patterns) sound &&= typeof one === 'string'
  if (sound) return
  const must = "must be an array of mx patterns, such as a policy's mx"
  throw argumentError(['matchesMx()', 'patterns'], must, patterns)
}

/** @param dot index of the dot after the first label of the name; -1 if it has one label */
function namesHost(pattern: string, name: string, dot: number): boolean {
  if (pattern.charCodeAt(0) !== ASTERISK) {
    return pattern.length === name.length && isSame(pattern, name, 0)
  }
  // `*` replaces the first label; the rest of the pattern begins with a dot
  return dot > 0 && pattern.length === name.length - dot + 1 && isSame(pattern, name, dot)
}

/**
 * Whether the name, from `start` on, is the end of the pattern, ignoring case; the name is in lower
 * case. It runs for every MX host and pattern, so it allocates nothing, and begins where names differ.
 * `toLowerCase` would also turn letters such as the Kelvin sign into ASCII.
 */
function isSame(pattern: string, name: string, start: number): boolean {
  const offset = pattern.length - name.length
  for (let index = start; index < name.length; index++) {
    const char = pattern.charCodeAt(index + offset)
    const lower = char >= UPPER_A && char <= UPPER_Z ? char + TO_LOWER : char
    if (lower !== name.charCodeAt(index)) return false
  }
  return true
}

/**
 * Domain names in the form that the package compares: A-labels, lower case, no root dot. Names from
 * users, DNS answers and policies are converted once, at the edge.
 *
 * @module
 */
import { domainToASCII, domainToUnicode } from 'node:url'
import { builtins } from '../builtins.js'

/** In characters of the A-label form, without the root dot: RFC 1035 §2.3.4 */
const MAX_NAME_LENGTH = 253

/**
 * Bound of the work. A U-label is at most this much longer than its A-label, decomposed and in
 * UTF-16
 */
const MAX_INPUT_LENGTH = 4 * MAX_NAME_LENGTH

const MAX_LABEL_LENGTH = 63

const ASCII = /^[ -~]*$/
const HYPHEN = 0x2d
const DOT = 0x2e

const HOST_NAME_CHARS = charSet('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-')
const DOMAIN_NAME_CHARS = charSet('abcdefghijklmnopqrstuvwxyz0123456789-_')

/**
 * Returns a domain name in A-labels and lower case, without the root dot; undefined for anything
 * else. Underscores are allowed: such domains exist and receive mail. Addresses are refused, and so
 * is what `inet_aton` would read as one (`127.1`, `0x7f.1`).
 *
 * Only case and Unicode normalization (NFC) are mapped. Full-width letters and dots, invisible
 * characters and the like are refused: other software may map them differently.
 */
export function toALabels(name: string): string | undefined {
  if (isName(name, DOMAIN_NAME_CHARS)) return name
  if (name.length > MAX_INPUT_LENGTH) return undefined
  const relative = name.endsWith('.') ? name.slice(0, -1) : name
  const ascii = ASCII.test(relative) ? relative.toLowerCase() : labelsToASCII(relative)
  return ascii !== undefined && isName(ascii, DOMAIN_NAME_CHARS) ? ascii : undefined
}

/**
 * Whether a text is a host name in A-labels, in any case: letters, digits and hyphens, no root dot,
 * no address (RFC 5321 §4.1.2 `Domain`, RFC 1123 §2.1).
 */
export function isHostName(name: string): boolean {
  return isName(name, HOST_NAME_CHARS)
}

/**
 * Whether a text, or a part of it, has the syntax of `Domain` of RFC 5321 §4.1.2, which allows
 * `192.0.2.1` as well.
 */
export function isDomainSyntax(text: string, from = 0, to = text.length): boolean {
  return lastLabel(text, HOST_NAME_CHARS, from, to) >= 0
}

/** Whether a text is an address literal: `[192.0.2.1]` or `[IPv6:2001:db8::1]`. */
export function isAddressLiteral(domain: string): boolean {
  return parseAddressLiteral(domain) !== undefined
}

/**
 * Returns the address in an address literal (RFC 5321 §4.1.3), as it was written; otherwise
 * undefined.
 */
export function parseAddressLiteral(domain: string): string | undefined {
  if (!domain.startsWith('[') || !domain.endsWith(']')) return undefined
  const { isIPv4, isIPv6 } = builtins.net
  const content = domain.slice(1, -1)
  if (isIPv4(content)) return content
  if (content.slice(0, 5).toLowerCase() !== 'ipv6:') return undefined
  const address = content.slice(5)
  // isIPv6 accepts a zone (`fe80::1%eth0`), which means nothing outside this machine
  return isIPv6(address) && !address.includes('%') ? address : undefined
}

/**
 * Returns the text behind the last `@` of an address, as it was written; a quoted local part may
 * hold others. Undefined without an `@`, or if either side is empty.
 */
export function domainOfMailbox(address: string): string | undefined {
  const at = address.lastIndexOf('@')
  return at > 0 && at < address.length - 1 ? address.slice(at + 1) : undefined
}

/**
 * Whether a name consists of labels of 1 to 63 of these characters, without hyphens at their ends,
 * separated by dots. Faster than a regular expression: it runs for every MX host and policy line.
 */
function isName(name: string, chars: Uint8Array): boolean {
  const last = lastLabel(name, chars, 0, name.length)
  return last >= 0 && !isNumber(name, last)
}

/** Returns the start of the last label of a part; -1 if there is anything but labels. */
function lastLabel(text: string, chars: Uint8Array, from: number, to: number): number {
  if (to - from > MAX_NAME_LENGTH) return -1
  let start = from
  for (let index = from; index < to; index++) {
    const char = text.charCodeAt(index)
    if (char === DOT) {
      if (!isLabel(text, start, index)) return -1
      start = index + 1
    } else if (chars[char] !== 1) return -1
  }
  return isLabel(text, start, to) ? start : -1
}

function isLabel(text: string, start: number, end: number): boolean {
  if (end <= start || end - start > MAX_LABEL_LENGTH) return false
  return text.charCodeAt(start) !== HYPHEN && text.charCodeAt(end - 1) !== HYPHEN
}

/** Whether a resolver would read the name as an IPv4 address, by its last label (URL standard). */
function isNumber(name: string, lastLabel: number): boolean {
  const first = name.charCodeAt(lastLabel)
  if (first < 0x30 || first > 0x39) return false
  return /^(?:\d+|0x[0-9a-f]*)$/i.test(name.slice(lastLabel))
}

function labelsToASCII(name: string): string | undefined {
  const labels: string[] = []
  for (const label of name.split('.')) {
    const ascii = ASCII.test(label) ? label.toLowerCase() : uLabelToALabel(label)
    if (ascii === undefined) return undefined
    labels.push(ascii)
  }
  return labels.join('.')
}

/**
 * Converts a U-label. `domainToASCII` reads its argument as the host of a URL: it decodes percent
 * signs, drops invisible characters, and accepts other dots and numbers. So its result counts only
 * if the A-label stands for exactly this label.
 */
function uLabelToALabel(label: string): string | undefined {
  const ascii = domainToASCII(label)
  if (!ascii.startsWith('xn--')) return undefined
  return domainToUnicode(ascii) === lowerCase(label.normalize('NFC')) ? ascii : undefined
}

/** Returns a table with 1 at the code of each character. */
function charSet(chars: string): Uint8Array {
  const set = new Uint8Array(128)
  for (const char of chars) set[char.charCodeAt(0)] = 1
  return set
}

/**
 * Lower-cases each character alone: in a word, a final capital sigma becomes another letter than in
 * IDNA.
 */
function lowerCase(text: string): string {
  return Array.from(text, (char) => char.toLowerCase()).join('')
}

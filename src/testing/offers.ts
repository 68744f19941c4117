/**
 * Keywords of EHLO that a test sets.
 *
 * @module
 */
import type { Offers } from './host-api.js'
import { checkName, isOptions, must } from './named.js'

/** Keywords of service extensions (IANA, SMTP Service Extensions). */
const KEYWORDS = [
  'PIPELINING',
  '8BITMIME',
  'SMTPUTF8',
  'STARTTLS',
  'AUTH',
  'SIZE',
  'REQUIRETLS',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'CHUNKING',
  'BINARYMIME',
  'BURL',
  'DELIVERBY',
  'FUTURERELEASE',
  'HELP',
  'LIMITS',
  'MT-PRIORITY',
  'NO-SOLICITING',
  'RRVS',
  'VRFY',
]

/** RFC 5321 §4.1.1.1: printable characters; several parameters in one string are let pass. */
const isParameter = (value: unknown): boolean =>
  typeof value === 'string' ? /^[!-~](?:[ -~]*[!-~])?$/.test(value) : Number.isFinite(value)

const isSize = must('true, false, or parameters: a whole number of bytes', (size) =>
  /^\d+$/.test(String(size)),
)

/** Throws a TypeError for wrong keywords. */
export function checkOffers(offers: Offers): void {
  must(
    'an object of keywords, such as { PIPELINING: false }',
    (value) => isOptions(value) && Object.keys(value).length > 0,
  )('offers()', offers)
  for (const [name, value] of Object.entries(offers)) {
    must('a keyword of letters, digits and hyphens', (one) =>
      /^[\da-z][\da-z-]*$/i.test(String(one)),
    )('offers(): a name', name)
    must(
      'true, false, or parameters',
      (one) =>
        typeof one === 'boolean' ||
        isParameter(one) ||
        (Array.isArray(one) && one.length > 0 && one.every(isParameter)),
    )(`offers(): ${name}`, value)
    const keyword = name.toUpperCase()
    if (keyword === 'SIZE' && typeof value !== 'boolean') isSize(`offers(): ${name}`, value)
    // RFC 5321 §2.2.2: a keyword of one's own begins with X. None is there to be taken away
    if (value === false || !keyword.startsWith('X')) {
      checkName('offers(): a keyword', keyword, KEYWORDS)
    }
  }
}

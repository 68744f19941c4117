/**
 * What EHLO offers in place of the usual.
 *
 * @module
 */
import type { Offers } from './host-api.js'
import { checkName, must } from './named.js'

/** The keywords that a host can offer by itself, and that can be taken away from it. */
const USUAL = [
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
]

const isParameter = (value: unknown): boolean => typeof value === 'string' || Number.isFinite(value)

/** Throws a TypeError that names what is wrong with the keywords. */
export function checkOffers(offers: Offers): void {
  must(
    'an object of keywords, such as { PIPELINING: false }',
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
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
        (Array.isArray(one) && one.every(isParameter)),
    )(`offers(): ${name}`, value)
    // What is never offered cannot be taken away
    if (value === false) checkName('offers(): a keyword', name.toUpperCase(), USUAL)
  }
}

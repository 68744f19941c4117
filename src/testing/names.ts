/**
 * Names of domains and hosts in one spelling.
 *
 * @module
 */
import { domainToASCII } from 'node:url'
import { must } from './named.js'

/** Returns a name as the DNS compares it: lower case, without the root dot. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/** The A-labels of a domain or host. Throws a TypeError for other values. */
export function canonicalName(name: string, field = 'The name'): string {
  must('a domain name', isDomain)(field, name)
  return domainToASCII(plainName(name))
}

const isDomain = (value: unknown) =>
  typeof value === 'string' && domainToASCII(plainName(value)) !== ''

/** Throws unless a value is a DNS name: labels of up to 63 bytes, or the root. */
export const isHostName = must(
  'a name of the DNS',
  (value) => typeof value === 'string' && /^(?:\.|(?:[^\s.]{1,63}\.)*[^\s.]{1,63}\.?)$/.test(value),
)

/** Returns the domain of a mailbox; empty without one. */
export function domainOf(mailbox: string): string {
  return domainToASCII(mailbox.slice(mailbox.lastIndexOf('@') + 1).toLowerCase())
}

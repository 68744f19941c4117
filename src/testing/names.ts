/**
 * One spelling for one name.
 *
 * @module
 */
import { domainToASCII } from 'node:url'

/** As the DNS compares names: lower case, without the dot at the end. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/** The A-labels of a domain or host. Throws a TypeError when it is neither. */
export function canonicalName(name: string): string {
  const ascii = domainToASCII(plainName(name))
  if (ascii === '') throw new TypeError(`${JSON.stringify(name)} is not a domain name`)
  return ascii
}

/** The domain of a mailbox; empty when there is none. */
export function domainOf(mailbox: string): string {
  return domainToASCII(mailbox.slice(mailbox.lastIndexOf('@') + 1).toLowerCase())
}

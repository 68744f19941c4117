/**
 * Addresses of the world, from the ranges for documentation, which are not routed (RFC 5737, RFC
 * 3849).
 *
 * @module
 */
import { isIPv6 } from 'node:net'

const PREFIXES = ['192.0.2', '198.51.100', '203.0.113']

export interface AddressPair {
  ipv4: string
  ipv6: string
}

/**
 * Hands out addresses. There are 762 of IPv4; after that hosts share them, as hosts do, and are
 * found by the name that was dialled. IPv6 addresses do not run out.
 */
export class AddressPlan {
  #taken = 0

  next(): AddressPair {
    const n = this.#taken++
    const prefix = PREFIXES[Math.floor(n / 254) % PREFIXES.length]
    const ipv6 = `2001:db8::${((n + 1) >>> 16).toString(16)}:${((n + 1) & 0xffff).toString(16)}`
    return { ipv4: `${prefix}.${(n % 254) + 1}`, ipv6: canonicalAddress(ipv6) }
  }
}

/** Returns the one spelling of an address by which it is looked up. */
export function canonicalAddress(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address
}

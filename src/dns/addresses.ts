/**
 * The addresses of a host that may be contacted: a name chosen by a remote party must not lead a
 * sender to its own network.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import { builtins } from '../builtins.js'
import { isBlocked } from '../net/blocked-addresses.js'
import { type Answer, ask, type Resolver } from './resolver.js'

/** The addresses of a host, or the reason for none. */
export interface AddressLookup {
  /** In the order of trying: IPv6 and IPv4 alternate, IPv6 first (RFC 8305) */
  addresses: string[]
  /** Addresses that must not be contacted */
  blocked: string[]
  /** The reason why no address can be contacted */
  problem?: 'nxdomain' | 'no-address' | 'dns-failure' | 'blocked-address'
  /** The error of the failed lookup */
  cause?: Error
}

/** Maximum number of addresses of a family; more are ignored. */
const MAX_ADDRESSES = 16

/** Looks up the addresses of a host. Never rejects. */
export async function lookupAddresses(
  host: string,
  options: { resolver: Resolver; dnsTimeout: number; blockedAddresses: BlockList },
): Promise<AddressLookup> {
  const { resolver, dnsTimeout } = options
  const [ipv6, ipv4] = await Promise.all([
    ask(() => resolver.resolve6(host), dnsTimeout, isText),
    ask(() => resolver.resolve4(host), dnsTimeout, isText),
  ])
  const { isIPv4, isIPv6 } = builtins.net
  const all = inTurn(recordsOf(ipv6).filter(isIPv6), recordsOf(ipv4).filter(isIPv4))
  const blocked = all.filter((address) => isBlocked(address, options.blockedAddresses))
  const addresses = all.filter((address) => !blocked.includes(address))
  if (addresses.length > 0) return { addresses, blocked }
  if (blocked.length > 0) return { addresses, blocked, problem: 'blocked-address' }
  for (const answer of [ipv4, ipv6]) {
    if (answer.kind === 'failed') {
      return { addresses, blocked, problem: 'dns-failure', cause: answer.error }
    }
  }
  const nxdomain = [ipv4, ipv6].some((answer) => answer.kind === 'absent' && answer.nxdomain)
  return { addresses, blocked, problem: nxdomain ? 'nxdomain' : 'no-address' }
}

function recordsOf(answer: Answer<string>): string[] {
  return answer.kind === 'found' ? answer.records.slice(0, MAX_ADDRESSES) : []
}

function isText(record: unknown): boolean {
  return typeof record === 'string'
}

function inTurn(first: readonly string[], second: readonly string[]): string[] {
  const merged: string[] = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    merged.push(...[first[i], second[i]].filter((address) => address !== undefined))
  }
  return merged
}

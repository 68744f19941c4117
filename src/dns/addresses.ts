/**
 * The addresses of a host, and which of them may be contacted: a name that a remote party chose
 * must not lead a sender to its own network.
 *
 * @module
 */
import { type BlockList, isIPv4, isIPv6 } from 'node:net'
import { isBlocked } from '../net/blocked-addresses.js'
import { type Answer, ask, type Resolver } from './resolver.js'

/** What became of looking up a host's addresses. */
export interface AddressLookup {
  /** In the order in which they are to be tried: IPv6 and IPv4 in turn, IPv6 first (RFC 8305) */
  addresses: string[]
  /** Addresses that were left out because they may not be contacted */
  blocked: string[]
  /** Why there are none */
  problem?: 'nxdomain' | 'no-address' | 'dns-failure' | 'blocked-address'
  cause?: Error
}

/** A host has no more addresses than this that are worth a connection. */
const MAX_ADDRESSES = 16

export async function lookupAddresses(
  host: string,
  options: { resolver: Resolver; dnsTimeout: number; blockedAddresses: BlockList },
): Promise<AddressLookup> {
  const { resolver, dnsTimeout } = options
  const [ipv6, ipv4] = await Promise.all([
    ask(() => resolver.resolve6(host), dnsTimeout),
    ask(() => resolver.resolve4(host), dnsTimeout),
  ])
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
  if (answer.kind !== 'found') return []
  // A resolver of the caller's own may answer anything
  const texts = answer.records.filter((record) => typeof record === 'string')
  return texts.slice(0, MAX_ADDRESSES)
}

function inTurn(first: readonly string[], second: readonly string[]): string[] {
  const merged: string[] = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    merged.push(...[first[i], second[i]].filter((address) => address !== undefined))
  }
  return merged
}

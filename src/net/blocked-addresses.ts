/**
 * Addresses that a name chosen by a remote party must not lead to: the sender's own network, and
 * networks without mail servers.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import { builtins } from '../builtins.js'

/**
 * Returns the networks that no MX host and no policy host may point to: unspecified, loopback,
 * private, link-local, shared (100.64/10), unique-local, multicast, benchmark and reserved
 * addresses, but not documentation ranges.
 */
export function defaultBlockedAddresses(): BlockList {
  const list = new builtins.net.BlockList()
  for (const [network, prefix] of [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24], // IETF protocol assignments (RFC 6890)
    ['192.88.99.0', 24], // 6to4 relays, deprecated (RFC 7526)
    ['192.168.0.0', 16],
    ['198.18.0.0', 15], // benchmarks (RFC 2544)
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const) {
    list.addSubnet(network, prefix, 'ipv4')
  }
  for (const [network, prefix] of [
    ['::', 128],
    ['::1', 128],
    ['64:ff9b:1::', 48], // NAT64 within a network (RFC 8215), with IPv4 addresses at any position
    ['100::', 64], // discarded (RFC 6666)
    ['2001:2::', 48], // benchmarks (RFC 5180)
    ['5f00::', 16], // segment routing (RFC 9602)
    ['fc00::', 7],
    ['fe80::', 10],
    ['fec0::', 10],
    ['ff00::', 8],
  ] as const) {
    list.addSubnet(network, prefix, 'ipv6')
  }
  return list
}

/** Whether an address, or the IPv4 address embedded in it, is on the list. */
export function isBlocked(address: string, list: BlockList): boolean {
  const { isIPv4, isIPv6 } = builtins.net
  if (isIPv4(address)) return list.check(address, 'ipv4')
  if (!isIPv6(address)) return true
  if (list.check(address, 'ipv6')) return true
  return embeddedIPv4(address).some((embedded) => list.check(embedded, 'ipv4'))
}

/** Returns the IPv4 addresses embedded in an IPv6 address, as its prefix indicates. */
function embeddedIPv4(address: string): string[] {
  const groups = expandIPv6(address)
  const at = (index: number) => groups[index] ?? 0
  const ipv4 = (high: number, low: number) =>
    `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
  const zeroUntil = (end: number) => groups.slice(0, end).every((group) => group === 0)

  // IPv4-mapped (::ffff:0:0/96), IPv4-translated (::ffff:0:0:0/96), IPv4-compatible (::/96)
  if (zeroUntil(5) && (at(5) === 0xffff || at(5) === 0)) return [ipv4(at(6), at(7))]
  if (zeroUntil(4) && at(4) === 0xffff && at(5) === 0) return [ipv4(at(6), at(7))]
  // NAT64 (RFC 6052)
  if (at(0) === 0x64 && at(1) === 0xff9b) return [ipv4(at(6), at(7))]
  // 6to4 (RFC 3056)
  if (at(0) === 0x2002) return [ipv4(at(1), at(2))]
  // ISATAP (RFC 5214 §6.1), with any prefix; the first bits of the interface mark global ones
  if ((at(4) & 0xfdff) === 0 && at(5) === 0x5efe) return [ipv4(at(6), at(7))]
  // Teredo (RFC 4380 §4): the server, and the client with inverted bits
  if (at(0) === 0x2001 && at(1) === 0) {
    return [ipv4(at(2), at(3)), ipv4(at(6) ^ 0xffff, at(7) ^ 0xffff)]
  }
  return []
}

function expandIPv6(address: string): number[] {
  const text = (address.split('%')[0] ?? '').replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) =>
      `${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`,
  )
  const [head = '', tail] = text.split('::')
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const first = parse(head)
  if (tail === undefined) return first
  const last = parse(tail)
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last]
}

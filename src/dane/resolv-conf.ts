/**
 * The name servers of this machine: `/etc/resolv.conf` (resolv.conf(5)).
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { optionError } from '../option-checks.js'

/** A name server, by address and port. */
export interface NameServer {
  address: string
  port: number
}

/** The settings of resolv.conf for a DNSSEC resolver; undefined: not set. */
export interface ResolvConf {
  servers: NameServer[]
  /** Whether to trust the AD bit of these servers */
  trustAd: boolean
  /** Limit of one try, in milliseconds */
  timeout: number | undefined
  /** Rounds through the servers */
  attempts: number | undefined
}

const PORT = 53

/** Maximum number of servers, as in the C library. */
export const MAX_SERVERS = 3

/** Bounds of `timeout:` (in seconds) and `attempts:`, as in the C library. */
const MAX_TIMEOUT = 30
const MAX_ATTEMPTS = 5

/** Reads the system's file; without one, the server is on this machine. */
export function systemResolvConf(path = '/etc/resolv.conf'): ResolvConf {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'))
  } catch {
    return parseResolvConf('')
  }
}

export function parseResolvConf(text: string): ResolvConf {
  const servers: NameServer[] = []
  const options = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/)
    const [first = ''] = values
    if (keyword === 'nameserver' && isIP(first)) servers.push({ address: first, port: PORT })
    if (keyword !== 'options') continue
    for (const value of values) {
      const [name = '', argument = ''] = value.split(':')
      options.set(name, argument)
    }
  }
  if (servers.length === 0) servers.push({ address: '127.0.0.1', port: PORT })
  const seconds = bounded(options.get('timeout'), MAX_TIMEOUT)
  return {
    servers: servers.slice(0, MAX_SERVERS),
    trustAd: options.has('trust-ad'),
    timeout: seconds === undefined ? undefined : seconds * 1000,
    attempts: bounded(options.get('attempts'), MAX_ATTEMPTS),
  }
}

function bounded(text: string | undefined, max: number): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  return Math.min(Math.max(Number(text), 1), max)
}

/**
 * Reads `127.0.0.1`, `127.0.0.1:5353`, `::1` or `[::1]:5353`.
 *
 * @throws TypeError for anything else
 */
export function parseServer(text: unknown): NameServer {
  const must = 'must hold addresses of name servers: "127.0.0.1", "127.0.0.1:5353", "[::1]:53"'
  if (typeof text !== 'string') throw optionError('servers', must, text)
  if (isIP(text)) return { address: text, port: PORT }
  const [, bracketed, plain, digits] = /^(?:\[(.*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = bracketed ?? plain ?? ''
  const port = digits === undefined ? PORT : Number(digits)
  const isAddress = bracketed === undefined ? isIP(address) === 4 : isIPv6(address)
  if (!isAddress || port < 1 || port > 65_535) throw optionError('servers', must, text)
  return { address, port }
}

/** Whether a server runs on this machine, so that its answers cannot be changed in transit. */
export function isLoopback({ address }: NameServer): boolean {
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  // An IPv4 address embedded in an IPv6 address is compared by the rules for IPv4
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

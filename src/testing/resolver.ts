/**
 * Resolvers that ask the DNS server of a mail world.
 *
 * @module
 */
import { promises as dns } from 'node:dns'

/** The default of `dnsTimeout`, in milliseconds. */
const TIMEOUT = 500

/** Returns a resolver for the DNS server at a port of loopback. It asks each question twice. */
export function worldResolver(port: number, timeout = TIMEOUT): dns.Resolver {
  const resolver = new dns.Resolver({ timeout, tries: 2 })
  resolver.setServers([`127.0.0.1:${port}`])
  return resolver
}

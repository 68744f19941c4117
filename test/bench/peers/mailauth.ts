/**
 * mailauth in a benchmark's network. It accepts a resolver, but neither a port nor a root: the
 * global agent of its requests provides those.
 *
 * @module
 */
import type { promises as dns } from 'node:dns'
import https from 'node:https'
import type { DNSResolver } from 'mailauth'
import type { Network } from '../network.js'

/** `dns.promises.resolve`, its default, with another resolver. */
export function resolverFunction(resolver: dns.Resolver): DNSResolver {
  return (name, type) => {
    switch (type) {
      case 'TXT':
        return resolver.resolveTxt(name)
      case 'AAAA':
        return resolver.resolve6(name)
      default:
        return resolver.resolve4(name)
    }
  }
}

/** Directs the requests of this process to the policy hosts of the network. */
export function leadRequestsTo({ ca, policyHosts }: Network): void {
  https.globalAgent = new PolicyAgent({ ca, port: policyHosts.port })
}

/** Node's global agent with the root, and another address to connect to. */
class PolicyAgent extends https.Agent {
  readonly #port: number

  constructor({ ca, port }: { ca: string; port: number }) {
    super({ keepAlive: true, scheduling: 'lifo', timeout: 5000, ca })
    this.#port = port
  }

  override createConnection(...[options, callback]: Parameters<https.Agent['createConnection']>) {
    return super.createConnection({ ...options, host: '127.0.0.1', port: this.#port }, callback)
  }
}

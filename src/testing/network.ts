/**
 * The endpoints of a world by address, and connections to them.
 *
 * @module
 */
import { isIP, type Socket } from 'node:net'
import { type AddressPair, AddressPlan, canonicalAddress } from './addresses.js'
import type { WorldTarget } from './api.js'
import type { Reachable, Surroundings } from './endpoint.js'
import { type Accept, type Loopback, refusedSocket } from './loopback.js'

export class Network {
  readonly #surroundings: Surroundings
  readonly #loopback: Loopback
  readonly #plan = new AddressPlan()
  readonly #endpoints = new Map<string, Reachable[]>()
  #closed = false

  constructor(surroundings: Surroundings, loopback: Loopback) {
    this.#surroundings = surroundings
    this.#loopback = loopback
  }

  /** Gives an endpoint its addresses and its DNS records. */
  settle<R extends Reachable>(make: (addresses: AddressPair) => R): R {
    const endpoint = make(this.#plan.next())
    for (const address of [endpoint.ipv4, endpoint.ipv6]) {
      const others = this.#endpoints.get(address)
      if (others) others.push(endpoint)
      else this.#endpoints.set(address, [endpoint])
    }
    endpoint.join(this.#surroundings.zone)
    return endpoint
  }

  connect(target: WorldTarget): Socket {
    const accept = this.dial(target)
    const { address, port } = target
    return accept === undefined ? refusedSocket(address, port) : this.#loopback.dial(accept)
  }

  /** Records an attempt to connect, and returns the function that takes the connection. */
  dial({ purpose, host, address, port }: WorldTarget): Accept | undefined {
    const there = this.#closed ? undefined : this.#at(address, host)
    const accept = there?.reception({ address, port })
    const outcome = accept === undefined ? 'refused' : 'connected'
    const at = this.#surroundings.clock.now()
    // A program that resolves names itself gives only the address
    const name = isIP(host) ? (there?.name ?? host) : host
    this.#surroundings.log.add({ kind: 'dial', purpose, host: name, address, port, outcome, at })
    return accept
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#loopback.close()
  }

  /** Hosts that share an address are found by the name that was dialled. */
  #at(address: string, host: string): Reachable | undefined {
    const there = this.#endpoints.get(canonicalAddress(address)) ?? []
    return there.find(({ name }) => name === host.toLowerCase()) ?? there[0]
  }
}

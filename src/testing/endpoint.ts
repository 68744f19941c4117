/**
 * What MX hosts and policy hosts have in common: a name, addresses, and how the DNS tells them.
 *
 * @module
 */

import type { Socket } from 'node:net'
import type { AddressPair } from './addresses.js'
import type { Host } from './api.js'
import type { CertificateAuthority, CertificateSpec, Credentials } from './authority.js'
import { certificateFor } from './certificates.js'
import type { WorldClock } from './clock.js'
import type { LookupFault } from './faults.js'
import type { WorldLog } from './log.js'
import type { Accept } from './loopback.js'
import type { Peers } from './optional-packages.js'
import type { Zone } from './zone.js'

/** What every part of a world is made with. */
export interface Surroundings {
  peers: Peers
  authority: CertificateAuthority
  clock: WorldClock
  log: WorldLog
  zone: Zone
}

export interface EndpointSetup {
  name: string
  addresses: AddressPair
  surroundings: Surroundings
}

/** A connection that reached an endpoint, with what the sender dialled. */
export interface Arrival {
  address: string
  port: number
}

/** Somebody whom a sender can dial. */
export interface Reachable extends AddressPair {
  readonly name: string
  /** Who takes a connection to this port; undefined: it is refused. */
  reception(arrival: Arrival): Accept | undefined
  /** Takes its place in the DNS. */
  join(zone: Zone): void
}

export abstract class Endpoint<Fault> implements Reachable, Host<Fault> {
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
  protected readonly surroundings: Surroundings
  protected fault: Fault | undefined
  #certificate: CertificateSpec | undefined
  #lookupFault: LookupFault | undefined
  #onlyIPv6 = false
  readonly #open = new Set<Socket>()

  constructor({ name, addresses, surroundings }: EndpointSetup) {
    this.name = name
    this.ipv4 = addresses.ipv4
    this.ipv6 = addresses.ipv6
    this.surroundings = surroundings
  }

  fails(fault: Fault): void {
    this.fault = fault
    this.#restart()
  }

  works(): void {
    this.fault = undefined
    this.#restart()
  }

  certificate(spec?: CertificateSpec): void {
    this.#certificate = spec
    this.#restart()
  }

  /** What it shows at the moment. */
  credentials(): Promise<Credentials> {
    const spec = certificateFor(this.name, this.fault, this.#certificate)
    return this.surroundings.authority.issue(spec)
  }

  /** The certificate that it shows while nothing is wrong with it, and what it sends along, PEM. */
  published(): string {
    const spec = certificateFor(this.name, undefined, this.#certificate)
    return this.surroundings.authority.credentials(spec).cert
  }

  /** How its address lookups fail, if they do; or that it has no IPv4. */
  lookups(fault: LookupFault | 'ipv6-only' | undefined): void {
    this.#onlyIPv6 = fault === 'ipv6-only'
    this.#lookupFault = fault === 'ipv6-only' ? undefined : fault
  }

  join(zone: Zone): void {
    zone.own(this.name, (type) => {
      if (type !== 'A' && type !== 'AAAA') return []
      if (this.#lookupFault !== undefined) return this.#lookupFault
      if (type !== (this.#onlyIPv6 ? 'AAAA' : 'A')) return []
      return [{ type, data: this.#onlyIPv6 ? this.ipv6 : this.ipv4 }]
    })
  }

  reception(arrival: Arrival): Accept | undefined {
    const accept = this.accepts(arrival)
    if (accept === undefined) return undefined
    return (socket) => {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
      accept(socket)
    }
  }

  /** Who takes a connection, the way things stand; undefined: it is refused. */
  protected abstract accepts(arrival: Arrival): Accept | undefined

  /** A sender that pools connections would otherwise go on with those of before. */
  #restart(): void {
    for (const socket of this.#open) socket.destroy()
  }
}

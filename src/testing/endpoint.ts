/**
 * The common part of MX hosts and policy hosts: name, addresses, faults, DNS records.
 *
 * @module
 */
import { isIPv6, type Socket } from 'node:net'
import type { AddressPair } from './addresses.js'
import {
  type CertificateAuthority,
  type CertificateSpec,
  type Credentials,
  checkCertificateSpec,
} from './authority.js'
import { certificateFor } from './certificates.js'
import type { WorldClock } from './clock.js'
import { FaultStack, inSlot, type Place, type Played } from './fault-stack.js'
import type { LookupFault } from './faults.js'
import type { Host } from './host-api.js'
import { checkLink, type LinkOptions, shaped } from './link.js'
import type { WorldLog } from './log.js'
import type { Accept, Loopback } from './loopback.js'
import { checkNoArguments } from './named.js'
import type { Peers } from './optional-packages.js'
import type { Port } from './ports.js'
import {
  checkFaultOptions,
  type FaultHandle,
  type FaultOptions,
  type Register,
  Standing,
} from './standing.js'
import { checkTls, type TlsSettings } from './tls-settings.js'
import type { Zone } from './zone.js'

/** The parts of a world that its hosts and domains use. */
export interface Surroundings {
  peers: Peers
  authority: CertificateAuthority
  clock: WorldClock
  log: WorldLog
  zone: Zone
  loopback: Loopback
  register: Register
  /** Ports that are open, or being opened */
  ports: Set<Promise<Port>>
  /** 0 to 1, by the seed of the world */
  random: () => number
  /** Description of the events */
  explain: () => string
  /** Descriptions of mail to domains that were not made */
  strays: () => string[]
  /** Throws when the world is closed: no sender would meet what is set then */
  assertOpen: (what: string) => void
}

export interface EndpointSetup {
  name: string
  addresses: AddressPair
  surroundings: Surroundings
}

/** A connection that reached an endpoint, with its address and port in the world. */
export interface Arrival {
  address: string
  port: number
  /** By a port of loopback that a client of any kind dialled */
  real?: boolean
}

/** An endpoint that a sender can dial. */
export interface Reachable extends AddressPair {
  readonly name: string
  /** Returns the function that takes a connection to this port; undefined refuses it. */
  reception(arrival: Arrival): Accept | undefined
  join(zone: Zone): void
}

/** Returns the fault of address lookups; `counts`: it answers a query. */
export type LookupSource = (counts: boolean) => LookupFault | 'ipv6-only' | undefined

export abstract class Endpoint<Fault> implements Reachable, Host<Fault> {
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
  protected readonly surroundings: Surroundings
  protected readonly faults = new FaultStack<Fault>()
  protected tlsSettings: TlsSettings = {}
  #certificate: CertificateSpec | undefined
  readonly #lookups: LookupSource[] = []
  #link: { options: LinkOptions; standing: Standing } | undefined
  readonly #open = new Set<Socket>()

  constructor({ name, addresses, surroundings }: EndpointSetup) {
    this.name = name
    this.ipv4 = addresses.ipv4
    this.ipv6 = addresses.ipv6
    this.surroundings = surroundings
  }

  fails(fault: Fault, options?: FaultOptions): FaultHandle {
    return this.addFault(fault, options)
  }

  works(...given: unknown[]): void {
    checkNoArguments('works()', given)
    this.faults.clear()
    this.restart()
  }

  reset(...given: unknown[]): void {
    checkNoArguments('reset()', given)
    this.faults.clear()
    this.tlsSettings = {}
    this.#certificate = undefined
    this.#link = undefined
    this.restart()
  }

  certificate(spec?: CertificateSpec): void {
    this.surroundings.assertOpen('certificate()')
    if (spec !== undefined) checkCertificateSpec(spec)
    this.#certificate = spec
    this.restart()
  }

  tls(settings: TlsSettings = {}): FaultHandle {
    this.surroundings.assertOpen('tls()')
    checkTls(settings)
    this.tlsSettings = settings
    this.restart()
    return this.standing('tls()', () => {
      if (this.tlsSettings !== settings) return
      this.tlsSettings = {}
      this.restart()
    })
  }

  link(options: LinkOptions): FaultHandle {
    checkLink(options)
    const standing = this.standing('link()', () => {
      if (this.#link?.standing !== standing) return
      this.#link = undefined
      this.restart()
    })
    this.#link = { options, standing }
    this.restart()
    return standing
  }

  /** Returns its present certificate at this address. */
  credentials(arrival: Arrival): Promise<Credentials> {
    const played = inSlot(this.faults.of(familyOf(arrival)), 'certificate')
    const names = [this.name, ...(arrival.real ? ['localhost'] : [])]
    const spec = certificateFor({ names, fault: played?.fault, good: this.#certificate })
    return this.surroundings.authority.issue(spec)
  }

  /** The certificate that it shows while nothing is wrong with it, and what it sends along, PEM. */
  published(): string {
    const spec = certificateFor({ names: [this.name], fault: undefined, good: this.#certificate })
    return this.surroundings.authority.credentials(spec).cert
  }

  lookups(source: LookupSource): void {
    this.#lookups.push(source)
  }

  join(zone: Zone): void {
    zone.own(this.name, (type, counts) => {
      if (type !== 'A' && type !== 'AAAA') return []
      const fault = this.#lookupFault(counts)
      if (fault !== undefined && fault !== 'ipv6-only') return fault
      const onlyIPv6 = fault === 'ipv6-only'
      if (type === 'A') return onlyIPv6 ? [] : [{ type, data: this.ipv4 }]
      const has = onlyIPv6 || this.hasIPv6() || this.faults.names(4) || this.faults.names(6)
      return has ? [{ type, data: this.ipv6 }] : []
    })
  }

  reception(arrival: Arrival): Accept | undefined {
    const accept = this.accepts(arrival)
    if (accept === undefined) return undefined
    const link = this.#link
    const served: Accept = (socket) => {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
      accept(socket)
    }
    if (link === undefined) return served
    const { loopback, random } = this.surroundings
    return (socket) => {
      link.standing.meet()
      shaped(socket, loopback.dialOwn(served), { options: link.options, random })
    }
  }

  #lookupFault(counts: boolean): LookupFault | 'ipv6-only' | undefined {
    for (const source of this.#lookups) {
      const fault = source(counts)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  /** The number of open connections. */
  protected get open(): number {
    return this.#open.size
  }

  /** Whether it has an AAAA record beside its A record. */
  protected hasIPv6(): boolean {
    return false
  }

  /** Returns the function that takes a connection now; undefined refuses it. */
  protected abstract accepts(arrival: Arrival): Accept | undefined

  protected abstract placeOf(fault: Fault): Place

  protected addFault(fault: Fault, options: FaultOptions | undefined): Standing {
    this.surroundings.assertOpen('fails()')
    checkFaultOptions('fails()', options)
    const { clock, register } = this.surroundings
    const onStop = () => this.restart()
    const standing = this.faults.add({ fault, place: this.placeOf(fault), options, clock, onStop })
    register.add(this.name, standing)
    this.restart()
    return standing
  }

  protected playedOn(arrival: Arrival): Played<Fault>[] {
    return this.faults.of(familyOf(arrival))
  }

  /** Makes the handle of a setting, which `verify()` does not expect to be met. */
  protected standing(title: string, onStop: () => void): Standing {
    this.surroundings.assertOpen(title)
    return new Standing({ title, clock: this.surroundings.clock, onStop })
  }

  /** Ends open connections: a sender that pools them would go on as before. */
  protected restart(): void {
    for (const socket of this.#open) socket.destroy()
  }
}

/** Returns the family of the address that was dialled. */
export function familyOf({ address }: Arrival): 4 | 6 {
  return isIPv6(address) ? 6 : 4
}

/**
 * A recipient domain: its TXT record, its policy and policy host, its MX records, what arrived.
 *
 * @module
 */

import type { DomainDns, DomainOptions, MailDomain, PolicyOptions } from './api.js'
import { type DaneOptions, DomainDane } from './dane.js'
import type { Endpoint, Surroundings } from './endpoint.js'
import type { DnsFault, DnsPlace, LookupFault } from './faults.js'
import type { ReceivedMessage } from './log.js'
import type { MxServer } from './mx-server.js'
import type { PolicySite } from './policy-site.js'
import type { ZoneRecord } from './zone.js'

export interface MxRecord {
  preference: number
  host: MxServer
}

export interface DomainSetup {
  name: string
  options: DomainOptions
  mx: readonly MxRecord[]
  /** The MX host of an attacker, for spoofed records */
  attacker: () => MxServer
  policyHost: (body: () => string | undefined) => PolicySite
  surroundings: Surroundings
}

const DEFAULT_MAX_AGE = 604_800
const LOOKUP_FAULTS: readonly string[] = ['nxdomain', 'servfail', 'timeout', 'refused']

export class Domain implements MailDomain {
  readonly name: string
  readonly inbox: ReceivedMessage[] = []
  readonly policyHost: PolicySite
  readonly dns: DomainDns
  readonly #setup: DomainSetup
  readonly #faults = new Map<DnsPlace, DnsFault>()
  #policy: PolicyOptions | undefined
  #dane: DomainDane | undefined
  #records: string[] = []
  #ids = 0

  constructor(setup: DomainSetup) {
    this.#setup = setup
    this.name = setup.name
    this.policyHost = setup.policyHost(() => this.policyFile)
    this.dns = {
      fails: (fault: DnsFault, where?: DnsPlace) =>
        this.#fail(fault, where === undefined ? usualPlaces(fault) : [where]),
      works: () => this.#work(),
    }
    const { mode, body } = setup.options
    const { mx: _hosts, ...policy } = setup.options
    if (mode !== undefined || body !== undefined) this.policy(policy)
    this.#join()
  }

  mx(which: string | number = 0): MxServer {
    const { mx } = this.#setup
    const found =
      typeof which === 'number'
        ? mx[which]
        : mx.find(({ host }) => host.name === which || host.name === `${which}.${this.name}`)
    if (found === undefined) {
      const names = mx.map(({ host }) => host.name).join(', ')
      throw new RangeError(`${this.name} has no MX host ${which}, only: ${names}`)
    }
    return found.host
  }

  /** Whether the host is one of the domain's own. */
  has(host: MxServer): boolean {
    return this.#setup.mx.some((record) => record.host === host)
  }

  policy(change: PolicyOptions | null): void {
    if (change === null) {
      this.#policy = undefined
      this.#records = []
      return
    }
    if (this.#policy === undefined && change.mode === undefined && change.body === undefined) {
      throw new TypeError(`${this.name} has no policy to change: say a mode, or a body`)
    }
    const { id = this.#nextId(), ...rest } = change
    // A body stands for a whole file: the next change of a field is not one of that file
    const { body: _replaced, ...before } = this.#policy ?? {}
    this.#policy = { ...before, ...rest, id }
    this.#records = [`v=STSv1; id=${id};`]
  }

  record(text: string | readonly string[] | null): void {
    this.#records = text === null ? [] : typeof text === 'string' ? [text] : [...text]
  }

  dane(options: DaneOptions | null = {}): void {
    const { mx, surroundings } = this.#setup
    const { zone, authority } = surroundings
    this.#dane ??= new DomainDane({
      domain: this.name,
      hosts: mx.map(({ host }) => host),
      zone,
      root: authority.root,
      other: () => authority.credentials({ cn: 'another key', key: 'of-nobody' }).cert,
    })
    this.#dane.set(options)
  }

  get id(): string | undefined {
    return this.#policy?.id
  }

  get policyFile(): string | undefined {
    const policy = this.#policy
    if (policy === undefined) return undefined
    const { mode = 'none', maxAge = DEFAULT_MAX_AGE, body } = policy
    const patterns = policy.patterns ?? this.#setup.mx.map(({ host }) => host.name)
    return (
      body ??
      [
        'version: STSv1',
        `mode: ${mode}`,
        ...patterns.map((pattern) => `mx: ${pattern}`),
        `max_age: ${maxAge}`,
        '',
      ].join('\r\n')
    )
  }

  #nextId(): string {
    const day = new Date(this.#setup.surroundings.clock.now()).toISOString().slice(0, 10)
    return `${day.replaceAll('-', '')}n${++this.#ids}`
  }

  #join(): void {
    const { zone } = this.#setup.surroundings
    zone.own(this.name, (type) => (type === 'MX' ? this.#mxRecords() : []))
    zone.own(`_mta-sts.${this.name}`, (type) => (type === 'TXT' ? this.#txtRecords() : []))
  }

  #mxRecords(): ZoneRecord[] | LookupFault {
    const fault = this.#faults.get('mx')
    if (isLookupFault(fault)) return fault
    if (fault === 'null-mx') return [mxRecord(0, '.')]
    if (fault === 'spoofed-mx') return [mxRecord(10, this.#setup.attacker().name)]
    const { mx } = this.#setup
    // RFC 5321 §5.1: it is its own MX host, and says so by saying nothing
    if (mx.every(({ host }) => host.name === this.name)) return []
    return mx.map(({ preference, host }) => mxRecord(preference, host.name))
  }

  #txtRecords(): ZoneRecord[] | LookupFault {
    const fault = this.#faults.get('record')
    if (isLookupFault(fault)) return fault
    const [record] = this.#records
    const data: Array<string | string[]> = [...this.#records]
    if (fault === 'two-records') data.push(`v=STSv1; id=${this.#nextId()};`)
    if (fault === 'malformed-record') data.splice(0, data.length, 'v=STSv1; id=not_an-id!;')
    if (fault === 'split-strings' && record !== undefined) {
      data[0] = [record.slice(0, 5), record.slice(5, 12), record.slice(12)]
    }
    return data.map((text) => ({ type: 'TXT', data: text }))
  }

  #fail(fault: DnsFault, places: readonly DnsPlace[]): void {
    for (const place of places) {
      this.#faults.set(place, fault)
      this.#play(place, fault)
    }
  }

  #work(): void {
    for (const place of this.#faults.keys()) this.#play(place, undefined)
    this.#faults.clear()
  }

  /** What other names than the domain's own have to know of a fault, or of its end. */
  #play(place: DnsPlace, fault: DnsFault | undefined): void {
    for (const host of this.#endpointsAt(place)) {
      host.lookups(fault === 'ipv6-only' || isLookupFault(fault) ? fault : undefined)
    }
    for (const name of this.#namesAt(place)) {
      this.#setup.surroundings.zone.alias(name, fault === 'cname-chain')
    }
  }

  #endpointsAt(place: DnsPlace): Array<Pick<Endpoint<unknown>, 'name' | 'lookups'>> {
    if (place === 'policy-host') return [this.policyHost]
    return place === 'mx-hosts' ? this.#setup.mx.map(({ host }) => host) : []
  }

  #namesAt(place: DnsPlace): string[] {
    if (place === 'record') return [`_mta-sts.${this.name}`]
    return place === 'mx' ? [this.name] : this.#endpointsAt(place).map(({ name }) => name)
  }
}

/** Where a fault is played when nobody says where. */
function usualPlaces(fault: DnsFault): readonly DnsPlace[] {
  if (fault === 'spoofed-mx' || fault === 'null-mx') return ['mx']
  return fault === 'ipv6-only' ? ['policy-host', 'mx-hosts'] : ['record']
}

function isLookupFault(fault: DnsFault | undefined): fault is LookupFault {
  return fault !== undefined && LOOKUP_FAULTS.includes(fault)
}

function mxRecord(preference: number, exchange: string): ZoneRecord {
  return { type: 'MX', data: { preference, exchange } }
}

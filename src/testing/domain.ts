/**
 * A recipient domain: its TXT record, policy, policy host, MX records and inbox.
 *
 * @module
 */

import type { DomainDns, DomainOptions, MailDomain, PolicyOptions } from './api.js'
import { type DaneOptions, DomainDane } from './dane.js'
import { DomainFaults, domainDns, isLookupFault } from './domain-faults.js'
import type { Surroundings } from './endpoint.js'
import type { LookupFault } from './faults.js'
import { type Inbox, newInbox } from './inbox.js'
import type { Judged } from './judged.js'
import type { MxServer } from './mx-server.js'
import {
  type Check,
  checkFields,
  checkSome,
  isFilledText,
  isText,
  listOf,
  must,
  oneOf,
  shown,
  unknownOf,
  wholeFrom,
} from './named.js'
import { canonicalName } from './names.js'
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
  /** Throws for mail to a domain that was not made, in a strict world */
  check: () => void
}

const DEFAULT_MAX_AGE = 604_800
const POLICY = {
  mode: oneOf(['enforce', 'testing', 'none']),
  patterns: listOf(isFilledText, "['*.example.com']"),
  maxAge: wholeFrom(0),
  body: isText,
  id: must(
    '1 to 32 letters and digits',
    (id) => typeof id === 'string' && /^[\da-z]{1,32}$/i.test(id),
  ),
}
const MX = {
  host: must('a name', (host) => typeof host === 'string' && host !== ''),
  preference: wholeFrom(0, 65_535),
}
const isMx: Check = (field, value) => {
  if (typeof value === 'string') return MX.host(field, value)
  checkFields(field, value, MX)
  checkSome(field, value, ['host'])
}
const DOMAIN = { ...POLICY, mx: listOf(isMx, "['mx1', 'mx2']") }

/** Throws a TypeError for wrong options of a domain. */
export function checkDomainOptions(options: DomainOptions): void {
  checkFields('domain()', options, DOMAIN)
}

export class Domain implements MailDomain {
  readonly name: string
  readonly inbox: Inbox
  readonly policyHost: PolicySite
  readonly dns: DomainDns
  readonly #setup: DomainSetup
  readonly #faults: DomainFaults
  #policy: PolicyOptions | undefined
  #dane: DomainDane | undefined
  #records: string[] = []
  #ids = 0

  constructor(setup: DomainSetup) {
    this.#setup = setup
    this.name = setup.name
    this.policyHost = setup.policyHost(() => this.policyFile)
    const { name, surroundings, mx, check } = setup
    const { log, explain } = surroundings
    this.inbox = newInbox({ name, log, explain, check })
    const hosts = mx.map(({ host }) => host)
    this.#faults = new DomainFaults({ name, surroundings, policyHost: this.policyHost, hosts })
    this.dns = domainDns(this.#faults)
    this.#begin()
    this.#join()
  }

  /** Restores policy and record, and removes faults and messages. */
  reset(): void {
    this.#faults.clear()
    this.#policy = undefined
    this.#records = []
    this.inbox.length = 0
    this.policyHost.reset()
    this.#begin()
  }

  mx(which: string | number = 0): MxServer {
    const { mx } = this.#setup
    must('a name or a number', (one) => ['string', 'number'].includes(typeof one))('mx()', which)
    const found =
      typeof which === 'number'
        ? mx[which]
        : mx.find(({ host }) =>
            [which, `${which}.${this.name}`].some((name) => canonicalName(name) === host.name),
          )
    if (found !== undefined) return found.host
    const names = mx.map(({ host }) => host.name)
    const field = `mx(): the MX host of ${this.name}`
    if (typeof which === 'string') {
      throw new RangeError(`${field} is ${shown(which)}, ${unknownOf(which, names)}`)
    }
    throw new RangeError(`${field} must be 0 to ${mx.length - 1}, but it is ${which}`)
  }

  has(host: MxServer): boolean {
    return this.#setup.mx.some((record) => record.host === host)
  }

  judged(): Judged {
    const { explain, strays } = this.#setup.surroundings
    const { name, inbox } = this
    const connections = this.#setup.mx.flatMap(({ host }) => host.connections)
    return { name, inbox, connections, strays: strays(), explain }
  }

  policy(change: PolicyOptions | null): void {
    this.#setup.surroundings.assertOpen('policy()')
    if (change === null) {
      this.#policy = undefined
      this.#records = []
      return
    }
    checkFields('policy()', change, POLICY)
    if (this.#policy === undefined && change.mode === undefined && change.body === undefined) {
      throw new TypeError(`${this.name} has no policy to change: say a mode, or a body`)
    }
    const { id = this.#nextId(), ...rest } = change
    // A body is a whole file: a later change of a field does not keep it
    const { body: _replaced, ...before } = this.#policy ?? {}
    this.#policy = { ...before, ...rest, id }
    this.#records = [`v=STSv1; id=${id};`]
  }

  record(text: string | readonly string[] | null): void {
    this.#setup.surroundings.assertOpen('record()')
    if (typeof text !== 'string' && text !== null)
      listOf(isText, "['v=STSv1; id=1;']")('record()', text)
    this.#records = text === null ? [] : typeof text === 'string' ? [text] : [...text]
  }

  dane(options: DaneOptions | null = {}): void {
    const { mx, surroundings } = this.#setup
    const { zone, authority } = surroundings
    surroundings.assertOpen('dane()')
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

  #begin(): void {
    const { mx: _hosts, ...policy } = this.#setup.options
    if (policy.mode !== undefined || policy.body !== undefined) this.policy(policy)
  }

  #join(): void {
    const { zone } = this.#setup.surroundings
    zone.own(this.name, (type, counts) => (type === 'MX' ? this.#mxRecords(counts) : []))
    zone.own(`_mta-sts.${this.name}`, (type, counts) =>
      type === 'TXT' ? this.#txtRecords(counts) : [],
    )
  }

  #mxRecords(counts: boolean): ZoneRecord[] | LookupFault {
    const fault = this.#faults.at('mx', counts)
    if (isLookupFault(fault)) return fault
    if (fault === 'null-mx') return [mxRecord(0, '.')]
    if (fault === 'spoofed-mx') return [mxRecord(10, this.#setup.attacker().name)]
    const { mx } = this.#setup
    // RFC 5321 §5.1: without MX records, it is its own MX host
    if (mx.every(({ host }) => host.name === this.name)) return []
    return mx.map(({ preference, host }) => mxRecord(preference, host.name))
  }

  #txtRecords(counts: boolean): ZoneRecord[] | LookupFault {
    const fault = this.#faults.at('record', counts)
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
}

function mxRecord(preference: number, exchange: string): ZoneRecord {
  return { type: 'MX', data: { preference, exchange } }
}

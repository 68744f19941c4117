/**
 * DANE of a domain in a mail world: signed answers, TLSA records of its MX hosts, and faults.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { TlsaRecord } from '../tls/security.js'
import { DANE_FAULTS, type DaneFault } from './dane-faults.js'
import type { SecureFault } from './dnssec.js'
import { type Check, checkFields, listOf, must, oneOf, shown, wholeFrom } from './named.js'
import type { Zone } from './zone.js'

/** A TLSA record of a certificate. Default: `3 1 1` of the host. */
export interface TlsaSpec {
  /** Default 3, DANE-EE */
  usage?: number
  /** Default 1, the public key */
  selector?: number
  /** Default 1, SHA-256 */
  matchingType?: number
  /**
   * `host`: the certificate of the MX host when `dane()` is called; `intermediate` and `root`:
   * those of the world's authority; `other`: one with a key that no host has. Default `host`
   */
  of?: 'host' | 'intermediate' | 'root' | 'other'
  /** The bytes themselves, in place of `of` */
  data?: Uint8Array
}

/** Options of `MailDomain.dane()`. */
export interface DaneOptions {
  /** The TLSA records of each MX host; default: one, `3 1 1` of its certificate */
  records?: readonly TlsaSpec[]
  /** One fault, at every MX host or at `host` */
  fails?: DaneFault
  /** The MX host that `fails` is played at, by name; default: all */
  host?: string
}

/** The part of an MX host that DANE uses. */
export interface DaneHost {
  readonly name: string
  readonly ipv4: string
  /** Returns the certificate without faults, and its chain, PEM */
  published(): string
}

export interface DaneSetup {
  domain: string
  hosts: readonly DaneHost[]
  zone: Zone
  /** The root of the world, PEM */
  root: string
  /** A certificate that no host shows, PEM */
  other: () => string
}

export class DomainDane {
  readonly #setup: DaneSetup

  constructor(setup: DaneSetup) {
    this.#setup = setup
  }

  /** Signs the domain and publishes records; `null` removes all of it. */
  set(options: DaneOptions | null): void {
    const { domain, zone, hosts } = this.#setup
    if (options !== null) {
      const host = oneOf(hosts.map(({ name }) => name))
      checkFields('dane()', options, { ...DANE, host })
      checkConflicts(options)
      // A record that cannot be made must leave everything as it was
      for (const each of hosts) for (const spec of options.records ?? []) this.#record(spec, each)
    }
    zone.dnssec.sign(domain, options !== null)
    zone.dnssec.fails(domain, 'MX', undefined)
    for (const host of hosts) {
      this.#clear(host)
      if (options !== null) this.#publish(host, options)
    }
  }

  #clear({ name }: DaneHost): void {
    const { zone } = this.#setup
    const alias = aliasOf(name)
    for (const each of [name, alias]) {
      zone.dnssec.sign(each, false)
      for (const type of ['A', 'AAAA', 'CNAME']) zone.dnssec.fails(each, type, undefined)
      zone.dnssec.sign(tlsaName(each), false)
      zone.dnssec.fails(tlsaName(each), 'TLSA', undefined)
      zone.set(tlsaName(each), 'TLSA', undefined)
    }
    zone.set(name, 'CNAME', undefined)
    zone.set(alias, 'A', undefined)
  }

  #publish(host: DaneHost, { records = [{}], fails, host: at }: DaneOptions): void {
    const { zone } = this.#setup
    for (const name of [host.name, tlsaName(host.name)]) zone.dnssec.sign(name, true)
    this.#setRecords(host.name, records, host)
    if (fails !== undefined && (at === undefined || at === host.name)) this.#fail(host, fails)
  }

  #fail(host: DaneHost, fault: DaneFault): void {
    const { zone, domain } = this.#setup
    const { dnssec } = zone
    const tlsa = tlsaName(host.name)
    const failing = FAILING.get(fault)
    const records = RECORDS.get(fault)
    if (failing) {
      const [type, how] = failing
      const name = type === 'MX' ? domain : type === 'TLSA' ? tlsa : host.name
      dnssec.fails(name, type, how)
    }
    if (records) this.#setRecords(host.name, records, host)
    if (fault === 'insecure-mx') dnssec.sign(domain, false)
    if (fault === 'insecure-address') dnssec.sign(host.name, false)
    if (fault === 'insecure-tlsa' || fault === 'opt-out') dnssec.sign(tlsa, false)
    if (fault.includes('alias')) this.#alias(host, fault)
  }

  /** Makes the host an alias, with TLSA records at the name that senders must query. */
  #alias(host: DaneHost, fault: DaneFault): void {
    const { zone } = this.#setup
    const alias = aliasOf(host.name)
    zone.set(host.name, 'CNAME', [{ type: 'CNAME', data: alias }])
    zone.set(alias, 'A', [{ type: 'A', data: host.ipv4 }])
    zone.dnssec.sign(host.name, fault !== 'insecure-alias')
    for (const name of [alias, tlsaName(alias)]) zone.dnssec.sign(name, fault === 'alias')
    if (fault !== 'alias') return
    this.#setRecords(alias, [{}], host)
    // Senders must not use the records of the alias itself
    this.#setRecords(host.name, [{ of: 'other' }], host)
  }

  #setRecords(name: string, specs: readonly TlsaSpec[], host: DaneHost): void {
    const records = specs.map((spec) => this.#record(spec, host))
    this.#setup.zone.set(
      tlsaName(name),
      'TLSA',
      records.map((data) => ({ type: 'TLSA', data })),
    )
  }

  #record(
    { usage = 3, selector = 1, matchingType = 1, of, data }: TlsaSpec,
    host: DaneHost,
  ): TlsaRecord {
    if (data) return { usage, selector, matchingType, data }
    const certificate = this.#certificate(of ?? 'host', host)
    const selected =
      selector === 0
        ? certificate.raw
        : certificate.publicKey.export({ type: 'spki', format: 'der' })
    const digest = DIGESTS.get(matchingType)
    const hash = digest === undefined ? selected : createHash(digest).update(selected).digest()
    return { usage, selector, matchingType, data: hash }
  }

  #certificate(of: NonNullable<TlsaSpec['of']>, host: DaneHost): X509Certificate {
    if (of === 'root') return new X509Certificate(this.#setup.root)
    if (of === 'other') return new X509Certificate(this.#setup.other())
    const [own = '', intermediate = ''] = host
      .published()
      .split(/(?<=-----END CERTIFICATE-----\n?)(?=-)/)
    if (of === 'intermediate' && intermediate === '') {
      const problem = `dane(): records: ${host.name} sends no intermediate`
      throw new TypeError(`${problem}: change its certificate(), or take another "of"`)
    }
    return new X509Certificate(of === 'host' ? own : intermediate)
  }
}

const DIGESTS: ReadonlyMap<number, string> = new Map([
  [1, 'sha256'],
  [2, 'sha512'],
])

/** Throws a TypeError for options that have no effect beside each other. */
function checkConflicts({ records = [], fails, host }: DaneOptions): void {
  if (host !== undefined && fails === undefined) {
    throw new TypeError('dane(): host is where fails is played: it needs fails')
  }
  const replaces = fails !== undefined && (RECORDS.has(fails) || fails.includes('alias'))
  if (records.length > 0 && replaces) {
    throw new TypeError(`dane(): fails ${shown(fails)} has records of its own: leave out records`)
  }
  if (records.some(({ of, data }) => of !== undefined && data !== undefined)) {
    throw new TypeError('dane(): records: an entry takes of or data, not both')
  }
}

/** Type and failure of a query, by fault. */
const FAILING: ReadonlyMap<DaneFault, readonly ['MX' | 'A' | 'TLSA', SecureFault]> = new Map([
  ['bogus-mx', ['MX', 'bogus']],
  ['bogus-address', ['A', 'bogus']],
  ['bogus-tlsa', ['TLSA', 'bogus']],
  ['tlsa-servfail', ['TLSA', 'servfail']],
  ['tlsa-timeout', ['TLSA', 'timeout']],
])

/** Records in place of the good ones, by fault. */
const RECORDS: ReadonlyMap<DaneFault, readonly TlsaSpec[]> = new Map([
  ['no-tlsa', []],
  ['opt-out', []],
  ['old-key', [{ of: 'other' }]],
  ['pkix-records', [{ usage: 0, selector: 0, of: 'root' }, { usage: 1 }]],
  ['short-record', [{ data: new Uint8Array() }]],
  ['anchor-not-sent', [{ usage: 2, selector: 0, of: 'root' }]],
])

const TLSA: Readonly<Record<keyof TlsaSpec, Check>> = {
  usage: wholeFrom(0, 255),
  selector: wholeFrom(0, 255),
  matchingType: wholeFrom(0, 255),
  of: oneOf(['host', 'intermediate', 'root', 'other']),
  data: must('bytes', (data) => data instanceof Uint8Array),
}

const DANE = {
  records: listOf((field, record) => checkFields(field, record, TLSA), '[{ usage: 3 }]'),
  fails: oneOf(DANE_FAULTS.map(({ name }) => name)),
}

function tlsaName(host: string): string {
  return `_25._tcp.${host}`
}

function aliasOf(host: string): string {
  return `alias-of-${host}`
}

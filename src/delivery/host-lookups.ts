/**
 * DNS lookups of mail hosts, with or without DANE, shared by concurrent deliveries.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { Dane, DaneHost } from '../dane/dane.js'
import type { SecureAnswer } from '../dane/secure-answer.js'
import type { Resolver } from '../dns/resolver.js'
import { Answers, Lookups, type MxRecord, REUSE } from '../dns/shared-lookups.js'
import { referenceNames } from '../tls/security.js'

/** The answer to an MX lookup; only DANE sets `secure` and `name`. */
export type MxAnswer = Awaited<ReturnType<Lookups['mx']>> | SecureAnswer<MxRecord>

/** Input of {@link HostLookups.host}, besides the name of the MX host. */
export interface HostQuestion {
  /** The next-hop domain: A-labels, lower case */
  domain: string
  /** The answer that named the host; from DANE if it says whether it is secure */
  mx: MxAnswer
  port: number
}

/** Options of {@link HostLookups}. */
export interface HostLookupOptions {
  resolver: Resolver
  /** Limit of a DNS query, in milliseconds */
  dnsTimeout: number
  blockedAddresses: BlockList
  dane?: Dane | undefined
}

/** Looks up MX records, and the addresses and DANE demand of each MX host. */
export class HostLookups {
  readonly #options: HostLookupOptions
  readonly #plain: Lookups
  readonly #secureMx: Answers<SecureAnswer<MxRecord>> | undefined
  /** Lookups since `#daneSince` */
  #daneHosts = new Map<string, Promise<DaneHost>>()
  #daneSince = 0
  #underWay = 0

  constructor(options: HostLookupOptions) {
    const { dane, dnsTimeout } = options
    this.#options = options
    this.#plain = new Lookups(options)
    this.#secureMx =
      dane &&
      new Answers({
        lookup: (domain) => dane.mx(domain, dnsTimeout),
        isKept: ({ kind }) => this.#underWay > 0 && kind !== 'failed',
      })
  }

  /**
   * Looks up the MX records of a domain, unsorted. Never rejects.
   *
   * @param withDane whether DANE applies to the domain
   */
  mx(domain: string, withDane: boolean): MxAnswer | Promise<MxAnswer> {
    const { dane } = this.#options
    if (!this.#secureMx || !withDane || dane?.excepted(domain)) return this.#plain.mx(domain)
    return this.#secureMx.of(domain)
  }

  /** Looks up an MX host. Never rejects. */
  async host(mxHost: string, { domain, mx, port }: HostQuestion): Promise<DaneHost> {
    const { dane, dnsTimeout, blockedAddresses } = this.#options
    if (!dane || !isSecureAnswer(mx)) {
      return { addresses: await this.#plain.addresses(mxHost), demand: { kind: 'none' } }
    }
    // Even a sender that is always busy must see new TLSA records
    if (performance.now() - this.#daneSince > REUSE) this.#forgetDaneHosts()
    const hosts = this.#daneHosts
    // Domains share the lookups of a host where they would be the same
    const isSecure = mx.kind !== 'failed' && mx.secure
    const key = [mxHost, port, isSecure, dane.required(domain), dane.excepted(domain)].join(' ')
    const known = hosts.get(key)
    if (known) return forDomain(await known, domain, mx)
    if (hosts.size === 0) this.#daneSince = performance.now()
    const asked = dane.host(mxHost, { domain, mx, port, dnsTimeout, blockedAddresses })
    hosts.set(key, asked)
    const host = await asked
    if (this.#underWay === 0 || !isConclusive(host)) hosts.delete(key)
    return host
  }

  /**
   * Runs a delivery. While any delivery runs, answers are reused for a second; then they are
   * dropped.
   */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await this.#plain.during(work)
    } finally {
      this.#underWay--
      if (this.#underWay === 0) this.#forget()
    }
  }

  #forget(): void {
    this.#secureMx?.forget()
    this.#forgetDaneHosts()
  }

  #forgetDaneHosts(): void {
    if (this.#daneHosts.size > 0) this.#daneHosts = new Map()
  }
}

/** Whether the lookups gave an answer. The next delivery repeats failed lookups. */
function isConclusive({ addresses, demand }: DaneHost): boolean {
  return demand.kind !== 'skip' && addresses.problem !== 'dns-failure'
}

function isSecureAnswer(answer: MxAnswer): answer is SecureAnswer<MxRecord> {
  return answer.kind === 'failed' ? 'bogus' in answer : 'secure' in answer
}

/** Returns what was looked up of a host for another domain of it: only the names differ. */
function forDomain(host: DaneHost, domain: string, mx: SecureAnswer<MxRecord>): DaneHost {
  const { demand } = host
  if (demand.kind !== 'dane') return host
  const { proof } = demand
  const alias = mx.kind === 'failed' ? undefined : mx.name
  const names = referenceNames(proof.base, domain, alias)
  return { ...host, demand: { ...demand, proof: { ...proof, names } } }
}

/**
 * The DNS lookups of mail hosts, with or without DANE, shared by deliveries that overlap.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { Dane, DaneHost } from '../dane/dane.js'
import type { SecureAnswer } from '../dane/secure-answer.js'
import type { Resolver } from '../dns/resolver.js'
import { Answers, Lookups, type MxRecord } from '../dns/shared-lookups.js'

/** The answer to an MX lookup; `secure` and `name` only where DANE asked. */
export type MxAnswer = Awaited<ReturnType<Lookups['mx']>> | SecureAnswer<MxRecord>

/** What {@link HostLookups.host} needs beside the name of the MX host. */
export interface HostQuestion {
  /** The next-hop domain: A-labels, lower case */
  domain: string
  /** The answer that named the host; asked with DANE when it says whether it is secure */
  mx: MxAnswer
  port: number
}

/** Options of {@link HostLookups}. */
export interface HostLookupOptions {
  resolver: Resolver
  /** For a DNS query, in milliseconds */
  dnsTimeout: number
  blockedAddresses: BlockList
  dane?: Dane | undefined
}

/** Looks up MX records, and for each MX host its addresses and what DANE asks of it. */
export class HostLookups {
  readonly #options: HostLookupOptions
  readonly #plain: Lookups
  readonly #secureMx: Answers<SecureAnswer<MxRecord>> | undefined
  #daneHosts = new Map<string, Promise<DaneHost>>()
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
   * Looks up the MX records of a domain, in no order. Never rejects.
   *
   * @param withDane whether DANE applies to the domain
   */
  async mx(domain: string, withDane: boolean): Promise<MxAnswer> {
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
    const key = `${mxHost} ${domain} ${port} ${mx.kind !== 'failed' && mx.secure}`
    const known = this.#daneHosts.get(key)
    if (known) return known
    const host = dane.host(mxHost, { domain, mx, port, dnsTimeout, blockedAddresses })
    this.#daneHosts.set(key, host)
    const { demand } = await host
    if (demand.kind === 'skip' || this.#underWay === 0) this.#daneHosts.delete(key)
    return host
  }

  /** Answers are used again for as long as some delivery is under way; then they are forgotten. */
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
    if (this.#daneHosts.size > 0) this.#daneHosts = new Map()
  }
}

function isSecureAnswer(answer: MxAnswer): answer is SecureAnswer<MxRecord> {
  return answer.kind === 'failed' ? 'bogus' in answer : 'secure' in answer
}

/**
 * DANE as deliveries use it: the secure MX lookup of a domain, and for each MX host its addresses
 * and the proof that RFC 7672 §2.2 demands.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { AddressLookup } from '../dns/addresses.js'
import type { MxRecord } from '../dns/shared-lookups.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Proof, TlsaRecord } from '../tls/security.js'
import type { DnssecResolver, SecureAnswer } from './secure-answer.js'

/** The proof that one of the TLSA records of a host matches. */
export type DaneProof = Extract<Proof, { by: 'dane' }>

/**
 * The demand of DANE on a connection to one MX host:
 * - `dane`: `proof` must hold; there is no fallback
 * - `tls-required`: TLSA records exist, but none is usable: TLS is required, without a proof by
 *   DANE (RFC 7672 §2.2). `failure` is for reports; it does not stop the delivery
 * - `none`: no demand
 * - `skip`: the host must not be used now, because of `failure`
 */
export type DaneDemand =
  | { kind: 'dane'; proof: DaneProof }
  | { kind: 'tls-required'; base: string; tlsa: readonly TlsaRecord[]; failure: TlsFailure }
  | { kind: 'none' }
  | { kind: 'skip'; failure: TlsFailure }

/** The addresses of an MX host, and DANE's demand on connections to them. */
export interface DaneHost {
  /** Its addresses, or the reason for none */
  addresses: AddressLookup
  /** The proof that a connection must give */
  demand: DaneDemand
}

/** Input of {@link Dane.host} besides the name of the host. */
export interface DaneHostOptions {
  /** The next-hop domain: A-labels, lower case */
  domain: string
  /** The answer of {@link Dane.mx} that named the host */
  mx: SecureAnswer<MxRecord>
  /** TCP port of the SMTP server: the TLSA records are at `_25._tcp.` of the host */
  port: number
  /** Limit of each DNS question, in milliseconds */
  dnsTimeout: number
  /** Addresses that must not be contacted */
  blockedAddresses: BlockList
}

/** Receives the warning that DANE is off. */
export interface DaneLogger {
  /** Logs a warning */
  warn(entry: object, message: string): void
}

/** DANE for a sender: the option `dane` of `MtaSts`. Made by {@link dane}. */
export interface Dane {
  /** The source of every DNS answer of a sender that uses DANE */
  readonly resolver: DnssecResolver
  /**
   * Looks up the MX records of a domain. `failed` (SERVFAIL, bogus, no answer in time) means that
   * the message is deferred. Never rejects.
   */
  mx(domain: string, dnsTimeout: number): Promise<SecureAnswer<MxRecord>>
  /**
   * Looks up the addresses and TLSA records of one MX host, for a domain that is not exempt. Under
   * `require`, a host without usable TLSA records is skipped with `dane-required`. Never rejects.
   */
  host(mxHost: string, options: DaneHostOptions): Promise<DaneHost>
  /** Whether the operator demands DANE of this domain */
  required(domain: string): boolean
  /** Whether the operator exempts this domain from DANE */
  excepted(domain: string): boolean
  /**
   * Judges a finished handshake; undefined: the proof holds. Call it after the verdict of MTA-STS:
   * on Node 20 to 24 it can leave `getPeerCertificate()` empty. `now` is in epoch milliseconds.
   */
  judge(socket: TLSSocket, proof: DaneProof, now?: number): TlsFailure | undefined
  /**
   * Checks that the resolver validates. If not, warns once, in the log and on `mta-sts:dane`. Never
   * rejects. A sender calls it at its first delivery and need not wait.
   */
  probe(logger?: DaneLogger): Promise<boolean>
}

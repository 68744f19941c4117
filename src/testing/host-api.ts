/**
 * Interfaces of the hosts of a mail world, and their options.
 *
 * @module
 */
import type { CertificateSpec } from './authority.js'
import type { MxFault, PolicyHostFault } from './faults.js'
import type { BounceOptions, GreylistOptions, LimitOptions } from './habits.js'
import type { Inbox } from './inbox.js'
import type { LinkOptions } from './link.js'
import type { MxConnection, PolicyGet } from './log.js'
import type { AddressPattern, Rule } from './rules.js'
import type { FaultHandle, FaultOptions } from './standing.js'
import type { TlsSettings } from './tls-settings.js'

/** Methods and fields of MX hosts and policy hosts. */
export interface Host<Fault> {
  /** As A-labels, lower case */
  readonly name: string
  /** The logical address in its A record, one of RFC 5737 */
  readonly ipv4: string
  /** The logical address of its AAAA record, RFC 3849; see `MxOptions.ipv6` */
  readonly ipv6: string
  /**
   * Sets a fault, from the next connection on; open connections end. Faults combine if one
   * connection can meet both; otherwise the newer one ends the older one. A fault with bounds ends
   * by itself, and the earlier one is back.
   *
   * @example
   * using outage = bob.mx().fails('unreachable', { times: 2 })
   */
  fails(fault: Fault, options?: FaultOptions): FaultHandle
  /** Ends all faults and open connections. */
  works(): void
  /** Replaces the certificate; without `spec`, the good one is back. */
  certificate(spec?: CertificateSpec): void
  /** Sets versions, ciphers and client certificates; without `settings`, Node's defaults. */
  tls(settings?: TlsSettings): FaultHandle
  /** Makes connections to the host slow, uneven or lossy. */
  link(options: LinkOptions): FaultHandle
  /** Ends faults, rules, habits and link; certificate and TLS are the defaults. */
  reset(): void
}

/** Keywords of EHLO: absent, present, or with parameters. */
export type Offers = Readonly<Record<string, boolean | string | number | readonly string[]>>

/** An MX host or a smart host. */
export interface MxHost extends Host<MxFault> {
  /** Messages that it accepted, for any recipient. */
  readonly inbox: Inbox
  /** Connections that reached it, oldest first. `world.dials` has refused ones too. */
  readonly connections: MxConnection[]
  /**
   * Adds a rule, which comes before earlier ones.
   *
   * @example
   * bob.mx().rule({ at: 'rcpt', to: /^full/, reply: '452 4.2.2 Full' })
   */
  rule(rule: Rule): FaultHandle
  /** Defers a pair of sender and recipient until it has waited, in world time. */
  greylists(options?: GreylistOptions): FaultHandle
  /** Refuses all other recipients. */
  knows(addresses: readonly AddressPattern[]): FaultHandle
  /** Limits connections, messages, recipients and size. */
  limits(options: LimitOptions): FaultHandle
  /** Accepts messages, and sends their sender a delivery status notification (RFC 3464). */
  bounces(options?: BounceOptions): FaultHandle
  /** Changes what EHLO offers: `{ PIPELINING: false, SIZE: 1000, 'X-TEST': true }`. */
  offers(offers: Offers): FaultHandle
  /** Opens a port on loopback, for any client; a second call resolves to the same one. */
  listen(): Promise<ListeningPort>
}

/** A port on loopback of a host. */
export interface ListeningPort extends AsyncDisposable {
  /** `127.0.0.1`; the host's certificate names it and `localhost` too */
  readonly host: string
  /** The number of the port */
  readonly port: number
  /** `smtp://user:pass@127.0.0.1:49152` */
  readonly url: string
  /** Closes the port; `world.close()` does too */
  close(): Promise<void>
}

/** The policy host of a domain. */
export interface PolicyHost extends Host<PolicyHostFault> {
  /** The requests that reached it, oldest first. */
  readonly gets: PolicyGet[]
}

/** Options of an MX host. */
export interface MxOptions {
  /** Offer REQUIRETLS (RFC 8689) inside TLS; default false */
  requireTls?: boolean
  /** Have an AAAA record beside the A record; default false */
  ipv6?: boolean
}

/** A host that mail is submitted to: on another port than 25, with logins. */
export interface SmartHostOptions extends MxOptions {
  /** Default 587 */
  port?: number
  /** Whether TLS begins with the first byte; default: with port 465 */
  secure?: boolean
  /** Accepted logins; default: no login is needed */
  auth?: Login | readonly Login[]
  /**
   * Whether it delivers mail for domains of the world to their MX hosts, before it replies. It
   * retries deferred mail when the clock of the world advances, and bounces refused mail. Default
   * false: all mail stays in its inbox
   */
  relays?: boolean
}

/** A login: a name with a password or an access token. */
export interface Login {
  /** The name */
  user: string
  /** The password */
  pass?: string
  /** For XOAUTH2; default: the password */
  accessToken?: string
}

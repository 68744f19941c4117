/**
 * What a test holds in its hands of a host: faults, rules, habits, what arrived.
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

/** What MX hosts and policy hosts have in common. */
export interface Host<Fault> {
  /** As A-labels, lower case */
  readonly name: string
  /** The logical address in its A record, one of RFC 5737 */
  readonly ipv4: string
  /** The logical address of its AAAA record, RFC 3849; see `MxOptions.ipv6` */
  readonly ipv6: string
  /**
   * From the next connection on, as with a server that is started anew: connections that are open
   * end. Faults combine where one connection can meet both; one that would keep the new one from
   * being met ends. A fault with bounds ends by itself, and what was there before is back.
   *
   * @example
   * using outage = bob.mx().fails('unreachable', { times: 2 })
   */
  fails(fault: Fault, options?: FaultOptions): FaultHandle
  /** Ends all faults. Connections that are open end, too. */
  works(): void
  /** Shows another certificate than the one that names the host; without `spec`, that one again. */
  certificate(spec?: CertificateSpec): void
  /** Sets versions, ciphers and client certificates; without `settings`, as Node has them. */
  tls(settings?: TlsSettings): FaultHandle
  /** Puts a slow, uneven or lossy link before the host. */
  link(options: LinkOptions): FaultHandle
  /** Ends everything that was set: faults, rules, habits, certificate, TLS, link. */
  reset(): void
}

/** What EHLO offers: keywords that are absent, present, or have parameters. */
export type Offers = Readonly<Record<string, boolean | string | number | readonly string[]>>

/** An MX host, or a host that mail is submitted to. */
export interface MxHost extends Host<MxFault> {
  /** What it took, whoever it was for. */
  readonly inbox: Inbox
  /** The connections that reached it, oldest first. Of refused ones there is `world.dials`. */
  readonly connections: MxConnection[]
  /**
   * Adds a rule; it is asked before those that were there.
   *
   * @example
   * bob.mx().rule({ at: 'rcpt', to: /^full/, reply: '452 4.2.2 Full' })
   */
  rule(rule: Rule): FaultHandle
  /** Lets a pair of sender and recipient wait, in world time, before it takes mail of it. */
  greylists(options?: GreylistOptions): FaultHandle
  /** Refuses all recipients but these. */
  knows(addresses: readonly AddressPattern[]): FaultHandle
  /** Limits connections, messages, recipients and size. */
  limits(options: LimitOptions): FaultHandle
  /** Takes messages, and sends the sender's domain a delivery status notification (RFC 3464). */
  bounces(options?: BounceOptions): FaultHandle
  /** Changes what EHLO offers: `{ PIPELINING: false, SIZE: 1000, 'X-TEST': true }`. */
  offers(offers: Offers): FaultHandle
  /** Opens a port on loopback, for clients of any kind; a second call resolves to the same one. */
  listen(): Promise<ListeningPort>
}

/** A port on loopback that leads to a host. */
export interface ListeningPort extends AsyncDisposable {
  /** `127.0.0.1`; the certificate of the host names it, and `localhost`, besides its own name */
  readonly host: string
  /** The number of the port */
  readonly port: number
  /** `smtp://user:pass@127.0.0.1:49152` */
  readonly url: string
  /** Ends it; the world ends it as well */
  close(): Promise<void>
}

/** The policy host of a domain. */
export interface PolicyHost extends Host<PolicyHostFault> {
  /** The requests that reached it, oldest first. */
  readonly gets: PolicyGet[]
}

/** What an MX host is besides its name. */
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
  /** TLS from the first byte on; default: with port 465 */
  secure?: boolean
  /** Logins that may submit mail; default: no login is needed */
  auth?: Login | readonly Login[]
  /**
   * Hands mail for domains of the world to their MX hosts, before it answers; what they defer, it
   * tries again whenever the clock of the world is put forward; what they refuse, it bounces.
   * Default false: it keeps all mail in its inbox
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

/**
 * What a test holds in its hands: the world, its domains, its hosts.
 *
 * @module
 */
import type { promises as dns } from 'node:dns'
import type { Socket } from 'node:net'
import type { CertificateSpec } from './authority.js'
import type { WorldClock } from './clock.js'
import type { DaneOptions } from './dane.js'
import type { DnsFault, DnsPlace, LookupFault, MxFault, PolicyHostFault } from './faults.js'
import type { Dial, DnsQuery, LogEntry, MxConnection, PolicyGet, ReceivedMessage } from './log.js'

/** Options of `createMailWorld`. */
export interface MailWorldOptions {
  /** The name the sender says in EHLO; default `sender.example` */
  name?: string | undefined
  /** How long the sender's resolver waits for an answer, asking twice; default 500 ms */
  dnsTimeout?: number | undefined
}

/** Made by `createMailWorld`. */
export interface MailWorld extends AsyncDisposable {
  /**
   * A domain: record, policy, policy host, MX records and MX hosts, each as it should be. Without
   * options: the one that is there already, or a new one without a policy.
   *
   * @example
   * world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2', 'mx.fleet.example'] })
   */
  domain(name: string, options?: DomainOptions): MailDomain
  /** An MX host by name, whether domains share it or none has it yet. */
  mx(name: string, options?: MxOptions): MxHost
  /**
   * A host to submit mail to (RFC 8461 §3.4). Its policy is that of a domain of the same name:
   * `world.domain(name, { mode: 'enforce', mx: [] })`.
   */
  smartHost(name: string, options?: SmartHostOptions): MxHost
  /** What a sender needs to live in this world: `{ ...world.options(), fetchTimeout: 500 }`. */
  options(): SenderOptions
  /** The root that senders trust, PEM. */
  readonly ca: string
  /** The time of the world, which a test lets pass. */
  readonly clock: WorldClock
  /** Records of your own making. */
  readonly dns: WorldDns
  /** Everything that happened, in order. */
  readonly log: readonly LogEntry[]
  /** Questions that reached the DNS server. */
  readonly queries: DnsQuery[]
  /** Requests that reached a policy host. */
  readonly gets: PolicyGet[]
  /** SMTP connections, of all MX hosts. */
  readonly connections: MxConnection[]
  /** TCP connections that were tried, those that were refused among them. */
  readonly dials: Dial[]
  /** What any MX host took, oldest first. */
  readonly inbox: ReceivedMessage[]
  /** Empties the log and all inboxes: what comes after is what a test looks at. */
  forget(): void
  /**
   * Opens the world to programs that take no `connect` option: MX hosts on port 25 of their own
   * addresses, policy hosts on port 443, DNS at 127.0.0.1 port 53. Needs root and a network
   * namespace of its own: `unshare --net`. `close()` ends it, and so does the world's.
   */
  expose(): Promise<ExposedWorld>
  /** Ends every connection and frees every port. A second call waits for the first. */
  close(): Promise<void>
}

/** The real ports of a world: {@link MailWorld.expose}. */
export interface ExposedWorld extends AsyncDisposable {
  /** The address of the name server, for `/etc/resolv.conf` */
  readonly dns: string
  /** Frees the ports, and leaves the world as it is. */
  close(): Promise<void>
}

/** Options of a sender: for `mtaStsTransport`, `withMtaSts` and `new MtaSts` alike. */
export interface SenderOptions {
  /** What the sender says in EHLO */
  name: string
  /** Asks the world's DNS server */
  resolver: dns.Resolver
  /** The root of the world's authority, PEM */
  ca: string
  /** Leads from the addresses of the world to loopback */
  connect: (target: WorldTarget) => Socket
  /** The clock of the world, epoch milliseconds */
  now: () => number
}

/** What a sender opens a connection to: names, addresses and ports of the world, not of loopback. */
export interface WorldTarget {
  /** `policy` or `smtp` */
  purpose: string
  /** The name that the address belongs to */
  host: string
  /** An address of the world, as text */
  address: string
  /** The port as a sender knows it: 443, 25, 587 */
  port: number
}

/** What the policy file says. */
export interface PolicyOptions {
  /** Of the policy (RFC 8461 §5) */
  mode?: 'enforce' | 'testing' | 'none'
  /** `mx` patterns; default: the names of the MX hosts */
  patterns?: readonly string[]
  /** Seconds; default 604800, a week */
  maxAge?: number
  /** The policy file as it is, in place of the above */
  body?: string
  /** The id of the TXT record; default: one that was never used */
  id?: string
}

export interface DomainOptions extends PolicyOptions {
  /** Without one, and without `body`, the domain has neither record nor policy */
  mode?: 'enforce' | 'testing' | 'none'
  /**
   * MX hosts, the most preferred first; default `['mx.<domain>']`. A name without a dot stands
   * below the domain. An empty list: no MX record, the domain is its own MX host (RFC 5321 §5.1).
   */
  mx?: ReadonlyArray<string | { host: string; preference?: number }>
}

/** A recipient domain. */
export interface MailDomain {
  /** As A-labels, lower case */
  readonly name: string
  /** Messages for the domain that one of its own MX hosts took, oldest first. */
  readonly inbox: ReceivedMessage[]
  /** `mta-sts.` + the domain */
  readonly policyHost: PolicyHost
  /** What can be wrong with its DNS */
  readonly dns: DomainDns
  /** The id that goes with the policy. */
  readonly id: string | undefined
  /** The policy file as the policy host serves it; undefined: there is none. */
  readonly policyFile: string | undefined
  /** An MX host by name, or by its place in the order of preference; default: the first. */
  mx(which?: string | number): MxHost
  /**
   * Changes the policy; what is left out stays as it is. A new id goes with it, unless one is
   * given. `null`: record and policy are gone.
   */
  policy(change: PolicyOptions | null): void
  /** Sets the TXT record as it is, or several, or none, and leaves the policy alone. */
  record(text: string | readonly string[] | null): void
  /**
   * Signs the domain and its MX hosts, and publishes their TLSA records (RFC 7672); with `fails`,
   * not as it should be. Each call begins anew; `null` takes all of it back. A sender looks at it
   * with `dane: dane({ resolver: dnssecResolver({ servers: [world.dns.server] }) })`.
   */
  dane(options?: DaneOptions | null): void
}

/** The DNS of one domain. */
export interface DomainDns {
  /**
   * From the next question on. Faults at different places go together. Without `where`, a fault
   * that fits in several is played on the TXT record.
   */
  fails(fault: DnsFault): void
  /** The same, at a place that is named. */
  fails(fault: LookupFault | 'cname-chain', where: DnsPlace): void
  /** Ends every fault. */
  works(): void
}

/** What MX hosts and policy hosts have in common. */
export interface Host<Fault> {
  /** As A-labels, lower case */
  readonly name: string
  /** The logical address in its A record, one of RFC 5737 */
  readonly ipv4: string
  /** The logical address of its AAAA record, which it only has under `ipv6-only`; RFC 3849 */
  readonly ipv6: string
  /** One fault at a time. As with a server that is started anew, connections that are open end. */
  fails(fault: Fault): void
  /** Ends the fault. Connections that are open end, too. */
  works(): void
  /** Shows another certificate than the one that names the host; without `spec`, that one again. */
  certificate(spec?: CertificateSpec): void
}

export interface MxHost extends Host<MxFault> {
  /** What it took, whoever it was for. */
  readonly inbox: ReceivedMessage[]
  /** The connections that reached it, oldest first. Of refused ones there is `world.dials`. */
  readonly connections: MxConnection[]
}

export interface PolicyHost extends Host<PolicyHostFault> {
  /** The requests that reached it, oldest first. */
  readonly gets: PolicyGet[]
}

/** What an MX host is besides its name. */
export interface MxOptions {
  /** Offer REQUIRETLS (RFC 8689) inside TLS; default false */
  requireTls?: boolean
}

/** A host that mail is submitted to: another port than 25, and somebody to log in. */
export interface SmartHostOptions extends MxOptions {
  /** Default 587 */
  port?: number
  /** TLS from the first byte on; default: with port 465 */
  secure?: boolean
  /** Who may submit mail, by which password; default: everybody */
  auth?: { user: string; pass: string }
}

/** Records of one's own making, for any name. */
export interface WorldDns {
  /** On 127.0.0.1, UDP and TCP */
  readonly port: number
  /** The same, as `dnssecResolver({ servers })` takes it: `127.0.0.1:5353` */
  readonly server: string
  /** Whether the world's resolver validates, and gives an AD bit; default true */
  validating: boolean
  /** In place of what the world would say for this name and type; an empty list: there are none */
  set(name: string, type: 'A' | 'AAAA' | 'CNAME', data: readonly string[]): void
  /** The same, for MX records; `.` is the null MX (RFC 7505) */
  set(name: string, type: 'MX', data: ReadonlyArray<{ preference: number; exchange: string }>): void
  /** An array within the list is one record in several strings */
  set(name: string, type: 'TXT', data: ReadonlyArray<string | readonly string[]>): void
  /** What the world would say, again */
  unset(name: string, type: 'A' | 'AAAA' | 'CNAME' | 'MX' | 'TXT'): void
}

/**
 * What a test holds in its hands: the world, its domains, its hosts.
 *
 * @module
 */
import type { promises as dns } from 'node:dns'
import type { Socket } from 'node:net'
import type { ChaosOptions } from './chaos.js'
import type { Duration, WorldClock } from './clock.js'
import type { DaneOptions } from './dane.js'
import type { ProcessEnvironment } from './environment.js'
import type { DnsFault, DnsPlace, LookupFault } from './faults.js'
import type { MxHost, MxOptions, PolicyHost, SmartHostOptions } from './host-api.js'
import type { Inbox } from './inbox.js'
import type { Dial, DnsQuery, LogEntry, MxConnection, PolicyGet } from './log.js'
import type { NodemailerOptions } from './nodemailer-options.js'
import type { FaultHandle, FaultOptions } from './standing.js'
import type { RecordType, SrvData, TlsaData } from './zone-records.js'

/** Options of `createMailWorld`. */
export interface MailWorldOptions {
  /** The name the sender says in EHLO; default `sender.example` */
  name?: string | undefined
  /** How long the sender's resolver waits for an answer, asking twice; default 500 ms */
  dnsTimeout?: number | undefined
  /**
   * Mail to a domain that nobody made is an error: `550 5.1.2` to RCPT TO, and `verify()`,
   * `inbox.none()` and `close()` say so. Default false; the matchers of the runner entries are strict
   */
  strict?: boolean | undefined
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
  /**
   * Options for plain Nodemailer, to submit mail to a host of the world. Without `host`: one that
   * relays to the domains of the world.
   *
   * @example
   * const transporter = nodemailer.createTransport(world.nodemailer())
   */
  nodemailer(host?: MxHost): NodemailerOptions
  /**
   * Environment variables for another process, in any language: `SMTP_HOST`, `SMTP_PORT`, `SMTP_URL`
   * and the like lead to a port of the host; `NODE_EXTRA_CA_CERTS` and `SSL_CERT_FILE` to the root.
   * Without `host`: one that relays to the domains of the world.
   *
   * @example
   * spawn('python3', ['app.py'], { env: { ...process.env, ...(await world.env()) } })
   */
  env(host?: MxHost): Promise<ProcessEnvironment>
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
  /** What any host took and did not relay, oldest first. */
  readonly inbox: Inbox
  /** What went to domains that nobody made, in words. */
  readonly strays: string[]
  /** What happened, in about ten lines: what senders asked, dialled, were answered. */
  explain(): string
  /** Trouble at random at all MX hosts, the same in each run. */
  chaos(options: ChaosOptions): FaultHandle
  /**
   * Throws unless every fault, rule and record that was set to be met was met.
   *
   * @throws Error that lists them, with what happened
   */
  verify(): void
  /** Resolves when no message is under way. */
  idle(): Promise<void>
  /** Empties the log and all inboxes: what comes after is what a test looks at. */
  forget(): void
  /**
   * Ends all faults, rules, habits and records that were set, puts policies and the clock back, and
   * forgets: the domains and hosts are as they were made.
   */
  reset(): void
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
  readonly inbox: Inbox
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
  fails(fault: DnsFault, options?: DnsFaultOptions): FaultHandle
  /** The same, at a place that is named. */
  fails(fault: LookupFault | 'cname-chain', where: DnsPlace, options?: DnsFaultOptions): FaultHandle
  /** Ends every fault. */
  works(): void
}

/** Bounds of a fault of the DNS: how many questions it answers, for how long. */
export type DnsFaultOptions = Pick<FaultOptions, 'times' | 'during'>

/** How long records may be kept, and how long they are there. */
export interface RecordOptions {
  /** Seconds; default 0 */
  ttl?: number
  /** How many questions they answer; then what was there before is back */
  times?: number
  /** How long they are there, in world time; then what was there before is back */
  during?: Duration
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
  set(
    name: string,
    type: 'A' | 'AAAA' | 'CNAME' | 'PTR',
    data: readonly string[],
    options?: RecordOptions,
  ): FaultHandle
  /** The same, for MX records; `.` is the null MX (RFC 7505) */
  set(
    name: string,
    type: 'MX',
    data: ReadonlyArray<{ preference: number; exchange: string }>,
    options?: RecordOptions,
  ): FaultHandle
  /** An array within the list is one record in several strings */
  set(
    name: string,
    type: 'TXT',
    data: ReadonlyArray<string | readonly string[]>,
    options?: RecordOptions,
  ): FaultHandle
  /** The same, for SRV records (RFC 2782) */
  set(name: string, type: 'SRV', data: readonly SrvData[], options?: RecordOptions): FaultHandle
  /** The same, for TLSA records (RFC 6698) */
  set(name: string, type: 'TLSA', data: readonly TlsaData[], options?: RecordOptions): FaultHandle
  /** What the world would say, again */
  unset(name: string, type: RecordType): void
}

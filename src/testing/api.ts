/**
 * Interfaces of a mail world, its domains and its DNS.
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
  /** Name of senders in EHLO; default `sender.example` */
  name?: string | undefined
  /** Timeout of senders' DNS queries, which are sent twice; default 500 ms */
  dnsTimeout?: number | undefined
  /**
   * Whether mail to a domain that was not made is an error: `550 5.1.2` to RCPT TO, and `verify()`,
   * `inbox.none()` and `close()` throw. Default false; the matchers of the runner entries are
   * strict
   */
  strict?: boolean | undefined
}

/** A mail world. */
export interface MailWorld extends AsyncDisposable {
  /**
   * Makes a domain without faults: record, policy, policy host, MX records, MX hosts. Without
   * options, returns the domain of that name, or makes one without a policy.
   *
   * @example
   * world.domain('bob.example', { mode: 'enforce', mx: ['mx1', 'mx2', 'mx.fleet.example'] })
   */
  domain(name: string, options?: DomainOptions): MailDomain
  /** Returns the MX host of that name, or makes it. */
  mx(name: string, options?: MxOptions): MxHost
  /**
   * Makes a host for submission (RFC 8461 §3.4), or returns it. Its policy is that of a domain of
   * the same name: `world.domain(name, { mode: 'enforce', mx: [] })`.
   */
  smartHost(name: string, options?: SmartHostOptions): MxHost
  /**
   * Returns options for senders that use the library: `{ ...world.options(), fetchTimeout: 500 }`.
   */
  options(): SenderOptions
  /**
   * Returns options for plain Nodemailer, to submit mail to a host of the world. Default: a host
   * that relays to the domains of the world.
   *
   * @example
   * const transporter = nodemailer.createTransport(world.nodemailer())
   */
  nodemailer(host?: MxHost): NodemailerOptions
  /**
   * Resolves to environment variables for another process, in any language: `SMTP_HOST`,
   * `SMTP_PORT`, `SMTP_URL` and the like lead to a port of the host; `NODE_EXTRA_CA_CERTS` and
   * `SSL_CERT_FILE` to the root. Default: a host that relays to the domains of the world.
   *
   * @example
   * spawn('python3', ['app.py'], { env: { ...process.env, ...(await world.env()) } })
   */
  env(host?: MxHost): Promise<ProcessEnvironment>
  /** Root certificate that senders trust, PEM. */
  readonly ca: string
  /** Clock of the world; a test can advance it. */
  readonly clock: WorldClock
  /** DNS records that a test sets. */
  readonly dns: WorldDns
  /** All events, in order. */
  readonly log: readonly LogEntry[]
  /** Queries that reached the DNS server. */
  readonly queries: DnsQuery[]
  /** Requests that reached a policy host. */
  readonly gets: PolicyGet[]
  /** SMTP connections, of all MX hosts. */
  readonly connections: MxConnection[]
  /** Attempts of TCP connections, refused ones included. */
  readonly dials: Dial[]
  /** Messages that any host accepted and did not relay, oldest first. */
  readonly inbox: Inbox
  /** Descriptions of mail to domains that were not made. */
  readonly strays: string[]
  /**
   * Describes the events in about ten lines: DNS queries, connections, SMTP commands and replies.
   */
  explain(): string
  /** Makes all MX hosts fail at random, in the same way in each run. */
  chaos(options: ChaosOptions): FaultHandle
  /**
   * Throws if a fault, a rule or a record with bounds was set and never met.
   *
   * @throws Error that lists them, with `explain()`
   */
  verify(): void
  /** Resolves when no message is under way. */
  idle(): Promise<void>
  /** Empties the log and all inboxes. */
  forget(): void
  /**
   * Ends all faults, rules, habits and records, resets policies and clock, and calls `forget()`:
   * domains and hosts are as they were made.
   */
  reset(): void
  /**
   * Opens the world to programs that take no `connect` option: MX hosts on port 25 of their own
   * addresses, policy hosts on port 443, DNS at 127.0.0.1 port 53. Needs root and a separate
   * network namespace: `unshare --net`. Ends with its `close()` or that of the world.
   */
  expose(): Promise<ExposedWorld>
  /** Ends every connection and frees every port. A second call waits for the first. */
  close(): Promise<void>
}

/** The real ports of a world: {@link MailWorld.expose}. */
export interface ExposedWorld extends AsyncDisposable {
  /** The address of the name server, for `/etc/resolv.conf` */
  readonly dns: string
  /** Frees the ports; the world stays open. */
  close(): Promise<void>
}

/** Options for `mtaStsTransport`, `withMtaSts` and `new MtaSts`. */
export interface SenderOptions {
  /** Name in EHLO */
  name: string
  /** Resolver of the world's DNS server */
  resolver: dns.Resolver
  /** Root certificate of the world, PEM */
  ca: string
  /** Connects addresses of the world to loopback */
  connect: (target: WorldTarget) => Socket
  /** The clock of the world, epoch milliseconds */
  now: () => number
}

/** Target of a connection: name, address and port in the world, not on loopback. */
export interface WorldTarget {
  /** `policy` or `smtp` */
  purpose: string
  /** The name that the address belongs to */
  host: string
  /** An address of the world, as text */
  address: string
  /** Port in the world: 443, 25, 587 */
  port: number
}

/** Contents of a policy. */
export interface PolicyOptions {
  /** The mode of the policy (RFC 8461 §5) */
  mode?: 'enforce' | 'testing' | 'none'
  /** `mx` patterns; default: the names of the MX hosts */
  patterns?: readonly string[]
  /** Seconds; default 604800, a week */
  maxAge?: number
  /** The whole policy file, in place of the fields above */
  body?: string
  /** Id of the TXT record; default: a new one */
  id?: string
}

export interface DomainOptions extends PolicyOptions {
  /** Without one, and without `body`, the domain has neither record nor policy */
  mode?: 'enforce' | 'testing' | 'none'
  /**
   * MX hosts, the most preferred first; default `['mx.<domain>']`. A name without a dot is below
   * the domain. With an empty list, there is no MX record: the domain is its own MX host
   * (RFC 5321 §5.1).
   */
  mx?: ReadonlyArray<string | { host: string; preference?: number }>
}

/** A recipient domain. */
export interface MailDomain {
  /** As A-labels, lower case */
  readonly name: string
  /** Messages for the domain that its own MX hosts accepted, oldest first. */
  readonly inbox: Inbox
  /** `mta-sts.` + the domain */
  readonly policyHost: PolicyHost
  /** Faults of its DNS */
  readonly dns: DomainDns
  /** Id of the policy. */
  readonly id: string | undefined
  /** The policy file of the policy host; undefined without a policy. */
  readonly policyFile: string | undefined
  /** Returns an MX host by name, or by its index in the order of preference; default: the first. */
  mx(which?: string | number): MxHost
  /**
   * Changes fields of the policy; missing ones stay as they are. The policy gets a new id, unless
   * one is given. `null` removes record and policy.
   */
  policy(change: PolicyOptions | null): void
  /** Sets the TXT record, or several, or none (`null`). The policy stays as it is. */
  record(text: string | readonly string[] | null): void
  /**
   * Signs the domain and its MX hosts, and publishes their TLSA records (RFC 7672), with a fault if
   * `fails` is given. Each call replaces the one before; `null` removes all of it. A sender takes
   * part with `dane: dane({ resolver: dnssecResolver({ servers: [world.dns.server] }) })`.
   */
  dane(options?: DaneOptions | null): void
}

/** The DNS of one domain. */
export interface DomainDns {
  /**
   * Sets a fault, from the next query on. Faults at different places combine. The default place of
   * a fault that fits several is the TXT record.
   */
  fails(fault: DnsFault, options?: DnsFaultOptions): FaultHandle
  /** Sets a fault at a place. */
  fails(fault: LookupFault | 'cname-chain', where: DnsPlace, options?: DnsFaultOptions): FaultHandle
  /** Ends every fault. */
  works(): void
}

/** Bounds of a fault of the DNS: number of queries, duration. */
export type DnsFaultOptions = Pick<FaultOptions, 'times' | 'during'>

/** TTL and bounds of records. */
export interface RecordOptions {
  /** Seconds; default 0 */
  ttl?: number
  /** Number of queries that they answer; then the earlier records are back */
  times?: number
  /** Duration in world time; then the earlier records are back */
  during?: Duration
}

/** DNS records that a test sets, for any name. */
export interface WorldDns {
  /** On 127.0.0.1, UDP and TCP */
  readonly port: number
  /** Address and port, for `dnssecResolver({ servers })`: `127.0.0.1:5353` */
  readonly server: string
  /** Whether the world's resolver validates and sets the AD bit; default true */
  validating: boolean
  /**
   * Sets the records of a name and type, in place of those of the world; an empty list sets none
   */
  set(
    name: string,
    type: 'A' | 'AAAA' | 'CNAME' | 'PTR',
    data: readonly string[],
    options?: RecordOptions,
  ): FaultHandle
  /** Sets MX records; `.` is the null MX (RFC 7505) */
  set(
    name: string,
    type: 'MX',
    data: ReadonlyArray<{ preference: number; exchange: string }>,
    options?: RecordOptions,
  ): FaultHandle
  /** Sets TXT records; an array in the list is one record of several strings */
  set(
    name: string,
    type: 'TXT',
    data: ReadonlyArray<string | readonly string[]>,
    options?: RecordOptions,
  ): FaultHandle
  /** Sets SRV records (RFC 2782) */
  set(name: string, type: 'SRV', data: readonly SrvData[], options?: RecordOptions): FaultHandle
  /** Sets TLSA records (RFC 6698) */
  set(name: string, type: 'TLSA', data: readonly TlsaData[], options?: RecordOptions): FaultHandle
  /** Removes the records that were set for a name and type */
  unset(name: string, type: RecordType): void
}

/**
 * The events of a mail world, as data.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { MxFault } from './faults.js'

/** Facts of a TLS session, as seen by the server. */
export interface TlsFacts {
  /** `TLSv1.3` */
  version: string
  /** OpenSSL's name of the cipher suite */
  cipher: string
  /** SNI; undefined when the client sent none */
  servername: string | undefined
}

/** A query that reached the DNS server. */
export interface DnsQuery {
  /** Kind of the entry */
  kind: 'query'
  /** In lower case, without the root dot */
  name: string
  /** `TXT`, `MX`, `A`, `AAAA` and so on */
  type: string
  /** Its transport */
  over: 'udp' | 'tcp'
  /** The answer; `timeout`: no answer was sent */
  outcome: 'answered' | 'nodata' | 'nxdomain' | 'servfail' | 'refused' | 'timeout' | 'bogus'
  /** World time, epoch milliseconds; so everywhere */
  at: number
}

/** A TCP connection that a sender tried to open. */
export interface Dial {
  /** Kind of the entry */
  kind: 'dial'
  /** `policy` or `smtp` */
  purpose: string
  /** The name that the address belongs to */
  host: string
  /** An address of the world, as text */
  address: string
  /** The port as the sender knows it */
  port: number
  /** `refused`: no host of the world has that port, or the host is `unreachable` */
  outcome: 'connected' | 'refused'
  /** World time, epoch milliseconds */
  at: number
}

/** A request that reached the policy host. A failed handshake leaves none. */
export interface PolicyGet {
  /** Kind of the entry */
  kind: 'get'
  /** SNI, by which the policy host is chosen */
  host: string
  /** `GET` of a correct sender */
  method: string
  /** `/.well-known/mta-sts.txt` of a correct sender */
  path: string
  /** Of the request, names in lower case */
  headers: IncomingHttpHeaders
  /** Of the response */
  status: number
  /**
   * Whether the TLS session was resumed, which a sender must not do: Node skips the name check then
   */
  resumed: boolean
  /** Facts of its connection */
  tls: TlsFacts
  /** World time, epoch milliseconds */
  at: number
}

/** A line of a session, without its line break. */
export interface Line {
  /** The side that sent it */
  from: 'client' | 'server'
  /** The line itself */
  text: string
  /** Whether it was sent inside TLS */
  tls: boolean
}

/** An SMTP connection; its fields change while it lasts. */
export interface MxConnection {
  /** Kind of the entry */
  kind: 'smtp'
  /** The MX host that was reached */
  mx: string
  /** The address of the world that was connected to, as text */
  address: string
  /** The port as the sender knows it */
  port: number
  /** The newest fault in force when it began */
  fault: MxFault | undefined
  /** All faults that were in force when it began */
  faults: MxFault[]
  /** Lines of both sides, in order; a message is one line with its size */
  lines: Line[]
  /** Facts of a completed handshake, also if the client then refused the certificate */
  tls: TlsFacts | undefined
  /** SNI of the ClientHello, also of a handshake that failed */
  servername: string | undefined
  /** The address of the first MAIL FROM; undefined without one */
  mailFrom: string | undefined
  /** Error of the connection: a failed handshake, a reset */
  error: Error | undefined
  /** Whether it has ended */
  closed: boolean
  /** When it was opened; world time, epoch milliseconds */
  at: number
}

/** An event; `kind` says which. */
export type LogEntry = DnsQuery | Dial | PolicyGet | MxConnection

/** The log of a world: entries of all kinds, in the order in which they began. */
export class WorldLog {
  readonly entries: LogEntry[] = []
  readonly #listeners = new Set<() => void>()

  add(entry: LogEntry): void {
    this.entries.push(entry)
    this.changed()
  }

  of<Kind extends LogEntry['kind']>(kind: Kind): Array<Extract<LogEntry, { kind: Kind }>> {
    return this.entries.filter(
      (entry): entry is Extract<LogEntry, { kind: Kind }> => entry.kind === kind,
    )
  }

  /** Calls the listeners. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Calls `listener` after each event; returns a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

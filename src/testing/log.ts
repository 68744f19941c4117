/**
 * What happened in a mail world, in order, as data.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { MxFault } from './faults.js'

/** What a TLS session came to, as the server saw it. */
export interface TlsFacts {
  /** `TLSv1.3` */
  version: string
  /** OpenSSL's name of the cipher suite */
  cipher: string
  /** SNI; undefined when the client sent none */
  servername: string | undefined
}

/** A question that reached the DNS server. */
export interface DnsQuery {
  /** Tells it from the other entries */
  kind: 'query'
  /** In lower case, without the root dot */
  name: string
  /** `TXT`, `MX`, `A`, `AAAA` and so on */
  type: string
  /** The transport it came by */
  over: 'udp' | 'tcp'
  /** The answer; `timeout`: none was sent */
  outcome: 'answered' | 'nodata' | 'nxdomain' | 'servfail' | 'refused' | 'timeout' | 'bogus'
  /** World time, epoch milliseconds; so everywhere */
  at: number
}

/** A TCP connection that a sender tried to open. */
export interface Dial {
  /** Tells it from the other entries */
  kind: 'dial'
  /** `policy` or `smtp` */
  purpose: string
  /** The name that the address belongs to */
  host: string
  /** An address of the world, as text */
  address: string
  /** The port as the sender knows it */
  port: number
  /** `refused`: nothing listens there, or the host is `unreachable` */
  outcome: 'connected' | 'refused'
  /** World time, epoch milliseconds */
  at: number
}

/** A request that reached the policy host. A handshake that failed leaves none. */
export interface PolicyGet {
  /** Tells it from the other entries */
  kind: 'get'
  /** SNI, which is what the policy host goes by */
  host: string
  /** `GET`, as it should be */
  method: string
  /** `/.well-known/mta-sts.txt`, as it should be */
  path: string
  /** Of the request, names in lower case */
  headers: IncomingHttpHeaders
  /** Of the response */
  status: number
  /** Whether the TLS session was resumed; it must not be, Node skips the name check then */
  resumed: boolean
  /** Of the connection it came by */
  tls: TlsFacts
  /** World time, epoch milliseconds */
  at: number
}

/** One line that was said, without its line break. */
export interface Line {
  /** The side that said it */
  from: 'client' | 'server'
  /** The line itself */
  text: string
  /** Whether it was said inside TLS */
  tls: boolean
}

/** One SMTP connection, kept up while it lasts. */
export interface MxConnection {
  /** Tells it from the other entries */
  kind: 'smtp'
  /** The MX host that was reached */
  mx: string
  /** The address of the world that was connected to, as text */
  address: string
  /** The port as the sender knows it */
  port: number
  /** The fault that was played on it, the newest of them */
  fault: MxFault | undefined
  /** All faults that were in force when it began */
  faults: MxFault[]
  /** Both sides, in order. Of a message only its size */
  lines: Line[]
  /** Of a handshake that was completed; a client that then refuses the certificate has done so */
  tls: TlsFacts | undefined
  /** SNI of the ClientHello, also of a handshake that failed */
  servername: string | undefined
  /** The address of the first MAIL FROM; undefined when the client never said one */
  mailFrom: string | undefined
  /** What went wrong with the connection, if anything did: a failed handshake, a reset */
  error: Error | undefined
  /** Whether it has ended */
  closed: boolean
  /** When it was opened; world time, epoch milliseconds */
  at: number
}

/** What happened; `kind` tells one from the other. */
export type LogEntry = DnsQuery | Dial | PolicyGet | MxConnection

/** The record of a world. Entries of all kinds stand in the order in which they began. */
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

  /** Calls the listeners: something has happened. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Calls `listener` whenever something has happened; returns a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

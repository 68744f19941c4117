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
  cipher: string
  /** SNI; undefined when the client sent none */
  servername: string | undefined
}

/** A question that reached the DNS server. */
export interface DnsQuery {
  kind: 'query'
  name: string
  type: string
  over: 'udp' | 'tcp'
  outcome: 'answered' | 'nodata' | 'nxdomain' | 'servfail' | 'refused' | 'timeout'
  /** World time, epoch milliseconds; so everywhere */
  at: number
}

/** A TCP connection that a sender tried to open. */
export interface Dial {
  kind: 'dial'
  purpose: string
  host: string
  address: string
  port: number
  outcome: 'connected' | 'refused'
  at: number
}

/** A request that reached the policy host. A handshake that failed leaves none. */
export interface PolicyGet {
  kind: 'get'
  /** SNI, which is what the policy host goes by */
  host: string
  method: string
  path: string
  headers: IncomingHttpHeaders
  status: number
  /** Whether the TLS session was resumed; it must not be, Node skips the name check then */
  resumed: boolean
  tls: TlsFacts
  at: number
}

/** One line that was said, without its line break. */
export interface Line {
  from: 'client' | 'server'
  text: string
  /** Whether it was said inside TLS */
  tls: boolean
}

/** One SMTP connection, kept up while it lasts. */
export interface MxConnection {
  kind: 'smtp'
  /** The MX host that was reached */
  mx: string
  address: string
  port: number
  /** The fault that was played on it */
  fault: MxFault | undefined
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
  closed: boolean
  at: number
}

/** A message that an MX host took. */
export interface ReceivedMessage {
  envelope: { from: string; to: string[] }
  /** Header and body as UTF-8; `bytes` has them as they were */
  raw: string
  bytes: Buffer
  /** The MX host that took it */
  mx: string
  address: string
  /** False: it came in plaintext */
  tls: TlsFacts | false
  /** Whether MAIL FROM asked for it (RFC 8689) */
  requireTls: boolean
  at: number
}

export type LogEntry = DnsQuery | Dial | PolicyGet | MxConnection

/** The record of a world. Entries of all kinds stand in the order in which they began. */
export class WorldLog {
  readonly entries: LogEntry[] = []

  of<Kind extends LogEntry['kind']>(kind: Kind): Array<Extract<LogEntry, { kind: Kind }>> {
    return this.entries.filter(
      (entry): entry is Extract<LogEntry, { kind: Kind }> => entry.kind === kind,
    )
  }
}

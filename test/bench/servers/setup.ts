/**
 * Messages to and from a server's process. Each server answers the same for every name: the client
 * is measured.
 *
 * @module
 */
import type { Credentials } from '../../../src/testing/authority.js'

/** An MX host: SMTP with STARTTLS; accepts every message and stores none. */
export interface SinkSetup extends Credentials {
  role: 'sink'
  name: string
  /** Delay of every reply in milliseconds; default 0 */
  delay?: number
  /** Whether PIPELINING is offered; default true */
  pipelining?: boolean
}

/** The DNS: the same TXT record, MX records and IPv4 address for every name, and no IPv6. */
export interface DnsSetup {
  role: 'dns'
  txt: string
  mx: readonly string[]
  address: string
  /** Seconds */
  ttl: number
}

/** A policy host: the same policy file for every name with a certificate. */
export interface PolicySetup {
  role: 'policy'
  body: string
  /** By host name */
  credentials: Record<string, Credentials>
}

export type ServerSetup = SinkSetup | DnsSetup | PolicySetup

export interface SinkCounts {
  connections: number
  /** Completed handshakes */
  secured: number
  messages: number
  /** Messages over a connection without TLS */
  plaintext: number
  recipients: number
  /** Of the messages */
  bytes: number
}

export interface DnsCounts {
  TXT: number
  MX: number
  A: number
  AAAA: number
  other: number
}

export interface PolicyCounts {
  gets: number
}

export interface CountsOf {
  sink: SinkCounts
  dns: DnsCounts
  policy: PolicyCounts
}

/** A server in its process. */
export interface Running {
  port: number
  /** Counts since the last call */
  take(): CountsOf[keyof CountsOf]
}

/** Messages to the process: the setup first, then any number of `take`. */
export type Order = { setup: ServerSetup; port: number } | 'take'

/** Answers, one for each order. */
export type Report = { port: number } | { counts: CountsOf[keyof CountsOf] } | { error: string }

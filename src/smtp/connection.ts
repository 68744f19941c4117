/**
 * The shapes that the other files of this folder and its users share: how a connection is asked
 * for, and what a ready one can do.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Connect } from '../net/connect.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Proved, Security } from '../tls/security.js'
import type { Judgement } from '../tls/verdict.js'
import type { BrokenTls } from './broken-tls.js'

/** An SMTP host to connect to, and what it must prove; a `Candidate` of a plan is one. */
export interface SmtpTarget {
  /** A-labels, lower case, no root dot; the address itself for an address literal */
  mxHost: string
  /** In the order in which they are to be tried */
  addresses: readonly string[]
  /** TCP port */
  port: number
  /** What a connection must prove before anything of a message is said on it */
  security: Security
  /** For `tls.connect`, beside the socket */
  tls: ConnectionOptions
  /** TLS begins before the greeting (RFC 8314 §3.3): port 465 */
  implicitTls?: boolean | undefined
  /** Judges a finished handshake: `refusal` forbids its use, `audited` is recorded */
  judge(socket: TLSSocket): Judgement
  /** What already speaks against the host where that does not stop a delivery: mode `testing` */
  failure?: TlsFailure
}

/** Options of one connection. All durations in milliseconds. */
export interface OpenOptions {
  /** The name that EHLO says; default: the host name of this machine */
  name?: string | undefined
  /** Source address of the TCP connection */
  localAddress?: string | undefined
  /** For the TCP connection to one address, and again for STARTTLS with its handshake; default 30000 */
  connectionTimeout?: number | undefined
  /** For the greeting; default 300000 (RFC 5321 §4.5.3.2.1) */
  greetingTimeout?: number | undefined
  /** For any other reply; default: RFC 5321 §4.5.3.2's for each command */
  commandTimeout?: number | undefined
  /** Ends the opening; the promise rejects with its reason */
  signal?: AbortSignal | undefined
  /** Told of every line sent and received; the message itself only as a count of bytes */
  log?: SmtpLog | undefined
}

/** What the opening of a connection needs beside {@link OpenOptions}. */
export interface OpenSettings extends OpenOptions {
  connect: Connect
  /** Addresses whose TLS is not tried for now, where nothing is asked of the host */
  brokenTls?: BrokenTls | undefined
  /** Told of each session that got to a verdict, or was refused one, before it is used or dropped */
  onSession(session: SessionReport): void
  /** Told of each connection that gave no session: TCP, the greeting or EHLO failed */
  onUnreachable?(address: string, error: Error): void
}

/** Receives the dialogue, line by line. Must not throw. */
export type SmtpLog = (direction: 'client' | 'server' | 'info', text: string) => void

/** One session, as TLS reports count it (RFC 8460 §4.4). */
export interface SessionReport {
  address: string
  localAddress?: string
  /** First word of the greeting */
  helo?: string
  /** undefined: the session met everything that is asked or audited */
  failure?: TlsFailure
}

/** What MAIL and RCPT say (RFC 5321 §3.3, RFC 3461, RFC 8689). */
export interface SmtpEnvelope {
  /** '' or false: the null reverse-path */
  from: string | false
  /** Recipients, as RCPT names them */
  to: readonly string[]
  /** Bytes of the message, where they are known; declared by SIZE (RFC 1870) */
  size?: number | undefined
  /** BODY=8BITMIME where the host offers it; default true */
  use8BitMime?: boolean | undefined
  /** RFC 3461: sent only where DSN was offered */
  dsn?:
    | {
        ret?: 'FULL' | 'HDRS' | undefined
        envid?: string | undefined
        notify?: readonly string[] | string | undefined
        orcpt?: string | undefined
      }
    | undefined
  /** RFC 8689 §2: MAIL says REQUIRETLS; the host must offer it */
  requireTls?: boolean | undefined
}

/** What became of one message, in Nodemailer's words. */
export interface SendResult {
  /** Recipients that the host accepted */
  accepted: string[]
  /** Recipients that it refused */
  rejected: string[]
  /** One for each rejected recipient: with `recipient`, `code`, `responseCode`, `permanent` */
  rejectedErrors?: Error[]
  /** The reply to the message */
  response: string
  /** Milliseconds from MAIL to the last reply before the message */
  envelopeTime: number
  /** Milliseconds from the first byte of the message to the reply to it */
  messageTime: number
  /** Bytes of the message as they were sent, dots stuffed, the final dot left out */
  messageSize: number
}

/** Options of {@link SmtpConnection.send}. */
export interface SendOptions {
  /** Ends the sending and the connection */
  signal?: AbortSignal | undefined
  /**
   * Called when the host waits for the message, before the first byte of it: give it
   * `context.assertCurrent`. What it throws ends the connection and is thrown by `send`
   */
  check?: (() => void) | undefined
}

/** A connection that has proved what it must, ready for MAIL. */
export interface SmtpConnection {
  /** Name of the host */
  readonly mxHost: string
  /** The address that it leads to, as text */
  readonly address: string
  /** TCP port */
  readonly port: number
  /** A `tls.TLSSocket` when `tls` is not false */
  readonly socket: Socket
  /** false: plaintext */
  readonly tls: false | { version: string; cipher: string }
  /** Proofs that the host has given */
  readonly proved: Proved
  /** What was let pass: mode `testing`, opportunistic TLS */
  readonly failures: readonly TlsFailure[]
  /** Keywords of the EHLO inside TLS, in upper case, with their parameters */
  readonly extensions: ReadonlyMap<string, string>
  /** Greeting and EHLO replies, as text, for logs and `info` */
  readonly greeting: string
  /** Lines of the EHLO reply */
  readonly ehlo: readonly string[]
  /** True once the connection has ended or is being ended */
  readonly closed: boolean
  /**
   * Sends one message. Any number may follow one after the other. A stream is read only once the host
   * has said 354: a stream that was not read can be sent to another host, one that was is destroyed
   * when sending fails.
   *
   * @throws an error with Nodemailer's `code`, and `responseCode`, `response`, `command`,
   *   `rejected`, `rejectedErrors`, `permanent` where a host replied
   */
  send(
    envelope: SmtpEnvelope,
    message: string | Uint8Array | Readable,
    options?: SendOptions,
  ): Promise<SendResult>
  /**
   * Gives the socket to another SMTP client. A greeting (220) stands ready to be read; the client
   * says EHLO and goes on inside TLS. This object must not be used afterwards.
   */
  handOver(): Socket
  /** Calls back once when the connection has ended or begins to be ended from this side. */
  onClose(listener: () => void): void
  /** While it is idle, an unreferenced connection does not keep the process alive. */
  ref(): void
  /** Lets the process end while the connection is idle */
  unref(): void
  /** Says QUIT and waits for the reply, at most two seconds. */
  quit(): Promise<void>
  /** Ends the connection at once. */
  close(): void
}

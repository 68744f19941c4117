/**
 * The types that this folder and its users share: requests for a connection, and ready connections.
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
import type { StuffedMessage } from './stuffing.js'

/** An SMTP host to connect to, with the proof that it must give; a `Candidate` of a plan is one. */
export interface SmtpTarget {
  /** A-labels, lower case, no root dot; the address itself for an address literal */
  mxHost: string
  /** In the order of trying */
  addresses: readonly string[]
  /** TCP port */
  port: number
  /** The proof that a connection must give before MAIL FROM */
  security: Security
  /** For `tls.connect`, besides the socket */
  tls: ConnectionOptions
  /** TLS starts before the greeting (RFC 8314 §3.3): port 465 */
  implicitTls?: boolean | undefined
  /** Judges a finished handshake: `refusal` forbids its use, `audited` is recorded */
  judge(socket: TLSSocket): Judgement
  /** A failure of the host that does not stop a delivery: mode `testing` */
  failure?: TlsFailure
}

/** Options of one connection. All durations in milliseconds. */
export interface OpenOptions {
  /** Name for EHLO; default: the host name of this machine */
  name?: string | undefined
  /** Source address of the TCP connection */
  localAddress?: string | undefined
  /**
   * Limit of the TCP connection to one address, and of STARTTLS with its handshake; default 30000
   */
  connectionTimeout?: number | undefined
  /** Limit of the greeting; default 300000 (RFC 5321 §4.5.3.2.1) */
  greetingTimeout?: number | undefined
  /** Limit of any other reply; default: RFC 5321 §4.5.3.2's for each command */
  commandTimeout?: number | undefined
  /** Aborts the opening; the promise rejects with its reason */
  signal?: AbortSignal | undefined
  /** Called with every line sent and received; the message itself appears as a count of bytes */
  log?: SmtpLog | undefined
}

/** Settings for opening a connection besides {@link OpenOptions}. */
export interface OpenSettings extends OpenOptions {
  connect: Connect
  /** Addresses whose TLS is not tried at the moment, if no proof is demanded */
  brokenTls?: BrokenTls | undefined
  /** Called with each session that got a verdict or a refusal, before it is used or dropped */
  onSession(session: SessionReport): void
  /** Called for each connection without a session: TCP, the greeting or EHLO failed */
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
  /** undefined: the session met every demand and audit */
  failure?: TlsFailure
}

/** The data of MAIL and RCPT (RFC 5321 §3.3, RFC 3461, RFC 8689). */
export interface SmtpEnvelope {
  /** '' or false: the null reverse-path */
  from: string | false
  /** Recipients, as written in RCPT */
  to: readonly string[]
  /** Size of the message in bytes, if known; declared by SIZE (RFC 1870) */
  size?: number | undefined
  /** BODY=8BITMIME where the host offers it; default true */
  use8BitMime?: boolean | undefined
  /** RFC 3461: sent only to hosts that offer DSN */
  dsn?:
    | {
        ret?: 'FULL' | 'HDRS' | undefined
        envid?: string | undefined
        notify?: readonly string[] | string | undefined
        orcpt?: string | undefined
      }
    | undefined
  /** RFC 8689 §2: MAIL includes REQUIRETLS, as under the demand `require`; the host must offer it */
  requireTls?: boolean | undefined
}

/** The outcome of one message, with Nodemailer's field names. */
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
  /** Bytes of the message as sent, dots stuffed, without the final dot */
  messageSize: number
}

/** Options of {@link SmtpConnection.send}. */
export interface SendOptions {
  /** Aborts the sending and closes the connection */
  signal?: AbortSignal | undefined
  /**
   * Called after each wait: before MAIL FROM, each group of RCPT, DATA, and the first byte of the
   * message. An error that it throws closes the connection and is thrown by `send`. Default: the
   * `assertCurrent` of the delivery that opened the connection, or used it last
   */
  check?: (() => void) | undefined
}

/** A connection that has proved what it must, ready for MAIL. */
export interface SmtpConnection {
  /** Name of the host */
  readonly mxHost: string
  /** The connected address, as text */
  readonly address: string
  /** TCP port */
  readonly port: number
  /** A `tls.TLSSocket` when `tls` is not false */
  readonly socket: Socket
  /** false: plaintext */
  readonly tls: false | { version: string; cipher: string }
  /** Proofs that the host gave; none once its certificate has expired */
  readonly proved: Proved
  /** Failures that were tolerated: mode `testing`, opportunistic TLS */
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
   * Sends one message. Any number may follow one after the other. A stream is read only after the
   * host has replied 354. An unread stream can be sent to another host; a stream that was read is
   * destroyed when sending fails.
   *
   * @throws an error with Nodemailer's `code`, and `responseCode`, `response`, `command`,
   * `rejected`, `rejectedErrors`, `permanent` where a host replied
   */
  send(
    envelope: SmtpEnvelope,
    message: string | Uint8Array | Readable | StuffedMessage,
    options?: SendOptions,
  ): Promise<SendResult>
  /**
   * Gives the socket to another SMTP client, which reads a greeting (220) from it, sends EHLO and
   * goes on inside TLS. This object must not be used afterwards.
   */
  handOver(): Socket
  /** Sets the default of {@link SendOptions.check}, and whether every message has REQUIRETLS. */
  checkBy(check: () => void, requireTls?: boolean): void
  /** Calls back once when the connection has ended or this side starts to end it. */
  onClose(listener: () => void): void
  /** Keeps the process alive again after {@link unref}. */
  ref(): void
  /** Lets the process end while the connection is idle */
  unref(): void
  /** Sends QUIT and waits for the reply, at most two seconds. */
  quit(): Promise<void>
  /** Ends the connection at once. */
  close(): void
}

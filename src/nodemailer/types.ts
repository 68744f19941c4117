/**
 * The parts of Nodemailer's declarations that this package takes and returns. Of our own, so that they
 * compile with those of Nodemailer 10 and with `@types/nodemailer` for its versions 8 and 9, which
 * have little in common.
 *
 * @module
 */
import type { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'

/** A logger as Nodemailer takes it: bunyan, pino and the like. */
export interface MailLogger {
  /** Details */
  debug(...values: never[]): unknown
  /** Events */
  info(...values: never[]): unknown
  /** Warnings */
  warn(...values: never[]): unknown
  /** Failures */
  error(...values: never[]): unknown
}

/** The envelope of a message. */
export type MailEnvelope = {
  /** false: the null reverse-path */
  from: string | false
  /** Recipients */
  to: string[]
}

/** An error with the fields that Nodemailer's have. */
export interface MailError extends Error {
  /** `EENVELOPE`, `EAUTH`, `ECONNECTION`, ... */
  code?: string
  /** The SMTP command that failed */
  command?: string
  /** The reply of the host */
  response?: string
  /** Reply code, where a host replied */
  responseCode?: number
  /** Whether another try is of no use */
  permanent?: boolean
  /** The recipient that it is about */
  recipient?: string
}

/** The result of `sendMail` with an SMTP transport. */
export interface MailInfo {
  /** Sender and recipients */
  envelope: MailEnvelope
  /** Message-ID of the message */
  messageId: string
  /** Recipients that were accepted */
  accepted: string[]
  /** Recipients that were refused */
  rejected: string[]
  /** One for each rejected recipient */
  rejectedErrors?: MailError[]
  /** Never set; `@types/nodemailer` declares it, and `info as SmartHostInfo` compiles with it */
  pending?: string[]
  /** The reply to the message */
  response: string
  /** Milliseconds that the envelope took */
  envelopeTime?: number
  /** Milliseconds that the message took */
  messageTime?: number
  /** Bytes that were sent */
  messageSize?: number
  /** The replies to EHLO, without their code */
  ehlo?: string[]
}

/** A message as Nodemailer hands it to a transport. */
export interface MailToSend {
  /** Options of sendMail */
  data: {
    raw?: unknown
    dsn?: object | undefined
    requireTLSExtensionEnabled?: unknown
    /** Replaces the envelope that comes from the header */
    envelope?: object | undefined
    signal?: AbortSignal | undefined
  }
  /** The composed message */
  message: MailNode
}

/** A message that was composed, or a part of it. */
export interface MailNode {
  /** Body of the node */
  content?: unknown
  /** Parts of a multipart node */
  childNodes?: readonly MailNode[]
  /** Returns sender and recipients */
  getEnvelope(): MailEnvelope
  /** Returns a header field */
  getHeader(name: string): unknown
  /** Returns the Message-ID */
  messageId(): string
  /** Returns the message as a stream */
  createReadStream(): Readable
}

/** A transport for `nodemailer.createTransport`. */
export interface MailTransport<Info> {
  /** Name of the transport */
  name: string
  /** Version of the transport */
  version: string
  /** Whether `signal` ends a message that is being sent */
  supportsAbortSignal?: boolean
  /** Sends a message */
  send(mail: MailToSend, callback: (error: Error | null, info?: Info) => void): void
  /** Checks the configuration */
  verify(callback: (error: Error | null, success?: true) => void): void
  /** Checks the configuration */
  verify(): Promise<true>
  /** Whether another message would be sent at once */
  isIdle(): boolean
  /** Lets what is being sent come to its end; with `force`, ends that too */
  close(options?: { force?: boolean }): void
  /** Adds a listener */
  on(event: string | symbol, listener: Parameters<EventEmitter['on']>[1]): this
}

/** The options of `SMTPTransport` and `SMTPPool` that matter here; any other is passed on to Nodemailer. */
export interface SmartHostOptions {
  /** Default `localhost` */
  host?: string | undefined
  /** Default 587; 465 with `secure` */
  port?: number | string | undefined
  /** TLS begins before the greeting */
  secure?: boolean | undefined
  /** The host name that EHLO says */
  name?: string | undefined
  /** Keeps connections for further messages */
  pool?: boolean | undefined
  /** A connection URL */
  url?: string | undefined
  /** A well-known service of Nodemailer */
  service?: string | undefined
  /** TLS options of Nodemailer */
  tls?: ConnectionOptions | undefined
  /** Credentials, as Nodemailer takes them */
  auth?: object | undefined
}

/** What `nodemailer.createTransport` returns. */
export interface MailTransporter {
  /** Sends a message */
  sendMail(...values: never[]): unknown
  /** The transport behind it */
  transporter: object
}

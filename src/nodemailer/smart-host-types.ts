/**
 * The parts of Nodemailer's SMTP transports that `withMtaSts` uses, as they are in its versions 8, 9
 * and 10. Of our own, since the declarations of the three have little in common.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'
import type { TransactionLogOptions } from './transaction-log.js'

/** The result of Nodemailer's `getSocket`: a socket, and options that override the transport's. */
export interface SocketOptions {
  connection: Duplex
  [option: string | symbol]: unknown
}

export type SocketCallback = (error: Error | null, options?: SocketOptions | false) => void

/** Opens the socket of a session: a proxy, or a program's own. */
export type GetSocket = (options: object, callback: SocketCallback) => void

/** The options of an SMTP transport that are read here. */
export interface SmtpOptions extends TransactionLogOptions {
  host?: string | undefined
  port?: number | string | undefined
  secure?: boolean | undefined
  ignoreTLS?: boolean | undefined
  name?: string | undefined
  localAddress?: string | undefined
  connectionTimeout?: number | undefined
  greetingTimeout?: number | undefined
  tls?: ConnectionOptions | undefined
  servername?: string | false | undefined
  /** A socket that is connected */
  connection?: Socket | undefined
  /** A socket that is to be connected */
  socket?: Socket | undefined
}

/** A mail as `sendMail` hands it to a transport. */
export interface Mail {
  data?: { signal?: AbortSignal; requireTLSExtensionEnabled?: boolean; auth?: unknown }
  message: {
    getEnvelope(): { from: string | false; to?: string | string[]; dsn?: unknown }
    getHeader?(name: string): unknown
    createReadStream(): Readable
  }
}

export type SendCallback<Info> = (error: Error | null, info?: Info) => void

/** `SMTPTransport` or `SMTPPool`. */
export interface SmtpTransport {
  name: string
  /** `10.6.0[client:10.6.0]` */
  version: string
  options: SmtpOptions
  mailer?: object | undefined
  getSocket: GetSocket
  /** Only in a single transport: the login, read right before it is used */
  getAuth?(given: unknown): unknown
  logger: { error(entry: object, message: string, ...values: unknown[]): void }
  send(mail: Mail, callback: SendCallback<object>): unknown
  verify(callback: (error: Error | null, success?: true) => void): unknown
  close(options?: { force?: boolean }): unknown
  on(event: string, listener: (...args: never[]) => void): unknown
  removeAllListeners(): unknown
  /** Only in a pool; not public */
  _connections?: PoolResource[]
  /** Only in a pool; not public */
  _closed?: boolean
}

/** One connection of a pool, and the message that it is sending. None of it is public. */
export interface PoolResource {
  available: boolean
  queueEntry?: false | { mail: unknown }
  /** The login, read right before it is used */
  auth?: unknown
  /** The SMTP session; its `options` hold what `getSocket` gave */
  connection?: { options: Record<string | symbol, unknown>; close(): void }
}

/** The object that `createTransport` returns. */
export interface MailObject {
  transporter: SmtpTransport
  options: object
  getSocket?: GetSocket | false
  meta: Map<string, unknown>
  dkim: unknown
  /** Not public: the second argument of `createTransport` */
  _defaults: object
  /** Not public: what `use()` has added */
  _userPlugins: Record<string, unknown[]>
}

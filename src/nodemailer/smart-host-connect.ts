/**
 * Connections to a smart host. Nodemailer makes them where nothing must be proved; others are opened
 * and judged here, and handed to Nodemailer's SMTP session.
 *
 * @module
 */
import { BlockList, isIP, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { builtins } from '../builtins.js'
import type { CandidateChanges, DeliveryContext } from '../delivery/attempt.js'
import type { Candidate } from '../delivery/candidate.js'
import { lookupError } from '../delivery/errors.js'
import { lookupAddresses } from '../dns/addresses.js'
import { defaultResolver } from '../dns/resolver.js'
import type { Connect } from '../net/connect.js'
import { connectFirst } from '../net/connect.js'
import type { MtaStsOptions } from '../options.js'
import type { OpenOptions, SmtpConnection } from '../smtp/connection.js'
import { TlsFailureError } from '../tls/failures.js'
import { checkServerIdentity } from '../tls/identity.js'
import type { Security } from '../tls/security.js'
import type { GetSocket, SmtpOptions, SocketOptions } from './smart-host-types.js'
import { TransactionLogger } from './transaction-log.js'

/** Under this key the options of an SMTP session hold the connection that was opened for it. */
const OPENED = Symbol('connection')

/** The turn of a message or a check to connect: what it must prove, and its delivery. */
export interface Turn {
  candidate: Candidate
  context: DeliveryContext
  /** The message's own */
  signal?: AbortSignal | undefined
}

export interface ConnectSettings {
  /** The transport's options, as it reads them */
  options(): SmtpOptions
  /** A proxy, or a program's own `getSocket`; undefined without one */
  getSocket(): GetSocket | undefined
  sts: Pick<MtaStsOptions, 'ca' | 'connect' | 'resolver'>
}

/** Opens the connections of one smart host. */
export class SmartHostConnector {
  readonly #settings: ConnectSettings
  readonly #log: TransactionLogger

  constructor(settings: ConnectSettings) {
    this.#settings = settings
    this.#log = new TransactionLogger(settings.options())
  }

  /**
   * Returns the socket for an SMTP session and the options that belong to it; false: Nodemailer is to
   * connect by itself, since nothing has to be proved.
   *
   * @throws as `DeliveryContext.open` does; what the user's `getSocket` reported
   */
  async open(turn: Turn, socketOptions: object): Promise<SocketOptions | false> {
    const { security } = turn.candidate
    const plainly = () => this.#openPlainly(socketOptions)
    if (security.level !== 'opportunistic') {
      return this.#openProved(turn, security, await this.#givenSocket(socketOptions))
    }
    const { ignoreTLS, connection, socket } = this.#settings.options()
    if (security.audit === undefined || (ignoreTLS && !this.#implicitTls)) return plainly()
    // A socket that serves one connection cannot be judged first and used afterwards
    if (connection || socket) return plainly()
    const given = await this.#givenSocket(socketOptions)
    // Mode testing: a failure is recorded, and the connection made as without a policy
    try {
      const audited: Security = { level: 'encrypted', audit: security.audit }
      return await this.#openProved(turn, audited, given)
    } catch (error) {
      if (error instanceof TlsFailureError) {
        turn.context.note({ mxHost: turn.candidate.mxHost, ...error.failure })
      }
      turn.context.assertCurrent()
      return plainly()
    }
  }

  /** Connects as the plain transport does, or by the option `connect`. */
  async #openPlainly(socketOptions: object): Promise<SocketOptions | false> {
    const given = await this.#givenSocket(socketOptions)
    if (given?.connection) return given
    const { connect } = this.#settings.sts
    if (!connect || this.#settings.options().socket) return false
    const { host, port } = this.#place
    const targets = (await this.#addresses()).map(
      (address) => ({ purpose: 'smtp', host, address, port }) as const,
    )
    const { socket } = await connectFirst(targets, { connect, timeout: this.#connectionTimeout })
    return { connection: socket }
  }

  async #openProved(
    { candidate, context, signal }: Turn,
    security: Security,
    given: SocketOptions | undefined,
  ): Promise<SocketOptions> {
    const { mxHost } = candidate
    const changes: CandidateChanges = {
      security,
      port: this.#place.port,
      tls: this.#tlsOptions(candidate, security),
      implicitTls: this.#implicitTls,
      // The address that a proxy or the socket of the program connects to is not known here
      addresses:
        given?.connection || this.#settings.options().socket ? [mxHost] : await this.#addresses(),
      ...this.#connectBy(given),
    }
    const connection = await context.open({ ...this.#openOptions, signal }, changes)
    return {
      connection: connection.handOver(),
      // TLS is established: no option of the transport may start it again
      secure: true,
      secured: true,
      ignoreTLS: true,
      requireTLS: false,
      [OPENED]: connection,
    }
  }

  /** A proxy's socket serves one connection. */
  #connectBy(given: SocketOptions | undefined): { connect?: Connect } {
    if (given?.connection) return { connect: () => given.connection as Socket }
    const { localAddress, socket } = this.#settings.options()
    if (socket) return { connect: () => socket.connect(this.#place.port, this.#place.host) }
    const { connect } = this.#settings.sts
    if (connect) return { connect }
    if (localAddress === undefined) return {}
    return {
      connect: ({ address, port }) => new Socket().connect({ host: address, port, localAddress }),
    }
  }

  get #openOptions(): OpenOptions {
    const { name, connectionTimeout, greetingTimeout, localAddress } = this.#settings.options()
    const said = name?.toString().replace(/[\r\n]+/g, '')
    return {
      ...(said !== undefined && /^[!-~]+$/.test(said) ? { name: said } : {}),
      ...(localAddress === undefined ? {} : { localAddress }),
      connectionTimeout: connectionTimeout || CONNECTION_TIMEOUT,
      greetingTimeout: greetingTimeout || GREETING_TIMEOUT,
      ...this.#log.forSession(),
    }
  }

  get #connectionTimeout(): number {
    return this.#settings.options().connectionTimeout || CONNECTION_TIMEOUT
  }

  get #implicitTls(): boolean {
    const { secure, port } = this.#settings.options()
    // As Nodemailer decides it
    return secure === undefined ? Number(port) === 465 : Boolean(secure)
  }

  get #place(): { host: string; port: number } {
    const { host = 'localhost', port } = this.#settings.options()
    return { host, port: Number(port) || (this.#implicitTls ? 465 : 587) }
  }

  /** The operator chose this host: it may be in a private network, or in a hosts file. */
  async #addresses(): Promise<string[]> {
    const { host } = this.#place
    if (isIP(host)) return [host]
    const { connect, resolver } = this.#settings.sts
    if (!connect) {
      const found = await builtins.dns.promises.lookup(host, { all: true }).catch((error) => {
        throw lookupError(error)
      })
      return found.map(({ address }) => address)
    }
    const { addresses } = await lookupAddresses(host, {
      resolver: resolver ?? defaultResolver(this.#connectionTimeout),
      dnsTimeout: this.#connectionTimeout,
      blockedAddresses: new BlockList(),
    })
    return addresses
  }

  /** Returns the result of the user's `getSocket`, or the option `connection`; undefined without both. */
  #givenSocket(socketOptions: object): Promise<SocketOptions | undefined> {
    const { connection } = this.#settings.options()
    const fallback = connection ? { connection } : undefined
    const getSocket = this.#settings.getSocket()
    if (!getSocket) return Promise.resolve(fallback)
    return new Promise((resolve, reject) => {
      getSocket(socketOptions, (error, given) =>
        error ? reject(error) : resolve(given || fallback),
      )
    })
  }

  /** Returns the user's TLS options; none of them weakens what must be proved. */
  #tlsOptions({ mxHost, tls }: Candidate, { level }: Security): ConnectionOptions {
    const { session: _, ...own } = this.#settings.options().tls ?? {}
    const { host, servername } = this.#settings.options()
    if (level !== 'authenticated') {
      const name = servername || (host && !isIP(host) ? host : undefined)
      return { ...(name ? { host: name, servername: name } : {}), ...own }
    }
    const { ca } = this.#settings.sts
    if (ca === undefined && !CONTEXT_OPTIONS.some((name) => own[name] !== undefined)) return tls
    const { secureContext: __, ...verified } = tls
    const minVersion = own.minVersion === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2'
    return {
      ...own,
      ...(ca === undefined ? {} : { ca: Array.isArray(ca) ? [...ca] : (ca as string) }),
      ...verified,
      secureContext: undefined,
      host: mxHost,
      minVersion,
      rejectUnauthorized: true,
      checkServerIdentity,
    }
  }
}

/** Nodemailer's defaults, in milliseconds. */
const CONNECTION_TIMEOUT = 120_000
const GREETING_TIMEOUT = 30_000

/** TLS options that make a secure context of their own: roots, a client certificate, ciphers. */
const CONTEXT_OPTIONS = ['ca', 'cert', 'key', 'pfx', 'ciphers', 'sigalgs', 'ecdhCurve'] as const

/** Returns the connection behind the options of an SMTP session; undefined: Nodemailer made it. */
export function openedFor(options: object | undefined | false): SmtpConnection | undefined {
  return options ? Reflect.get(options, OPENED) : undefined
}

/** Whether a connection has proved what is demanded; undefined: it has proved nothing. */
export function meets(connection: SmtpConnection | undefined, security: Security): boolean {
  if (security.level === 'opportunistic') return true
  if (!connection || connection.tls === false) return false
  if (security.level === 'encrypted') return true
  return security.proofs.every(({ by }) => connection.proved.includes(by))
}

/**
 * Returns a socket that fails an SMTP session: it breaks with this error, or ends without one. The pools of
 * Nodemailer 8 and 9 lose a place for good when `getSocket` itself reports an error.
 */
export function brokenSocket(error?: Error): SocketOptions {
  const socket = new Socket()
  // The session may be over: a message aborted, a pool closed by force
  socket.on('error', () => {})
  // After the session has begun to listen: to errors at once, to the end when it waits for a greeting
  if (error) process.nextTick(() => socket.destroy(error))
  else setImmediate(() => setImmediate(() => socket.destroy()))
  // The session must not start TLS on it
  return { connection: socket, secure: true, secured: true }
}

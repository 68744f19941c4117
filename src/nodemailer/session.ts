/**
 * One SMTP session with one MX host: opened, secured and judged before anything of a message is
 * said on it. The SMTP is Nodemailer's; what the connection must prove is decided elsewhere.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import type { SMTPConnectionOptions, SMTPEnvelope } from 'nodemailer'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
import type { Candidate } from '../delivery/plan.js'
import { MtaStsError } from '../errors.js'
import { type AppliedPolicy, publish } from '../events.js'
import { type Connect, type ConnectTarget, connectFirst } from '../net/connect.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import type { Security } from '../tls/security.js'
import { failedHandshake } from '../tls/verdict.js'
import { withPermanence } from './errors.js'

/** All durations in milliseconds. */
export interface SessionOptions {
  connect: Connect
  /** For an address to be connected to, and again from there to the end of STARTTLS */
  connectionTimeout: number
  /** For the greeting */
  greetingTimeout: number
  /** For any reply; a connection that is silent for longer is closed */
  socketTimeout: number
  /** What is said in EHLO */
  name?: string | undefined
  localAddress?: string | undefined
  /** In Nodemailer's form */
  logger?: SMTPConnectionOptions['logger']
  debug?: boolean | undefined
  transactionLog?: boolean | undefined
}

/** What is known of a connection once it may be used. */
export interface SessionFacts {
  mxHost: string
  address: string
  /** false: plaintext */
  tls: false | { version: string; cipher: string }
  /** What the peer has proved */
  proved: 'nothing' | 'sts' | 'dane'
}

export interface SendResult {
  accepted: string[]
  rejected: string[]
  rejectedErrors?: Error[] | undefined
  response: string
  envelopeTime: number
  messageTime: number
  messageSize: number
}

/** What opening a session needs to know of the delivery that it is for. */
export interface SessionPurpose {
  policy: AppliedPolicy
  signal?: AbortSignal | undefined
  /** Puts down a failure that does not stop the session */
  note(failure: TlsFailure): void
}

/**
 * A session with the first address of the candidate that proves what it must.
 *
 * @throws TlsFailureError when none does
 * @throws ConnectError, or Nodemailer's error, when none answers, or none in a useful way
 */
export async function openSession(
  candidate: Candidate,
  purpose: SessionPurpose,
  options: SessionOptions,
): Promise<Session> {
  let targets = targetsOf(candidate, options.localAddress)
  let lastError: unknown = noAddress(candidate, options.localAddress)
  let tried = false
  while (targets.length > 0) {
    const { connect, connectionTimeout: timeout } = options
    const { signal } = purpose
    const connected = await connectFirst(targets, { connect, timeout, signal }).catch((error) => {
      // What an address that did answer had to say says more
      throw tried ? lastError : error
    })
    targets = connected.remaining
    tried = true
    try {
      return await new SessionSetup(candidate, purpose, options).run(connected)
    } catch (error) {
      if (signal?.aborted) throw error
      lastError = error
      if (error instanceof TlsFailureError && targets.length > 0) purpose.note(error.failure)
    }
  }
  throw lastError
}

/** A socket that is bound to an address of one family reaches no address of the other. */
function targetsOf(candidate: Candidate, localAddress: string | undefined): ConnectTarget[] {
  const { mxHost, port, addresses } = candidate
  return addresses
    .filter((address) => !localAddress || address.includes(':') === localAddress.includes(':'))
    .map((address) => ({ purpose: 'smtp', host: mxHost, address, port }))
}

function noAddress({ mxHost }: Candidate, localAddress = 'this host'): Error {
  const message = `${mxHost} has no address that can be reached from ${localAddress}`
  return new MtaStsError(message, 'ECONNECTION')
}

/** STARTTLS did not come to an end: what it amounts to. */
class StartTlsFailed extends Error {
  readonly failure: TlsFailure
  constructor(failure: TlsFailure) {
    super('STARTTLS failed', { cause: failure.cause })
    this.failure = failure
  }
}

/** From a TCP connection to a session that may be used, or to the failure that forbids it. */
class SessionSetup {
  readonly #candidate: Candidate
  readonly #purpose: SessionPurpose
  readonly #options: SessionOptions
  #helo: string | undefined

  constructor(candidate: Candidate, purpose: SessionPurpose, options: SessionOptions) {
    this.#candidate = candidate
    this.#purpose = purpose
    this.#options = options
  }

  async run({ socket, target }: { socket: Socket; target: ConnectTarget }): Promise<Session> {
    const { localAddress } = socket
    this.#listenToGreeting(socket)
    let connection: SMTPConnection | undefined
    let failure: TlsFailure | undefined
    try {
      connection = await this.#greet(socket, 'starttls')
      failure = this.#judge(connection)
    } catch (error) {
      if (!(error instanceof StartTlsFailed) || this.#purpose.signal?.aborted) throw error
      failure = { ...error.failure, mxHost: target.host }
    }
    if (failure) failure = { ...failure, address: target.address }
    // A host outside a policy of mode testing has failed already, whatever it proves
    const failed = failure ?? this.#candidate.failure
    this.#publish(target, { localAddress, failure: failed })
    if (failure) {
      if (this.#mustNotUse(connection)) {
        connection?.close()
        throw new TlsFailureError(failure)
      }
      this.#purpose.note(failure)
    }
    connection ??= await this.#inPlaintext(target)
    return new Session(connection, {
      facts: this.#facts(connection, target),
      port: target.port,
      security: this.#candidate.security,
      finding: failure,
    })
  }

  /**
   * The one gate before MAIL FROM: a connection on which something failed may be used only if
   * that is not what it had to prove.
   */
  #mustNotUse(connection: SMTPConnection | undefined): boolean {
    const { level } = this.#candidate.security
    if (level === 'authenticated') return true
    return level === 'encrypted' && !(connection && securedSocket(connection))
  }

  #judge(connection: SMTPConnection): TlsFailure | undefined {
    const socket = securedSocket(connection)
    if (socket) return this.#candidate.verify(socket)
    const { mxHost } = this.#candidate
    return { resultType: 'starttls-not-supported', reason: 'not-offered', mxHost }
  }

  /** STARTTLS failed where nothing had to be proved: once more, without it (RFC 7435). */
  async #inPlaintext(target: ConnectTarget): Promise<SMTPConnection> {
    const { connect, connectionTimeout: timeout } = this.#options
    const { signal } = this.#purpose
    const { socket } = await connectFirst([target], { connect, timeout, signal })
    return this.#greet(socket, 'plaintext')
  }

  /** Up to the reply to the last EHLO; `starttls` uses STARTTLS when it is offered. */
  #greet(socket: Socket, mode: 'starttls' | 'plaintext'): Promise<SMTPConnection> {
    const { connectionTimeout } = this.#options
    const { signal } = this.#purpose
    const connection = new SMTPConnection(this.#connectionOptions(socket, mode))
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        connection.off('error', fail).off('end', onEnd)
        connection.on('error', ignore)
        done()
      }
      const fail = (error: Error) => {
        const reason = setupError(error, connection)
        settle(() => reject(reason))
        connection.close()
      }
      const onEnd = () => fail(new Error('The connection was closed'))
      const onAbort = () => fail(abortedError(signal))
      // Nodemailer's own timer leaves out the handshake in its older versions
      const timer = setTimeout(() => fail(timeoutError(connectionTimeout)), connectionTimeout)
      connection.on('error', fail).on('end', onEnd)
      signal?.addEventListener('abort', onAbort, { once: true })
      connection.connect((error) => (error ? fail(error) : settle(() => resolve(connection))))
    })
  }

  #connectionOptions(socket: Socket, mode: 'starttls' | 'plaintext'): SMTPConnectionOptions {
    const { connect: _, localAddress: __, ...options } = this.#options
    const { mxHost, port, tls } = this.#candidate
    // Whether STARTTLS is a must is not Nodemailer's to decide: see #judge
    const ignoreTLS = mode === 'plaintext'
    return { ...options, connection: socket, host: mxHost, port, secure: false, ignoreTLS, tls }
  }

  #facts(connection: SMTPConnection, target: ConnectTarget): SessionFacts {
    const socket = securedSocket(connection)
    const { security } = this.#candidate
    return {
      mxHost: target.host,
      address: target.address,
      tls: socket && {
        version: socket.getProtocol() ?? 'unknown',
        cipher: socket.getCipher()?.name ?? 'unknown',
      },
      proved: security.level === 'authenticated' ? security.proofs[0].by : 'nothing',
    }
  }

  /** What the host calls itself (RFC 8460 §4.3.1): the first word of its greeting. */
  #listenToGreeting(socket: Socket): void {
    // Paused, so that the listener alone does not set it flowing; SMTPConnection does
    socket.pause().once('data', (chunk) => {
      this.#helo = /^220[- ]([!-~]{1,255})/.exec(chunk.toString('latin1'))?.[1]
    })
  }

  #publish(
    target: ConnectTarget,
    session: { localAddress: string | undefined; failure: TlsFailure | undefined },
  ): void {
    publish('mta-sts:session', () => {
      const { localAddress, failure } = session
      const helo = this.#helo
      return {
        policy: this.#purpose.policy,
        mxHost: target.host,
        address: target.address,
        ...(localAddress === undefined ? {} : { localAddress }),
        ...(helo === undefined ? {} : { helo }),
        ...(failure === undefined ? {} : { failure }),
      }
    })
  }
}

interface SessionState {
  facts: SessionFacts
  port: number
  /** What it had to prove */
  security: Security
  /** What was found wrong with it, and let pass */
  finding: TlsFailure | undefined
}

const CUT_MESSAGE = 'The stream of the message was closed before its end'

/** How long a host may take to answer QUIT, in milliseconds. */
const QUIT_TIMEOUT = 2000

/** A session that may carry messages: all that are content with what it has proved. */
export class Session {
  readonly facts: SessionFacts
  readonly finding: TlsFailure | undefined
  /** How many messages were sent on it, or tried */
  messages = 0
  readonly #connection: SMTPConnection
  readonly #state: SessionState

  constructor(connection: SMTPConnection, state: SessionState) {
    this.#connection = connection
    this.#state = state
    this.facts = state.facts
    this.finding = state.finding
  }

  get closed(): boolean {
    return this.#connection.destroyed
  }

  /**
   * Whether it may carry a message for this candidate: the same host at an address that is still
   * its own, and nothing to prove that was not proved when it was opened.
   */
  fits({ port, addresses, security }: Candidate): boolean {
    if (port !== this.#state.port || !addresses.includes(this.facts.address)) return false
    const own = this.#state.security
    return own === security || isDeepStrictEqual(own, security) || this.#provedEnough(security)
  }

  #provedEnough({ level }: Security): boolean {
    return this.facts.proved !== 'nothing' && level !== 'authenticated'
  }

  /** Called once when the connection has ended, or begins to end from this side. */
  onClose(listener: () => void): void {
    this.#connection.once('end', listener)
  }

  /** While it is idle, it does not keep the process alive. */
  unref(): void {
    if (this.#connection._socket) this.#connection._socket.unref()
  }

  ref(): void {
    if (this.#connection._socket) this.#connection._socket.ref()
  }

  /** @throws Nodemailer's error, with `responseCode` and `command` where the host replied */
  send(
    envelope: SMTPEnvelope,
    message: Readable,
    signal: AbortSignal | undefined,
  ): Promise<SendResult> {
    const connection = this.#connection
    this.messages++
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        signal?.removeEventListener('abort', onAbort)
        connection.off('error', fail).off('end', onEnd)
        message.off('close', onMessageClose)
        done()
      }
      const fail = (error: Error) => {
        message.on('error', ignore).destroy()
        settle(() => reject(withPermanence(error)))
      }
      const onEnd = () => fail(new Error('The connection was closed'))
      const onAbort = () => {
        fail(abortedError(signal))
        connection.close()
      }
      // Nodemailer would wait for the rest
      const onMessageClose = () => {
        if (!message.readableEnded) fail(new MtaStsError(CUT_MESSAGE, 'ESTREAM'))
      }
      connection.on('error', fail).on('end', onEnd)
      message.on('close', onMessageClose)
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      // A copy: SMTPConnection writes to its envelope, and keeps an old error in it (D10)
      connection.send({ ...envelope }, message, (error, info) =>
        error ? fail(error) : settle(() => resolve(info)),
      )
    })
  }

  /** Says QUIT; the connection ends when the host has answered, or has had its time. */
  quit(): void {
    this.ref()
    const timer = setTimeout(() => this.close(), QUIT_TIMEOUT)
    this.onClose(() => clearTimeout(timer))
    this.#connection.quit()
  }

  close(): void {
    this.#connection.close()
  }
}

/** What an error before the session was ready amounts to. */
function setupError(error: Error, connection: SMTPConnection): Error {
  if (connection.upgrading) return new StartTlsFailed(failedHandshake(error))
  const refused = 'command' in error && error.command === 'STARTTLS'
  if (refused || isAwaitingStartTls(connection)) {
    const reason = refused ? 'refused' : 'no-answer'
    return new StartTlsFailed({ resultType: 'starttls-not-supported', reason, cause: error })
  }
  // Before MAIL FROM no reply is the receiver's answer to the message: RFC 8461 §5.1, D6
  return Object.assign(error, { permanent: false })
}

/** The last that was heard is that STARTTLS is offered: it was said, and nothing came back. */
function isAwaitingStartTls({ secure, lastServerResponse }: SMTPConnection): boolean {
  return !secure && /^250[- ]STARTTLS\b/im.test(lastServerResponse || '')
}

function securedSocket(connection: SMTPConnection): TLSSocket | false {
  return connection._socket instanceof TLSSocket && connection._socket
}

/** A signal may be aborted with any value; what is made of it in the end is the transport's. */
function abortedError(signal: AbortSignal | undefined): Error {
  return new Error('The signal was aborted', { cause: signal?.reason })
}

function timeoutError(timeout: number): Error {
  const error = new Error(`The session was not ready for mail within ${timeout} ms`)
  return Object.assign(error, { code: 'ETIMEDOUT' })
}

function ignore(): void {}

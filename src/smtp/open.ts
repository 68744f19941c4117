/**
 * Opens an SMTP session: each address of a host in turn, with greeting, EHLO, STARTTLS, handshake,
 * verdict, and EHLO again. No part of a message is sent on a connection that has not proved what it
 * must (RFC 8461 §4, RFC 3207).
 *
 * @module
 */
import type { TLSSocket } from 'node:tls'
import { ConnectError, type Connected, type ConnectTarget, connectFirst } from '../net/connect.js'
import { onAbort } from '../net/deadline.js'
import { errorOfThrown } from '../text.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { expiryOf } from '../tls/handshake.js'
import type { OpenSettings, SmtpConnection, SmtpTarget } from './connection.js'
import { connectionError, SmtpError } from './errors.js'
import { type Greeted, Greeter, type OnBegin } from './hello.js'
import type { Reply } from './reply.js'
import { SmtpSession } from './session.js'
import { beginTls, lostInTls, NOT_OFFERED, startTls } from './starttls.js'
import { CONNECTION_TIMEOUT, replyTimeouts } from './timeouts.js'

/**
 * Opens a connection to the first address of the host that proves what it must.
 *
 * @throws TlsFailureError when the last address that answered did not prove it
 * @throws ConnectError, or SmtpError, when no address answers correctly; never permanent
 * @throws the signal's reason when it is aborted
 */
export async function openSmtp(
  target: SmtpTarget,
  settings: OpenSettings,
): Promise<SmtpConnection> {
  const { signal } = settings
  signal?.throwIfAborted()
  const opening = new Opening(target, settings)
  const release = onAbort(signal, () => opening.abort(signal?.reason))
  try {
    const connection = await opening.run()
    if (signal?.aborted) connection.close()
    else return connection
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    release()
  }
  throw signal?.reason
}

class Opening {
  readonly #target: SmtpTarget
  readonly #settings: OpenSettings
  readonly #greeter: Greeter
  readonly #connectionTimeout: number
  /** Ends the current step with an error */
  #end: (reason: unknown) => void = () => {}

  constructor(target: SmtpTarget, settings: OpenSettings) {
    this.#target = target
    this.#settings = settings
    this.#greeter = new Greeter(settings, this.#onBegin)
    this.#connectionTimeout = settings.connectionTimeout ?? CONNECTION_TIMEOUT
  }

  abort(reason: unknown): void {
    this.#end(reason)
  }

  readonly #onBegin: OnBegin = (end) => {
    this.#end = end
    const { signal } = this.#settings
    // Aborted between two steps, when there was nothing to end
    if (signal?.aborted) end(signal.reason)
  }

  async run(): Promise<SmtpConnection> {
    let targets = this.#targets()
    let lastError: unknown
    while (targets.length > 0) {
      const connected = await this.#connect(targets, lastError)
      targets = connected.remaining
      try {
        return await this.#open(connected)
      } catch (error) {
        // No socket may stay open after an error
        this.#end(error)
        this.#settings.signal?.throwIfAborted()
        lastError = error
        if (!(error instanceof TlsFailureError)) {
          this.#unreachable(connected.target.address, error)
        }
      }
    }
    throw lastError ?? this.#noAddress()
  }

  /** The addresses of the family of `localAddress`; a socket bound to it reaches no others. */
  #targets(): ConnectTarget[] {
    const { mxHost: host, port, addresses } = this.#target
    const { localAddress } = this.#settings
    return addresses
      .filter((address) => !localAddress || address.includes(':') === localAddress.includes(':'))
      .map((address) => ({ purpose: 'smtp', host, address, port }))
  }

  #noAddress(): Error {
    const from = this.#settings.localAddress ?? 'this host'
    const message = `${this.#target.mxHost} has no address that can be reached from ${from}`
    return connectionError('CONN', message)
  }

  /** @param lastError the error of an address that answered, which says more */
  async #connect(targets: ConnectTarget[], lastError: unknown): Promise<Connected> {
    const { connect, signal } = this.#settings
    try {
      const options = { connect, timeout: this.#connectionTimeout, signal }
      const connected = await connectFirst(targets, options)
      for (const { target, error } of connected.failed) this.#unreachable(target.address, error)
      return connected
    } catch (error) {
      if (signal?.aborted || !(error instanceof ConnectError)) throw error
      for (const one of error.errors) this.#unreachable(one.target.address, one.error)
      throw lastError ?? error
    }
  }

  #unreachable(address: string, error: unknown): void {
    this.#settings.onUnreachable?.(address, errorOfThrown(error))
  }

  /** Opens one address, from the TCP connection to a usable session. */
  async #open(connected: Connected): Promise<SmtpConnection> {
    if (this.#target.implicitTls) return this.#openInsideTls(connected)
    const { socket, target } = connected
    const { address } = target
    const { localAddress } = socket
    let session = await this.#greeter.greet(socket)
    const { greeting } = session
    const broken = this.#knownBroken(address)
    const { failure: found, secured } = broken
      ? { failure: broken, secured: undefined }
      : await startTls(session, this.#target, this.#tlsSettings)
    if (!broken) this.#rememberTls(address, found)
    const failure = found && { ...found, mxHost: this.#target.mxHost, address }
    this.#report({ address, localAddress, greeting, failure })
    if (!this.#mayUse(secured !== undefined)) {
      session.dialogue.close()
      secured?.dialogue.close()
      throw new TlsFailureError(failure ?? NOT_OFFERED)
    }
    if (secured) {
      if (secured.reply instanceof SmtpError) throw secured.reply
      const hello = await this.#greeter.hello(secured.dialogue, secured.reply)
      session = { dialogue: secured.dialogue, greeting, hello }
    }
    const tlsFailed = secured === undefined && failure?.reason !== 'not-offered'
    // RFC 7435: tries again without STARTTLS where no proof is demanded
    if (tlsFailed && !broken) session = await this.#inPlaintext(address)
    // The dialogue may have ended meanwhile, or the host sent too much
    session.dialogue.assertQuiet('EHLO')
    session.dialogue.log('info', `Ready for mail at ${address}, ${secured ? 'TLS' : 'plaintext'}`)
    return this.#session(session, { address, failure, tlsFailed, tls: secured?.socket })
  }

  /** Opens one address of a host that uses TLS from the first byte on. */
  async #openInsideTls({ socket, target: { address } }: Connected): Promise<SmtpConnection> {
    const { localAddress } = socket
    const begun = await beginTls(socket, this.#target, this.#tlsSettings)
    let { failure: found } = begun
    let session: Greeted | undefined
    let unusable: unknown
    if (begun.socket) {
      try {
        session = await this.#greeter.greet(begun.socket)
      } catch (error) {
        unusable = error
        // TLS 1.3: an error before the first reply belongs to the handshake
        found = lostInTls(error) ?? found
        if (found !== begun.failure) unusable = undefined
      }
    }
    const failure = found && { ...found, mxHost: this.#target.mxHost, address }
    this.#report({ address, localAddress, greeting: session?.greeting, failure })
    if (unusable !== undefined) throw unusable
    if (!session || !begun.socket) throw new TlsFailureError(failure ?? NOT_OFFERED)
    session.dialogue.assertQuiet('EHLO')
    session.dialogue.log('info', `Ready for mail at ${address}, TLS`)
    return this.#session(session, { address, failure, tlsFailed: false, tls: begun.socket })
  }

  get #tlsSettings() {
    return {
      greeter: this.#greeter,
      onBegin: this.#onBegin,
      timeout: this.#connectionTimeout,
      signal: this.#settings.signal,
    }
  }

  /** Whether no proof is demanded of the host, so that failing TLS may be omitted. */
  get #isIndifferent(): boolean {
    const { level, audit } = this.#target.security
    return level === 'opportunistic' && audit === undefined && this.#target.failure === undefined
  }

  #knownBroken(address: string): TlsFailure | undefined {
    if (!this.#isIndifferent) return undefined
    return this.#settings.brokenTls?.failureOf(address, this.#target.port)
  }

  #rememberTls(address: string, failure: TlsFailure | undefined): void {
    if (this.#isIndifferent) this.#settings.brokenTls?.record(address, this.#target.port, failure)
  }

  /** Whether the session may be used: the only check before MAIL FROM. */
  #mayUse(secured: boolean): boolean {
    return secured || this.#target.security.level === 'opportunistic'
  }

  async #inPlaintext(address: string): Promise<Greeted> {
    const { mxHost: host, port } = this.#target
    const { connect, signal } = this.#settings
    const { socket } = await connectFirst([{ purpose: 'smtp', host, address, port }], {
      connect,
      timeout: this.#connectionTimeout,
      signal,
    })
    return this.#greeter.greet(socket)
  }

  #report(session: {
    address: string
    localAddress: string | undefined
    greeting: Reply | undefined
    failure: TlsFailure | undefined
  }): void {
    const { address, localAddress, greeting } = session
    // RFC 8460 §4.3.1: the host's own name
    const helo = /^220[- ]([!-~]{1,255})/.exec(greeting?.lines[0] ?? '')?.[1]
    // A host outside a policy of mode testing has already failed, whatever it proves
    const failure = session.failure ?? this.#target.failure
    this.#settings.onSession({
      address,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(helo === undefined ? {} : { helo }),
      ...(failure === undefined ? {} : { failure }),
    })
  }

  #session(
    { dialogue, greeting, hello }: Greeted,
    facts: {
      address: string
      failure: TlsFailure | undefined
      tlsFailed: boolean
      tls: TLSSocket | undefined
    },
  ): SmtpConnection {
    const { mxHost, port, security } = this.#target
    const { address, failure, tlsFailed, tls } = facts
    const proofs = security.level === 'authenticated' ? security.proofs : []
    return new SmtpSession(dialogue, {
      mxHost,
      address,
      port,
      tlsFailed,
      secured: tls !== undefined,
      tls: tls !== undefined && {
        version: tls.getProtocol() ?? 'unknown',
        cipher: tls.getCipher()?.name ?? 'unknown',
      },
      proved: proofs.map(({ by }) => by),
      provedUntil: tls && proofs.length > 0 ? expiryOf(tls) : Number.POSITIVE_INFINITY,
      failures: failure === undefined ? [] : [failure],
      extensions: hello.extensions,
      greeting: greeting.lines.join('\n'),
      ehlo: hello.lines,
      timeouts: replyTimeouts(this.#settings.commandTimeout),
    })
  }
}

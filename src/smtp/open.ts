/**
 * From a TCP connection to a verdict: each address of an SMTP host in turn, greeting, EHLO, STARTTLS,
 * handshake, verdict, and EHLO again. Nothing of a message is said on a connection that has not
 * proved what it must (RFC 8461 §4, RFC 3207).
 *
 * @module
 */
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import {
  ConnectError,
  type Connected,
  type ConnectTarget,
  connectFirst,
  discard,
} from '../net/connect.js'
import { optionError } from '../option-checks.js'
import { errorOfThrown } from '../text.js'
import { type TlsFailure, TlsFailureError } from '../tls/failures.js'
import { failedHandshake } from '../tls/verdict.js'
import type { OpenSettings, SmtpConnection, SmtpTarget } from './connection.js'
import { SmtpDialogue } from './dialogue.js'
import { connectionError, type Reply, replyError, SmtpError, type SmtpStep } from './reply.js'
import { SmtpSession } from './session.js'
import { CONNECTION_TIMEOUT, GREETING_TIMEOUT, replyTimeouts } from './timeouts.js'

/**
 * Opens a connection to the first address of the host that proves what it must.
 *
 * @throws TlsFailureError when the last address that answered did not prove it
 * @throws ConnectError, or SmtpError, when none answers, or none in a useful way; never permanent
 * @throws the signal's reason when it is aborted
 */
export async function openSmtp(
  target: SmtpTarget,
  settings: OpenSettings,
): Promise<SmtpConnection> {
  const { signal } = settings
  signal?.throwIfAborted()
  const opening = new Opening(target, settings)
  const onAbort = () => opening.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const connection = await opening.run()
    if (signal?.aborted) connection.close()
    else return connection
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
  throw signal?.reason
}

/** A dialogue that has said EHLO, or has the reply to it. */
interface Hello {
  extensions: ReadonlyMap<string, string>
  lines: readonly string[]
}

/** What STARTTLS came to. */
interface StartTlsOutcome {
  failure?: TlsFailure | undefined
  /** Left out where TLS did not come about, or a proof that is demanded was not given */
  secured?: Secured | undefined
}

interface Secured {
  dialogue: SmtpDialogue
  socket: TLSSocket
  /** The reply to EHLO; an error when something came that is no reply */
  reply: Reply | SmtpError
}

interface Greeted {
  dialogue: SmtpDialogue
  greeting: Reply
  hello: Hello
}

class Opening {
  readonly #target: SmtpTarget
  readonly #settings: OpenSettings
  readonly #name: string
  readonly #connectionTimeout: number
  readonly #helloTimeout: number
  /** Ends what is under way, with an error */
  #end: (reason: unknown) => void = () => {}

  constructor(target: SmtpTarget, settings: OpenSettings) {
    this.#target = target
    this.#settings = settings
    this.#name = ehloName(settings.name)
    this.#connectionTimeout = settings.connectionTimeout ?? CONNECTION_TIMEOUT
    this.#helloTimeout = settings.commandTimeout ?? this.#connectionTimeout
  }

  abort(reason: unknown): void {
    this.#end(reason)
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
        // Whatever threw, no socket is left
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

  /** A socket that is bound to an address of one family reaches no address of the other. */
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

  /** @param lastError what an address that did answer had to say, which says more */
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

  /** One address, from the TCP connection to a session that may be used. */
  async #open({ socket, target: { address } }: Connected): Promise<SmtpConnection> {
    const { localAddress } = socket
    let session = await this.#greet(socket)
    const { greeting } = session
    const { failure: found, secured } = await this.#startTls(session)
    const failure = found && { ...found, mxHost: this.#target.mxHost, address }
    this.#report({ address, localAddress, greeting, failure })
    if (!this.#mayUse(secured !== undefined)) {
      session.dialogue.close()
      secured?.dialogue.close()
      throw new TlsFailureError(failure ?? notOffered)
    }
    if (secured) {
      if (secured.reply instanceof SmtpError) throw secured.reply
      const hello = await this.#hello(secured.dialogue, secured.reply)
      session = { dialogue: secured.dialogue, greeting, hello }
    }
    const tlsFailed = secured === undefined && failure?.reason !== 'not-offered'
    // RFC 7435: once more without STARTTLS, where nothing has to be proved
    if (tlsFailed) session = await this.#inPlaintext(address)
    return this.#session(session, { address, failure, tlsFailed, tls: secured?.socket })
  }

  /** The one gate before MAIL FROM. */
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
    return this.#greet(socket)
  }

  async #greet(socket: Socket): Promise<Greeted> {
    const dialogue = this.#dialogue(socket)
    const { greetingTimeout = GREETING_TIMEOUT } = this.#settings
    const greeting = await dialogue.reply('CONN', greetingTimeout)
    if (greeting.code !== 220) throw this.#refused(dialogue, 'CONN', greeting)
    const reply = await this.#ehlo(dialogue)
    return { dialogue, greeting, hello: await this.#hello(dialogue, reply) }
  }

  #dialogue(socket: Socket, options?: { greeting?: boolean }): SmtpDialogue {
    const dialogue = new SmtpDialogue(socket, this.#settings.log, options)
    this.#end = (reason) => dialogue.fail(() => reason)
    return dialogue
  }

  #ehlo(dialogue: SmtpDialogue): Promise<Reply> {
    return dialogue.command(`EHLO ${this.#name}`, 'EHLO', this.#helloTimeout)
  }

  /** Reads the reply to EHLO; a host that refuses it is asked by HELO (RFC 5321 §3.2). */
  async #hello(dialogue: SmtpDialogue, ehlo: Reply): Promise<Hello> {
    if (isGood(ehlo)) return { extensions: extensionsOf(ehlo), lines: ehlo.lines }
    if (ehlo.code < 500) throw this.#refused(dialogue, 'EHLO', ehlo)
    const helo = await dialogue
      .command(`HELO ${this.#name}`, 'HELO', this.#helloTimeout)
      // A host that hangs up after its refusal of EHLO has said why by that
      .catch((error) => {
        throw error instanceof SmtpError ? this.#refused(dialogue, 'EHLO', ehlo) : error
      })
    if (!isGood(helo)) throw this.#refused(dialogue, 'HELO', helo)
    return { extensions: new Map(), lines: helo.lines }
  }

  #refused(dialogue: SmtpDialogue, step: SmtpStep, reply: Reply): SmtpError {
    dialogue.close()
    return replyError(step, reply, { tlsFailed: false })
  }

  /**
   * STARTTLS, the handshake and the first reply inside TLS. With TLS 1.3 a host that demands a
   * client certificate, say, ends the connection only after the handshake is over for the client:
   * it is complete when a reply has come through it.
   */
  async #startTls({ dialogue, hello }: Greeted): Promise<StartTlsOutcome> {
    if (!hello.extensions.has('STARTTLS')) return { failure: notOffered }
    const end = performance.now() + this.#connectionTimeout
    const refusal = await this.#requestTls(dialogue)
    if (refusal) return { failure: refusal }
    try {
      const socket = await this.#handshake(dialogue.detach(), end - performance.now())
      const { refusal, audited: failure } = this.#target.judge(socket)
      if (refusal) {
        discard(socket)
        return { failure: refusal }
      }
      const inside = this.#dialogue(socket, { greeting: false })
      const reply = await this.#ehlo(inside).catch((error) => {
        if (error instanceof SmtpError && error.code === 'EPROTOCOL') return error
        throw error
      })
      return { failure, secured: { dialogue: inside, socket, reply } }
    } catch (error) {
      this.#settings.signal?.throwIfAborted()
      return { failure: failedHandshake(rootOf(error)) }
    }
  }

  /** Says STARTTLS; returns why there can be no handshake. The connection has ended then. */
  async #requestTls(dialogue: SmtpDialogue): Promise<TlsFailure | undefined> {
    const resultType = 'starttls-not-supported'
    dialogue.assertQuiet('STARTTLS')
    try {
      const reply = await dialogue.command('STARTTLS', 'STARTTLS', this.#connectionTimeout)
      // RFC 3207 §4.2: what stands behind the reply was not said inside TLS
      if (dialogue.spokeEarly) {
        dialogue.close()
        return { resultType, reason: 'early-data' }
      }
      if (reply.code === 220) return undefined
      return { resultType, reason: 'refused', cause: this.#refused(dialogue, 'STARTTLS', reply) }
    } catch (cause) {
      this.#settings.signal?.throwIfAborted()
      return { resultType, reason: 'no-answer', cause }
    }
  }

  #handshake(socket: Socket, timeout: number): Promise<TLSSocket> {
    // The socket below has no other listener from here on; what ends it is told by the TLS socket
    socket.on('error', ignore)
    return new Promise((resolve, reject) => {
      const secured = connectTls({ ...this.#target.tls, socket })
      const settle = (done: () => void) => {
        clearTimeout(timer)
        secured.off('secureConnect', onSecure).off('error', fail).off('close', onClose)
        done()
      }
      const fail = (error: unknown) =>
        settle(() => {
          discard(secured)
          discard(socket)
          reject(error)
        })
      const onSecure = () => settle(() => resolve(secured))
      const onClose = () => fail(new Error('The connection was closed during the handshake'))
      const onTimeout = () => {
        const message = `The handshake was not complete within ${this.#connectionTimeout} ms`
        fail(connectionError('STARTTLS', message, { code: 'ETIMEDOUT' }))
      }
      const timer = setTimeout(onTimeout, Math.max(1, timeout))
      secured.on('secureConnect', onSecure).on('error', fail).on('close', onClose)
      this.#end = fail
    })
  }

  #report(session: {
    address: string
    localAddress: string | undefined
    greeting: Reply
    failure: TlsFailure | undefined
  }): void {
    const { address, localAddress, greeting } = session
    // RFC 8460 §4.3.1: what the host calls itself
    const helo = /^220[- ]([!-~]{1,255})/.exec(greeting.lines[0] ?? '')?.[1]
    // A host outside a policy of mode testing has failed already, whatever it proves
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
      proved: security.level === 'authenticated' ? security.proofs.map(({ by }) => by) : [],
      failures: failure === undefined ? [] : [failure],
      extensions: hello.extensions,
      greeting: greeting.lines.join('\n'),
      ehlo: hello.lines,
      timeouts: replyTimeouts(this.#settings.commandTimeout),
    })
  }
}

const notOffered: TlsFailure = { resultType: 'starttls-not-supported', reason: 'not-offered' }

function isGood({ code }: Reply): boolean {
  return code >= 200 && code < 300
}

/** Keywords in upper case, with their parameters; the first line is a greeting (RFC 5321 §4.1.1.1). */
function extensionsOf({ lines }: Reply): ReadonlyMap<string, string> {
  const extensions = new Map<string, string>()
  for (const line of lines.slice(1)) {
    const [, keyword, parameters = ''] = /^\d{3}[- ]\s*([^\s=]+)[\s=]*(.*)$/s.exec(line) ?? []
    if (keyword) extensions.set(keyword.toUpperCase(), parameters.trim())
  }
  return extensions
}

/** What Node or OpenSSL said, where the dialogue only says that the connection was lost. */
function rootOf(error: unknown): unknown {
  return error instanceof SmtpError && error.cause !== undefined ? error.cause : error
}

/** The name of this machine where it is a full one; else an address literal (RFC 5321 §4.1.4). */
function ehloName(name: string | undefined): string {
  const said = name ?? hostname()
  if (name !== undefined && !/^[!-~]+$/.test(name)) {
    throw optionError('name', 'must be a host name or an address literal', name)
  }
  if (!/^[!-~]*\.[!-~]*$/.test(said) && name === undefined) return '[127.0.0.1]'
  return /^\d{1,3}(?:\.\d{1,3}){3}$/.test(said) ? `[${said}]` : said
}

function ignore(): void {}

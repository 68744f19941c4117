/**
 * A connection that is ready for messages: the {@link SmtpConnection} that `openSmtp` returns.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { onAbort } from '../net/deadline.js'
import { argumentError } from '../option-checks.js'
import type { TlsFailure } from '../tls/failures.js'
import type { Proved } from '../tls/security.js'
import type { SendOptions, SendResult, SmtpConnection, SmtpEnvelope } from './connection.js'
import { isStream, type MessageSource } from './data.js'
import type { SmtpDialogue } from './dialogue.js'
import { connectionError, replyError } from './errors.js'
import { StuffedMessage } from './stuffing.js'
import { Transaction, type TransactionHost, watchStream } from './transaction.js'

/** Limit of the reply to QUIT, in milliseconds. */
const QUIT_TIMEOUT = 2000

/** The state of a ready connection. */
export interface SessionState extends TransactionHost {
  readonly port: number
  readonly tls: false | { version: string; cipher: string }
  readonly proved: Proved
  /** When the certificate expires, in epoch milliseconds */
  readonly provedUntil: number
  readonly failures: readonly TlsFailure[]
  readonly greeting: string
  readonly ehlo: readonly string[]
}

export class SmtpSession implements SmtpConnection {
  readonly mxHost: string
  readonly address: string
  readonly port: number
  readonly socket: Socket
  readonly tls: false | { version: string; cipher: string }
  readonly failures: readonly TlsFailure[]
  readonly extensions: ReadonlyMap<string, string>
  readonly greeting: string
  readonly ehlo: readonly string[]
  readonly #dialogue: SmtpDialogue
  readonly #host: SessionState
  #check: (() => void) | undefined
  #requireTls = false
  #busy = false
  /** The last transaction is still open: RSET must precede the next MAIL */
  #mustReset = false
  #ending = false
  #onClose: Array<() => void> = []

  constructor(dialogue: SmtpDialogue, state: SessionState) {
    this.#dialogue = dialogue
    this.#host = state
    this.mxHost = state.mxHost
    this.address = state.address
    this.port = state.port
    this.socket = dialogue.socket
    this.tls = state.tls
    this.failures = state.failures
    this.extensions = state.extensions
    this.greeting = state.greeting
    this.ehlo = state.ehlo
    dialogue.onEnd(() => this.#ended())
  }

  get proved(): Proved {
    return this.#hasExpired ? [] : this.#host.proved
  }

  get #hasExpired(): boolean {
    return Date.now() >= this.#host.provedUntil
  }

  get closed(): boolean {
    return this.#ending || this.#dialogue.ended
  }

  async send(
    envelope: SmtpEnvelope,
    message: MessageSource,
    options: SendOptions = {},
  ): Promise<SendResult> {
    const dialogue = this.#dialogue
    if (this.#busy) throw new Error('The connection is sending another message')
    if (this.#ending) throw connectionError('MAIL FROM', 'The connection was closed by this side')
    const { signal } = options
    if (signal?.aborted) throw abortedError(signal)
    if (this.#hasExpired) {
      throw connectionError(
        'MAIL FROM',
        'The certificate of the host has expired since it was checked',
      )
    }
    dialogue.assertQuiet('MAIL FROM')
    this.#busy = true
    let unwatch: (() => void) | undefined
    let release: (() => void) | undefined
    let transaction: Transaction | undefined
    try {
      const size = sizeOf(envelope, message)
      const asked = this.#requireTls ? { ...envelope, requireTls: true } : envelope
      transaction = new Transaction(dialogue, this.#host, asked, size)
      unwatch = watchStream(message, dialogue)
      release = onAbort(signal, () => dialogue.fail(() => abortedError(signal)))
      if (this.#mustReset) await this.#reset()
      return await transaction.run(message, options.check ?? this.#check)
    } finally {
      if (transaction?.open) this.#mustReset = true
      release?.()
      unwatch?.()
      this.#busy = false
    }
  }

  handOver(): Socket {
    const dialogue = this.#dialogue
    dialogue.assertQuiet('API')
    if (this.#busy || this.#ending) throw new Error('The connection is in use, or being closed')
    const socket = dialogue.detach()
    // Before the next client listens, an error must not end the process
    socket.on('error', ignore)
    socket.unshift(Buffer.from(`220 ${this.mxHost} ready\r\n`))
    this.#ended()
    return socket
  }

  checkBy(check: () => void, requireTls = false): void {
    this.#check = check
    this.#requireTls = requireTls
  }

  onClose(listener: () => void): void {
    if (this.closed) listener()
    else this.#onClose.push(listener)
  }

  ref(): void {
    this.socket.ref?.()
  }

  unref(): void {
    this.socket.unref?.()
  }

  async quit(): Promise<void> {
    if (this.closed) return
    const dialogue = this.#dialogue
    // Within a message QUIT would be part of it
    if (this.#busy) return this.close()
    this.ref()
    this.#ended()
    try {
      await dialogue.command('QUIT', 'QUIT', QUIT_TIMEOUT)
    } catch {
      // The host closed the connection or did not reply: it has ended either way
    }
    dialogue.close()
  }

  close(): void {
    this.#dialogue.close()
  }

  async #reset(): Promise<void> {
    const { timeouts } = this.#host
    const reply = await this.#dialogue.command('RSET', 'RSET', timeouts.mail)
    if (reply.code >= 300) {
      this.#dialogue.close()
      throw replyError('RSET', reply, this.#host)
    }
    this.#mustReset = false
  }

  #ended(): void {
    this.#ending = true
    const listeners = this.#onClose
    this.#onClose = []
    for (const listener of listeners) {
      try {
        listener()
      } catch {
        // The user's listener is not part of the session
      }
    }
  }
}

/** Returns the size of a message in bytes, if known; an estimate is enough (RFC 1870 §5). */
function sizeOf(envelope: SmtpEnvelope, message: MessageSource): number | undefined {
  const call = 'SmtpConnection.send()'
  if (typeof envelope !== 'object' || envelope === null) {
    throw argumentError([call, 'envelope'], 'must be an object', envelope)
  }
  if (isStream(message)) {
    if (typeof message?.pipe === 'function') return envelope.size
    throw argumentError([call, 'message'], 'must be a string, a Uint8Array or a stream', message)
  }
  if (message instanceof StuffedMessage) return message.size
  return typeof message === 'string' ? Buffer.byteLength(message) : message.byteLength
}

/** Returns the abort reason, which may be any value, as an error. */
function abortedError(signal: AbortSignal | undefined): Error {
  return new Error('The signal was aborted', { cause: signal?.reason })
}

function ignore(): void {}

/**
 * A connection that is ready for messages: the {@link SmtpConnection} that `openSmtp` returns.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { TlsFailure } from '../tls/failures.js'
import type { Proved } from '../tls/security.js'
import type { SendOptions, SendResult, SmtpConnection, SmtpEnvelope } from './connection.js'
import { isStream, type MessageSource } from './data.js'
import type { SmtpDialogue } from './dialogue.js'
import { connectionError, replyError } from './reply.js'
import { Transaction, type TransactionHost, watchStream } from './transaction.js'

/** How long a host may take to answer QUIT, in milliseconds. */
const QUIT_TIMEOUT = 2000

/** What is known of a connection when it is ready. */
export interface SessionState extends TransactionHost {
  readonly port: number
  readonly tls: false | { version: string; cipher: string }
  readonly proved: Proved
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
  readonly proved: Proved
  readonly failures: readonly TlsFailure[]
  readonly extensions: ReadonlyMap<string, string>
  readonly greeting: string
  readonly ehlo: readonly string[]
  readonly #dialogue: SmtpDialogue
  readonly #host: TransactionHost
  #busy = false
  /** The last transaction was left open: RSET comes before the next MAIL */
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
    this.proved = state.proved
    this.failures = state.failures
    this.extensions = state.extensions
    this.greeting = state.greeting
    this.ehlo = state.ehlo
    dialogue.onEnd(() => this.#ended())
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
    const onAbort = () => dialogue.fail(() => abortedError(signal))
    if (signal?.aborted) throw abortedError(signal)
    dialogue.assertQuiet('MAIL FROM')
    this.#busy = true
    let unwatch: (() => void) | undefined
    let transaction: Transaction | undefined
    try {
      transaction = new Transaction(dialogue, this.#host, envelope, sizeOf(envelope, message))
      unwatch = watchStream(message, dialogue)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (this.#mustReset) await this.#reset()
      return await transaction.run(message, options.check)
    } finally {
      if (transaction?.open) this.#mustReset = true
      signal?.removeEventListener('abort', onAbort)
      unwatch?.()
      this.#busy = false
    }
  }

  handOver(): Socket {
    const dialogue = this.#dialogue
    dialogue.assertQuiet('API')
    if (this.#busy || this.#ending) throw new Error('The connection is in use, or being closed')
    const socket = dialogue.detach()
    // Until the next client listens, an error must not end the process
    socket.on('error', ignore)
    socket.unshift(Buffer.from(`220 ${this.mxHost} ready\r\n`))
    this.#ended()
    return socket
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
    // In the middle of a message QUIT would be part of it
    if (this.#busy) return this.close()
    this.ref()
    this.#ended()
    try {
      await dialogue.command('QUIT', 'QUIT', QUIT_TIMEOUT)
    } catch {
      // The host hung up, or was silent: the connection has ended either way
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

/** Bytes of a message, where they are known (RFC 1870 §5: an estimate is enough). */
function sizeOf({ size }: SmtpEnvelope, message: MessageSource): number | undefined {
  if (isStream(message)) return size
  return typeof message === 'string' ? Buffer.byteLength(message) : message.byteLength
}

/** A signal may be aborted with any value; the caller decides what to make of it. */
function abortedError(signal: AbortSignal | undefined): Error {
  return new Error('The signal was aborted', { cause: signal?.reason })
}

function ignore(): void {}

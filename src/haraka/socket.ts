/**
 * The socket of an open connection, in the shape of Haraka's outbound sockets. Commands up to the
 * end of STARTTLS are answered here: TLS is already active, and this is how Haraka learns and logs
 * it.
 *
 * @module
 */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { endsReply, withoutStartTls } from '../plugins/hello.js'
import { isFinalReply, type SmtpStep } from '../smtp/reply.js'
import { checkServerIdentity } from '../tls/identity.js'
import type { OutboundSocket } from './host.js'

/** A connection, with the facts for Haraka. */
export interface HandedOver {
  mxHost: string
  socket: Socket
  /** Haraka uses STARTTLS; false if outbound.ini turns TLS off for Haraka itself */
  showsStartTls: boolean
  /** The host has authenticated itself, for its policy or for DANE */
  proved: boolean
  /** A handshake with the host failed, and this connection is plaintext */
  tlsFailed: boolean
  /** Called before MAIL FROM: a reason not to send the message on this connection */
  objection(): Error | undefined
  /** Limit for a silent host, in milliseconds */
  timeout: number
}

type Upgraded = (
  authorized: boolean,
  error: unknown,
  certificate: unknown,
  cipher: { name: string; version: string | null },
) => void

/** Bound of a line, in bytes; a longer one ends the connection */
const MAX_LINE = 65_536

const STEPS: ReadonlyArray<readonly [RegExp, SmtpStep]> = [
  [/^EHLO\b/i, 'EHLO'],
  [/^HELO\b/i, 'HELO'],
  [/^MAIL\b/i, 'MAIL FROM'],
  [/^RCPT\b/i, 'RCPT TO'],
  [/^DATA\b/i, 'DATA'],
  [/^\.\r\n$/, 'message'],
  [/^QUIT\b/i, 'QUIT'],
]

export class HandedOverSocket extends EventEmitter implements OutboundSocket {
  writable = true
  readable = true
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  /** True if Haraka's own list `force_tls_hosts` demands a verified certificate */
  mustBeVerified = false
  /** For Haraka's log */
  readonly name: string
  readonly #connection: HandedOver
  readonly #socket: Socket
  /** `offered`: Haraka knows of STARTTLS; `secured`: Haraka knows that TLS is active */
  #phase: 'greeting' | 'offered' | 'starttls' | 'secured'
  #held = ''
  #reply: string[] = []
  #step: SmtpStep = 'CONN'

  constructor(connection: HandedOver) {
    super()
    const { socket, mxHost } = connection
    this.#connection = connection
    this.#socket = socket
    const isShown = connection.showsStartTls && socket instanceof TLSSocket
    this.#phase = isShown ? 'greeting' : 'secured'
    this.name = `outbound::${mxHost}`
    this.remoteAddress = socket.remoteAddress
    this.remotePort = socket.remotePort
    this.localAddress = socket.localAddress
    this.localPort = socket.localPort
    socket.setTimeout(connection.timeout)
  }

  /** Starts reading. Haraka must already listen for lines: the greeting is the first one. */
  start(): void {
    const socket = this.#socket
    socket.on('error', (error) => this.#fail(error))
    socket.on('timeout', () => {
      this.emit('timeout')
      // Haraka does not close the connection of a host that ignores QUIT
      setImmediate(() => this.destroy())
    })
    socket.on('drain', () => this.emit('drain'))
    socket.on('end', () => {
      this.writable = socket.writable
      this.emit('end')
    })
    socket.on('close', (hadError) => {
      this.writable = false
      this.emit('close', hadError)
    })
    socket.on('data', (chunk) => this.#read(chunk))
    socket.resume()
  }

  write(data: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean {
    if (typeof data === 'string' && this.#answers(data)) return true
    const done = typeof callback === 'function' ? callback : undefined
    const bytes = typeof data === 'string' ? Buffer.from(data, encodingOf(encoding)) : data
    return this.#socket.write(bytes, (error) => done?.(error))
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.writable = false
    this.#socket.destroy()
  }

  /** Ends the connection after Haraka has finished, unless it is already sending QUIT. */
  abandon(): void {
    if (this.listenerCount('line') === 0) this.destroy()
  }

  destroySoon(): void {
    this.#socket.destroySoon()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  setTimeout(milliseconds: number): void {
    this.#socket.setTimeout(milliseconds)
  }

  setKeepAlive(on: boolean): void {
    this.#socket.setKeepAlive(on)
  }

  setNoDelay(): void {}

  unref(): void {
    this.#socket.unref()
  }

  isEncrypted(): boolean {
    return this.#socket instanceof TLSSocket
  }

  /** Whether TLS is active. All proofs are given before Haraka gets the socket. */
  isSecure(): boolean {
    return this.isEncrypted()
  }

  /** Reports the finished handshake to Haraka. */
  upgrade(_options: unknown, done?: Upgraded): void {
    const socket = this.#socket
    if (!(socket instanceof TLSSocket)) throw new Error('STARTTLS was not offered')
    this.#phase = 'secured'
    setImmediate(() => {
      const cipher = { name: socket.getCipher()?.name ?? '', version: socket.getProtocol() }
      const certificate = socket.getPeerCertificate()
      const error = this.mustBeVerified ? this.#verificationError(socket) : undefined
      done?.(error === undefined, error, certificate, cipher)
      this.emit('secure')
    })
  }

  /** Returns the error that Haraka itself would find, if nothing was proved. */
  #verificationError(socket: TLSSocket): unknown {
    const { proved, mxHost } = this.#connection
    if (proved) return undefined
    if (!socket.authorized) return socket.authorizationError
    return checkServerIdentity(mxHost, socket.getPeerCertificate())
  }

  /** Answers a command that must not be sent. Returns whether it did. */
  #answers(command: string): boolean {
    this.#step = STEPS.find(([pattern]) => pattern.test(command))?.[1] ?? this.#step
    if (this.#phase === 'greeting' && /^EHLO\b/i.test(command)) {
      this.#phase = 'offered'
      this.#say([`250-${this.#connection.mxHost}`, '250 STARTTLS'])
      return true
    }
    if (this.#phase === 'offered' && /^STARTTLS\b/i.test(command)) {
      this.#phase = 'starttls'
      this.#say(['220 2.0.0 Ready'])
      return true
    }
    if (this.#step !== 'MAIL FROM') return false
    const objection = this.#connection.objection()
    if (objection) setImmediate(() => this.#fail(objection))
    return objection !== undefined
  }

  #say(lines: readonly string[]): void {
    setImmediate(() => {
      for (const line of lines) this.emit('line', `${line}\r\n`)
    })
  }

  /** Emits an error without `source`, which would make Haraka deliver in plaintext for a week. */
  #fail({ message }: Error): void {
    this.writable = false
    if (this.listenerCount('error') > 0) this.emit('error', new Error(message))
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    this.#held += chunk.toString('latin1')
    for (let end = this.#held.indexOf('\n'); end >= 0; end = this.#held.indexOf('\n')) {
      const line = this.#held.slice(0, end).replace(/\r$/, '')
      this.#held = this.#held.slice(end + 1)
      this.#reply.push(line)
      if (endsReply(line)) this.#passOn(this.#reply.splice(0))
    }
    if (this.#held.length > MAX_LINE || this.#reply.length > 1000) {
      this.#fail(new Error('The reply of the host is too long'))
    }
  }

  #passOn(reply: readonly string[]): void {
    const lines = this.#step === 'EHLO' ? withoutStartTls(reply) : reply
    for (const line of this.#tempered(lines)) {
      this.emit('line', `${Buffer.from(line, 'latin1').toString()}\r\n`)
    }
  }

  /** Changes a 5yz that is not final to a 4yz: it must not bounce the message. */
  #tempered(lines: readonly string[]): readonly string[] {
    const code = Number(lines.at(-1)?.slice(0, 3))
    if (!(code >= 500) || this.#step === 'EHLO') return lines
    const { tlsFailed } = this.#connection
    if (isFinalReply(this.#step, { code, lines }, { tlsFailed })) return lines
    return lines.map((line) => line.replace(/^5/, '4').replace(/^(\d{3}[- ])5(?=\.)/, '$14'))
  }
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
}

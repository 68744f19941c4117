/**
 * The client side of an SMTP dialogue on a socket: commands out, replies in. Each reply is bounded
 * in bytes and has one deadline; a byte that no command asked for ends the connection.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { startTimer } from '../net/deadline.js'
import { escapeRemoteText } from '../text.js'
import type { SmtpLog } from './connection.js'
import { connectionError, earlyReplyError, protocolError } from './errors.js'
import type { Reply, SmtpStep } from './reply.js'

/** Bound of one reply, all its lines together, in bytes. */
const MAX_REPLY = 65_536

/** Bound of one line, in bytes; RFC 5321 §4.5.3.1.5 demands 512, some hosts send more. */
const MAX_LINE = 8192

/** Characters of a reply that are stored, unless it lists extensions. */
const KEPT = 4096

/** Bytes of a message for which a host gets a millisecond more to read it. */
const BYTES_PER_MS = 10

const LF = 0x0a

/** `250-text`, `250 text`, `250` */
const REPLY_LINE = /^([2-5]\d\d)(?:([ -])|$)/

/** Creates the error of an ended dialogue, for the current step. */
type Fault = (step: SmtpStep) => unknown

interface Waiter {
  step: SmtpStep
  /** Waits for a reply, or for the socket to accept more of the message */
  for: 'reply' | 'drain'
  resolve(reply?: Reply): void
  reject(error: unknown): void
}

export class SmtpDialogue {
  readonly socket: Socket
  readonly #log: SmtpLog | undefined
  /** Complete replies that were not taken yet */
  readonly #replies: Reply[] = []
  /** Number of replies still to come; the greeting is the first */
  #owed = 1
  #waiter: Waiter | undefined
  #timer: NodeJS.Timeout | undefined
  #waitsSince = 0
  #left = Number.POSITIVE_INFINITY
  #fault: Fault | undefined
  readonly #onEnd = new Set<() => void>()
  #detached = false
  #spokeEarly = false
  // The current reply
  #partial = ''
  #lines: string[] = []
  #code = 0
  #bytes = 0
  #kept = 0
  #keep = KEPT

  constructor(socket: Socket, log?: SmtpLog, options: { greeting?: boolean } = {}) {
    this.socket = socket
    this.#log = log
    // Without a greeting it goes on inside TLS, on a connection for which this is set
    if (options.greeting === false) this.#owed = 0
    else socket.setNoDelay?.(true)
    socket
      .on('data', this.#onData)
      .on('drain', this.#onDrain)
      .on('error', this.#onError)
      .on('end', this.#onClose)
      .on('close', this.#onClose)
    socket.resume()
    // Events before this object existed were missed
    if (socket.destroyed) this.#onClose()
  }

  get ended(): boolean {
    return this.#fault !== undefined || this.#detached
  }

  /** True when the host sent anything unexpected, even a fragment of a line. */
  get spokeEarly(): boolean {
    return this.#spokeEarly
  }

  /** Milliseconds left of the {@link limit}. */
  get left(): number {
    return this.#left
  }

  /**
   * Limits all waiting from now on, but not for the reply to a message. Each block of the message
   * extends the limit.
   */
  limit(milliseconds: number): void {
    this.#left = milliseconds
  }

  onEnd(listener: () => void): void {
    this.#onEnd.add(listener)
  }

  offEnd(listener: () => void): void {
    this.#onEnd.delete(listener)
  }

  /**
   * Writes commands, each with its CRLF, in one write. Each gets one reply.
   *
   * @throws when the dialogue has ended, or the host sent something unexpected
   */
  send(commands: readonly string[], step: SmtpStep): void {
    this.assertQuiet(step)
    this.#owed += commands.length
    this.#keep = step === 'EHLO' ? MAX_REPLY : KEPT
    if (this.#log) for (const command of commands) this.log('client', command)
    this.socket.write(commands.length === 1 ? `${commands[0]}\r\n` : `${commands.join('\r\n')}\r\n`)
  }

  /** Writes a block of the message; false: wait for {@link drained} before the next one. */
  write(block: Uint8Array, step: SmtpStep): boolean {
    this.assertQuiet(step)
    this.#left += block.length / BYTES_PER_MS
    return this.socket.write(block)
  }

  /** Writes the last block of the message, with its final dot, which gets one reply. */
  writeLast(block: Uint8Array, step: SmtpStep): void {
    this.write(block, step)
    this.#owed++
  }

  /** @throws when the dialogue has ended, or the host sent something unexpected */
  assertQuiet(step: SmtpStep): void {
    if (this.#spokeEarly && !this.#fault) {
      const text = escapeRemoteText([...this.#lines, this.#partial].join(' '))
      this.fail((at) => protocolError(at, `The host sent an unexpected reply: ${text}`))
    }
    if (this.#fault) throw this.#fault(step)
  }

  take(): Reply | undefined {
    return this.#replies.shift()
  }

  /**
   * Waits for the next reply, with one deadline for all its lines.
   *
   * @throws SmtpError when no valid reply comes in time
   */
  reply(step: SmtpStep, timeout: number): Promise<Reply> {
    const ready = this.#replies.shift()
    if (ready) return Promise.resolve(ready)
    return new Promise((resolve, reject) => {
      this.#wait({ step, for: 'reply', resolve: resolve as Waiter['resolve'], reject }, timeout)
    })
  }

  command(text: string, step: SmtpStep, timeout: number): Promise<Reply> {
    try {
      this.send([text], step)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.reply(step, timeout)
  }

  /** Waits until the socket accepts more of the message. */
  drained(step: SmtpStep, timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.socket.writableNeedDrain && !this.#fault) return resolve()
      this.#wait({ step, for: 'drain', resolve: () => resolve(), reject }, timeout)
    })
  }

  fault(step: SmtpStep): unknown {
    return this.#fault?.(step)
  }

  /** Ends the dialogue and closes the connection at once. Only the first call counts. */
  fail(fault: Fault): void {
    if (this.#fault || this.#detached) return
    this.#fault = fault
    this.socket.destroy()
    const waiter = this.#takeWaiter()
    waiter?.reject(fault(waiter.step))
    for (const listener of this.#onEnd) listener()
    this.#onEnd.clear()
  }

  close(): void {
    this.fail((step) => connectionError(step, 'The connection was closed by this side'))
  }

  /** Gives up the socket: paused, without any listener of the dialogue. */
  detach(): Socket {
    const { socket } = this
    this.#detached = true
    this.#takeWaiter()
    this.#fault = (step) => connectionError(step, 'The connection was handed over')
    socket.pause()
    socket
      .off('data', this.#onData)
      .off('drain', this.#onDrain)
      .off('error', this.#onError)
      .off('end', this.#onClose)
      .off('close', this.#onClose)
    return socket
  }

  log(direction: 'client' | 'server' | 'info', text: string): void {
    try {
      this.#log?.(direction, text)
    } catch {
      // The user's logger must not break the session
    }
  }

  #wait(waiter: Waiter, timeout: number): void {
    if (this.#fault) {
      waiter.reject(this.#fault(waiter.step))
      return
    }
    this.#waiter = waiter
    this.#waitsSince = performance.now()
    const isFinal = waiter.for === 'reply' && waiter.step === 'message'
    const limit = isFinal ? timeout : Math.max(1, Math.min(timeout, this.#left))
    this.#timer = startTimer(() => this.#onTimeout(limit), limit)
  }

  #takeWaiter(): Waiter | undefined {
    const waiter = this.#waiter
    clearTimeout(this.#timer)
    if (waiter) this.#left -= performance.now() - this.#waitsSince
    this.#waiter = undefined
    return waiter
  }

  #onTimeout(timeout: number): void {
    const message = `The host did not answer within ${Math.ceil(timeout)} ms`
    this.fail((step) => connectionError(step, message, { code: 'ETIMEDOUT' }))
  }

  readonly #onError = (cause: Error) => {
    const message = `The connection was lost: ${escapeRemoteText(cause.message)}`
    this.fail((step) => connectionError(step, message, { cause }))
  }

  readonly #onClose = () => {
    this.fail((step) => connectionError(step, 'The host closed the connection'))
  }

  readonly #onDrain = () => {
    if (this.#waiter?.for === 'drain') this.#takeWaiter()?.resolve()
  }

  readonly #onData = (chunk: Buffer) => {
    let start = 0
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      if (this.#fault) return
      const length = end - start
      if (!this.#fits(length + 1)) return
      const line = this.#partial + chunk.toString('latin1', start, end)
      this.#partial = ''
      start = end + 1
      this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line)
    }
    if (this.#fault || start === chunk.length) return
    if (this.#fits(chunk.length - start)) this.#partial += chunk.toString('latin1', start)
  }

  #fits(bytes: number): boolean {
    this.#bytes += bytes
    if (this.#owed === 0) this.#spokeEarly = true
    if (this.#bytes <= MAX_REPLY && this.#partial.length + bytes <= MAX_LINE) return true
    this.fail((step) => protocolError(step, `The reply to ${step} is too long`))
    return false
  }

  #onLine(latin1: string): void {
    const line = decode(latin1)
    if (this.#log) this.log('server', escapeRemoteText(line))
    const match = REPLY_LINE.exec(line)
    const code = Number(match?.[1])
    if (!match || (this.#lines.length > 0 && code !== this.#code)) {
      const text = escapeRemoteText(line)
      this.fail((step) => protocolError(step, `The host sent an invalid reply: ${text}`))
      return
    }
    this.#code = code
    this.#kept += line.length
    // The first line is always stored, so that there is a text
    if (this.#lines.length === 0) this.#lines.push(line.slice(0, this.#keep))
    else if (this.#kept <= this.#keep) this.#lines.push(line)
    if (match[2] !== '-') this.#complete({ code, lines: this.#lines })
  }

  #complete(reply: Reply): void {
    this.#lines = []
    this.#bytes = 0
    this.#kept = 0
    if (this.#owed === 0) {
      this.fail((step) => earlyReplyError(step, reply))
      return
    }
    this.#owed--
    if (this.#waiter?.for === 'reply') this.#takeWaiter()?.resolve(reply)
    else this.#replies.push(reply)
  }
}

/** Decodes the bytes of a reply, which may be UTF-8 (SMTPUTF8). */
function decode(latin1: string): string {
  return /[\x80-\xff]/.test(latin1) ? Buffer.from(latin1, 'latin1').toString('utf8') : latin1
}

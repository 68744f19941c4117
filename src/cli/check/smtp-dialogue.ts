/**
 * The few words of SMTP that it takes to see an MX host's certificate (RFC 5321, RFC 3207). No
 * message is ever sent with it: that is Nodemailer's work, which this command can do without.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { MtaStsError } from '../../errors.js'
import { escapeRemoteText } from '../../text.js'

export interface Reply {
  code: number
  /** Without code and separator */
  lines: readonly string[]
}

/** In bytes, for one reply; RFC 5321 §4.5.3.1.5 allows 512 a line */
const MAX_REPLY = 65_536

export class SmtpDialogue {
  readonly #socket: Socket
  #received = ''
  #ended: Error | undefined
  #wake: (() => void) | undefined

  readonly #onData = (chunk: Buffer) => {
    this.#received += chunk.toString('latin1')
    if (this.#received.length > MAX_REPLY) this.#end(new Error('the reply has no end'))
    this.#wake?.()
  }
  readonly #onClose = () => this.#end(new Error('the connection was closed'))
  readonly #onError = (error: Error) => this.#end(error)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#onData).once('close', this.#onClose).once('end', this.#onClose)
    socket.on('error', this.#onError)
  }

  /** Says a command and waits for the reply to it. */
  async say(command: string): Promise<Reply> {
    this.#socket.write(`${command}\r\n`)
    return this.reply()
  }

  /** @throws the socket's error; MtaStsError where what is said is no SMTP */
  async reply(): Promise<Reply> {
    const lines: string[] = []
    for (;;) {
      const line = await this.#line()
      const [, code, mark, text = ''] = /^(\d{3})([ -]?)(.*)$/.exec(line) ?? []
      if (code === undefined) {
        throw new MtaStsError(`it does not talk SMTP: "${escapeRemoteText(line)}"`, 'EPROTOCOL')
      }
      lines.push(text)
      if (mark !== '-') return { code: Number(code), lines }
    }
  }

  /**
   * Gives the socket back for TLS. What else was said in plaintext counts for nothing (RFC 3207
   * §6).
   */
  release(): Socket {
    const socket = this.#socket
    socket.off('data', this.#onData).off('close', this.#onClose).off('end', this.#onClose)
    socket.off('error', this.#onError)
    this.#received = ''
    return socket.pause()
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf('\n')
      if (end >= 0) {
        const line = this.#received.slice(0, end).replace(/\r$/, '')
        this.#received = this.#received.slice(end + 1)
        return line
      }
      if (this.#ended !== undefined) throw this.#ended
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #end(error: Error): void {
    this.#ended ??= error
    this.#wake?.()
  }
}

/**
 * One SMTP connection of an MX host: `smtp-server`'s own, which writes down what is said and, where
 * it is told to, misbehaves.
 *
 * @module
 */
import type { Socket } from 'node:net'
import type { SMTPServer } from 'smtp-server'
import { type MxFault, parseReply, type ReplyFault } from './faults.js'
import type { Line, MxConnection } from './log.js'
import type { SmtpConnectionClass } from './optional-packages.js'

export interface SmtpSessionSetup {
  server: SMTPServer
  socket: Socket
  record: MxConnection
  fault: MxFault | undefined
}

export interface SmtpSession {
  init(): void
  on(event: 'error', listener: (error: Error) => void): unknown
}

const SLOWNESS = 150

/** What a man in the middle would have the client take for the answer to its EHLO inside TLS. */
const INJECTED = '250-injected.example\r\n250 AUTH PLAIN\r\n'

/** The class, made from the one that is only there once `smtp-server` is loaded. */
export function defineSmtpSession(
  Base: SmtpConnectionClass,
): new (
  setup: SmtpSessionSetup,
) => SmtpSession {
  return class extends Base {
    readonly #socket: Socket
    readonly #record: MxConnection
    readonly #fault: MxFault | undefined
    #greeted = false

    constructor({ server, socket, record, fault }: SmtpSessionSetup) {
      super(server, socket)
      this.#socket = socket
      this.#record = record
      this.#fault = fault
    }

    override init(): void {
      super.init()
      // smtp-server waits 100 ms before it greets, to catch those who talk first. Tests cannot wait
      if (!this.needsUpgrade) this.connectionReady()
    }

    override connectionReady(next?: () => void): void {
      if (this.#greeted) return
      this.#greeted = true
      this.#paced(() => super.connectionReady(next))
    }

    override send(code: number, data?: string | string[] | null, context?: string | false): void {
      const lines = Array.isArray(data) ? data : [data ?? '']
      for (const [index, line] of lines.entries()) {
        const mark = index === lines.length - 1 ? ' ' : '-'
        if (!this.#socket.destroyed) this.#note('server', `${code}${mark}${line}`)
      }
      super.send(code, data, context)
    }

    override _onCommand(command: Buffer, callback?: () => void): void {
      const line = command.toString()
      this.#note('client', line)
      const from = /^MAIL FROM:\s*<([^>]*)>/i.exec(line)?.[1]
      if (from !== undefined) this.#record.mailFrom ??= from
      this.#paced(() => super._onCommand(command, callback))
    }

    override handler_EHLO(command: Buffer, callback: () => void): void {
      this.#instead('ehlo', callback, () => super.handler_EHLO(command, callback))
    }

    override handler_MAIL(command: Buffer, callback: () => void): void {
      this.#instead('mail', callback, () => super.handler_MAIL(command, callback))
    }

    override handler_RCPT(command: Buffer, callback: () => void): void {
      const fault = this.#replyFault('rcpt')
      const meant = fault?.to === undefined || names(command.toString(), fault.to)
      if (meant) this.#instead('rcpt', callback, () => super.handler_RCPT(command, callback))
      else super.handler_RCPT(command, callback)
    }

    override handler_DATA(command: Buffer, callback: () => void): void {
      this.#instead('data', callback, () => super.handler_DATA(command, callback))
    }

    override handler_STARTTLS(command: Buffer, callback: () => void): void {
      switch (this.#fault) {
        case 'starttls-454':
          this.send(454, '4.7.0 TLS not available due to temporary reason')
          callback()
          break
        case 'starttls-502':
          this.send(502, '5.5.1 Command not implemented')
          callback()
          break
        case 'handshake-reset':
          this.send(220, 'Ready to start TLS')
          this.#socket.once('data', () => this.#socket.resetAndDestroy())
          break
        case 'handshake-stall':
          // Without its callback the parser takes no more, and nothing is answered any more
          this.send(220, 'Ready to start TLS')
          break
        case 'response-injection':
          this.#inject(callback)
          break
        default:
          super.handler_STARTTLS(command, callback)
      }
    }

    /** The 220 and the injected reply leave in one packet: one read brings the client both. */
    #inject(callback: () => void): void {
      this.#socket.cork()
      this.send(220, 'Ready to start TLS')
      for (const line of INJECTED.trim().split('\r\n')) this.#note('server', line)
      this.#socket.write(INJECTED)
      this.#socket.uncork()
      this.upgrade(callback)
    }

    #replyFault(at: ReplyFault['at']): ReplyFault | undefined {
      return typeof this.#fault === 'object' && this.#fault.at === at ? this.#fault : undefined
    }

    #instead(at: ReplyFault['at'], callback: () => void, otherwise: () => void): void {
      const fault = this.#replyFault(at)
      if (fault === undefined) {
        otherwise()
      } else {
        const { code, lines } = parseReply(fault.reply)
        this.send(code, lines)
        callback()
      }
    }

    #paced(act: () => void): void {
      if (this.#fault === 'slow') {
        setTimeout(() => this.#socket.destroyed || act(), SLOWNESS).unref()
      } else {
        act()
      }
    }

    #note(from: Line['from'], text: string): void {
      this.#record.lines.push({ from, text, tls: this.secure })
    }
  }
}

function names(command: string, recipient: string): boolean {
  return command.toLowerCase().includes(`<${recipient.toLowerCase()}>`)
}

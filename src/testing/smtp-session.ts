/**
 * One SMTP connection of an MX host: that of `smtp-server`, with a record of its lines, and with
 * faults and rules.
 *
 * @module
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SMTPServer } from 'smtp-server'
import { inSlot, type Played } from './fault-stack.js'
import type { MxFault } from './faults.js'
import type { Line, MxConnection, TlsFacts } from './log.js'
import type { SmtpConnectionClass } from './optional-packages.js'
import { tlsFacts } from './policy-server.js'
import { parseReply } from './replies.js'
import type { Act, Decision, Moment, Stage } from './rules.js'
import { timers } from './timers.js'

/** Changed keywords of the EHLO reply: absent, present, or with parameters. */
export type Offers = Readonly<Record<string, boolean | string | number | readonly string[]>>

export interface SmtpSessionSetup {
  server: SMTPServer
  socket: Socket
  record: MxConnection
  family: 4 | 6
  played: readonly Played<MxFault>[]
  offers: Offers
  ask: (moment: Moment) => Decision
}

export interface SmtpSession {
  init(): void
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Asks the rules for a stage, and acts on the decision. */
  decide(stage: Stage, more?: Partial<Moment>): Promise<Decided>
}

/** Result of the rules: the session goes on, replies, or is over. */
export type Decided = 'goes on' | 'over' | { reply: string }

const SLOWNESS = 150

/** Plaintext that an attacker adds as a reply to the EHLO inside TLS. */
const INJECTED = {
  'response-injection': '250-injected.example\r\n250 AUTH PLAIN\r\n',
  'response-fragment': '250-injected.example REQUIRETLS ',
} as const

const VERBS: Readonly<Record<string, Stage>> = {
  EHLO: 'ehlo',
  STARTTLS: 'starttls',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
  QUIT: 'quit',
}

export function defineSmtpSession(
  Base: SmtpConnectionClass,
): new (
  setup: SmtpSessionSetup,
) => SmtpSession {
  return class extends Base {
    readonly #setup: SmtpSessionSetup
    readonly #socket: Socket
    readonly #record: MxConnection
    readonly #closing: ReturnType<Socket['listeners']>
    #greeted = false
    #offering = false
    #paceMet = false
    /** Act on the connection after the next reply */
    #then: Act | undefined
    #over = false
    #size = 0

    constructor(setup: SmtpSessionSetup) {
      super(setup.server, setup.socket)
      this.#setup = setup
      this.#socket = setup.socket
      this.#record = setup.record
      this.#closing = setup.socket.listeners('close')
    }

    override init(): void {
      super.init()
      // smtp-server greets after 100 ms, to detect early talkers. Tests need not wait
      if (!this.needsUpgrade) this.connectionReady()
    }

    override connectionReady(next?: () => void): void {
      if (this.#greeted) return
      this.#greeted = true
      this.#paced(() => super.connectionReady(next))
    }

    override send(code: number, data?: string | string[] | null, context?: string | false): void {
      const text = typeof data === 'string' && data.includes('\n') ? data.split('\n') : data
      const said = Array.isArray(text) && this.#offering ? this.#offered(text) : text
      const lines = Array.isArray(said) ? said : [said ?? '']
      for (const [index, line] of lines.entries()) {
        const mark = index === lines.length - 1 ? ' ' : '-'
        if (!this.#socket.destroyed) this.#note('server', `${code}${mark}${line}`)
      }
      super.send(code, said, context)
      const then = this.#then
      this.#then = undefined
      if (then === undefined) return
      this.#over = true
      this._socket.write('', () => afterTurns(() => this.#act(then)))
    }

    /** A rule that has ended the session decides how the connection ends. */
    override close(): void {
      if (!this.#over) super.close()
    }

    override _onCommand(command: Buffer, callback: () => void = () => undefined): void {
      const line = command.toString()
      const once = onlyOnce(callback)
      this.#note('client', line)
      if (this.#over) return
      const [verb = ''] = line.split(' ', 1)
      const stage = this._nextHandler ? undefined : VERBS[verb.toUpperCase()]
      const from = /^MAIL FROM:\s*<([^>]*)>/i.exec(line)?.[1]
      if (from !== undefined) {
        this.#record.mailFrom ??= from
        this.#size = Number(/\sSIZE=(\d+)/i.exec(line)?.[1] ?? 0)
      }
      this.#paced(() => {
        if (stage === undefined) return this.#usual(command, once)
        const to = /^RCPT TO:\s*<([^>]*)>/i.exec(line)?.[1]
        const about = {
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to: [to] }),
        }
        this.#follow(this.#ask(stage, about), () => this.#usual(command, once), once)
      })
    }

    override handler_EHLO(command: Buffer, callback: () => void): void {
      this.#offering = true
      super.handler_EHLO(command, callback)
      this.#offering = false
    }

    override handler_STARTTLS(command: Buffer, callback: () => void): void {
      const played = inSlot(this.#setup.played, 'starttls')
      if (this.secure) {
        super.handler_STARTTLS(command, callback)
        return
      }
      played?.standing.meet()
      switch (played?.fault) {
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
          // Without its callback, the parser stops: there are no more replies
          this.send(220, 'Ready to start TLS')
          break
        case 'handshake-plaintext':
          this.send(220, 'Ready to start TLS')
          this.#socket.once('data', () => this.#socket.end('554 5.3.0 No TLS here\r\n'))
          break
        case 'response-injection':
        case 'response-fragment':
          this.#inject(INJECTED[played.fault], callback)
          break
        default:
          super.handler_STARTTLS(command, callback)
      }
    }

    /** Keeps the listeners of the socket that smtp-server takes away with its own. */
    override upgrade(callback: () => void, secureCallback?: () => void): void {
      for (const slot of ['certificate', 'version', 'client-certificate']) {
        inSlot(this.#setup.played, slot)?.standing.meet()
      }
      super.upgrade(callback, secureCallback)
      for (const listener of this.#closing) {
        if (!this.#socket.listeners('close').includes(listener)) {
          this.#socket.once('close', () => listener.call(this.#socket))
        }
      }
    }

    /**
     * Is called with the TLS socket before its handshake. In TLS 1.3, a client refuses a
     * certificate after its part of the handshake, and before the end of the server's: the
     * negotiated facts are known when the server has sent its part (RFC 8446 §4.4.4).
     */
    override _armTimeout(socket: Socket = this._socket): void {
      super._armTimeout(socket)
      if (!(socket instanceof TLSSocket) || this.secure) return
      let negotiated: TlsFacts | undefined
      socket.on('keylog', () => {
        negotiated ??= { ...tlsFacts(socket), servername: this.#record.servername }
      })
      socket.once('close', () => {
        if (!isTlsError(this.#record.error)) this.#record.tls ??= negotiated
      })
    }

    decide(stage: Stage, more: Partial<Moment> = {}): Promise<Decided> {
      return new Promise((resolve) => {
        const decision = this.#ask(stage, more)
        const { reply, act, then } = decision
        this.#later(decision.delay, () => {
          if (act !== undefined) {
            this.#act(act)
            return resolve('over')
          }
          this.#then = then
          resolve(reply === undefined ? 'goes on' : { reply })
        })
      })
    }

    /** Returns the lines of an EHLO reply with other extensions in them. */
    #offered(lines: readonly string[]): string[] {
      const [greeting = '', ...usual] = lines
      const offers = Object.entries(this.#setup.offers)
      const names = offers.map(([name]) => name.toUpperCase())
      const kept = usual.filter((line) => !names.includes(line.split(' ')[0] ?? ''))
      const others = offers.flatMap(([name, value]) => {
        const keyword = name.toUpperCase()
        if (value === false || (keyword === 'STARTTLS' && this.secure)) return []
        return value === true ? [keyword] : [[keyword, ...[value].flat()].join(' ')]
      })
      return [greeting, ...kept, ...others]
    }

    #ask(stage: Stage, more: Partial<Moment>): Decision {
      const { ask, family, record } = this.#setup
      const { mailFrom, rcptTo } = this.session.envelope
      const user: unknown = this.session.user
      return ask({
        stage,
        connection: record,
        family,
        from: mailFrom ? mailFrom.address : undefined,
        to: rcptTo.map(({ address }) => address),
        user: typeof user === 'string' ? user : undefined,
        recipients: rcptTo.length,
        size: this.#size,
        ...more,
      })
    }

    #follow(decision: Decision, usual: () => void, done: () => void): void {
      const { reply, act, then } = decision
      this.#later(decision.delay, () => {
        if (act !== undefined) return this.#act(act)
        if (reply === undefined) return usual()
        const { code, lines } = parseReply(reply)
        this.#then = then
        this.send(code, lines)
        if (then === undefined) done()
      })
    }

    /**
     * Leaves the command to smtp-server, which goes on by `setImmediate`: a test may have replaced
     * it.
     */
    #usual(command: Buffer, done: () => void): void {
      super._onCommand(command, done)
      if (!this._handlerPending && !this._closing) timers.setImmediate(done)
    }

    #act(act: Act): void {
      if (act === 'drop') this.#socket.destroy()
      else if (act === 'reset') this.#socket.resetAndDestroy()
    }

    /** Sends the 220 and the text in one packet: the client reads both at once. */
    #inject(text: string, callback: () => void): void {
      this.#socket.cork()
      this.send(220, 'Ready to start TLS')
      for (const line of text.trim().split('\r\n')) this.#note('server', line)
      this.#socket.write(text)
      this.#socket.uncork()
      this.upgrade(callback)
    }

    #paced(act: () => void): void {
      const slow = inSlot(this.#setup.played, 'pace')
      if (!this.#paceMet) slow?.standing.meet()
      this.#paceMet = true
      this.#later(slow === undefined ? 0 : SLOWNESS, act)
    }

    #later(ms: number | undefined, act: () => void): void {
      if (!ms) act()
      else timers.setTimeout(() => this.#socket.destroyed || act(), ms).unref()
    }

    #note(from: Line['from'], text: string): void {
      this.#record.lines.push({ from, text, tls: this.secure })
    }
  }
}

/** Whether the handshake itself broke, rather than the connection. */
function isTlsError(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && String(error.code).startsWith('ERR_SSL')
}

/** Runs an act after a client in this process has read what was written. */
function afterTurns(act: () => void): void {
  timers.setImmediate(() => timers.setImmediate(act))
}

function onlyOnce(callback: () => void): () => void {
  let called = false
  return () => {
    if (called) return
    called = true
    callback()
  }
}

/**
 * The connection of another process to its mail world, for dialling and for the time.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { MtaStsError } from '../errors.js'
import type { WorldTarget } from './api.js'
import type { Invitation, Question, Reply } from './gate.js'
import { refusedError } from './loopback.js'
import { timers } from './timers.js'

/** Takes a reply; undefined: the world has ended. */
type Answered = (reply: Reply | undefined) => void

export class RemoteLink {
  readonly invitation: Invitation
  readonly ca: string
  readonly #socket: Socket
  readonly #waiting = new Map<number, Answered>()
  readonly #ready: Promise<void>
  #ahead = 0
  #questions = 0

  constructor(invitation: Invitation) {
    this.invitation = invitation
    this.ca = readFileSync(invitation.ca, 'utf8')
    this.#ahead = invitation.ahead
    this.#socket = connect({ host: '127.0.0.1', port: invitation.control, noDelay: true })
    this.#socket.unref()
    this.#ready = new Promise((resolve, reject) => {
      this.#socket.once('error', reject)
      createInterface({ input: this.#socket }).on('line', (line) => {
        this.#hear(JSON.parse(line))
        resolve()
      })
    })
    this.#ready.catch(() => undefined)
    this.#socket.once('close', () => this.#end())
  }

  /** Resolves when the time of the world is known. */
  async ready(): Promise<void> {
    this.#socket.ref()
    await this.#ready
    if (this.#waiting.size === 0) this.#socket.unref()
  }

  /** The time of the world, epoch milliseconds. */
  readonly now = (): number => timers.now() + this.#ahead

  /** Milliseconds that the world is ahead of real time. */
  get ahead(): number {
    return this.#ahead
  }

  /** Opens a connection to an address of the world. */
  readonly connect = (target: WorldTarget): Socket => {
    const { options, claim } = this.route(target)
    const socket = connect({ ...options, noDelay: true })
    claim(socket)
    return socket
  }

  /** Returns the options of a connection; their lookup asks the world to take it. */
  route(target: WorldTarget): Route {
    let dialled: number | undefined
    return {
      options: {
        host: 'mail-world.invalid',
        port: this.invitation.data,
        autoSelectFamily: false,
        lookup: (_host, _options, done) => {
          const id = this.#ask({ dial: target }, (reply) => {
            if (reply?.outcome !== 'connected') return done(refusedError(target), '', 4)
            dialled = id
            done(null, '127.0.0.1', 4)
          })
        },
      },
      claim: (socket) => {
        socket.prependOnceListener('connect', () => {
          const port = socket.localPort
          if (dialled === undefined || port === undefined) return
          this.#ask({ claim: { port, dialled } }, () => undefined)
        })
      },
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  #ask(question: Omit<Question, 'id'>, answered: Answered): number {
    const id = ++this.#questions
    if (this.#socket.closed) {
      process.nextTick(answered, undefined)
      return id
    }
    if (question.dial !== undefined) {
      this.#waiting.set(id, answered)
      this.#socket.ref()
    }
    this.#socket.write(`${JSON.stringify({ id, ...question })}\n`)
    return id
  }

  #hear({ id, ahead, ...reply }: Reply): void {
    if (ahead !== undefined) this.#ahead = ahead
    if (id === undefined) return
    const answered = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#socket.unref()
    answered?.(reply)
  }

  #end(): void {
    for (const answered of this.#waiting.values()) answered(undefined)
    this.#waiting.clear()
  }
}

/** The way of a socket into the world. */
export interface Route {
  /** For `net.connect` */
  options: {
    host: string
    port: number
    autoSelectFamily: false
    lookup: (host: string, options: object, done: LookupDone) => void
  }
  /** Claims the connection of a socket when it is connected */
  claim: (socket: Socket) => void
}

type LookupDone = (error: Error | null, address: string, family: number) => void

/** Reads the invitation from the environment. */
export function invitationOf(text: string | undefined): Invitation {
  try {
    const invitation: Invitation = JSON.parse(text ?? '')
    if (typeof invitation.ca !== 'string') throw new TypeError('It names no root')
    return invitation
  } catch (cause) {
    throw new MtaStsError(
      'This process was not invited to a mail world: start it with the variables of `await world.env()`',
      'ENOWORLD',
      { cause },
    )
  }
}

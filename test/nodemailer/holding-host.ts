/**
 * An SMTP host without STARTTLS that answers one command of each session only when it is released.
 *
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** The commands that can be held; `message` is the end of the message. */
export const HELD_AT = ['MAIL', 'RCPT', 'DATA', 'message'] as const

type HeldAt = (typeof HELD_AT)[number]

export class HoldingHost {
  connections = 0
  /** Sessions that wait for the reply, or have waited for it */
  held = 0
  /** MAIL commands */
  senders = 0
  /** The bytes after DATA was accepted, of every session that sent any */
  readonly bodies: Buffer[] = []
  readonly #at: HeldAt
  readonly #waiting: Array<() => void> = []
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => this.#session(socket))
  #released = false

  constructor(at: HeldAt) {
    this.#at = at
  }

  async begin(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Answers what is held, and holds nothing any more. */
  release(): void {
    this.#released = true
    for (const answer of this.#waiting.splice(0)) answer()
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #session(socket: Socket): void {
    this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.write('220 here\r\n')
    /** The body that is being received, as its place in `bodies` */
    let body: number | undefined
    let inBody = false
    socket.on('data', (chunk: Buffer) => {
      if (!inBody) {
        for (const line of chunk.toString().trim().split('\r\n')) {
          const word = line.slice(0, 4).toUpperCase()
          if (word === 'MAIL') this.senders++
          if (word === 'DATA') this.#answer(socket, 'DATA', '354 go on', () => (inBody = true))
          else this.#answer(socket, word, '250 fine')
        }
        return
      }
      body ??= this.bodies.push(Buffer.alloc(0)) - 1
      const text = Buffer.concat([this.bodies[body] ?? chunk, chunk])
      this.bodies[body] = text
      if (!text.toString().endsWith('\r\n.\r\n')) return
      inBody = false
      body = undefined
      this.#answer(socket, 'message', '250 taken')
    })
  }

  #answer(socket: Socket, command: string, reply: string, before: () => void = () => {}): void {
    const answer = () => {
      before()
      socket.write(`${reply}\r\n`)
    }
    if (command !== this.#at || this.#released) {
      answer()
      return
    }
    this.held++
    this.#waiting.push(answer)
  }
}

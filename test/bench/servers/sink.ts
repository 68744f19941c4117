/**
 * An MX host that accepts every message as fast as it can, and counts.
 *
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Running, SinkCounts, SinkSetup } from './setup.js'

const END_OF_LINE = '\r\n'
const PIPELINING = `250-PIPELINING${END_OF_LINE}`
const OFFERS = '250 8BITMIME'
const END_OF_MESSAGE = Buffer.from('\r\n.\r\n')

export async function startSink(setup: SinkSetup, port: number): Promise<Running> {
  const context = createSecureContext(setup)
  let counts = noCounts()
  const server = createServer({ noDelay: true }, (socket) => {
    counts.connections++
    new SinkSession(socket, { ...setup, context, counts: () => counts })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = counts
      counts = noCounts()
      return taken
    },
  }
}

function noCounts(): SinkCounts {
  return { connections: 0, secured: 0, messages: 0, plaintext: 0, recipients: 0, bytes: 0 }
}

interface SinkSurroundings extends Pick<SinkSetup, 'name' | 'delay' | 'pipelining'> {
  context: SecureContext
  counts: () => SinkCounts
}

class SinkSession {
  readonly #around: SinkSurroundings
  #socket: Socket
  /** Bytes of an incomplete line; in a message, its last bytes */
  #held: Buffer = Buffer.alloc(0)
  #inMessage = false
  /** Replies to commands that came together, which are sent together (RFC 2920) */
  #replies = ''

  constructor(socket: Socket, around: SinkSurroundings) {
    this.#around = around
    this.#socket = socket
    this.#listen(socket)
    this.#say(`220 ${around.name} ESMTP`)
    this.#flush()
  }

  #listen(socket: Socket): void {
    socket.on('data', this.#onData).on('error', () => socket.destroy())
  }

  readonly #onData = (chunk: Buffer): void => {
    let rest: Buffer | undefined =
      this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk
    this.#held = Buffer.alloc(0)
    while (rest !== undefined && rest.length > 0) {
      rest = this.#inMessage ? this.#readMessage(rest) : this.#readLine(rest)
    }
    this.#flush()
  }

  /** Returns the bytes behind the line; undefined if it is incomplete. */
  #readLine(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf(END_OF_LINE)
    if (end < 0) {
      this.#held = bytes
      return undefined
    }
    this.#command(bytes.toString('latin1', 0, end))
    return bytes.subarray(end + END_OF_LINE.length)
  }

  #readMessage(bytes: Buffer): Buffer | undefined {
    const { counts } = this.#around
    const end = bytes.indexOf(END_OF_MESSAGE)
    if (end < 0) {
      const kept = Math.min(bytes.length, END_OF_MESSAGE.length - 1)
      this.#held = bytes.subarray(bytes.length - kept)
      counts().bytes += bytes.length - kept
      return undefined
    }
    counts().bytes += end
    counts().messages++
    if (!(this.#socket instanceof TLSSocket)) counts().plaintext++
    this.#inMessage = false
    this.#say('250 2.0.0 Ok: taken')
    return bytes.subarray(end + END_OF_MESSAGE.length)
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase()
    this.#say(this.#replyTo(verb))
    if (verb === 'STAR') this.#startTls()
    else if (verb === 'DATA') this.#inMessage = true
    else if (verb === 'RCPT') this.#around.counts().recipients++
    else if (verb === 'QUIT') this.#end()
  }

  #replyTo(verb: string): string {
    switch (verb) {
      case 'EHLO':
        return this.#extensions()
      case 'STAR':
        return '220 2.0.0 Ready to start TLS'
      case 'DATA':
        return '354 End data with <CR><LF>.<CR><LF>'
      case 'QUIT':
        return '221 2.0.0 Bye'
      default:
        return '250 2.0.0 Ok'
    }
  }

  #extensions(): string {
    const { name, pipelining = true } = this.#around
    const starttls = this.#socket instanceof TLSSocket ? '' : `250-STARTTLS${END_OF_LINE}`
    return `250-${name}${END_OF_LINE}${starttls}${pipelining ? PIPELINING : ''}${OFFERS}`
  }

  #startTls(): void {
    this.#sayNow()
    const plain = this.#socket.off('data', this.#onData)
    const secured = new TLSSocket(plain, { isServer: true, secureContext: this.#around.context })
    secured.once('secure', () => this.#around.counts().secured++)
    this.#socket = secured
    this.#listen(secured)
  }

  #end(): void {
    this.#sayNow()
    this.#socket.end()
  }

  #say(reply: string): void {
    this.#replies += reply + END_OF_LINE
  }

  /** Replies to commands of one group are sent and delayed together. */
  #flush(): void {
    const { delay = 0 } = this.#around
    if (delay === 0) {
      this.#sayNow()
      return
    }
    const replies = this.#replies
    this.#replies = ''
    if (replies !== '') setTimeout(() => this.#socket.write(replies), delay)
  }

  #sayNow(): void {
    if (this.#replies !== '') this.#socket.write(this.#replies)
    this.#replies = ''
  }
}

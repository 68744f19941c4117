/**
 * The least that a sender can do with Node alone: `tls.connect`, a few writes, a few reads. No
 * policy, no limits, no deadlines. It is the limit that a library stands beside.
 *
 * @module
 */
import type { promises as dns } from 'node:dns'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'

export interface BareTarget {
  port: number
  /** For SNI and for the certificate */
  name: string
  /** With the trusted root */
  secureContext: SecureContext
}

const LAST_LINE = /(?:^|\n)(\d{3}) [^\n]*\r\n$/

/** Reads replies from a socket, one call after the other. */
class Replies {
  readonly #socket: Socket
  #text = ''
  #waiting: { count: number; resolve: () => void; reject: (error: Error) => void } | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1').on('data', this.#onData)
    socket.on('error', (error) => this.#waiting?.reject(error))
  }

  /** Sends commands, and waits for their replies. */
  after(text: string, count = 1): Promise<void> {
    if (text !== '') this.#socket.write(text)
    return new Promise((resolve, reject) => {
      this.#waiting = { count, resolve, reject }
      this.#look()
    })
  }

  detach(): void {
    this.#socket.off('data', this.#onData)
  }

  readonly #onData = (chunk: string) => {
    this.#text += chunk
    this.#look()
  }

  #look(): void {
    const waiting = this.#waiting
    if (!waiting || !LAST_LINE.test(this.#text)) return
    const last = this.#text.match(/^\d{3} .*$/gm) ?? []
    if (last.length < waiting.count) return
    this.#text = ''
    this.#waiting = undefined
    if (last.every((line) => line < '4')) waiting.resolve()
    else waiting.reject(new Error(last.join(' ')))
  }
}

/** One message on a separate connection, in as few steps as SMTP allows. */
export async function bareDelivery(
  target: BareTarget,
  {
    name,
    envelope,
    message,
  }: { name: string; envelope: [from: string, to: string]; message: string },
): Promise<void> {
  const plain = connectTcp({ host: '127.0.0.1', port: target.port, noDelay: true })
  const greeting = new Replies(plain)
  await greeting.after('')
  await greeting.after(`EHLO ${name}\r\n`)
  await greeting.after('STARTTLS\r\n')
  greeting.detach()
  const secured = secure(target, plain)
  const replies = new Replies(secured)
  await replies.after(`EHLO ${name}\r\n`)
  const [from, to] = envelope
  await replies.after(`MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`, 3)
  await replies.after(`${message}\r\n.\r\n`)
  await replies.after('QUIT\r\n')
  secured.destroy()
}

/** Looks up A and AAAA of a host, as has to be done before anything can be connected to. */
export async function lookUpAddresses(host: string, resolver: dns.Resolver): Promise<void> {
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  if (answers.every(({ status }) => status === 'rejected')) throw new Error(`${host} is nowhere`)
}

/** One GET over a separate connection; returns the whole response. */
export function bareGet(target: BareTarget, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let response = ''
    const socket = secure(target)
    socket.setEncoding('latin1')
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${target.name}\r\nConnection: close\r\n\r\n`)
    socket.on('data', (chunk: string) => {
      response += chunk
    })
    socket.once('end', () => resolve(response))
    socket.once('error', reject)
  })
}

function secure({ port, name, secureContext }: BareTarget, socket?: Socket): TLSSocket {
  const through = socket ? { socket } : { host: '127.0.0.1', port }
  return connectTls({ ...through, servername: name, secureContext })
}

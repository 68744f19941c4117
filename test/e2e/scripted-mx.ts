/**
 * An MX host that follows a script, for behaviour that a correct SMTP server does not have. Its
 * certificates come from the project's own authority.
 *
 * @module
 */
import { once } from 'node:events'
import {
  type AddressInfo,
  createServer,
  connect as netConnect,
  type Server,
  type Socket,
} from 'node:net'
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  TLSSocket,
  connect as tlsConnect,
} from 'node:tls'
import type { ConnectTarget, Resolver } from '../../src/index.js'
import { CertificateAuthority, type Credentials } from '../../src/testing/authority.js'

/** The other end of a connection, line by line. */
export class Peer {
  /** The client's lines, in order */
  readonly heard: string[] = []
  socket: Socket
  closed = false
  readonly #context: SecureContext
  #text = ''
  #wake: (() => void) | undefined
  readonly #onData = (chunk: Buffer) => {
    this.#text += chunk.toString('latin1')
    this.#wake?.()
  }

  constructor(socket: Socket, context: SecureContext) {
    this.socket = socket
    this.#context = context
    this.#listen(socket)
  }

  get tls(): TLSSocket | undefined {
    return this.socket instanceof TLSSocket ? this.socket : undefined
  }

  say(...lines: string[]): void {
    this.socket.write(lines.map((line) => `${line}\r\n`).join(''))
  }

  /** The next line of the client; undefined at the end. */
  async hear(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        this.heard.push(line)
        return line
      }
      if (this.closed) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Received bytes that were not read: none, if the client waits for each reply. */
  get pending(): string {
    return this.#text
  }

  /** The rest of STARTTLS, after the 220. */
  async secure(): Promise<TLSSocket> {
    this.socket.off('data', this.#onData)
    const secured = new TLSSocket(this.socket, { isServer: true, secureContext: this.#context })
    this.#listen(secured)
    await once(secured, 'secure')
    return secured
  }

  #listen(socket: Socket): void {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', this.#onData)
    socket.once('close', () => {
      this.closed = true
      this.#wake?.()
    })
  }
}

export type Script = (peer: Peer) => Promise<void>

/** Greeting, EHLO and STARTTLS, with these extensions before and after it. */
export async function untilSecured(
  peer: Peer,
  { before = [], after = [] }: { before?: string[]; after?: string[] } = {},
): Promise<void> {
  peer.say('220 greeting.example ESMTP')
  await peer.hear()
  peer.say('250-ehlo.example', ...before.map((word) => `250-${word}`), '250 STARTTLS')
  await peer.hear()
  peer.say('220 Go ahead')
  await peer.secure()
  await peer.hear()
  peer.say('250-ehlo.example', ...after.map((word) => `250-${word}`), '250 8BITMIME')
}

/** Accepts messages, one command after the other, until the client closes. */
export async function takeMessages(peer: Peer): Promise<void> {
  for (;;) {
    const line = await peer.hear()
    if (line === undefined) return
    if (line === 'DATA') {
      peer.say('354 Go ahead')
      while ((await peer.hear()) !== '.') if (peer.closed) return
      peer.say('250 Taken')
    } else if (line === 'QUIT') {
      peer.say('221 Bye')
      peer.socket.end()
    } else peer.say('250 Fine')
  }
}

/** Options for senders to a scripted host, which is the MX host of every domain. */
export interface ScriptedWorld {
  name: string
  resolver: Resolver
  ca: string
  connect: (target: ConnectTarget) => Socket
}

export class ScriptedMx implements AsyncDisposable {
  readonly host: string
  readonly ca: string
  readonly context: SecureContext
  readonly peers: Peer[] = []
  /** Errors of the script itself, for tests to check */
  readonly mistakes: unknown[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  readonly credentials: Credentials

  private constructor(
    setup: { host: string; ca: string; context: SecureContext; credentials: Credentials },
    script: Script,
  ) {
    this.host = setup.host
    this.ca = setup.ca
    this.context = setup.context
    this.credentials = setup.credentials
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      const peer = new Peer(socket, this.context)
      this.peers.push(peer)
      script(peer).catch((error) => this.mistakes.push(error))
    })
  }

  static async open(script: Script, host = 'mx.scripted.example'): Promise<ScriptedMx> {
    const authority = await CertificateAuthority.create()
    const credentials = await authority.issue({ san: [`DNS:${host}`] })
    const context = createSecureContext({ ...credentials, sessionIdContext: 'scripted' })
    const mx = new ScriptedMx({ host, ca: authority.root, context, credentials }, script)
    mx.#server.listen(0, '127.0.0.1')
    await once(mx.#server, 'listening')
    return mx
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  dial(): Socket {
    return netConnect({ host: '127.0.0.1', port: this.port })
  }

  /** Connects as through a proxy that uses TLS. */
  dialTls(options: ConnectionOptions): TLSSocket {
    return tlsConnect({ ...options, socket: this.dial() })
  }

  /** Every domain has this MX host; the policy host is unreachable, so pin a policy. */
  options(): ScriptedWorld {
    const absent = () => Promise.reject(Object.assign(new Error('none'), { code: 'ENODATA' }))
    return {
      name: 'sender.example',
      ca: this.ca,
      connect: () => this.dial(),
      resolver: {
        resolveTxt: absent,
        resolveMx: async () => [{ exchange: this.host, priority: 10 }],
        resolve4: async () => ['192.0.2.1'],
        resolve6: absent,
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

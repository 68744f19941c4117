/** Clients of the plainest kind, with verification on: what they meet is the world's doing. */
import { once } from 'node:events'
import { request } from 'node:https'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls'
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js'
import type { MailWorld, MxHost, PolicyHost } from '../../src/testing/index.js'

/** The code of the error that an action fails with; undefined when it does not. */
export async function codeOf(action: Promise<unknown>): Promise<string | undefined> {
  try {
    await action
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

export function dial(world: MailWorld, host: MxHost | PolicyHost, port: number): Socket {
  const purpose = port === 443 ? 'policy' : 'smtp'
  return world.options().connect({ purpose, host: host.name, address: host.ipv4, port })
}

/** A verified TLS session, right from the start. Resolves when the handshake is complete. */
export async function tlsTo(
  world: MailWorld,
  host: PolicyHost,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = tlsConnect({
    socket: dial(world, host, 443),
    servername: host.name,
    ca: world.ca,
    ...options,
  })
  await once(socket, 'secureConnect')
  // A world that closes resets what is still open
  socket.on('error', () => undefined)
  return socket
}

export interface Fetched {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: Buffer
}

/** GETs a path of a policy host over a socket of the world's. */
export async function get(
  world: MailWorld,
  host: PolicyHost,
  path = '/.well-known/mta-sts.txt',
): Promise<Fetched> {
  const socket = await tlsTo(world, host)
  const outgoing = request({
    host: host.name,
    path,
    defaultPort: 443,
    createConnection: () => socket,
  })
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }
}

/** One SMTP client, line by line. */
export class RawClient {
  socket: Socket
  #lines: AsyncIterator<string>

  constructor(socket: Socket) {
    this.socket = socket
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  }

  static async open(world: MailWorld, host: MxHost, port = 25): Promise<RawClient> {
    const socket = dial(world, host, port)
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** One reply, all of its lines; empty when the connection is over. */
  async reply(): Promise<string> {
    const lines: string[] = []
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done) return lines.join('\n')
      lines.push(value)
      if (/^\d{3}(?: |$)/.test(value)) return lines.join('\n')
    }
  }

  async say(line: string): Promise<string> {
    this.socket.write(`${line}\r\n`)
    return this.reply()
  }
}

export interface Sent {
  connection: SMTPConnection
  socket: TLSSocket | Socket
}

interface SessionOptions {
  port?: number
  tls?: ConnectionOptions
  plaintext?: boolean
}

/** Nodemailer's client, through EHLO and a verified STARTTLS. */
export async function session(
  world: MailWorld,
  host: MxHost,
  { port = 25, tls = {}, plaintext = false }: SessionOptions = {},
): Promise<SMTPConnection> {
  const socket = dial(world, host, port)
  await once(socket, 'connect')
  const connection = new SMTPConnection({
    connection: socket,
    host: host.name,
    name: 'sender.example',
    ...(plaintext ? { ignoreTLS: true } : { requireTLS: true }),
    tls: { ca: world.ca, servername: host.name, ...tls },
  })
  await new Promise<void>((resolve, reject) => {
    connection.once('error', reject)
    connection.once('end', () => reject(new Error('The connection ended')))
    connection.connect(() => resolve())
  })
  return connection
}

/** Says the envelope and the message, and QUIT. */
export async function deliver(
  connection: SMTPConnection,
  to: string | string[] = 'b@bob.example',
): Promise<{ rejected: string[]; response: string }> {
  const envelope = { from: 'a@sender.example', to: [to].flat() }
  try {
    return await new Promise((resolve, reject) => {
      connection.once('error', reject)
      connection.send(envelope, 'Subject: hello\r\n\r\nBody\r\n', (error, info) => {
        if (error) reject(error)
        else resolve({ rejected: info.rejected.map(String), response: info.response })
      })
    })
  } finally {
    if (!connection.destroyed) {
      const ended = once(connection, 'end')
      connection.quit()
      await ended
    }
  }
}

/** A client that has said EHLO. */
export async function greeted(world: MailWorld, host: MxHost): Promise<RawClient> {
  const client = await RawClient.open(world, host)
  await client.reply()
  await client.say('EHLO sender.example')
  return client
}

/** The replies to MAIL FROM and to each RCPT TO, up to the end of the connection; a greeting that is none, alone. */
export async function envelopeReplies(
  world: MailWorld,
  host: MxHost,
  { from, to = [] }: { from: string; to?: readonly string[] },
): Promise<string[]> {
  const client = await RawClient.open(world, host)
  const greeting = await client.reply()
  if (!greeting.startsWith('220')) return [greeting]
  await client.say('EHLO sender.example')
  const replies: string[] = []
  for (const line of [`MAIL FROM:<${from}>`, ...to.map((address) => `RCPT TO:<${address}>`)]) {
    if (replies.at(-1) !== '') replies.push(await client.say(line))
  }
  client.socket.destroy()
  return replies
}

/** A Nodemailer that withMtaSts does not know: nothing is sent with it, and the error says why. */
import { EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import nodemailer, { type Transporter } from 'nodemailer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withMtaSts } from '../../src/nodemailer/index.js'
import { errorOf, messageTo } from '../e2e/support.js'
import { dnsError, resolverOf } from '../tls/support.js'
import { HoldingHost } from './holding-host.js'

/** A mail as `sendMail` hands it to a transport. */
interface Mail {
  message: {
    getEnvelope(): { from: string | false; to: string[] }
    createReadStream(): NodeJS.ReadableStream
  }
}

type Done = (error: Error | null, info?: object) => void

/** What a transport of another Nodemailer does with a mail; `this` is the transport. */
type Send = (this: FutureTransport, mail: Mail, done: Done) => void

/** A transport that has the public face of Nodemailer's, and nothing else of it. */
class FutureTransport extends EventEmitter {
  readonly version: string = '11.0.0[client:11.0.0]'
  readonly logger = { error: () => {} }
  readonly name: string
  readonly options: object
  readonly send: Send

  constructor(name: string, options: object, send: Send) {
    super()
    this.name = name
    this.options = options
    this.send = send
  }

  getSocket(_: object, done: (error: Error | null, options: object | false) => void): void {
    setImmediate(done, null, false)
  }

  verify(done: Done): void {
    setImmediate(done, null)
  }

  isIdle(): boolean {
    return true
  }

  close(): void {}
}

/** Sends by the socket that it is given, or by one of its own. */
function sendBySocket(this: FutureTransport, mail: Mail, done: Done): void {
  this.getSocket(this.options, (error, given) => {
    if (error) done(error)
    else if (given && 'connection' in given) (given.connection as Socket).once('error', done)
    else
      void converse(connectTo(this.options), mail, mail.message.getEnvelope()).then(...ends(done))
  })
}

/** Connects without asking for a socket. */
function sendByItself(this: FutureTransport, mail: Mail, done: Done): void {
  setImmediate(() => {
    void converse(connectTo(this.options), mail, mail.message.getEnvelope()).then(...ends(done))
  })
}

/** Knows the envelope from elsewhere. */
function sendWithoutEnvelope(this: FutureTransport, mail: Mail, done: Done): void {
  const envelope = { from: 'me@sender.example', to: ['you@example.com'] }
  void converse(connectTo(this.options), mail, envelope).then(...ends(done))
}

const connectTo = (options: object) => connect(Reflect.get(options, 'port'), '127.0.0.1')

const ends = (done: Done): [(info: object) => void, (error: Error) => void] => [
  (info) => done(null, info),
  (error) => done(error),
]

/** The least of an SMTP client. */
async function converse(
  socket: Socket,
  mail: Mail,
  { from, to }: { from: string | false; to: string[] },
): Promise<object> {
  try {
    if (to.length === 0) throw Object.assign(new Error('No recipients'), { code: 'EENVELOPE' })
    await once(socket, 'data')
    const recipients = to.map((address) => `RCPT TO:<${address}>`)
    for (const line of ['EHLO me', `MAIL FROM:<${from}>`, ...recipients, 'DATA']) {
      socket.write(`${line}\r\n`)
      await once(socket, 'data')
    }
    for await (const chunk of mail.message.createReadStream()) socket.write(chunk)
    socket.write('\r\n.\r\n')
    await once(socket, 'data')
    return { accepted: to }
  } finally {
    socket.destroy()
  }
}

let host: HoldingHost
let port = 0
const transporters: Transporter[] = []

beforeEach(async () => {
  host = new HoldingHost('message')
  host.release()
  port = await host.begin()
})

afterEach(() => {
  for (const transporter of transporters.splice(0)) transporter.close()
  host.close()
})

function sender(name: string, send: Send, mode: 'enforce' | 'none'): Transporter {
  const policy = { version: 'STSv1', mode, mx: ['localhost'], maxAge: 86_400 } as const
  const future = new FutureTransport(name, { host: 'localhost', port }, send)
  const transport = withMtaSts(future as never, {
    resolver: resolverOf({ txt: dnsError('ENOTFOUND') }),
    overrides: { localhost: policy },
  })
  const transporter = nodemailer.createTransport(transport) as Transporter
  transporters.push(transporter)
  return transporter
}

const message = messageTo('you.example')

describe('a pool that keeps its connections elsewhere', () => {
  it.each(['none', 'enforce'] as const)('mode %s: nothing is sent, ENODEMAILER', async (mode) => {
    const error = await errorOf(sender('SMTP (pool)', sendBySocket, mode).sendMail(message))
    expect(error).toMatchObject({
      code: 'ENODEMAILER',
      message: expect.stringMatching(/use version 8, 9 or 10/),
      deliveries: [{ status: 'failed' }],
    })
    expect(host.connections).toBe(0)
  })
})

describe('a single transport that asks for its socket later', () => {
  it.each(['none', 'enforce'] as const)('mode %s: nothing is sent, ENODEMAILER', async (mode) => {
    const later: Send = function (mail, done) {
      setImmediate(() => sendBySocket.call(this, mail, done))
    }
    const error = await errorOf(sender('SMTP', later, mode).sendMail(message))
    expect(error).toMatchObject({ code: 'ENODEMAILER' })
    expect(host.connections).toBe(0)
  })
})

describe('a transport that does not ask for its socket', () => {
  it.each(['SMTP', 'SMTP (pool)'])('%s, mode none: it sends', async (name) => {
    await sender(name, sendByItself, 'none').sendMail(message)
    expect(host.bodies).toHaveLength(1)
  })

  it.each(['SMTP', 'SMTP (pool)'])('%s, mode enforce: no MAIL FROM [STS-42]', async (name) => {
    const error = await errorOf(sender(name, sendByItself, 'enforce').sendMail(message))
    expect(error).toMatchObject({ code: 'ECONNECTION' })
    expect(host.senders).toBe(0)
    expect(host.bodies).toEqual([])
  })

  it.each(['SMTP', 'SMTP (pool)'])(
    '%s, and reads no envelope, mode enforce: nothing of the message [STS-42]',
    async (name) => {
      const error = await errorOf(sender(name, sendWithoutEnvelope, 'enforce').sendMail(message))
      expect(error).toMatchObject({ code: 'ECONNECTION' })
      expect(host.bodies).toEqual([])
    },
  )
})

describe('a single transport whose check does not ask for its socket', () => {
  it('mode none: verify() succeeds', async () => {
    expect(await sender('SMTP', sendByItself, 'none').verify()).toBe(true)
  })

  it('mode enforce: verify() fails [STS-42]', async () => {
    const error = await errorOf(sender('SMTP', sendByItself, 'enforce').verify())
    expect(error).toMatchObject({ message: 'The policy of the smart host has changed' })
  })
})

describe('a Nodemailer that is too old', () => {
  it('is refused by withMtaSts(): ENODEMAILER', () => {
    const old = new FutureTransport('SMTP', { host: 'localhost', port }, sendBySocket)
    Object.assign(old, { version: '7.0.9[client:7.0.9]' })
    expect(() => withMtaSts(old as never)).toThrow(expect.objectContaining({ code: 'ENODEMAILER' }))
  })
})

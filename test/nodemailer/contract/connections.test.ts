/** Connections, events, logins and errors of the client: the same on the plain transport and on ours. */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { format } from 'node:util'
import type { Transporter } from 'nodemailer'
import { vi } from 'vitest'
import { LINE } from './differences.js'
import {
  type Case,
  contract,
  MESSAGE,
  outcome,
  type Run,
  type SmartHost,
  until,
} from './smart-host.js'

/** A callback of Nodemailer's. */
type Done<T = unknown> = (error: Error | null, value?: T) => void

/** Listens to what a transporter emits, and to the ends of messages, in order. */
function eventsOf(transporter: Transporter): string[] {
  const events: string[] = []
  for (const name of ['idle', 'clear', 'error', 'token'] as const) {
    transporter.on(name as 'idle', (value?: unknown) => {
      events.push(value instanceof Error ? `${name}: ${value.message}` : name)
    })
  }
  return events
}

/** Nodemailer 8 and 9 read nothing beside `url`, `tls.ca` included: what they made of it is compared. */
async function byUrl(transporter: Transporter, host: SmartHost): Promise<unknown> {
  const { name, options } = transporter.transporter as unknown as { name: string; options: object }
  const read = JSON.stringify(options)
    .replaceAll(String(host.port), 'PORT')
    .replaceAll(String(host.tlsPort), 'PORT')
    .replaceAll(JSON.stringify(host.authority.root), 'ROOT')
  return [name, read, LINE < 10 ? undefined : await outcome(transporter.sendMail(MESSAGE))]
}

const IN_ORDER: Record<string, Case> = {
  'verify(), promise and callback': async ({ make }) => {
    const transporter = make()
    const success = await transporter.verify()
    const called = new Promise((resolve) =>
      transporter.verify((error, value) => resolve([error, value])),
    )
    return [success, await called]
  },
  'verify() with a wrong password': ({ make }) =>
    outcome(make({ auth: { user: 'me', pass: 'wrong' } }).verify() as never),
  'a wrong password': ({ make }) =>
    outcome(make({ auth: { user: 'me', pass: 'wrong' } }).sendMail(MESSAGE)),
  'no login': ({ make }) => outcome(make({ auth: undefined }).sendMail(MESSAGE)),
  'forceAuth without a login': ({ make }) =>
    outcome(make({ auth: undefined, forceAuth: true }).verify() as never),
  requireTLS: ({ make }) => outcome(make({ requireTLS: true }).sendMail(MESSAGE)),
  'TLS from the first byte on': ({ make, host }) =>
    outcome(make({ port: host.tlsPort, secure: true }).sendMail(MESSAGE)),
  'TLS from the first byte on: verify()': ({ make, host }) =>
    make({ port: host.tlsPort, secure: true }).verify(),
  'a URL as an option': ({ wrap, host, transport }) => {
    const url = `smtp://me:secret@localhost:${host.port}/?pool=${transport === 'pool'}`
    return byUrl(wrap({ url, tls: { ca: host.authority.root } }), host)
  },
  'a smtps: URL as an option': ({ wrap, host, transport }) => {
    const url = `smtps://me:secret@localhost:${host.tlsPort}/?pool=${transport === 'pool'}`
    return byUrl(wrap({ url, tls: { ca: host.authority.root } }), host)
  },
  'a well-known service': async ({ wrap, host, options }) => {
    const { host: _, port: __, ...rest } = options() as Record<string, unknown>
    const asked: unknown[] = []
    const getSocket = (given: { host: string; port: number; secure: boolean }, done: Done) => {
      asked.push([given.host, given.port, given.secure])
      const connection = connectTcp(host.tlsPort, 'localhost', () => done(null, { connection }))
    }
    const transporter = wrap({ ...rest, service: 'Gmail', getSocket })
    return [await outcome(transporter.sendMail(MESSAGE)), asked]
  },
  'OAuth2: a token that the program provides, renewed when it is refused': async ({ make }) => {
    const transporter = make({ auth: { type: 'OAuth2', user: 'me', accessToken: 'stale' } })
    const asked: unknown[] = []
    transporter.set('oauth2_provision_cb', (user: string, renew: boolean, done: Done<string>) => {
      asked.push([user, renew])
      done(null, renew ? 'token' : 'stale')
    })
    return [await outcome(transporter.sendMail(MESSAGE)), asked]
  },
  'OAuth2: a token that is fetched, and the event': async ({ make }) => {
    const asked: string[] = []
    const server = createHttpServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.end(JSON.stringify({ access_token: 'token', expires_in: 3600 }))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const auth = { type: 'OAuth2', user: 'me', clientId: 'x', clientSecret: 'y', refreshToken: 'z' }
    const transporter = make({ auth: { ...auth, accessUrl: `http://127.0.0.1:${port}/token` } })
    const events = eventsOf(transporter)
    const sent = await outcome(transporter.sendMail(MESSAGE))
    server.close()
    return [sent, asked, events.filter((event) => event === 'token')]
  },
  'OAuth2: a token that cannot be had': async ({ make }) => {
    const transporter = make({ auth: { type: 'OAuth2', user: 'me' } })
    transporter.set('oauth2_provision_cb', (_: string, __: boolean, done: Done<string>) =>
      done(new Error('no token today')),
    )
    const events = eventsOf(transporter)
    const failed = await outcome(transporter.sendMail(MESSAGE))
    return [failed, events.filter((event) => event.startsWith('error'))]
  },
  'events in order': async ({ make, transport }) => {
    const transporter = make(transport === 'pool' ? { maxConnections: 1 } : {})
    const events = eventsOf(transporter)
    for (const subject of ['1', '2']) {
      await transporter.sendMail({ ...MESSAGE, subject })
      events.push(`sent ${subject}`)
    }
    const refused = { ...MESSAGE, from: 'refused@sender.example' }
    await transporter.sendMail(refused).catch(() => events.push('refused'))
    await transporter.sendMail(MESSAGE)
    return events
  },
  'maxMessages: a new connection': async ({ make }) => {
    const transporter = make({ maxMessages: 2, maxConnections: 1 })
    for (let i = 0; i < 3; i++) await transporter.sendMail(MESSAGE)
    return transporter.isIdle()
  },
  'the host ends an idle connection': async ({ make, host }) => {
    const transporter = make({ maxConnections: 1 })
    const first = await outcome(transporter.sendMail(MESSAGE))
    host.hangUp()
    await until(0, () => host.connections)
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  'the host ends every connection before the message is answered': async ({ make, host }) => {
    const transporter = make({ maxConnections: 1, maxRequeues: 0 })
    host.hold()
    const sending = outcome(transporter.sendMail(MESSAGE))
    await until(1, () => host.got.length)
    host.hangUp()
    return sending
  },
  'name, version and options of the transport': async ({ make }) => {
    const { name, version, options } = make({ service: 'unknown' }).transporter as never as {
      name: string
      version: string
      options: object
    }
    return { name, version, keys: Object.keys(options).sort() }
  },
  'transactionLog: the commands that are logged': async ({ make }) => {
    const words: string[] = []
    const log = ({ tnx }: { tnx?: string }, message: string, ...values: unknown[]) => {
      const [word = ''] = format(message, ...values).split(/[ :]/)
      // EHLO is said once more where the connection is opened here
      if (tnx === 'client' && !words.includes(word)) words.push(word)
    }
    const none = () => {}
    const logger = { trace: none, debug: log, info: none, warn: none, error: none, fatal: none }
    await make({ logger, transactionLog: true }).sendMail(MESSAGE)
    return words
  },
  'a callback that throws is logged': async ({ make, transport }) => {
    if (transport !== 'pool') return undefined
    const lines: string[] = []
    const log = (entry: { tnx?: string }) => void (entry.tnx === 'callback' && lines.push('logged'))
    const logger = { trace: log, debug: log, info: log, warn: log, error: log, fatal: log }
    make({ logger }).sendMail(MESSAGE, () => {
      throw new Error('in the callback')
    })
    await until(1, () => lines.length)
    return lines
  },
}

contract('a connection', IN_ORDER)

const SIDE_BY_SIDE: Record<string, Case> = {
  'idle: a queue is fed by isIdle()': async ({ make, host, transport }) => {
    if (transport !== 'pool') return make().isIdle()
    const transporter = make({ maxConnections: 2 })
    const queue = Array.from({ length: 10 }, (_, index) => `r${index}@example.com`)
    const batches: number[] = []
    const sent: Promise<unknown>[] = []
    transporter.on('idle', () => {
      const before = queue.length
      while (queue.length > 0 && transporter.isIdle()) {
        sent.push(transporter.sendMail({ ...MESSAGE, to: queue.shift() }))
      }
      batches.push(before - queue.length)
    })
    await until(10, () => host.got.length)
    await Promise.all(sent)
    return batches[0]
  },
  'twenty messages at once': async ({ make }) => {
    const transporter = make({ maxConnections: 1, maxMessages: 8 })
    const events = eventsOf(transporter)
    const numbers = Array.from({ length: 20 }, (_, number) => String(number))
    const sent = await Promise.all(
      numbers.map((subject) => outcome(transporter.sendMail({ ...MESSAGE, subject }))),
    )
    return [sent, events]
  },
  'close() with messages in the queue': async ({ make, host, transport }) => {
    if (transport !== 'pool') return undefined
    const transporter = make({ maxConnections: 1 })
    const release = host.hold()
    const sending = ['1', '2', '3'].map((subject) =>
      outcome(transporter.sendMail({ ...MESSAGE, subject })),
    )
    await until(1, () => host.got.length)
    transporter.close()
    release()
    return Promise.all(sending)
  },
  'close() by force while a message is sent': async ({ make, host, transport }) => {
    if (LINE < 10 || transport !== 'pool') return undefined
    const transporter = make({ maxConnections: 1 })
    host.hold()
    const sending = ['1', '2'].map((subject) =>
      outcome(transporter.sendMail({ ...MESSAGE, subject })),
    )
    await until(1, () => host.got.length)
    const close = transporter.close as (options: object) => void
    close({ force: true })
    return Promise.all(sending)
  },
  'pendingCount()': async ({ make, host, transport }) => {
    if (LINE < 10 || transport !== 'pool') return undefined
    const transporter = make({ maxConnections: 1 })
    const pool = transporter.transporter as never as { pendingCount(): number }
    const release = host.hold()
    const sending = ['1', '2'].map((subject) => transporter.sendMail({ ...MESSAGE, subject }))
    await until(1, () => host.got.length)
    const counted = pool.pendingCount()
    release()
    await Promise.all(sending)
    return [counted, pool.pendingCount()]
  },
}

contract('many messages', SIDE_BY_SIDE, { sideBySide: true })

/** Hours on a clock that stands still until it is moved. */
const HOUR = 3_600_000

const RATES: Record<string, Case> = {
  'rateLimit and rateDelta': async ({ make, host, transport }) => {
    if (transport !== 'pool') return undefined
    const begun = Date.now()
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: begun })
    try {
      const transporter = make({ rateLimit: 2, rateDelta: HOUR, maxConnections: 1 })
      const sending = ['1', '2', '3', '4', '5'].map((subject) =>
        transporter.sendMail({ ...MESSAGE, subject }),
      )
      await moveUntil(2, () => host.got.length)
      vi.advanceTimersByTime(HOUR)
      await moveUntil(4, () => host.got.length)
      vi.advanceTimersByTime(HOUR)
      await moveUntil(5, () => host.got.length)
      await Promise.all(sending)
      return host.arrivals.map((at) => Math.floor((at - begun) / HOUR))
    } finally {
      vi.useRealTimers()
    }
  },
}

/** Waits while the clock goes on by no more than a few minutes: for the delays of server and pool. */
async function moveUntil(wanted: number, read: () => number): Promise<void> {
  await until(wanted, () => {
    vi.advanceTimersByTime(100)
    return read()
  })
}

contract('a rate limit', RATES, { alone: true })

/** Errors of the client: hosts that cannot be reached, or say what makes no sense. */
type Script = (socket: Socket) => void

async function scripted({ make }: Run, script: Script, options: object = {}): Promise<unknown> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    script(socket)
  })
  server.listen(0, 'localhost')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const transporter = make({ port, maxRequeues: 0, ...options })
  const sent = await outcome(transporter.sendMail(MESSAGE))
  const verified = await outcome(transporter.verify() as never)
  transporter.close()
  for (const socket of sockets) socket.destroy()
  server.close()
  return JSON.parse(JSON.stringify([sent, verified]).replaceAll(String(port), 'PORT'))
}

/** Replies to each command by its first word. */
const replies =
  (greeting: string, byWord: Record<string, string>): Script =>
  (socket) => {
    socket.write(greeting)
    socket.on('data', (chunk) => {
      const [word = ''] = chunk.toString().trim().split(' ')
      socket.write(byWord[word.toUpperCase()] ?? '250 here\r\n')
    })
  }

const FAILING: Record<string, Case> = {
  'nobody listens': async ({ make }) => {
    const transporter = make({ port: 1, maxRequeues: 0 })
    const sent = await outcome(transporter.sendMail(MESSAGE))
    return [sent, await outcome(transporter.verify() as never)]
  },
  'no greeting': (run) => scripted(run, () => {}, { greetingTimeout: 50 }),
  'the connection ends before the greeting': (run) => scripted(run, (socket) => socket.end()),
  'greeting 554': (run) => scripted(run, replies('554 no\r\n', {})),
  'greeting 421': (run) => scripted(run, replies('421 later\r\n', {})),
  'a greeting that makes no sense': (run) => scripted(run, replies('hello\r\n', {})),
  'EHLO and HELO are refused': (run) =>
    scripted(run, replies('220 hi\r\n', { EHLO: '502 no\r\n', HELO: '502 no\r\n' })),
  'the connection ends after EHLO': (run) =>
    scripted(run, (socket) => {
      socket.write('220 hi\r\n')
      socket.on('data', () => socket.end())
    }),
}

contract('a host that fails', FAILING)

/**
 * withMtaSts is the plain transport: each case runs on both, and everything that can be observed is
 * compared. `NODEMAILER=8` and `NODEMAILER=9` run it on those lines.
 *
 * The differences that are left, each with its reason:
 * - `info.deliveries` and `error.deliveries`: the account of the smart host's policy
 * - refusals: a host that did not prove what its policy asks for
 * - `permanent` of a reply that came before MAIL FROM: somebody in between may have sent it, or a
 *   password is being changed, so it is never final; before version 10 Nodemailer has no `permanent`
 * - a pool that was closed answers ECONNECTION on every version; Nodemailer 8 and 9 never call back
 */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import nodemailer, { type SendMailOptions, type Transporter } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type StsOptions, withMtaSts } from '../../src/nodemailer/index.js'
import type { Policy } from '../../src/policy/policy-file.js'
import { CertificateAuthority } from '../../src/testing/authority.js'
import { dnsError, resolverOf } from '../tls/support.js'

interface Got {
  from: string
  to: string[]
  text: string
  tls: boolean
  user: string | undefined
}

let authority: CertificateAuthority
let server: SMTPServer
let got: Got[] = []
const transporters: Transporter[] = []

beforeAll(async () => {
  authority = await CertificateAuthority.create()
})

/** Begins a smart host on the loopback interface; `localhost` is its name. */
async function begin({ secure = false } = {}): Promise<void> {
  server = new SMTPServer({
    ...(await authority.issue({ san: ['DNS:localhost'] })),
    secure,
    authMethods: ['PLAIN', 'XOAUTH2'],
    onAuth: ({ username, password, accessToken }, _, done) =>
      password === 'secret' || accessToken === 'token'
        ? done(null, { user: username ?? '' })
        : done(new Error('Wrong password')),
    onMailFrom: ({ address }, _, done) =>
      done(address.startsWith('refused') ? new Error('No such sender') : null),
    onRcptTo: ({ address }, _, done) =>
      done(address.startsWith('refused') ? new Error('No such user') : null),
    onData: (stream, session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        got.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(chunks).toString(),
          tls: Boolean(session.secure),
          user: session.user,
        })
        done(null, 'taken')
      })
    },
  })
  server.on('error', () => {})
  server.listen(0, 'localhost')
  await once(server.server, 'listening')
}

beforeEach(() => begin())

afterEach(async () => {
  for (const transporter of transporters.splice(0)) transporter.close()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  got = []
})

const AUTH = { user: 'me', pass: 'secret' }

/** A callback of Nodemailer's */
type Done<T = unknown> = (error: Error | null, value?: T) => void

interface Kind {
  pool: boolean
  mode: 'plain' | 'none' | 'testing' | 'enforce'
}

function smartHost(options: object = {}): object {
  const { port } = server.server.address() as AddressInfo
  return { host: 'localhost', port, auth: AUTH, tls: { ca: authority.root }, ...options }
}

function stsOptions(mode: Kind['mode']): StsOptions {
  const policy = (stated: Policy['mode']): Policy => ({
    version: 'STSv1',
    mode: stated,
    mx: ['localhost'],
    maxAge: 86_400,
  })
  const known = mode === 'testing' || mode === 'enforce'
  return {
    resolver: resolverOf({ txt: dnsError('ENOTFOUND') }),
    ca: authority.root,
    ...(known ? { overrides: { localhost: policy(mode) } } : {}),
  }
}

/** Makes a transporter: the plain one, or ours. */
function make({ pool, mode }: Kind, options: object = {}, defaults?: object): Transporter {
  const all = smartHost({ ...(pool ? { pool } : {}), ...options })
  const transport = mode === 'plain' ? all : withMtaSts(all as never, stsOptions(mode))
  const transporter = nodemailer.createTransport(transport as never, defaults)
  transporters.push(transporter as Transporter)
  return transporter as Transporter
}

const MESSAGE: SendMailOptions = {
  from: 'me@sender.example',
  to: 'you@example.com',
  subject: 'Hello',
  text: 'Hello',
  messageId: '<one@sender.example>',
  date: new Date(0),
}

/** Returns what is the same in each run: neither times, nor what is ours, nor random boundaries. */
function told(value: object): object {
  const { deliveries, permanent, stack, envelopeTime, messageTime, ...rest } = value as Record<
    string,
    unknown
  >
  const message = value instanceof Error ? { message: value.message } : {}
  return JSON.parse(JSON.stringify({ ...rest, ...message }))
}

const outcome = (promise: Promise<object>) => promise.then(told, told)

type Case = (kind: Kind) => Promise<unknown>

const CASES: Record<string, Case> = {
  'one message': async (kind) => [await outcome(make(kind).sendMail(MESSAGE)), got.length],
  'three messages, one after the other': async (kind) => {
    const transporter = make(kind)
    for (let i = 0; i < 3; i++) await transporter.sendMail(MESSAGE)
    return got.map(({ from, to, tls, user }) => ({ from, to, tls, user }))
  },
  'the callback form': (kind) =>
    new Promise((resolve) =>
      make(kind).sendMail(MESSAGE, (error, info) => resolve(told(error ?? info))),
    ),
  'a sender that is refused': (kind) =>
    outcome(make(kind).sendMail({ ...MESSAGE, from: 'refused@sender.example' })),
  'a recipient that is refused': (kind) =>
    outcome(make(kind).sendMail({ ...MESSAGE, to: ['refused@example.com', 'you@example.com'] })),
  'all recipients refused, then a good message': async (kind) => {
    const transporter = make(kind)
    const first = await outcome(transporter.sendMail({ ...MESSAGE, to: 'refused@example.com' }))
    return [first, await outcome(transporter.sendMail(MESSAGE))]
  },
  'no recipients': (kind) => outcome(make(kind).sendMail({ from: 'me@sender.example' })),
  'a wrong password': (kind) =>
    outcome(make(kind, { auth: { user: 'me', pass: 'wrong' } }).sendMail(MESSAGE)),
  'verify()': (kind) => make(kind).verify(),
  'verify() with a wrong password': (kind) =>
    outcome(make(kind, { auth: { user: 'me', pass: 'wrong' } }).verify() as never),
  'DSN, priority and list headers': async (kind) => {
    const list = { unsubscribe: 'https://sender.example/no' }
    const extra = { priority: 'high', list, dsn: { id: 'x', return: 'headers', notify: 'never' } }
    return [await outcome(make(kind).sendMail({ ...MESSAGE, ...extra } as never)), got[0]?.text]
  },
  'raw, and a stream': async (kind) => {
    const raw = 'Subject: raw\r\n\r\nraw\r\n'
    const envelope = { from: 'me@sender.example', to: ['you@example.com'] }
    await make(kind).sendMail({ raw, envelope })
    return got[0]?.text
  },
  'X-Mailer says what it did': async (kind) => {
    await make(kind).sendMail({ ...MESSAGE })
    return /^X-Mailer: (.*(?:\r\n .*)*)/m.exec(got[0]?.text ?? '')?.[1]
  },
  'defaults of createTransport': async (kind) => {
    await make(kind, {}, { subject: 'Default' }).sendMail({ ...MESSAGE, subject: undefined })
    return /^Subject: .*/m.exec(got[0]?.text ?? '')?.[0]
  },
  'dkim signs': async (kind) => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    const dkim = { domainName: 'sender.example', keySelector: 'k', privateKey }
    await make(kind, { dkim }).sendMail(MESSAGE)
    expect(got[0]?.text).toMatch(/^DKIM-Signature/m)
  },
  disableFileAccess: async (kind) => {
    const attachments = [{ path: import.meta.filename }]
    const error = make(kind, { disableFileAccess: true }).sendMail({ ...MESSAGE, attachments })
    return ((await outcome(error)) as { code?: string }).code
  },
  disableUrlAccess: async (kind) => {
    const attachments = [{ href: 'http://127.0.0.1:1/' }]
    const error = make(kind, { disableUrlAccess: true }).sendMail({ ...MESSAGE, attachments })
    return ((await outcome(error)) as { code?: string }).code
  },
  attachDataUrls: async (kind) => {
    const html = '<img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    await make(kind, { attachDataUrls: true }).sendMail({ ...MESSAGE, html })
    return /cid:/.test(got[0]?.text ?? '')
  },
  normalizeHeaderKey: async (kind) => {
    const normalizeHeaderKey = (key: string) => key.toUpperCase()
    await make(kind, { normalizeHeaderKey }).sendMail(MESSAGE)
    return /^SUBJECT: /m.test(got[0]?.text ?? '')
  },
  maxRecipients: (kind) =>
    outcome(
      make(kind, { maxRecipients: 1 }).sendMail({ ...MESSAGE, to: ['a@b.example', 'c@d.example'] }),
    ),
  'plugins and meta': async (kind) => {
    const transporter = make(kind)
    transporter.use('compile', (mail, done) => {
      mail.data.subject = String(transporter.get('subject'))
      done()
    })
    transporter.set('subject', 'By a plugin')
    await transporter.sendMail(MESSAGE)
    return /^Subject: .*/m.exec(got[0]?.text ?? '')?.[0]
  },
  'OAuth2 with a renewed token': async (kind) => {
    const auth = { type: 'OAuth2', user: 'me' }
    const transporter = make(kind, { auth })
    const asked: string[] = []
    transporter.set('oauth2_provision_cb', (user: string, _: boolean, done: Done<string>) => {
      asked.push(user)
      done(null, 'token')
    })
    await transporter.sendMail(MESSAGE)
    return [asked, got.map(({ user }) => user)]
  },
  'idle: a queue is fed by isIdle()': async (kind) => {
    if (!kind.pool) return make(kind).isIdle()
    const transporter = make(kind, { maxConnections: 2 })
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
    await expect.poll(() => got.length, { timeout: 10_000 }).toBe(10)
    await Promise.all(sent)
    return batches[0]
  },
  'close() with messages in the queue': async (kind) => {
    if (!kind.pool) return undefined
    const transporter = make(kind, { maxConnections: 1 })
    const sending = Array.from(
      { length: 4 },
      () => outcome(transporter.sendMail(MESSAGE)) as Promise<Record<string, unknown>>,
    )
    await sending[0]
    transporter.close()
    const ends = await Promise.all(sending)
    return ends.some(({ message }) => message === 'Connection pool was closed')
  },
  'no connection is left after close()': async (kind) => {
    const transporter = make(kind)
    await transporter.sendMail(MESSAGE)
    transporter.close()
    await expect.poll(() => server.connections.size, { timeout: 10_000 }).toBe(0)
    return 'none'
  },
  'maxMessages: a new connection': async (kind) => {
    const transporter = make(kind, { maxMessages: 1, maxConnections: 1 })
    for (let i = 0; i < 2; i++) await transporter.sendMail(MESSAGE)
    return got.length
  },
  'name, version and options of the transport': async (kind) => {
    const { name, version, options } = make(kind, { service: 'unknown' }).transporter as never as {
      name: string
      version: string
      options: object
    }
    return { name, version, keys: Object.keys(options).sort() }
  },
  'a callback that throws is logged': async (kind) => {
    if (!kind.pool) return undefined
    const lines: string[] = []
    const log = (entry: { tnx?: string }) => void (entry.tnx === 'callback' && lines.push('logged'))
    const logger = { trace: log, debug: log, info: log, warn: log, error: log, fatal: log }
    const transporter = make(kind, { logger })
    transporter.sendMail(MESSAGE, () => {
      throw new Error('in the callback')
    })
    await expect.poll(() => lines.length, { timeout: 10_000 }).toBe(1)
    return lines
  },
}

const table = Object.keys(CASES).flatMap((name) =>
  [false, true].flatMap((pool) =>
    (['none', 'testing', 'enforce'] as const).map((mode) => ({
      name,
      transport: pool ? 'pool' : 'single',
      mode,
    })),
  ),
)

describe('withMtaSts does what the plain transport does', () => {
  it.each(table)('$name: $transport, mode $mode', async ({ name, transport, mode }) => {
    const run = CASES[name]
    if (!run) throw new Error(`no case ${name}`)
    const pool = transport === 'pool'
    const plain = await run({ pool, mode: 'plain' })
    got = []
    expect(await run({ pool, mode })).toEqual(plain)
  })
})

describe('what a wrapped transporter was made with', () => {
  it('its defaults and plugins reach the message', async () => {
    const inner = nodemailer.createTransport(smartHost() as never, { subject: 'From inside' })
    inner.use('compile', (mail, done) => {
      mail.data.text = 'by the inner plugin'
      done()
    })
    const transport = withMtaSts(inner as never, stsOptions('enforce'))
    const outer = nodemailer.createTransport(transport as never)
    transporters.push(outer as Transporter)
    await outer.sendMail({ from: 'me@sender.example', to: 'you@example.com' })
    expect(got[0]?.text).toMatch(/^Subject: From inside/m)
    expect(got[0]?.text).toMatch(/by the inner plugin/)
  })

  it('a URL is an SMTP transport', async () => {
    const { port } = server.server.address() as AddressInfo
    const url = `smtp://me:secret@localhost:${port}`
    const transport = withMtaSts(url, stsOptions('enforce'))
    const transporter = nodemailer.createTransport(transport as never)
    transporters.push(transporter as Transporter)
    await transporter.sendMail(MESSAGE)
    expect(got).toMatchObject([{ tls: true, user: 'me' }])
  })

  it('a transport that is held already is refused', () => {
    const transport = withMtaSts(smartHost() as never, stsOptions('enforce'))
    expect(() => withMtaSts(transport as never)).toThrow(/already/)
  })
})

describe.each([false, true])('a socket of the program, pool: %s', (pool) => {
  it.each(['none', 'testing', 'enforce'] as const)(
    'mode %s: no other connection is made',
    async (mode) => {
      const { connect } = await import('node:net')
      const { port } = server.server.address() as AddressInfo
      const dead = { port: 1, host: 'localhost' }
      const transporter = make({ pool, mode }, dead)
      let asked = 0
      Object.assign(transporter, {
        getSocket: (_: object, done: Done) => {
          asked++
          const connection = connect(port, 'localhost', () => done(null, { connection }))
        },
      })
      await transporter.sendMail(MESSAGE)
      expect(got).toHaveLength(1)
      expect(asked).toBe(1)
      expect(got[0]?.tls).toBe(true)
    },
  )

  it.each(['none', 'enforce'] as const)("mode %s: its error is the message's", async (mode) => {
    const transporter = make({ pool, mode })
    Object.assign(transporter, {
      getSocket: (_: object, done: Done) => done(new Error('no proxy')),
    })
    await expect(transporter.sendMail(MESSAGE)).rejects.toThrow('no proxy')
    expect(got).toEqual([])
    expect(server.connections.size).toBe(0)
  })
})

it('port 465 begins with TLS, single and pool', async () => {
  await new Promise<void>((resolve) => server.close(() => resolve()))
  await begin({ secure: true })
  for (const pool of [false, true]) {
    for (const mode of ['none', 'testing', 'enforce'] as const) {
      const info = await make({ pool, mode }, { secure: true }).sendMail(MESSAGE)
      expect(info).toMatchObject({ deliveries: [{ mode, status: 'delivered' }] })
    }
  }
  expect(got.map(({ tls }) => tls)).toEqual(Array(6).fill(true))
})

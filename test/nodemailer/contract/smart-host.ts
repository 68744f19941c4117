/**
 * A smart host on the loopback interface, a transporter that sends to it, plain or ours, and the
 * comparison of what both did: results, events, commands and messages as the host got them,
 * connections.
 *
 * @module
 */
import { once } from 'node:events'
import { type AddressInfo, BlockList, connect as connectTcp } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import nodemailer, { type SendMailOptions, type Transporter } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { describe, expect, it } from 'vitest'
import { mtaStsTransport, type StsOptions, withMtaSts } from '../../../src/nodemailer/index.js'
import type { Policy } from '../../../src/policy/policy-file.js'
import { CertificateAuthority, type Credentials } from '../../../src/testing/authority.js'
import { dnsError, resolverOf } from '../../tls/support.js'
import { type Comparable, expectedOf, inCommon } from './differences.js'

export type Mode = 'plain' | 'none' | 'testing' | 'enforce'
export type Transport = 'single' | 'pool' | 'direct'

/** A message as the smart host got it. */
export interface Got {
  from: string
  to: string[]
  text: string
  tls: boolean
  user: string | undefined
}

export const AUTH = { user: 'me', pass: 'secret' }

export const MESSAGE: SendMailOptions = {
  from: 'me@sender.example',
  to: 'you@example.com',
  subject: 'Hello',
  text: 'Hello',
  messageId: '<one@sender.example>',
  date: new Date(0),
}

/** The largest message that the host takes. */
export const SIZE = 100_000

/** Names that the certificate of the host has, beside `localhost`. */
const NAMES = ['localhost', 'smtp.gmail.com']

/** A promise to be resolved from outside. */
interface Gate {
  opened: Promise<void>
  open(): void
}

function gate(): Gate {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** The certificate of a smart host, and the authority that issued it. */
export interface Identity {
  authority: CertificateAuthority
  credentials: Credentials
}

export async function newIdentity(): Promise<Identity> {
  const authority = await CertificateAuthority.create()
  const credentials = await authority.issue({ san: NAMES.map((name) => `DNS:${name}`) })
  return { authority, credentials }
}

/** The smart host, and its log. */
export class SmartHost {
  readonly authority: CertificateAuthority
  got: Got[] = []
  /** When each of `got` came, by the clock of the case */
  arrivals: number[] = []
  /** The commands of each connection, from the login on */
  readonly wire = new Map<string, string[]>()
  /** When this is set, messages are answered only once it is open */
  held: Gate | undefined
  readonly #servers: { starttls: SMTPServer; tls: SMTPServer }

  private constructor(authority: CertificateAuthority, credentials: object) {
    this.authority = authority
    this.#servers = {
      starttls: this.#server({ ...credentials }),
      tls: this.#server({ ...credentials, secure: true }),
    }
  }

  static async begin(identity: Promise<Identity>): Promise<SmartHost> {
    const { authority, credentials } = await identity
    const host = new SmartHost(authority, credentials)
    for (const server of Object.values(host.#servers)) {
      server.on('error', () => {})
      server.listen(0, 'localhost')
      await once(server.server, 'listening')
    }
    return host
  }

  get port(): number {
    return (this.#servers.starttls.server.address() as AddressInfo).port
  }

  /** Begins with TLS, as port 465 does. */
  get tlsPort(): number {
    return (this.#servers.tls.server.address() as AddressInfo).port
  }

  get connections(): number {
    return Object.values(this.#servers).reduce((sum, { connections }) => sum + connections.size, 0)
  }

  /** Answers no message before the result is called. */
  hold(): () => void {
    this.held = gate()
    return () => {
      this.held?.open()
      this.held = undefined
    }
  }

  /** Ends every connection from this side. */
  hangUp(): void {
    for (const { connections } of Object.values(this.#servers)) {
      for (const connection of connections) connection.close()
    }
  }

  async close(): Promise<void> {
    this.held?.open()
    this.hangUp()
    for (const server of Object.values(this.#servers)) {
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }

  #server(options: object): SMTPServer {
    return new SMTPServer({
      ...options,
      size: SIZE,
      authOptional: true,
      authMethods: ['PLAIN', 'XOAUTH2'],
      disableReverseLookup: true,
      closeTimeout: 100,
      logger: this.#logger() as never,
      onAuth: ({ username, password, accessToken }, _, done) =>
        password === 'secret' || accessToken === 'token'
          ? done(null, { user: username ?? '' })
          : done(new Error('Wrong password')),
      onMailFrom: ({ address }, _, done) =>
        done(address.startsWith('refused') ? new Error('No such sender') : null),
      onRcptTo: ({ address }, _, done) => {
        if (address.startsWith('later')) {
          done(Object.assign(new Error('Not now'), { responseCode: 451 }))
        } else done(address.startsWith('refused') ? new Error('No such user') : null)
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk) => chunks.push(chunk))
        stream.on('end', async () => {
          if (stream.sizeExceeded) {
            done(Object.assign(new Error('Too large'), { responseCode: 552 }))
            return
          }
          const { mailFrom, rcptTo } = session.envelope
          this.arrivals.push(Date.now())
          this.got.push({
            from: mailFrom ? mailFrom.address : '',
            to: rcptTo.map(({ address }) => address),
            text: withoutChance(Buffer.concat(chunks).toString()),
            tls: Boolean(session.secure),
            user: session.user,
          })
          await this.held?.opened
          done(null, 'taken')
        })
      },
    })
  }

  /** Notes the commands that `smtp-server` logs. */
  #logger(): object {
    const log = ({ tnx, cid }: { tnx?: string; cid?: string }, what: string, line: string) => {
      if (tnx !== 'command' || cid === undefined || what !== 'C:') return
      const lines = this.wire.get(cid) ?? []
      if (!/^(?:EHLO|HELO|STARTTLS)\b/i.test(line)) lines.push(line)
      this.wire.set(cid, lines)
    }
    const none = () => {}
    return { debug: log, trace: none, info: none, warn: none, error: none, fatal: none }
  }
}

/** Boundaries of Nodemailer's are random. */
function withoutChance(text: string): string {
  return text.replace(/--_NmP-[\w-]+-Part_/g, '--boundary-Part_')
}

/** A transport to run a case on: the plain one, or one of ours. */
interface Kind {
  readonly transport: Transport
  readonly mode: Mode
}

/** One run of a case, with a smart host of its own. */
export interface Run extends Kind {
  readonly host: SmartHost
  /** Makes a transporter to the host, which is closed after the case */
  make(options?: object, defaults?: object): Transporter
  /** Options of the host, as `make` adds to them */
  options(more?: object): object
  /** The same transport for options that the case has made itself */
  wrap(options: object | string): Transporter
}

export type Case = (run: Run) => Promise<unknown>

/** Returns what is the same in each run: neither times, nor stacks, nor what is ours alone. */
export function comparable(value: object): Comparable {
  const { deliveries, stack, envelopeTime, messageTime, ...rest } = value as Comparable
  const message = value instanceof Error ? { name: value.name, message: value.message } : {}
  const all: Comparable = JSON.parse(JSON.stringify({ ...rest, ...message }))
  if (/^<[\da-f-]{36}@/.test(String(all.messageId))) all.messageId = 'at random'
  const { rejectedErrors } = rest
  if (Array.isArray(rejectedErrors)) all.rejectedErrors = rejectedErrors.map(comparable)
  return all
}

/** The `info` or the error of a message. */
export const outcome = (promise: Promise<object>): Promise<Comparable> =>
  promise.then(comparable, comparable)

/** Waits until a value is read, as `expect.poll` does, which cannot be used in tests side by side. */
export async function until<T>(wanted: T, read: () => T): Promise<void> {
  for (let tries = 0; read() !== wanted; tries++) {
    if (tries === 3000) throw new Error(`It should become ${wanted}, but it is ${read()}`)
    await delay(5)
  }
}

function policy(mode: Policy['mode']): Policy {
  return { version: 'STSv1', mode, mx: [...NAMES], maxAge: 86_400 }
}

export function stsOptions(host: SmartHost, mode: Mode): StsOptions {
  const known = mode === 'testing' || mode === 'enforce'
  const names = [...NAMES, 'example.com']
  return {
    resolver: resolverOf({ txt: dnsError('ENOTFOUND') }),
    ca: host.authority.root,
    ...(known ? { overrides: Object.fromEntries(names.map((name) => [name, policy(mode)])) } : {}),
  }
}

/** A transport of ours that finds the smart host as the MX host of every domain. */
function direct(host: SmartHost, mode: Mode, options: object): object {
  return mtaStsTransport({
    ...stsOptions(host, mode),
    resolver: {
      ...resolverOf({ a: ['127.0.0.1'], txt: dnsError('ENOTFOUND') }),
      resolveMx: async () => [{ exchange: 'localhost', priority: 1 }],
    },
    blockedAddresses: new BlockList(),
    connect: () => connectTcp(host.port, 'localhost'),
    ...options,
  })
}

/** What came of a case, all that can be seen of it. */
interface Observed {
  result: unknown
  got: Got[]
  wire: string[][]
}

async function observe(identity: Promise<Identity>, kind: Kind, run: Case): Promise<Observed> {
  const host = await SmartHost.begin(identity)
  try {
    return await observeAt(host, kind, run)
  } finally {
    await host.close()
  }
}

async function observeAt(host: SmartHost, kind: Kind, run: Case): Promise<Observed> {
  const { transport, mode } = kind
  const transporters: Transporter[] = []
  const options = (more: object = {}) => ({
    host: 'localhost',
    port: host.port,
    auth: AUTH,
    tls: { ca: host.authority.root },
    ...(transport === 'pool' ? { pool: true } : {}),
    ...more,
  })
  const add = (made: unknown, defaults?: object) => {
    const transporter = nodemailer.createTransport(made as never, defaults) as Transporter
    transporters.push(transporter)
    return transporter
  }
  const ours = (given: object | string) =>
    mode === 'plain' ? given : withMtaSts(given as never, stsOptions(host, mode))
  const result = await run({
    ...kind,
    host,
    options,
    make: (more, defaults) =>
      transport === 'direct' && mode !== 'plain'
        ? add(direct(host, mode, more ?? {}), defaults)
        : add(ours(options(more)), defaults),
    wrap: (given) => add(ours(given)),
  })
  for (const transporter of transporters) transporter.close()
  await until(0, () => host.connections)
  return { result, got: host.got, wire: [...host.wire.values()] }
}

interface TableOptions {
  transports?: readonly Transport[]
  /** Whether messages are sent side by side: which connection takes which is chance then */
  sideBySide?: boolean
  /** Whether the commands are compared; default true */
  commands?: boolean
  /** Whether a case changes what is global, such as the clock */
  alone?: boolean
}

/** Runs each case on the plain transport and on ours, in each mode, and compares. */
export function contract(
  title: string,
  cases: Record<string, Case>,
  {
    transports = ['single', 'pool'],
    sideBySide = false,
    commands = true,
    alone = false,
  }: TableOptions = {},
): void {
  describe(title, () => {
    const identity = newIdentity()
    const plain = new Map<string, Promise<Observed>>()

    const table = Object.keys(cases).flatMap((name) =>
      transports.flatMap((transport) =>
        (['none', 'testing', 'enforce'] as const).map((mode) => ({ name, transport, mode })),
      ),
    )

    const each = alone ? it.each(table) : it.concurrent.each(table)
    each('$name: $transport, mode $mode', async ({ name, transport, mode }) => {
      const run = cases[name]
      if (!run) throw new Error(`no case ${name}`)
      const key = `${name} ${transport}`
      const known = plain.get(key) ?? observe(identity, { transport, mode: 'plain' }, run)
      plain.set(key, known)
      const expected = await known
      const observed = await observe(identity, { transport, mode }, run)
      if (transport === 'direct') {
        const result = expectedOf(expected.result, { transport, mode })
        expect(inCommon(observed.result)).toEqual(inCommon(result))
        // No login; MAIL and RCPT are written by this package
        expect(byText(observed.got)).toEqual(byText(expected.got))
        return
      }
      expect(observed.result).toEqual(expectedOf(expected.result, { transport, mode }))
      if (sideBySide) {
        expect(sorted(observed.got)).toEqual(sorted(expected.got))
        expect(observed.wire.flat().sort()).toEqual(expected.wire.flat().sort())
      } else {
        expect(observed.got).toEqual(expected.got)
        if (commands) expect(observed.wire).toEqual(expected.wire)
      }
    })
  })
}

const sorted = (got: readonly Got[]) =>
  [...got].sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))

const byText = (got: readonly Got[]) => sorted(got).map(({ user: _, ...rest }) => rest)

/** What a smart host may be sent when its policy changes, or when somebody in between speaks. */
import { once } from 'node:events'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer,
  type Server,
  type Socket,
} from 'node:net'
import { Readable } from 'node:stream'
import nodemailer, { type SMTPTransportOptions, type Transporter } from 'nodemailer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ConnectTarget, MtaSts } from '../../src/index.js'
import { type SmartHostInfo, withMtaSts } from '../../src/nodemailer/index.js'
import { EVENTUALLY, errorOf, messageTo, useWorld } from '../e2e/support.js'
import { dnsError, resolverOf } from '../tls/support.js'
import { HELD_AT, HoldingHost } from './holding-host.js'

const stage = useWorld()
const transporters: Transporter[] = []
const servers: Server[] = []
const hosts: HoldingHost[] = []

afterEach(async () => {
  vi.useRealTimers()
  for (const transporter of transporters.splice(0)) transporter.close()
  for (const server of [...servers.splice(0), ...hosts.splice(0)]) server.close()
})

describe.each([false, true])('a policy that is learnt while messages wait, pool: %s', (pool) => {
  async function withoutPolicy() {
    const name = stage.unusedName()
    const host = stage.world.smartHost(name, { port: 587 })
    const domain = stage.world.domain(name, { mx: [] })
    const { now, connect, resolver, ca } = stage.world.options()
    const sts = new MtaSts({ now, connect, resolver, ca })
    // Port 587 without STARTTLS: whoever learns the policy has nothing to send to
    host.fails('no-starttls')
    const options = { host: name, port: 587, name: 'sender.example', tls: { ca: stage.world.ca } }
    const all = { ...options, ...(pool ? { pool: true, maxConnections: 1 } : {}) }
    const transport = withMtaSts(all as SMTPTransportOptions, { connect, resolver, ca, sts })
    const transporter = nodemailer.createTransport<SmartHostInfo>(transport)
    transporters.push(transporter as Transporter)
    const learn = async () => {
      domain.policy({ mode: 'enforce', patterns: [name] })
      expect(await sts.lookAgain(name)).toMatchObject({ status: 'found' })
    }
    return { host, transporter, learn, sts }
  }

  it('no message that waits is sent in plaintext [STS-51]', async () => {
    const { host, transporter, learn, sts } = await withoutPolicy()
    await transporter.sendMail(messageTo('first.example'))
    const waiting = [1, 2, 3].map((one) => messageTo(`waiting${one}.example`))
    await learn()
    const errors = await Promise.all(waiting.map((one) => errorOf(transporter.sendMail(one))))
    for (const error of errors) expect(error).toMatchObject({ code: 'EMTASTS', permanent: false })
    expect(host.inbox).toHaveLength(1)
    await sts.close()
  })

  it('a kept connection that proved nothing is closed, and the next message goes over TLS', async () => {
    const { host, transporter, learn, sts } = await withoutPolicy()
    await transporter.sendMail(messageTo('first.example'))
    host.works()
    await learn()
    // Nothing of it may be read for the connection that the message is turned away from
    const text = Readable.from(['from-', 'a-stream'])
    const info = await transporter.sendMail({ ...messageTo('second.example'), text })
    expect(host.inbox.at(-1)?.raw).toContain('from-a-stream')
    expect(info.deliveries).toMatchObject([{ proved: 'sts', mode: 'enforce' }])
    expect(host.inbox.map(({ tls }) => Boolean(tls))).toEqual([false, true])
    await expect
      .poll(() => host.connections.filter(({ closed }) => !closed).length, EVENTUALLY)
      .toBe(pool ? 1 : 0)
    await sts.close()
  })
})

describe.each(HELD_AT)('a policy that is learnt while a message is held at %s [STS-51]', (at) => {
  it.each([
    { title: 'pool of one connection', options: { pool: true, maxConnections: 1 } },
    { title: 'pool of five connections, all in use', options: { pool: true } },
    { title: 'single', options: {} },
  ])('$title: nothing more is handed over', async ({ options }) => {
    const name = stage.unusedName()
    const domain = stage.world.domain(name, { mx: [] })
    const host = new HoldingHost(at)
    const port = await host.begin()
    hosts.push(host)
    const { now, connect, resolver, ca } = stage.world.options()
    const toHost = (target: ConnectTarget) =>
      target.purpose === 'smtp' ? connectTcp(port, '127.0.0.1') : connect(target)
    const sts = new MtaSts({ now, connect, resolver, ca })
    const transport = withMtaSts({ host: name, port: 587, ...options } as SMTPTransportOptions, {
      connect: toHost,
      resolver,
      ca,
      sts,
    })
    const transporter = nodemailer.createTransport<SmartHostInfo>(transport)
    transporters.push(transporter as Transporter)

    const places = 'pool' in options ? (options.maxConnections ?? 5) : 8
    const sending = Array.from({ length: 8 }, (_, number) =>
      transporter.sendMail({ ...messageTo('you.example'), subject: `number ${number}` }).then(
        () => 'sent',
        ({ code, permanent }: { code: string; permanent: boolean }) => `${code} ${permanent}`,
      ),
    )
    // Every place is taken by a message that is held; the rest wait for one
    await expect.poll(() => host.held, EVENTUALLY).toBe(places)
    domain.policy({ mode: 'enforce', patterns: ['other.example'] })
    expect(await sts.lookAgain(name)).toMatchObject({ status: 'found' })
    host.release()

    const ends = await Promise.all(sending)
    const finished = at === 'message' ? places : 0
    expect(ends.filter((end) => end === 'sent')).toHaveLength(finished)
    expect(ends.filter((end) => end === 'EMTASTS false')).toHaveLength(8 - finished)
    expect(host.bodies).toHaveLength(finished)
    // The host is not named by the policy: it is not connected to again, nor told of another sender
    expect(host.connections).toBe(places)
    expect(host.senders).toBe(places)
    await sts.close()
  })
})

describe('replies before MAIL FROM are never permanent [STS-56]', () => {
  type Script = Partial<Record<'greeting' | 'ehlo' | 'helo' | 'starttls' | 'auth', string>>

  async function scripted(script: Script): Promise<number> {
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {})
      socket.write(script.greeting ?? '220 here\r\n')
      socket.on('data', (chunk) => {
        const [word = ''] = chunk.toString().trim().split(' ')
        const replies: Record<string, string> = {
          EHLO: script.ehlo ?? '250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n',
          HELO: script.helo ?? '250 here\r\n',
          STARTTLS: script.starttls ?? '454 not now\r\n',
          AUTH: script.auth ?? '235 welcome\r\n',
        }
        const reply = replies[word.toUpperCase()] ?? '250 fine\r\n'
        socket.write(reply)
        if (!reply.endsWith('\n')) socket.end()
      })
      if (!(script.greeting ?? '\n').endsWith('\n')) socket.end()
    })
    servers.push(server)
    server.listen(0, 'localhost')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  const SCRIPTS: Array<[string, Script]> = [
    ['554 to the connection', { greeting: '554 5.7.1 go away\r\n' }],
    ['554 without its line end', { greeting: '554 5.7.1 go away' }],
    ['550 to EHLO and HELO', { ehlo: '550 no\r\n', helo: '550 no\r\n' }],
    ['502 to STARTTLS', { starttls: '502 5.5.1 no\r\n' }],
    ['554 to STARTTLS', { starttls: '554 5.7.3 no\r\n' }],
    ['535 to AUTH', { ehlo: '250-here\r\n250 AUTH PLAIN\r\n', auth: '535 5.7.8 no\r\n' }],
  ]
  const cases = SCRIPTS.flatMap(([what, script]) =>
    (['none', 'testing'] as const).flatMap((mode) =>
      [false, true].map((pool) => ({ what, script, mode, pool })),
    ),
  )

  it.each(cases)('$what, mode $mode, pool $pool', async ({ script, mode, pool }) => {
    const port = await scripted(script)
    const policy = { version: 'STSv1', mode: 'testing', mx: ['localhost'], maxAge: 86_400 } as const
    const transport = withMtaSts(
      {
        host: 'localhost',
        port,
        pool,
        auth: { user: 'me', pass: 'x' },
        requireTLS: 'starttls' in script,
      } as never,
      {
        resolver: resolverOf({ txt: dnsError('ENOTFOUND') }),
        ...(mode === 'testing' ? { overrides: { localhost: policy } } : {}),
      },
    )
    const transporter = nodemailer.createTransport(transport)
    transporters.push(transporter as Transporter)
    const error = await errorOf(transporter.sendMail(messageTo('you.example')))
    expect(error).toHaveProperty('responseCode')
    expect(error).toMatchObject({ permanent: false })
    const failed = await errorOf(transporter.verify())
    expect(failed).toMatchObject({ permanent: false })
  })

  it('what is said to RCPT on the way stays permanent', async () => {
    const name = stage.unusedName()
    const host = stage.world.smartHost(name, { port: 587 })
    stage.world.domain(name, { mx: [], mode: 'enforce' })
    host.fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const transport = withMtaSts(
      { host: name, port: 587, tls: { ca: stage.world.ca } } as never,
      stage.world.options(),
    )
    const transporter = nodemailer.createTransport(transport)
    transporters.push(transporter as Transporter)
    const error = await errorOf(transporter.sendMail(messageTo('you.example')))
    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
  })
})

it('the fields of Nodemailer that are read and are not public exist', async () => {
  const name = stage.unusedName()
  const host = stage.world.smartHost(name, { port: 587 })
  stage.world.domain(name, { mx: [], mode: 'enforce' })
  const transport = withMtaSts(
    { host: name, port: 587, pool: true, tls: { ca: stage.world.ca } } as never,
    stage.world.options(),
  )
  const connections = Reflect.get(transport, '_connections')
  expect(connections).toEqual([])
  expect(Reflect.get(transport, '_closed')).toBe(false)
  const transporter = nodemailer.createTransport(transport)
  transporters.push(transporter as Transporter)
  await transporter.sendMail(messageTo('you.example'))
  expect(Object.keys(connections[0])).toEqual(
    expect.arrayContaining(['available', 'connection', 'queueEntry']),
  )
  expect(connections[0].connection.options).toMatchObject({ secured: true })
  expect(host.inbox).toHaveLength(1)
})

it('[STS-42] pool: a connection whose certificate has expired since the handshake carries no further message', async () => {
  const name = stage.unusedName()
  const host = stage.world.smartHost(name, { port: 587 })
  stage.world.domain(name, { mx: [], mode: 'enforce', patterns: [name] })
  const { connect, resolver, ca } = stage.world.options()
  const transport = withMtaSts({ host: name, port: 587, pool: true, maxConnections: 1 } as never, {
    connect,
    resolver,
    ca,
  })
  const transporter = nodemailer.createTransport<SmartHostInfo>(transport)
  transporters.push(transporter as Transporter)
  await transporter.sendMail(messageTo('first.example'))
  await transporter.sendMail(messageTo('second.example'))
  expect(host.connections).toHaveLength(1)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * 365 * 86_400_000 })

  await transporter.sendMail(messageTo('third.example'))

  expect(host.connections).toHaveLength(2)
})

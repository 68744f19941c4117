/** The transport as a user of Nodemailer meets it: what goes in, what comes out, what is left alone. */
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import nodemailer from 'nodemailer'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { MtaSts } from '../../src/index.js'
import { mtaStsTransport, type SentInfo } from '../../src/nodemailer/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import {
  deliver,
  EVENTUALLY,
  errorOf,
  expectReachedWithoutLeak,
  last,
  messageTo,
  only,
  refusal,
  SENDER,
  useWorld,
} from '../e2e/support.js'

const stage = useWorld()

interface Closing {
  close(options: { force: boolean }): void
}

describe('DSN options that no host can get', () => {
  test.each([
    { dsn: { envid: 'x'.repeat(101) } },
    { dsn: { envid: {} } },
    { dsn: { id: 'a\r\nRCPT TO:<x@y.example>' } },
    { dsn: { notify: 5 } },
    { dsn: { notify: 'sometimes' } },
    { dsn: { return: 'half' } },
    { dsn: { recipient: 'x'.repeat(501) } },
    { dsn: true },
    { envelope: { dsn: { ret: 'half' } } },
  ])('%j: EENVELOPE, permanent, before any connection', async (options) => {
    const domain = stage.domain({ mode: 'enforce' })
    const { from, to, text } = messageTo(domain)
    const { envelope, ...rest } = { envelope: {}, ...options }
    const mail = { from, to, text, ...rest, envelope: { from, to, ...envelope } }
    const error = await errorOf(stage.sender().sendMail(mail as object))
    expect(error).toMatchObject({ code: 'EENVELOPE', permanent: true })
    expect(error.message).toMatch(/^DSN: /)
    expect(domain.mx().connections).toEqual([])
  })

  test.each([null, false, { envid: 5 }, { notify: '' }, { ret: undefined }])(
    '%j is taken as Nodemailer takes it',
    async (dsn) => {
      const domain = stage.domain({ mode: 'enforce' })
      await stage.sender().sendMail({ ...messageTo(domain), dsn } as object)
      expect(domain.inbox).toHaveLength(1)
    },
  )
})

describe('info', () => {
  test('of a message that was delivered', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const recipient = `you@${domain.name}`

    const info = await stage.sender().sendMail(messageTo(domain))

    expect(info).toEqual({
      accepted: [recipient],
      rejected: [],
      envelope: { from: SENDER, to: [recipient] },
      messageId: expect.stringMatching(/^<[^@]+@sender\.example>$/),
      response: expect.stringMatching(/^250 /),
      envelopeTime: expect.any(Number),
      messageTime: expect.any(Number),
      messageSize: expect.any(Number),
      deliveries: [
        {
          policyDomain: domain.name,
          recipients: [recipient],
          status: 'delivered',
          mode: 'enforce',
          policyId: domain.id,
          mxHost: domain.mx().name,
          address: domain.mx().ipv4,
          tls: { version: 'TLSv1.3', cipher: only(domain.inbox).tls && expect.any(String) },
          proved: 'sts',
          failures: [],
        },
      ],
    })
    expect(only(info.deliveries).tls).toMatchObject({
      version: only(domain.mx().connections).tls?.version,
      cipher: only(domain.mx().connections).tls?.cipher,
    })
    expect(only(domain.inbox).raw).toContain(`Message-ID: ${info.messageId}`)
  })

  test('without a policy there is no policy id, and nothing was proved', async () => {
    const domain = stage.domain()

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mode: 'none', proved: 'nothing', status: 'delivered' })
    expect(delivery).not.toHaveProperty('policyId')
    expect(delivery).not.toHaveProperty('error')
  })

  test('in plaintext, tls is false', async () => {
    const domain = stage.domain()
    domain.mx().fails('no-starttls')

    expect(await deliver(stage.sender(), domain)).toMatchObject({ tls: false, proved: 'nothing' })
    expect(only(domain.inbox).tls).toBe(false)
  })

  test('of a message that was refused, on the error', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    mx.fails('expired')

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    const delivery = only(error.deliveries ?? [])
    expect(delivery).toMatchObject({
      policyDomain: domain.name,
      recipients: [`you@${domain.name}`],
      status: 'refused',
      mode: 'enforce',
      policyId: domain.id,
      mxHost: mx.name,
      tls: false,
      proved: 'nothing',
      failures: [{ resultType: 'certificate-expired', mxHost: mx.name, address: mx.ipv4 }],
    })
    expect(delivery.error).toBe(error)
    expectReachedWithoutLeak(mx)
  })
})

describe('what is given to sendMail', () => {
  test('an envelope of the user is not written to', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'rcpt', reply: '451 4.7.1 Later' })
    const envelope = {
      from: SENDER,
      to: [`you@${domain.name}`, `she@${domain.name}`],
      dsn: { id: 'x', return: 'headers', notify: ['failure'] },
    }
    const before = structuredClone(envelope)

    const info = await stage.sender().sendMail({ envelope, subject: 'Hi', text: 'Hi' })

    expect(envelope).toEqual(before)
    expect(info.envelope).toMatchObject({ from: before.from, to: before.to })
    expect(info.envelope).not.toHaveProperty('rejectedErrors')
    expect(info.accepted).toEqual(before.to)
  })

  test('the same message can be sent twice, after a failure as well', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const message = messageTo(domain)
    await errorOf(stage.sender().sendMail(message))
    domain.mx().works()

    const info = await stage.sender().sendMail(message)

    expect(info.accepted).toEqual(message.to)
    expect(domain.inbox).toHaveLength(1)
  })

  test('an empty sender goes into MAIL FROM as it is', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const envelope = { from: '', to: [`you@${domain.name}`] }

    await stage.sender().sendMail({ envelope, text: 'A bounce' })

    expect(only(domain.inbox).envelope.from).toBe('')
  })

  test('delivers to bcc recipients without naming them in the message', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const other = stage.domain({ mode: 'enforce' })
    const bcc = `secret@${other.name}`

    const info = await stage.sender().sendMail({ ...messageTo(domain), bcc })

    expect(info.accepted).toContain(bcc)
    expect(only(other.inbox).raw).not.toContain('secret@')
  })
})

describe('close by force', () => {
  test.each(['greeting', 'ehlo', 'starttls'] as const)(
    '[STS-57] ends a message whose host is silent at %s',
    async (at) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().rule({ at, act: 'stall' })
      const sender = stage.sender({})
      const sending = errorOf(sender.sendMail(messageTo(domain)))
      await vi.waitFor(() => expect(domain.mx().connections).toHaveLength(1), EVENTUALLY)
      const closing = sender.transporter as unknown as Closing
      closing.close({ force: true })
      const error = await sending
      expect(error.code).toMatch(/^ECONNECTION$|^ECLOSED$/)
      expect(error.permanent ?? false).toBe(false)
    },
  )
})

describe('callbacks', () => {
  test('sendMail with a callback: info', async () => {
    const domain = stage.domain({ mode: 'enforce' })

    const info = await new Promise<SentInfo>((resolve, reject) => {
      stage.sender().sendMail(messageTo(domain), (error, sent) => {
        if (error) reject(error)
        else resolve(sent)
      })
    })

    expect(only(info.deliveries)).toMatchObject({ status: 'delivered', proved: 'sts' })
  })

  test('sendMail with a callback: a refusal', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('self-signed')

    const error = await errorOf(
      new Promise((resolve, reject) => {
        stage.sender().sendMail(messageTo(domain), (failed, sent) => {
          if (failed) reject(failed)
          else resolve(sent)
        })
      }),
    )

    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false, policyDomain: domain.name })
    expectReachedWithoutLeak(domain.mx())
  })

  test('the callback is called once, and later than send returns', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const calls: string[] = []
    await new Promise<void>((resolve) => {
      stage.sender().sendMail(messageTo(domain), () => {
        calls.push('callback')
        resolve()
      })
      calls.push('returned')
    })
    for (let i = 0; i < 20; i++) await turn()

    expect(calls).toEqual(['returned', 'callback'])
  })

  test('send never throws: what goes wrong in it comes through the callback', async () => {
    const sender = stage.sender({})
    sender.use('stream', (mail, done) => {
      mail.message.getEnvelope = () => {
        throw new Error('no envelope today')
      }
      done()
    })

    const error = await errorOf(sender.sendMail(messageTo('bob.example')))

    expect(error.message).toBe('no envelope today')
  })

  test('a resolver that throws and a socket that cannot be opened come through the callback', async () => {
    const { resolver, connect } = stage.world.options()
    const broken = (): never => {
      throw new TypeError('broken on purpose')
    }
    const domain = stage.domain()

    const lookup = stage.sender({ resolver: { ...bound(resolver), resolveMx: broken } })
    const socket = stage.sender({
      connect: (target) => (target.purpose === 'smtp' ? broken() : connect(target)),
    })

    expect(await errorOf(lookup.sendMail(messageTo(domain)))).toMatchObject({ permanent: false })
    const error = await errorOf(socket.sendMail(messageTo(domain)))
    expect(error.message).toContain('broken on purpose')
    expect(domain.inbox).toEqual([])
  })

  const bound = (resolver: ReturnType<typeof stage.world.options>['resolver']) => ({
    resolveTxt: (name: string) => resolver.resolveTxt(name),
    resolveMx: (name: string) => resolver.resolveMx(name),
    resolve4: (name: string) => resolver.resolve4(name),
    resolve6: (name: string) => resolver.resolve6(name),
  })

  test('nothing that fails leaves an unhandled rejection behind', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', listener)
    onTestFinished(() => void process.off('unhandledRejection', listener))
    const faults = ['handshake-reset', 'unreachable', 'drops-after-data', 'starttls-502'] as const
    const failing = faults.map((fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(fault)
      return domain
    })
    const dead = stage.domain({ mode: 'enforce' })
    dead.policyHost.fails('reset')
    dead.dns.fails('servfail', 'mx')
    const sender = stage.sender({})

    const sent = [...failing, dead].map((domain) => errorOf(sender.sendMail(messageTo(domain))))
    const errors = await Promise.all([...sent, errorOf(sender.sendMail({ from: SENDER }))])
    await errorOf(sender.sendMail(messageTo(...failing, dead)))
    sender.close()
    for (let i = 0; i < 20; i++) await turn()

    expect(errors).toHaveLength(6)
    expect(unhandled).toEqual([])
  })
})

describe('one MtaSts for several', () => {
  test('transporters that share it share its policies, and do not close it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sts = new MtaSts(stage.world.options())
    onTestFinished(() => sts.close())
    const options = { name: 'sender.example', sts }
    const first = nodemailer.createTransport(mtaStsTransport(options))
    const second = nodemailer.createTransport(mtaStsTransport(options))
    onTestFinished(() => second.close())

    await deliver(first, domain)
    first.close()
    await deliver(second, domain)

    expect(domain.policyHost.gets).toHaveLength(1)
    expect(await sts.getPolicy(domain.name)).toMatchObject({ status: 'found', source: 'cache' })
  })
})

describe('connections', () => {
  test('none is left open when the transporter is closed', async () => {
    const domains = [
      stage.domain({ mode: 'enforce' }),
      stage.domain({ mode: 'testing' }),
      stage.domain(),
    ]
    domains[1]?.mx().fails('handshake-reset')
    const bad = stage.domain({ mode: 'enforce' })
    bad.mx().fails('wrong-name')
    const { connect } = stage.world.options()
    const sockets: Socket[] = []
    const sender = stage.sender({
      maxMessages: 100,
      connect: (target) => {
        const socket = connect(target)
        sockets.push(socket)
        return socket
      },
    })

    await sender.sendMail(messageTo(...domains, bad))
    sender.close()

    // Policies of three domains; a connection for each domain, and the one in plaintext
    expect(sockets).toHaveLength(3 + 4 + 1)
    await vi.waitUntil(() => sockets.every(({ destroyed }) => destroyed), EVENTUALLY)
  })

  test('a place that is free goes to whoever can use it, whoever else is waiting', async () => {
    const stuck = stage.domain()
    stuck.mx().fails('handshake-stall')
    const slow = stage.domain()
    slow.mx().fails('slow')
    const free = stage.domain()
    const limits = { maxConnections: 2, maxConnectionsPerHost: 1 }
    const sender = stage.sender({ ...limits, connectionTimeout: 60_000, greetingTimeout: 60_000 })
    const controller = new AbortController()
    const { signal } = controller
    const send = (domain: MailDomain) => sender.sendMail({ ...messageTo(domain), signal })

    // One in the place of its host for a minute, one behind it that waits for just that place
    const waiting = [errorOf(send(stuck)), errorOf(send(stuck))]
    await vi.waitUntil(() => stuck.mx().connections.length === 1, EVENTUALLY)
    // And one that waits for any place: the one that the slow host gives back
    const soon = send(slow)
    await vi.waitUntil(() => slow.mx().connections.length === 1, EVENTUALLY)
    const info = await Promise.race([send(free), Promise.all(waiting)])
    controller.abort()

    expect(info).toMatchObject({ accepted: [`you@${free.name}`] })
    expect((await soon).accepted).toEqual([`you@${slow.name}`])
    expect((await Promise.all(waiting)).map(({ name }) => name)).toEqual([
      'AbortError',
      'AbortError',
    ])
  })

  test('EHLO says the name that was given', async () => {
    const domain = stage.domain({ mode: 'enforce' })

    await deliver(stage.sender({ name: 'mail.other.example' }), domain)

    const said = last(domain.mx().connections).lines.filter(({ from }) => from === 'client')
    expect(said.filter(({ text }) => text.startsWith('EHLO')).map(({ text }) => text)).toEqual([
      'EHLO mail.other.example',
      'EHLO mail.other.example',
    ])
  })

  test('a refused domain is not refused for ever: once its host is in order, it is delivered to', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')
    await refusal(stage.sender(), domain)
    domain.mx().works()

    expect(await deliver(stage.sender(), domain)).toMatchObject({ proved: 'sts', failures: [] })
  })
})

describe('with debug', () => {
  const logger = {
    level() {},
    trace() {},
    debug() {},
    info() {},
    warn() {},
    error() {},
    fatal() {},
  }

  test('a file that is missing is an error, and nothing arrives', async () => {
    const domain = stage.domain()
    const attachments = [{ path: '/does/not/exist' }]
    const sender = stage.sender({ logger, debug: true })
    const error = await errorOf(sender.sendMail({ ...messageTo(domain), attachments }))
    expect(error.code).toBe('ESTREAM')
    expect(domain.inbox).toEqual([])
  })

  test('the first MX host fails before MAIL FROM: the second gets all of a stream', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'mail', reply: '451 4.7.1 Later' })
    const attachments = [{ filename: 'a.txt', content: Readable.from(['one', 'two']) }]
    await deliver(stage.sender({ logger, debug: true }), domain, { attachments })
    expect(only(domain.inbox).raw).toContain(Buffer.from('onetwo').toString('base64'))
  })

  test('a stream that stalls ends with the connection', async () => {
    const domain = stage.domain()
    const content = new Readable({ read() {} })
    content.push('one')
    const sender = stage.sender({ logger, debug: true })
    const sending = errorOf(
      sender.sendMail({ ...messageTo(domain), attachments: [{ filename: 'a', content }] }),
    )
    while (!content.readableDidRead) await turn()
    const { transporter } = sender as unknown as { transporter: Closing }
    transporter.close({ force: true })
    expect((await sending).code).toMatch(/^ECONNECTION$|^ECLOSED$/)
    expect(domain.inbox).toEqual([])
  })

  test('logs a message that is a stream', async () => {
    const domain = stage.domain()
    const texts: unknown[] = []
    const debug = (_: unknown, __: string, text: unknown) => void texts.push(text)
    const raw = Readable.from(['From: <a@b.example>\r\n\r\n', '.two\r\n'])
    const sender = stage.sender({ logger: { ...logger, debug }, debug: true })
    const { from, to } = messageTo(domain)
    await sender.sendMail({ envelope: { from, to }, raw } as object)
    expect(texts.join('')).toContain('\r\n.two\r\n')
    expect(only(domain.inbox).raw).toContain('.two')
  })
})

/** Kept connections, places and deadlines against scripted hosts; and which replies are final. */
import { getEventListeners } from 'node:events'
import nodemailer from 'nodemailer'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Candidate, MtaSts, type Policy, type SmtpConnection } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { SessionPool } from '../../src/nodemailer/session-pool.js'
import {
  type Peer,
  type Script,
  ScriptedMx,
  takeMessages,
  untilSecured,
} from '../e2e/scripted-mx.js'
import { EVENTUALLY, errorOf, messageTo, only } from '../e2e/support.js'
import { deferred } from '../policy/scripted-network.js'
import { against, DOMAIN, HOST } from './against.js'

function mails(peer: Peer): number {
  return peer.heard.filter((line) => line.startsWith('MAIL')).length
}

/** Takes one message, and meets the next MAIL on the same connection with `act`. */
function takesOneThen(act: (peer: Peer) => void): Script {
  return async (peer) => {
    await untilSecured(peer)
    for (let taken = 0; ; ) {
      const line = await peer.hear()
      if (line === undefined) return
      if (line.startsWith('MAIL') && taken > 0) act(peer)
      else if (line === 'DATA') {
        peer.say('354 Go ahead')
        while ((await peer.hear()) !== '.') if (peer.closed) return
        taken++
        peer.say('250 Taken')
      } else if (line === 'QUIT') {
        peer.say('221 Bye')
        peer.socket.end()
      } else peer.say('250 Fine')
    }
  }
}

describe('a kept connection that does not want another message', () => {
  test.each<[string, (peer: Peer) => void]>([
    ['421 to MAIL', (peer) => peer.say('421 4.4.2 Idle for too long')],
    ['451 to MAIL', (peer) => peer.say('451 4.7.0 Enough')],
    ['452 to MAIL', (peer) => peer.say('452 4.5.3 Enough')],
    ['503 to MAIL', (peer) => peer.say('503 5.5.1 EHLO first')],
    ['421 to MAIL, and the end', (peer) => peer.socket.end('421 4.4.2 Bye\r\n')],
    ['the end at MAIL', (peer) => peer.socket.destroy()],
  ])('[SMTP-12] %s: sends the same message once more, on a new connection', async (_, act) => {
    const { mx, sender } = await against(takesOneThen(act), { mode: 'enforce' })
    await sender.sendMail(messageTo(DOMAIN))

    const { accepted } = await sender.sendMail(messageTo(DOMAIN))

    expect(accepted).toEqual([`you@${DOMAIN}`])
    expect(mx.peers.map(mails)).toEqual([2, 1])
  })

  test('[SMTP-12] a new connection that answers the same: fails, and tries no third', async () => {
    const script: Script = async (peer) => {
      await untilSecured(peer)
      let messages = mx.peers.length > 1 ? 1 : 0
      for (;;) {
        const line = await peer.hear()
        if (line === undefined) return
        if (line.startsWith('MAIL') && messages > 0) peer.say('451 4.7.1 Greylisted')
        else if (line === 'DATA') {
          peer.say('354 Go ahead')
          while ((await peer.hear()) !== '.') if (peer.closed) return
          messages++
          peer.say('250 Taken')
        } else peer.say('250 Fine')
      }
    }
    const { mx, sender } = await against(script, { mode: 'enforce' })
    await sender.sendMail(messageTo(DOMAIN))

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error).toMatchObject({ responseCode: 451, permanent: false })
    expect(mx.peers.map(mails)).toEqual([2, 1])
  })
})

describe('a kept connection whose certificate has expired since the handshake', () => {
  const YEAR = 365 * 86_400_000

  afterEach(() => vi.useRealTimers())

  async function sendsTwice(mode: Policy['mode'] | undefined): Promise<number[]> {
    const { mx, sender } = await against(
      takesOneThen((peer) => peer.say('250 Fine')),
      { mode },
    )
    await sender.sendMail(messageTo(DOMAIN))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * YEAR })
    await sender.sendMail(messageTo(DOMAIN))
    return mx.peers.map(mails)
  }

  test('[STS-42] policy enforce: sends the next message on a new connection', async () => {
    expect(await sendsTwice('enforce')).toEqual([1, 1])
  })

  test('[STS-44] no policy: sends the next message on it', async () => {
    expect(await sendsTwice(undefined)).toEqual([2])
  })
})

describe('places', () => {
  test('421 to a connection too many: waits for the one that is open, and opens no more', async () => {
    let open = 0
    const script: Script = async (peer) => {
      open++
      if (open > 1) {
        peer.socket.end('421 4.7.0 Too many connections\r\n')
        open--
        return
      }
      await untilSecured(peer)
      await takeMessages(peer)
      open--
    }
    const { mx, sender } = await against(script, { mode: 'enforce', maxConnectionsPerHost: 5 })

    const results = await Promise.all(
      Array.from({ length: 8 }, () => sender.sendMail(messageTo(DOMAIN))),
    )

    expect(results.flatMap(({ accepted }) => accepted)).toHaveLength(8)
    expect(mx.peers.reduce((sum, peer) => sum + mails(peer), 0)).toBe(8)
  })

  test('messages to two hosts through one place: by age, not by host', async () => {
    const pool = new SessionPool({
      maxConnections: 1,
      maxConnectionsPerHost: 5,
      maxMessages: 1,
      idleTimeout: 60_000,
    })
    const order: string[] = []
    const send = async (mxHost: string, name: string) => {
      const candidate = { mxHost, addresses: ['192.0.2.1'], port: 25 } as unknown as Candidate
      const open = async () => emptyConnection(mxHost)
      const { connection } = await pool.acquire(candidate, { open, check: () => {} })
      order.push(name)
      pool.release(connection)
    }

    const sent = ['mx.a.example', 'mx.b.example', 'mx.a.example', 'mx.a.example', 'mx.b.example']
    await Promise.all(sent.map((mxHost, index) => send(mxHost, String(index))))

    expect(order).toEqual(['0', '1', '2', '3', '4'])
  })

  test('a message that was aborted while its connection was opened leaves none open', async () => {
    const limits = { maxConnections: 1, maxConnectionsPerHost: 1, maxMessages: 1, idleTimeout: 1 }
    const pool = new SessionPool(limits)
    const mxHost = 'mx.a.example'
    const candidate = { mxHost, addresses: ['192.0.2.1'], port: 25 } as unknown as Candidate
    const controller = new AbortController()
    const reason = new Error('Never mind')
    let closed = 0
    const open = async () => {
      controller.abort(reason)
      return { ...emptyConnection(mxHost), close: () => void closed++ }
    }

    const options = { open, check: () => {}, signal: controller.signal }
    expect(await errorOf(pool.acquire(candidate, options))).toBe(reason)
    expect(closed).toBe(1)

    const next = { open: async () => emptyConnection(mxHost), check: () => {} }
    expect(await pool.acquire(candidate, next)).toMatchObject({ reused: false })
  })

  test('messages leave no listeners on any signal', async () => {
    const { sender } = await against(takesOneThen((peer) => peer.say('250 Fine')))
    const listening = vi.spyOn(AbortSignal.prototype, 'addEventListener')
    onTestFinished(() => listening.mockRestore())
    const { signal } = new AbortController()
    const listenersAfterMessage = async () => {
      await sender.sendMail({ ...messageTo(DOMAIN), signal })
      const signals = new Set(listening.mock.contexts as AbortSignal[])
      return [...signals].flatMap((one) => getEventListeners(one, 'abort')).length
    }

    const first = await listenersAfterMessage()
    expect(await listenersAfterMessage()).toBe(first)
  })

  test('isIdle() counts what was handed over and is not sent yet; idle comes at the start', async () => {
    const script: Script = async (peer) => {
      await untilSecured(peer)
      await takeMessages(peer)
    }
    const { sender } = await against(script, { maxConnections: 3 })
    const queue = Array.from({ length: 20 }, () => messageTo(DOMAIN))
    const batches: number[] = []
    const sent: Array<Promise<unknown>> = []

    await new Promise<void>((resolve) => {
      sender.on('idle', () => {
        let batch = 0
        while (queue.length > 0 && sender.isIdle()) {
          const message = queue.shift()
          if (message) sent.push(sender.sendMail(message))
          batch++
        }
        batches.push(batch)
        if (queue.length === 0) resolve()
      })
    })
    await Promise.all(sent)

    expect(batches[0]).toBe(3)
    expect(Math.max(...batches)).toBeLessThanOrEqual(3)
    expect(sent).toHaveLength(20)
  })

  test.each(['resolveTxt', 'resolveMx'] as const)(
    'close({ force: true }) ends a message whose %s() is not answered',
    async (call) => {
      const asked = deferred()
      const silent = () => {
        asked.resolve()
        return new Promise<never>(() => undefined)
      }
      await using mx = await ScriptedMx.open(takeMessages, HOST)
      const { resolver, ...options } = mx.options()
      await using sts = new MtaSts({
        resolver: { ...resolver, [call]: silent },
        connect: options.connect,
        dnsTimeout: 600_000,
      })
      const sender = nodemailer.createTransport(mtaStsTransport({ sts }))
      const sent = [1, 2].map(() => errorOf(sender.sendMail(messageTo(DOMAIN))))
      await asked.promise

      sender.close({ force: true })

      const closed = { code: 'ECONNECTION', deliveries: [{ status: 'failed' }] }
      const errors = await Promise.all(sent)
      expect(errors).toMatchObject([closed, closed])
      expect(new Set(errors).size).toBe(2)
    },
  )

  test('close({ force: true }) opens no connection for a message that waits', async () => {
    const script: Script = async (peer) => {
      await untilSecured(peer)
    }
    const { mx, sender } = await against(script, { mode: 'enforce', maxConnections: 1 })
    const first = errorOf(sender.sendMail(messageTo(DOMAIN)))
    await vi.waitUntil(() => mx.peers.length === 1, EVENTUALLY)
    const second = errorOf(sender.sendMail(messageTo(DOMAIN)))

    sender.close({ force: true })

    expect(await second).toMatchObject({ code: 'ECONNECTION' })
    await first
    expect(mx.peers).toHaveLength(1)
  })
})

describe('a policy that is learnt while the host answers the envelope', () => {
  test('[STS-51] [STS-42] sends no byte of the message to the host that it does not name', async () => {
    let learn = async () => {}
    const script: Script = async (peer) => {
      await untilSecured(peer)
      for (;;) {
        const line = await peer.hear()
        if (line === undefined) return
        if (line === 'DATA') {
          await learn()
          peer.say('354 Go ahead')
        } else peer.say('250 Fine')
      }
    }
    const mx = await ScriptedMx.open(script, HOST)
    const options = mx.options()
    let record: string[][] = []
    const sts = new MtaSts({
      ...options,
      negativeTtl: 0,
      resolver: { ...options.resolver, resolveTxt: async () => record },
      store: {
        get: async () =>
          record.length === 0
            ? undefined
            : {
                id: '1',
                body: 'version: STSv1\nmode: enforce\nmx: other.example\nmax_age: 86400\n',
                fetchedAt: Date.now(),
                expiresAt: Date.now() + 86_400_000,
                usedAt: Date.now(),
              },
        set: async () => {},
        delete: async () => {},
      },
    })
    const sender = nodemailer.createTransport(mtaStsTransport({ sts, name: 'sender.example' }))
    onTestFinished(async () => {
      sender.close()
      await sts.close()
      await mx[Symbol.asyncDispose]()
    })
    learn = async () => {
      record = [['v=STSv1; id=1;']]
      expect(await sts.getPolicy(DOMAIN)).toMatchObject({ policy: { mode: 'enforce' } })
    }

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false })
    // The second connection is that of a GET to the policy host
    const [first] = mx.peers
    expect(first?.heard.at(-1)).toBe('DATA')
  })
})

describe('bounds of a delivery', () => {
  test('[STS-57] addresses that stay silent: deliveryTimeout ends them all together', async () => {
    const script: Script = async () => undefined
    const mx = await ScriptedMx.open(script, HOST)
    const addresses = Array.from({ length: 10 }, (_, index) => `192.0.2.${index + 1}`)
    const hosts = Array.from({ length: 20 }, (_, index) => `mx${index}.scripted.example`)
    const dials: string[] = []
    const options = mx.options()
    const sender = nodemailer.createTransport(
      mtaStsTransport({
        ...options,
        deliveryTimeout: 200,
        resolver: {
          ...options.resolver,
          resolveMx: async () => hosts.map((exchange, priority) => ({ exchange, priority })),
          resolve4: async () => addresses,
        },
        connect: (target) => {
          dials.push(target.address)
          return mx.dial()
        },
      }),
    )
    onTestFinished(async () => {
      sender.close()
      await mx[Symbol.asyncDispose]()
    })

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error).toMatchObject({ code: 'ETIMEDOUT' })
    expect(error.permanent ?? false).toBe(false)
    expect(new Set(dials).size).toBe(dials.length)
  })

  test('[STS-57] twenty hosts at the same ten addresses, all refused: dials each address once', async () => {
    const dials: string[] = []
    const script: Script = async (peer) => void peer.socket.destroy()
    const mx = await ScriptedMx.open(script, HOST)
    const options = mx.options()
    const sender = nodemailer.createTransport(
      mtaStsTransport({
        ...options,
        resolver: {
          ...options.resolver,
          resolveMx: async () =>
            Array.from({ length: 20 }, (_, index) => ({
              exchange: `mx${index}.scripted.example`,
              priority: index,
            })),
          resolve4: async () => Array.from({ length: 10 }, (_, index) => `192.0.2.${index + 1}`),
        },
        connect: (target) => {
          dials.push(target.address)
          return mx.dial()
        },
      }),
    )
    onTestFinished(async () => {
      sender.close()
      await mx[Symbol.asyncDispose]()
    })

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error.permanent ?? false).toBe(false)
    expect(dials).toHaveLength(10)
  })
})

/** Answers each command with the reply of a table, or well. */
function replies(table: Record<string, string>, { tls = true } = {}): Script {
  return async (peer) => {
    if (tls && !table.CONN && !table.EHLO && !table.STARTTLS) await untilSecured(peer)
    else {
      peer.say(table.CONN ?? '220 greeting.example ESMTP')
    }
    for (;;) {
      const line = await peer.hear()
      if (line === undefined) return
      const verb = line.split(' ')[0] ?? ''
      const reply = table[verb]
      if (reply) peer.say(reply)
      else if (verb === 'EHLO') {
        peer.say('250-ehlo.example', tls ? '250 STARTTLS' : '250 8BITMIME')
      } else if (verb === 'DATA') {
        peer.say('354 Go ahead')
        while ((await peer.hear()) !== '.') if (peer.closed) return
        peer.say(table['.'] ?? '250 Taken')
      } else peer.say('250 Fine')
    }
  }
}

describe('[STS-56] what is final', () => {
  test.each([
    ['554 as the greeting', { CONN: '554 5.7.1 No' }],
    ['550 to EHLO and HELO', { EHLO: '550 No', HELO: '550 No' }],
    ['554 to STARTTLS, and plaintext that takes the message', { STARTTLS: '554 No' }],
    ['530 to MAIL', { MAIL: '530 5.7.0 Must issue STARTTLS first' }],
    ['538 to MAIL', { MAIL: '538 5.7.11 Encryption required' }],
    ['550 5.7.10 to RCPT', { RCPT: '550 5.7.10 Encryption needed' }],
    ['503 to RCPT', { RCPT: '503 5.5.1 Bad sequence' }],
    ['451 to RCPT', { RCPT: '451 4.3.0 Later' }],
  ])('%s: never permanent', async (_, table) => {
    for (const mode of [undefined, 'testing', 'enforce'] as const) {
      const { sender } = await against(replies(table), { mode })
      const outcome = await sender.sendMail(messageTo(DOMAIN)).then(
        () => ({ permanent: false }),
        (error: { permanent?: boolean }) => error,
      )
      expect(outcome.permanent ?? false).toBe(false)
    }
  })

  test.each([
    ['550 to MAIL', { MAIL: '550 5.7.1 Not you' }],
    ['550 to RCPT', { RCPT: '550 5.1.1 No such user' }],
    ['554 to DATA', { DATA: '554 No' }],
    ['552 to the message', { '.': '552 5.3.4 Too big' }],
  ])('%s on a connection that proved what it must: permanent', async (_, table) => {
    for (const mode of [undefined, 'testing', 'enforce'] as const) {
      const { sender } = await against(replies(table), { mode })
      const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))
      expect(error).toMatchObject({ permanent: true })
    }
  })

  test.each([
    ['550 to MAIL', { MAIL: '550 5.7.1 Not you' }],
    ['550 to RCPT', { RCPT: '550 5.1.1 No such user' }],
  ])('%s in plaintext after a STARTTLS that failed: not permanent', async (_, table) => {
    for (const mode of [undefined, 'testing'] as const) {
      const { sender } = await against(replies({ ...table, STARTTLS: '454 Not now' }), { mode })
      const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))
      expect(error).toMatchObject({ responseCode: 550, permanent: false })
    }
  })

  test('[SMTP-8] 451 to one recipient and 554 to the message: only the other is permanent', async () => {
    const script: Script = async (peer) => {
      await untilSecured(peer)
      for (;;) {
        const line = await peer.hear()
        if (line === undefined) return
        if (line.includes('b@')) peer.say('451 4.3.0 Later')
        else if (line === 'DATA') {
          peer.say('354 Go ahead')
          while ((await peer.hear()) !== '.') if (peer.closed) return
          peer.say('554 5.6.0 No')
        } else peer.say('250 Fine')
      }
    }
    const { sender } = await against(script, { mode: 'enforce' })
    const to = [`a@${DOMAIN}`, `b@${DOMAIN}`]
    const error = await errorOf(sender.sendMail({ ...messageTo(DOMAIN), to }))
    expect(error.permanent).toBe(false)
    const outcomes = error.rejectedErrors?.map(({ recipient, permanent }) => [recipient, permanent])
    expect(new Map(outcomes as Array<[string, boolean]>)).toEqual(
      new Map([
        [`a@${DOMAIN}`, true],
        [`b@${DOMAIN}`, false],
      ]),
    )
  })

  test('[SMTP-5] a recipient that needs SMTPUTF8 where no host offers it: permanent', async () => {
    const { mx, sender } = await against(
      async (peer) => {
        await untilSecured(peer)
        await takeMessages(peer)
      },
      { mode: 'enforce' },
    )
    const error = await errorOf(
      sender.sendMail({
        ...messageTo(DOMAIN),
        envelope: { from: 'a@b.example', to: `jörg@${DOMAIN}` },
      }),
    )
    expect(error).toMatchObject({ permanent: true })
    expect(mails(only(mx.peers))).toBe(0)
  })

  test('a null MX while a policy is cached: not permanent; without one: permanent', async () => {
    for (const mode of ['enforce', 'testing', 'none', undefined] as const) {
      const mx = await ScriptedMx.open(async () => undefined, HOST)
      const options = mx.options()
      const overrides: Record<string, Policy> = mode
        ? {
            [DOMAIN]: { version: 'STSv1', mode, mx: mode === 'none' ? [] : [HOST], maxAge: 86_400 },
          }
        : {}
      for (const exchange of ['.', '']) {
        const resolver = { ...options.resolver, resolveMx: async () => [{ exchange, priority: 0 }] }
        const transport = mtaStsTransport({ ...options, overrides, resolver })
        const sender = nodemailer.createTransport(transport)
        const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))
        expect(error).toMatchObject({ code: 'ENULLMX', permanent: mode === undefined })
        sender.close()
      }
      await mx[Symbol.asyncDispose]()
    }
  })
})

/** A connection that ends as soon as it is asked to. */
function emptyConnection(mxHost: string): SmtpConnection {
  const listeners: Array<() => void> = []
  const quit = async () => {
    for (const listener of listeners) listener()
  }
  const onClose = (listener: () => void) => void listeners.push(listener)
  return { mxHost, closed: false, quit, close: quit, onClose } as unknown as SmtpConnection
}

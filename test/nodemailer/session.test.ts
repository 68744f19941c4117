/** One session against a scripted host: what no well-behaved SMTP server can be brought to do. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import nodemailer from 'nodemailer'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { DeliveryRefusedError, type SessionEvent } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import {
  type Peer,
  type Script,
  type ScriptedMx,
  takeMessages,
  untilSecured,
} from '../e2e/scripted-mx.js'
import { EVENTUALLY, errorOf, failureTexts, messageTo, only, SENDER } from '../e2e/support.js'
import { type AgainstOptions, against as againstHost, DOMAIN, HOST, policy } from './against.js'

/** One message for each connection, under a policy of mode `enforce`. */
function against(script: Script, options: AgainstOptions = {}) {
  return againstHost(script, { mode: 'enforce', maxMessages: 1, ...options })
}

/** Up to the client's STARTTLS. */
async function untilStartTls(peer: Peer): Promise<void> {
  peer.say('220 greeting.example ESMTP')
  await peer.hear()
  peer.say('250-ehlo.example', '250 STARTTLS')
  await peer.hear()
}

/** Takes a message in plaintext from those who do not ask for TLS; `onStartTls` for those who do. */
function plaintextOr(onStartTls: (peer: Peer) => Promise<void> | void): Script {
  return async (peer) => {
    peer.say('220 greeting.example ESMTP')
    await peer.hear()
    peer.say('250-ehlo.example', '250 STARTTLS')
    const line = await peer.hear()
    if (line === 'STARTTLS') return onStartTls(peer)
    peer.say('250 Fine')
    await takeMessages(peer)
  }
}

const inAll = async (peer: Peer) => {
  await untilSecured(peer)
  await takeMessages(peer)
}

function saidMail(peer: Peer): boolean {
  return peer.heard.some((line) => line.startsWith('MAIL'))
}

describe('what was said before TLS', () => {
  const dsn = { id: 'envelope-1', return: 'headers', notify: 'never' }

  test('[STS-41] an extension that was offered in plaintext only is not used', async () => {
    const { mx, sender } = await against(async (peer) => {
      await untilSecured(peer, { before: ['DSN', 'SIZE 1', 'REQUIRETLS'] })
      await takeMessages(peer)
    })

    await sender.sendMail({ ...messageTo(DOMAIN), dsn })

    expect(only(mx.peers).heard).toContain(`MAIL FROM:<${SENDER}>`)
    expect(only(mx.peers).heard).toContain(`RCPT TO:<you@${DOMAIN}>`)
  })

  test('[STS-41] the same extension, offered inside TLS, is used', async () => {
    const { mx, sender } = await against(async (peer) => {
      await untilSecured(peer, { after: ['DSN'] })
      await takeMessages(peer)
    })

    await sender.sendMail({ ...messageTo(DOMAIN), dsn })

    expect(only(mx.peers).heard).toContain(`MAIL FROM:<${SENDER}> RET=HDRS ENVID=envelope-1`)
    expect(only(mx.peers).heard).toContain(`RCPT TO:<you@${DOMAIN}> NOTIFY=NEVER`)
  })

  test('[STS-41] [SMTP-2] replies in one packet with the 220 end the connection: refused', async () => {
    const { mx, sender } = await against(async (peer) => {
      await untilStartTls(peer)
      // Taken for replies inside TLS, these would have the whole envelope sent unasked
      peer.say('220 Go ahead', '250-injected.example', '250 DSN', '250 Fine', '250 Fine')
      await peer.secure()
      await peer.hear()
      peer.say('250-ehlo.example', '250 8BITMIME')
      await takeMessages(peer)
    })

    const error = await errorOf(sender.sendMail({ ...messageTo(DOMAIN), dsn }))

    expect(error).toMatchObject({ code: 'EMTASTS', failures: [{ reason: 'early-data' }] })
    expect(only(mx.peers).heard.filter((line) => line.startsWith('MAIL'))).toEqual([])
  })

  test('[STS-41] plaintext behind the 220, in place of a ServerHello, is no reply: refused', async () => {
    const { mx, sender } = await against(async (peer) => {
      await untilStartTls(peer)
      peer.say('220 Go ahead')
      // The ClientHello is there
      await once(peer.socket, 'data')
      peer.say('250-injected.example', '250 Fine')
      await takeMessages(peer)
    })

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error).toBeInstanceOf(DeliveryRefusedError)
    expect(saidMail(only(mx.peers))).toBe(false)
  })
})

describe('TLS sessions', () => {
  test('[STS-36] no TLS session is ever resumed: Node would not look at the name', async () => {
    const resumed: boolean[] = []
    const { mx, sender } = await against(async (peer) => {
      await untilSecured(peer)
      resumed.push(peer.tls?.isSessionReused() ?? false)
      await takeMessages(peer)
    })

    for (let sent = 0; sent < 3; sent++) await sender.sendMail(messageTo(DOMAIN))
    expect(resumed).toEqual([false, false, false])

    // The host would have resumed one, had it been asked to
    const session = await ticketOf(mx)
    const socket = await handshake(mx, session)
    expect(socket.isSessionReused()).toBe(true)
    expect(resumed.at(-1)).toBe(true)
    socket.destroy()
  })

  async function startTls(mx: ScriptedMx) {
    const socket = mx.dial()
    for (const line of ['EHLO client.example', 'STARTTLS', '']) {
      await once(socket, 'data')
      if (line !== '') socket.write(`${line}\r\n`)
    }
    return socket
  }

  async function handshake(mx: ScriptedMx, session?: Buffer): Promise<TLSSocket> {
    const socket = connectTls({
      socket: await startTls(mx),
      servername: HOST,
      ca: mx.ca,
      ...(session ? { session } : {}),
    })
    await once(socket, 'secureConnect')
    socket.write('EHLO client.example\r\n')
    await once(socket, 'data')
    return socket
  }

  async function ticketOf(mx: ScriptedMx): Promise<Buffer> {
    const socket = connectTls({ socket: await startTls(mx), servername: HOST, ca: mx.ca })
    const [session] = await once(socket, 'session')
    socket.destroy()
    return session
  }
})

describe('hosts that misbehave', () => {
  const MISBEHAVIOURS: Array<[string, Script]> = [
    ['a connection that is closed at once', async (peer) => void peer.socket.destroy()],
    ['a greeting that never comes', async (peer) => void (await peer.hear())],
    [
      'a reply to EHLO that never comes',
      async (peer) => {
        peer.say('220 greeting.example')
        await peer.hear()
      },
    ],
    [
      'half a reply',
      async (peer) => {
        peer.say('220 greeting.example')
        await peer.hear()
        peer.socket.write('250-ehlo.example\r\n250-STARTTLS')
      },
    ],
    [
      'a reply of more than a megabyte',
      async (peer) => {
        peer.say('220 greeting.example')
        await peer.hear()
        for (let line = 0; line < 1200; line++) peer.say(`250-${'x'.repeat(1000)}`)
      },
    ],
    [
      'a reply to STARTTLS that never comes',
      async (peer) => {
        await untilStartTls(peer)
      },
    ],
    [
      'a connection that is closed on STARTTLS',
      async (peer) => {
        await untilStartTls(peer)
        peer.socket.destroy()
      },
    ],
    [
      'a reply to the EHLO inside TLS that never comes',
      async (peer) => {
        await untilStartTls(peer)
        peer.say('220 Go ahead')
        await peer.secure()
        await peer.hear()
      },
    ],
    [
      '554 to EHLO and HELO',
      async (peer) => {
        peer.say('220 greeting.example')
        await peer.hear()
        peer.say('554 No')
        await peer.hear()
        peer.say('554 No')
      },
    ],
  ]

  test.each(MISBEHAVIOURS)('[STS-47] %s: temporary, and nothing leaks', async (_, script) => {
    const { mx, sender } = await against(script, { connectionTimeout: 300, greetingTimeout: 300 })

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error.permanent).toBe(false)
    expect(only(error.deliveries ?? []).status).not.toBe('delivered')
    expect(saidMail(only(mx.peers))).toBe(false)
    await vi.waitUntil(() => mx.peers.every(({ closed }) => closed), EVENTUALLY)
  })

  test('[STS-38] a connection that is closed on STARTTLS is refused: there is no TLS', async () => {
    const { sender } = await against(plaintextOr((peer) => void peer.socket.destroy()))

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error).toBeInstanceOf(DeliveryRefusedError)
  })

  test('[STS-43] testing: a connection that is closed on STARTTLS does not stop the delivery', async () => {
    const { mx, sender } = await against(
      plaintextOr((peer) => void peer.socket.destroy()),
      { mode: 'testing' },
    )

    const { deliveries } = await sender.sendMail(messageTo(DOMAIN))

    expect(only(deliveries)).toMatchObject({ status: 'delivered', tls: false })
    expect(only(deliveries).failures).toHaveLength(1)
    expect(mx.peers.map(saidMail)).toEqual([false, true])
  })

  test('421 inside TLS that was proved is no word about STARTTLS', async () => {
    const { sender } = await against(async (peer) => {
      await untilStartTls(peer)
      peer.say('220 Go ahead')
      await peer.secure()
      await peer.hear()
      peer.say('421 Shutting down')
      peer.socket.end()
    })

    const error = await errorOf(sender.sendMail(messageTo(DOMAIN)))

    expect(error.permanent).toBe(false)
    expect(failureTexts(only(error.deliveries ?? []).failures)).toEqual([])
  })

  test('a host that never answers QUIT keeps no message waiting, and no connection', async () => {
    const { mx, sender } = await against(async (peer) => {
      await untilSecured(peer)
      for (;;) {
        const line = await peer.hear()
        if (line === undefined) return
        if (line === 'DATA') peer.say('354 Go ahead')
        else if (line === '.') peer.say('250 Taken')
        else if (/^(?:MAIL|RCPT)/.test(line)) peer.say('250 Fine')
      }
    })

    await sender.sendMail(messageTo(DOMAIN))

    await vi.waitUntil(() => only(mx.peers).closed, EVENTUALLY)
    expect(only(mx.peers).heard.at(-1)).toBe('QUIT')
  })

  test('a message that breaks off while it is read is not sent as if it were whole', async () => {
    const { mx, sender } = await against(inAll)
    const attachments = [{ path: '/there/is/no/such/file' }]

    const error = await errorOf(sender.sendMail({ ...messageTo(DOMAIN), attachments }))

    expect(error.message).toContain('/there/is/no/such/file')
    expect(mx.peers).toHaveLength(1)
    await vi.waitUntil(() => only(mx.peers).closed, EVENTUALLY)
    expect(only(mx.peers).heard).toContain('DATA')
    expect(only(mx.peers).heard).not.toContain('.')
    // In the middle of a message it would be a line of it
    expect(only(mx.peers).heard).not.toContain('QUIT')
  })
})

describe('connections', () => {
  test('one that comes too late, behind another address of the host, is closed again', async () => {
    const { mx } = await against(inAll)
    const opened: Array<ReturnType<typeof mx.dial>> = []
    let second: (() => void) | undefined
    const asked = new Promise<void>((resolve) => {
      second = resolve
    })
    let release: (() => void) | undefined
    const delivered = new Promise<void>((resolve) => {
      release = resolve
    })
    const options = mx.options()
    const sender = nodemailer.createTransport(
      mtaStsTransport({
        ...options,
        overrides: { [DOMAIN]: policy('enforce') },
        resolver: { ...options.resolver, resolve4: async () => ['192.0.2.1', '192.0.2.2'] },
        // As a proxy's client does it: the socket is open when it is handed over
        connect: async ({ address }) => {
          if (address === '192.0.2.1') await asked
          else {
            second?.()
            await delivered
          }
          const socket = mx.dial()
          opened.push(socket)
          await once(socket, 'connect')
          return socket
        },
      }),
    )
    onTestFinished(() => sender.close())

    const { deliveries } = await sender.sendMail(messageTo(DOMAIN))
    expect(only(deliveries)).toMatchObject({ address: '192.0.2.1', proved: 'sts' })
    release?.()
    await vi.waitUntil(() => opened.length === 2, EVENTUALLY)

    await vi.waitUntil(() => opened[1]?.destroyed, EVENTUALLY)
  })
})

describe('what is published of a session', () => {
  /** As they come, until the test is over. */
  function sessionEvents(): SessionEvent[] {
    const events: SessionEvent[] = []
    const listener = (event: unknown) => void events.push(event as SessionEvent)
    subscribe('mta-sts:session', listener)
    onTestFinished(() => void unsubscribe('mta-sts:session', listener))
    return events
  }

  test.each(['enforce', 'testing'] as const)(
    'a handshake that the sender itself broke off (%s) is no failure of the host',
    async (mode) => {
      const controller = new AbortController()
      const { mx, sender } = await against(
        async (peer) => {
          await untilStartTls(peer)
          peer.say('220 Go ahead')
          // The ClientHello is there, and is not answered
          await once(peer.socket, 'data')
          controller.abort()
        },
        { mode },
      )
      const events = sessionEvents()

      const error = await errorOf(
        sender.sendMail({ ...messageTo(DOMAIN), signal: controller.signal }),
      )

      expect(error.name).toBe('AbortError')
      expect(events).toEqual([])
      expect(mx.peers).toHaveLength(1)
    },
  )

  test.each<[string, Script]>([
    ['that was proved', inAll],
    [
      'that was refused',
      async (peer) => {
        await untilStartTls(peer)
        peer.say('454 No TLS now')
        await peer.hear()
      },
    ],
  ])('%s: what the host called itself in its greeting', async (_, script) => {
    const events = sessionEvents()
    const { sender } = await against(script)

    await sender.sendMail(messageTo(DOMAIN)).catch(() => undefined)

    expect(only(events).helo).toBe('greeting.example')
  })
})

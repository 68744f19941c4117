/** withMtaSts: a smart host and its own policy. */
import type { Socket } from 'node:net'
import nodemailer, { type SMTPTransportOptions, type Transporter } from 'nodemailer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ConnectTarget, DeliveryRefusedError } from '../../src/index.js'
import { type SmartHostInfo, type StsOptions, withMtaSts } from '../../src/nodemailer/index.js'
import { failSession } from '../../src/nodemailer/smart-host-errors.js'
import type { MailDomain, MxFault, MxHost } from '../../src/testing/index.js'
import { EVENTUALLY, errorOf, messageTo, only, useWorld } from '../e2e/support.js'
import { deferred } from '../policy/scripted-network.js'

const stage = useWorld()
const AUTH = { user: 'me', pass: 'secret' }
const transporters: Transporter<SmartHostInfo>[] = []

afterEach(() => {
  for (const transporter of transporters.splice(0)) transporter.close()
})

interface Setting {
  domain: MailDomain
  host: MxHost
  options: SMTPTransportOptions
}

/** A smart host that wants a login, with a policy of its own. */
function smartHost(
  mode?: 'enforce' | 'testing' | 'none',
  { port = 587, patterns }: { port?: number; patterns?: string[] } = {},
): Setting {
  const name = stage.unusedName()
  const host = stage.world.smartHost(name, { port, auth: AUTH })
  const domain = stage.world.domain(name, {
    mx: [],
    ...(mode ? { mode } : {}),
    ...(patterns ? { patterns } : {}),
  })
  const options = { host: name, port, auth: AUTH, name: 'sender.example' }
  return { domain, host, options: { ...options, tls: { ca: stage.world.ca } } }
}

function sender(
  options: SMTPTransportOptions | Transporter,
  sts: StsOptions = {},
): Transporter<SmartHostInfo> {
  const transport = withMtaSts(options, { ...stage.world.options(), ...sts })
  const transporter = nodemailer.createTransport(transport)
  transporters.push(transporter)
  return transporter
}

describe('a smart host under enforce', () => {
  it('a message without recipients is a permanent error, as with mtaStsTransport', async () => {
    const { host, options } = smartHost('enforce')
    const error = await errorOf(sender(options).sendMail({ from: 'me@sender.example', text: '' }))
    expect(error).toMatchObject({ code: 'EENVELOPE', permanent: true })
    expect(host.inbox).toEqual([])
  })

  it.each([false, true])(
    '[STS-57] a signal ends the opening of a connection, and nothing else (pool: %s)',
    async (pool) => {
      const { domain, host, options } = smartHost('enforce')
      host.rule({ at: 'greeting', act: 'stall' })
      const controller = new AbortController()
      const sockets: Socket[] = []
      const connect = (target: ConnectTarget) => {
        const socket = stage.world.options().connect(target) as Socket
        if (target.purpose === 'smtp') sockets.push(socket)
        return socket
      }
      const aborting = sender({ ...options, pool } as SMTPTransportOptions, { connect })
      const { signal } = controller
      const sending = errorOf(aborting.sendMail({ ...messageTo(domain), signal }))
      await vi.waitFor(() => expect(host.connections).toHaveLength(1), EVENTUALLY)
      controller.abort()
      expect(await sending).toMatchObject({ code: 'EABORT' })
      await vi.waitFor(
        () => expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]),
        EVENTUALLY,
      )
    },
  )

  it('[STS-57] an opening that fails when its session has ended ends no process', async () => {
    const { connection } = failSession(new Error('too late'))
    // Without a listener, its error would be an uncaught exception
    await new Promise((resolve) => connection?.once('close', resolve))
  })

  it('close() does not cut the policy short that is being looked up', async () => {
    const { domain, host, options } = smartHost('enforce')
    host.fails('expired')
    const fetching = deferred()
    const closed = deferred()
    const connect = async (target: ConnectTarget) => {
      fetching.resolve()
      if (target.purpose === 'policy') await closed.promise
      return stage.world.options().connect(target)
    }
    const closing = sender(options, { connect })
    const sending = errorOf(closing.sendMail(messageTo(domain)))
    await fetching.promise
    closing.close()
    closed.resolve()
    expect(await sending).toMatchObject({ code: 'EMTASTS', policyId: domain.id })
    const said = host.connections.flatMap(({ lines }) => lines.map(({ text }) => text))
    expect(said.filter((text) => text.startsWith('AUTH'))).toEqual([])
  })

  it('takes mail after a login inside TLS that was verified; no recipient policy is asked for [STS-48]', async () => {
    const { domain, host, options } = smartHost('enforce')
    const recipient = stage.domain({ mode: 'enforce' })
    stage.world.forget()
    const info = await sender(options).sendMail(messageTo(recipient))
    expect(only(info.deliveries)).toMatchObject({
      policyDomain: domain.name,
      mode: 'enforce',
      policyId: domain.id,
      status: 'delivered',
      proved: 'sts',
    })
    expect(only(host.inbox).envelope.to).toEqual([`you@${recipient.name}`])
    expect(only(host.inbox).tls).toMatchObject({ servername: domain.name })
    expect(stage.world.queries.filter(({ name }) => name.endsWith(recipient.name))).toEqual([])
  })

  it('on port 465: TLS from the first byte on', async () => {
    const { host, options } = smartHost('enforce', { port: 465 })
    await sender({ ...options, secure: true }).sendMail(messageTo('you.example'))
    expect(only(host.inbox).tls).toBeTruthy()
  })

  it('keeps its pool', async () => {
    const { host, options } = smartHost('enforce')
    const pooled = sender({ ...options, pool: true } as SMTPTransportOptions)
    for (let i = 0; i < 3; i++) await pooled.sendMail(messageTo('you.example'))
    expect(host.inbox).toHaveLength(3)
    expect(host.connections).toHaveLength(1)
  })

  const REFUSED: Array<[MxFault, string, string | undefined]> = [
    ['no-starttls', 'starttls-not-supported', 'not-offered'],
    ['starttls-454', 'starttls-not-supported', 'refused'],
    ['starttls-502', 'starttls-not-supported', 'refused'],
    ['wrong-name', 'certificate-host-mismatch', undefined],
    ['cn-only', 'certificate-host-mismatch', undefined],
    ['partial-wildcard', 'certificate-host-mismatch', undefined],
    ['self-signed', 'certificate-not-trusted', 'self-signed'],
    ['expired', 'certificate-expired', undefined],
    ['tls-1.1', 'validation-failure', 'tls-version'],
  ]

  it.each(REFUSED)(
    'that fails with %s sees neither login nor message [STS-42] [STS-47]',
    async (fault, resultType, reason) => {
      const { domain, host, options } = smartHost('enforce')
      host.fails(fault)
      const lax = { ...options, opportunisticTLS: true, ignoreTLS: true }
      const error = await errorOf(sender({ ...lax }).sendMail(messageTo('you.example')))
      expect(error).toBeInstanceOf(DeliveryRefusedError)
      expect(error).toMatchObject({ code: 'EMTASTS', permanent: false, policyDomain: domain.name })
      if (!(error instanceof DeliveryRefusedError)) throw error
      const failure = only(error.failures)
      expect(failure).toMatchObject({ resultType, mxHost: domain.name })
      if (reason) expect(failure.reason).toBe(reason)
      const said = host.connections.flatMap(({ lines }) =>
        lines.filter(({ from }) => from === 'client'),
      )
      expect(said.filter(({ text }) => /^(?:AUTH|MAIL)/i.test(text))).toEqual([])
    },
  )

  it('on port 465 with a certificate for another name sees nothing', async () => {
    const { host, options } = smartHost('enforce', { port: 465 })
    host.fails('wrong-name')
    const error = await errorOf(
      sender({ ...options, secure: true }).sendMail(messageTo('you.example')),
    )
    expect(error).toMatchObject({ code: 'EMTASTS' })
    expect(
      host.connections.flatMap(({ lines }) => lines.filter(({ from }) => from === 'client')),
    ).toEqual([])
  })

  it('that its own policy does not name is refused, unseen [STS-34]', async () => {
    const { host, options } = smartHost('enforce', { patterns: ['other.example'] })
    const error = await errorOf(sender(options).sendMail(messageTo('you.example')))
    expect(error).toMatchObject({ code: 'EMTASTS', failures: [{ reason: 'mx-mismatch' }] })
    expect(host.connections).toEqual([])
  })

  it('gets the message when a new policy names it [STS-46]', async () => {
    const { domain, host, options } = smartHost('enforce', { patterns: ['other.example'] })
    const transporter = sender(options)
    await errorOf(transporter.sendMail(messageTo('you.example')))
    domain.policy({ patterns: [domain.name] })
    await transporter.sendMail(messageTo('you.example'))
    expect(host.inbox).toHaveLength(1)
  })

  it('is found through a proxy: the socket counts, no options that prove less', async () => {
    const { host, options } = smartHost('enforce')
    host.fails('self-signed')
    const { connect } = stage.world.options()
    const getSocket: NonNullable<SMTPTransportOptions['getSocket']> = (_, callback) => {
      const target = { purpose: 'smtp', host: host.name, address: host.ipv4, port: 587 }
      const connection = connect(target)
      connection.once('connect', () =>
        callback(null, { connection, secured: true, requireTLS: false }),
      )
    }
    const error = await errorOf(
      sender({ ...options, getSocket }).sendMail(messageTo('you.example')),
    )
    expect(error).toMatchObject({ code: 'EMTASTS' })
    host.works()
    await sender({ ...options, getSocket }).sendMail(messageTo('you.example'))
    expect(host.inbox).toHaveLength(1)
  })

  it('verify() logs in, and fails where the policy is not met', async () => {
    const { host, options } = smartHost('enforce')
    expect(await sender(options).verify()).toBe(true)
    host.fails('expired')
    expect(await errorOf(sender(options).verify())).toMatchObject({ code: 'EMTASTS' })
    expect(host.inbox).toEqual([])
  })

  it('may be given as a transporter', async () => {
    const { host, options } = smartHost('enforce')
    await sender(nodemailer.createTransport(options)).sendMail(messageTo('you.example'))
    host.fails('wrong-name')
    const error = await errorOf(
      sender(nodemailer.createTransport(options)).sendMail(messageTo('you.example')),
    )
    expect(error).toMatchObject({ code: 'EMTASTS' })
    expect(host.inbox).toHaveLength(1)
  })

  it('says no for good when the receiver does', async () => {
    const { host, options } = smartHost('enforce')
    host.fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const error = await errorOf(sender(options).sendMail(messageTo('you.example')))
    expect(error).toMatchObject({ responseCode: 550, permanent: true })
  })
})

describe('a smart host without a binding policy', () => {
  const LAX = { checkServerIdentity: () => undefined }

  it.each(['testing', 'none', undefined] as const)(
    'mode %s: its options are as they were [STS-43] [STS-44]',
    async (mode) => {
      const { host, options } = smartHost(mode)
      host.fails('wrong-name')
      const lax = { ...options, tls: { ...options.tls, ...LAX } }
      const info = await sender(lax).sendMail(messageTo('you.example'))
      expect(only(info.deliveries)).toMatchObject({ mode: mode ?? 'none', proved: 'nothing' })
      expect(host.inbox).toHaveLength(1)
    },
  )

  it('under enforce, options that would prove less are worth nothing [STS-37]', async () => {
    const { host, options } = smartHost('enforce')
    host.fails('wrong-name')
    const lax = { ...options, tls: { ...options.tls, ...LAX, servername: 'wrong.example' } }
    const error = await errorOf(sender(lax).sendMail(messageTo('you.example')))
    expect(error).toMatchObject({ code: 'EMTASTS' })
    expect(host.inbox).toEqual([])
  })

  it('mode testing: a name that the policy lacks is recorded [STS-43]', async () => {
    const { options } = smartHost('testing', { patterns: ['other.example'] })
    const info = await sender(options).sendMail(messageTo('you.example'))
    expect(only(only(info.deliveries).failures)).toMatchObject({ reason: 'mx-mismatch' })
  })
})

describe('what is no smart host', () => {
  it.each([
    ['StreamTransport', { streamTransport: true }],
    ['JSONTransport', { jsonTransport: true }],
    ['Sendmail', { sendmail: true }],
  ])('%s: a TypeError that says why', (name, options) => {
    expect(() => withMtaSts(options as SMTPTransportOptions)).toThrow(TypeError)
    expect(() => withMtaSts(options as SMTPTransportOptions)).toThrow(name)
    expect(() => withMtaSts(nodemailer.createTransport(options as SMTPTransportOptions))).toThrow(
      name,
    )
  })

  it('nothing at all, or no host name: a TypeError that names it', () => {
    expect(() => withMtaSts(undefined as unknown as SMTPTransportOptions)).toThrow(/transport/)
    expect(() => withMtaSts({ host: 'not a host' })).toThrow(/host/)
  })
})

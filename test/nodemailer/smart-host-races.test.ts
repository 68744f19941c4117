/** withMtaSts when something comes in between: close(), an aborted signal, a policy. */
import nodemailer, { type SMTPTransportOptions, type Transporter } from 'nodemailer'
import { afterEach, describe, expect, it } from 'vitest'
import { type ConnectTarget, MtaSts } from '../../src/index.js'
import { type SmartHostInfo, withMtaSts } from '../../src/nodemailer/index.js'
import type { MailDomain, MxHost } from '../../src/testing/index.js'
import { EVENTUALLY, errorOf, messageTo, useWorld } from '../e2e/support.js'
import { deferred } from '../policy/scripted-network.js'
import { ABORTS, LINE } from './contract/differences.js'

const stage = useWorld()
const AUTH = { user: 'me', pass: 'secret' }
const transporters: Transporter[] = []

afterEach(() => {
  for (const transporter of transporters.splice(0)) transporter.close()
})

interface Setting {
  host: MxHost
  domain: MailDomain
  transporter: Transporter<SmartHostInfo>
  sts: MtaSts
  /** Called before each connection of that purpose */
  before: Partial<Record<ConnectTarget['purpose'], () => void | Promise<void>>>
}

/** A smart host that wants a login; connections to it and to its policy host can be kept waiting. */
function setting(pool: boolean, mode?: 'enforce', more: object = {}): Setting {
  const name = stage.unusedName()
  const host = stage.world.smartHost(name, { port: 587, auth: AUTH })
  const domain = stage.world.domain(name, { mx: [], ...(mode ? { mode } : {}) })
  const { now, connect, resolver, ca } = stage.world.options()
  const before: Setting['before'] = {}
  const waiting = async (target: ConnectTarget) => {
    await before[target.purpose]?.()
    return connect(target)
  }
  const sts = new MtaSts({ now, connect: waiting, resolver, ca })
  const smartHost = { host: name, port: 587, auth: AUTH, tls: { ca: stage.world.ca }, ...more }
  const options = { ...smartHost, ...(pool ? { pool, maxConnections: 1 } : {}) }
  const transport = withMtaSts(options as SMTPTransportOptions, {
    connect: waiting,
    resolver,
    ca,
    sts,
  })
  const transporter = nodemailer.createTransport<SmartHostInfo>(transport)
  transporters.push(transporter as Transporter)
  return { host, domain, transporter, sts, before }
}

interface Login {
  auth: { credentials: { pass: string } }
  sendCommand(line: string): Promise<unknown>
}

/** Returns options of a login by this handler. */
const ownLogin = (handler: (login: Login) => Promise<void>) => ({
  auth: { ...AUTH, method: 'OWN' },
  customAuth: { OWN: handler },
})

/** Holds the fetch of the policy until `release()`; `fetching` resolves when it has begun. */
function holdPolicy(before: Setting['before']) {
  const fetching = deferred()
  const held = deferred()
  before.policy = () => {
    fetching.resolve()
    return held.promise
  }
  return { fetching: fetching.promise, release: held.resolve }
}

const message = messageTo('you.example')

const open = ({ connections }: MxHost) => connections.filter(({ closed }) => !closed).length

const said = ({ connections }: MxHost) =>
  connections.flatMap(({ lines }) =>
    lines.filter(({ from }) => from === 'client').map(({ text }) => text.split(/[ :]/)[0]),
  )

const force = (transporter: { close: unknown }) =>
  (transporter.close as (options: object) => void)({ force: true })

describe.each([false, true])('pool: %s', (pool) => {
  it('close() while the policy is looked up: the message is sent under it', async () => {
    const { host, transporter, before } = setting(pool, 'enforce')
    const { fetching, release } = holdPolicy(before)
    const sending = transporter.sendMail(message)
    await fetching
    transporter.close()
    release()
    expect(await sending).toMatchObject({ deliveries: [{ mode: 'enforce', proved: 'sts' }] })
    await expect.poll(() => open(host), EVENTUALLY).toBe(0)
  })

  it('close() while the host is connected to: the message is sent, and nothing is left', async () => {
    const { host, transporter, before } = setting(pool, 'enforce')
    before.smtp = () => transporter.close()
    expect(await transporter.sendMail(message)).toMatchObject({ deliveries: [{ proved: 'sts' }] })
    await expect.poll(() => open(host), EVENTUALLY).toBe(0)
  })

  it('[STS-59] an MtaSts that is closed directly before MAIL FROM: ECLOSED, and nothing is sent', async () => {
    const { host, transporter, sts } = setting(pool, 'enforce')
    transporter.use('stream', (mail, done) => {
      const envelope = mail.message.getEnvelope()
      mail.message.getEnvelope = () => {
        if (said(host).includes('AUTH')) void sts.close()
        return envelope
      }
      done()
    })
    expect(await errorOf(transporter.sendMail(message))).toMatchObject({ code: 'ECLOSED' })
    expect(said(host)).not.toContain('MAIL')
  })

  if (LINE >= 10 && pool)
    it('close() by force while the policy is looked up', async () => {
      const { host, transporter, before } = setting(pool, 'enforce')
      const { fetching, release } = holdPolicy(before)
      const sending = [1, 2].map(() => errorOf(transporter.sendMail(message)))
      await fetching
      force(transporter)
      release()
      for (const error of await Promise.all(sending)) {
        expect(error).not.toMatchObject({ permanent: true })
        expect(error.message).toMatch(/closed/)
      }
      expect(said(host)).not.toContain('MAIL')
      await expect.poll(() => open(host), EVENTUALLY).toBe(0)
    })

  if (LINE >= 10 && pool)
    it('close() by force while the host is connected to', async () => {
      const { host, transporter, before } = setting(pool, 'enforce')
      before.smtp = () => force(transporter)
      const error = await errorOf(transporter.sendMail(message))
      expect(error.message).toMatch(/closed/)
      expect(said(host)).not.toContain('MAIL')
      await expect.poll(() => open(host), EVENTUALLY).toBe(0)
    })

  if (ABORTS)
    it('a signal that is aborted while the policy is looked up', async () => {
      const { host, transporter, before } = setting(pool, 'enforce')
      const { fetching, release } = holdPolicy(before)
      const controller = new AbortController()
      const { signal } = controller
      const sending = errorOf(transporter.sendMail({ ...message, signal } as never))
      await fetching
      controller.abort()
      expect(await sending).toMatchObject({ code: 'EABORT' })
      release()
      expect(await transporter.sendMail(message)).toMatchObject({ deliveries: [{ proved: 'sts' }] })
      expect(host.inbox).toHaveLength(1)
    })

  if (ABORTS)
    it('a signal that is aborted while the host is connected to', async () => {
      const { host, transporter, before } = setting(pool, 'enforce')
      const controller = new AbortController()
      before.smtp = () => controller.abort()
      const { signal } = controller
      const error = await errorOf(transporter.sendMail({ ...message, signal } as never))
      expect(error).toMatchObject({ code: 'EABORT' })
      await expect.poll(() => open(host), EVENTUALLY).toBe(0)
      delete before.smtp
      expect(await transporter.sendMail(message)).toMatchObject({ deliveries: [{ proved: 'sts' }] })
      expect(host.inbox).toHaveLength(1)
    })

  it('a policy that comes while the host is connected to: no login without proof [STS-51]', async () => {
    const { host, domain, transporter, sts, before } = setting(pool)
    host.fails('no-starttls')
    before.smtp = async () => {
      delete before.smtp
      domain.policy({ mode: 'enforce', patterns: [domain.name] })
      expect(await sts.lookAgain(domain.name)).toMatchObject({ status: 'found' })
    }
    const error = await errorOf(transporter.sendMail(message))
    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false })
    expect(said(host).filter((word) => word === 'AUTH' || word === 'MAIL')).toEqual([])
  })

  it('a policy that comes while the host is connected to: the message is sent over TLS', async () => {
    const { host, domain, transporter, sts, before } = setting(pool)
    before.smtp = async () => {
      delete before.smtp
      domain.policy({ mode: 'enforce', patterns: [domain.name] })
      expect(await sts.lookAgain(domain.name)).toMatchObject({ status: 'found' })
    }
    expect(await transporter.sendMail(message)).toMatchObject({ deliveries: [{ proved: 'sts' }] })
    expect(host.inbox.map(({ tls }) => Boolean(tls))).toEqual([true])
    await expect.poll(() => open(host), EVENTUALLY).toBe(pool ? 1 : 0)
  })

  it('a login that reads its password again after the message has another connection: the reply to RCPT counts', async () => {
    const logins: Login[] = []
    const onLogin = async (login: Login) => {
      logins.push(login)
      if (logins.length === 1) {
        domain.policy({ mode: 'enforce', patterns: [domain.name] })
        expect(await sts.lookAgain(domain.name)).toMatchObject({ status: 'found' })
      }
      expect(logins[0]?.auth.credentials.pass).toBe('')
      if (logins.length === 1) throw new Error('No password')
      await login.sendCommand('AUTH PLAIN AG1lAHNlY3JldA==')
    }
    const { host, domain, transporter, sts } = setting(pool, undefined, ownLogin(onLogin))
    host.fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const error = await errorOf(transporter.sendMail(message))
    expect(error).toMatchObject({ responseCode: 550, permanent: true })
    expect(logins).toHaveLength(2)
  })

  it('a refusal takes no place for good: the next message is sent', async () => {
    const { host, transporter } = setting(pool, 'enforce')
    host.fails('expired')
    const refused = await Promise.all([1, 2, 3].map(() => errorOf(transporter.sendMail(message))))
    for (const error of refused) expect(error).toMatchObject({ code: 'EMTASTS' })
    host.works()
    await Promise.all([1, 2, 3].map(() => transporter.sendMail(message)))
    expect(host.inbox).toHaveLength(3)
  })

  it('a callback that throws does not stop the next message', async () => {
    const { host, transporter } = setting(pool, 'enforce')
    const called = deferred()
    transporter.sendMail(message, () => {
      called.resolve()
      throw new Error('in the callback')
    })
    await called.promise
    await transporter.sendMail(message)
    expect(host.inbox).toHaveLength(2)
  })
})

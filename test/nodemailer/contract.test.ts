/** What Nodemailer expects of a transport, and its users with it. */
import { generateKeyPairSync } from 'node:crypto'
import { getEventListeners } from 'node:events'
import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import type { ConnectTarget, MtaSts, PolicyStore } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import { deliver, errorOf, messageTo, only, useWorld } from '../e2e/support.js'
import { deferred } from '../policy/scripted-network.js'

const stage = useWorld()

describe('an aborted signal ends a delivery', () => {
  /** Sends, aborts once `begun` says that the phase has begun, and returns the error. */
  async function aborted(domain: MailDomain, begun: () => boolean) {
    const controller = new AbortController()
    const { signal } = controller
    const sending = errorOf(stage.sender({}).sendMail({ ...messageTo(domain), signal }))
    await expect.poll(begun, { interval: 5, timeout: 100_000 }).toBe(true)
    controller.abort(new Error('no longer wanted'))
    const error = await sending
    expect(error).toMatchObject({ name: 'AbortError', code: 'EABORT' })
    expect(domain.inbox).toEqual([])
    return error
  }

  const queried = (type: string, name: string) =>
    stage.world.queries.some((query) => query.type === type && query.name === name)
  const said = (domain: MailDomain, word: string) =>
    domain.mx().connections.some(({ lines }) => lines.some(({ text }) => text.startsWith(word)))

  it('while the TXT record is looked up', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('timeout', 'record')
    await aborted(domain, () => queried('TXT', `_mta-sts.${domain.name}`))
  })

  it('while the policy is fetched', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('drip')
    await aborted(domain, () => domain.policyHost.gets.length > 0)
  })

  it('while the MX records are looked up', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('timeout', 'mx')
    await aborted(domain, () => queried('MX', domain.name))
  })

  it('while a session is being opened', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('handshake-stall')
    await aborted(domain, () => said(domain, 'STARTTLS'))
    await expect.poll(() => only(domain.mx().connections).closed).toBe(true)
  })

  it('while the message is sent', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('slow')
    await aborted(domain, () => said(domain, 'MAIL FROM'))
    await expect.poll(() => only(domain.mx().connections).closed).toBe(true)
  })

  it('while it waits for a connection; the next in line gets its turn', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ maxConnections: 1, maxMessages: 100 })
    domain.mx().fails('slow')
    const controller = new AbortController()
    const first = deliver(sender, domain)
    await expect.poll(() => said(domain, 'EHLO')).toBe(true)
    const second = errorOf(sender.sendMail({ ...messageTo(domain), signal: controller.signal }))
    const third = deliver(sender, domain)
    controller.abort()
    expect(await second).toMatchObject({ code: 'EABORT' })
    await Promise.all([first, third])
    expect(domain.inbox).toHaveLength(2)
  })

  it('that had been aborted already: nothing is asked of anybody', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    stage.world.forget()
    const sending = stage.sender().sendMail({ ...messageTo(domain), signal: AbortSignal.abort() })
    expect(await errorOf(sending)).toMatchObject({ code: 'EABORT' })
    expect(stage.world.queries).toEqual([])
  })

  it('which lives on after many messages has no listener left on it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { signal } = new AbortController()
    for (let i = 0; i < 3; i++) await deliver(stage.sender(), domain, { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('verify()', () => {
  it('resolves when resolver and store answer, and sends nothing', async () => {
    stage.world.forget()
    expect(await stage.sender({}).verify()).toBe(true)
    expect(stage.world.dials).toEqual([])
  })

  it('takes a callback', async () => {
    const success = await new Promise((resolve, reject) => {
      stage.sender({}).verify((error, result) => (error ? reject(error) : resolve(result)))
    })
    expect(success).toBe(true)
  })

  it('fails when the resolver does not answer, and says what to do', async () => {
    const refuse = () => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
    const resolver = { resolveTxt: refuse, resolveMx: refuse, resolve4: refuse, resolve6: refuse }
    const error = await errorOf(stage.sender({ resolver }).verify())
    expect(error).toMatchObject({ code: 'EDNS', message: expect.stringMatching(/name servers/) })
  })

  it('fails when the store does', async () => {
    const fails = () => Promise.reject(new Error('the disk is gone'))
    const store: PolicyStore = { get: fails, set: fails, delete: fails }
    expect((await errorOf(stage.sender({ store }).verify())).message).toBe('the disk is gone')
  })
})

describe('idle, close, sharing', () => {
  it('isIdle() and the idle event follow the connections', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ maxConnections: 1, maxMessages: 100 })
    expect(sender.isIdle()).toBe(true)
    domain.mx().fails('slow')
    let idle = 0
    sender.on('idle', () => idle++)
    const sending = deliver(sender, domain)
    await expect.poll(() => domain.mx().connections.length).toBe(1)
    expect(sender.isIdle()).toBe(false)
    await sending
    expect(sender.isIdle()).toBe(true)
    expect(idle).toBe(1)
  })

  it('close() lets what is under way come to its end', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ maxMessages: 100 })
    domain.mx().fails('slow')
    const sending = deliver(sender, domain)
    await expect.poll(() => domain.mx().connections.length).toBe(1)
    sender.close()
    expect(await sending).toMatchObject({ status: 'delivered' })
    await expect.poll(() => only(domain.mx().connections).closed).toBe(true)
  })

  it('close() does not cut a policy short that is being looked up', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('no-starttls')
    const fetching = deferred()
    const closed = deferred()
    const connect = async (target: ConnectTarget) => {
      fetching.resolve()
      if (target.purpose === 'policy') await closed.promise
      return stage.world.options().connect(target)
    }
    const sender = stage.sender({ connect })
    const sending = errorOf(sender.sendMail(messageTo(domain)))
    await fetching.promise
    sender.close()
    closed.resolve()
    expect(await sending).toMatchObject({ code: 'EMTASTS', policyId: domain.id })
    expect(domain.inbox).toEqual([])
  })

  it('close() by force does, and nothing of the message is said without it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('drip')
    stage.world.forget()
    const sender = stage.sender({})
    const sending = errorOf(sender.sendMail(messageTo(domain)))
    await expect.poll(() => domain.policyHost.gets.length).toBe(1)
    sender.close({ force: true })
    expect(await sending).toMatchObject({
      code: 'ECONNECTION',
      message: 'The transport was closed',
    })
    expect(domain.mx().connections).toEqual([])
  })

  it('an MtaSts that is shared is not closed with the transport', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sts = stage.sts()
    const { name } = stage.world.options()
    const sender = nodemailer.createTransport(mtaStsTransport({ sts, name }))
    await deliver(sender, domain)
    sender.close()
    domain.dns.fails('servfail')
    expect(await sts.getPolicy(domain.name)).toMatchObject({ status: 'found', source: 'cache' })
    expect(() => mtaStsTransport({ sts: {} as MtaSts })).toThrow(/"sts"/)
  })
})

describe('what Nodemailer does round a transport', () => {
  it('DKIM signs, plugins see the message, and one body goes to all domains', async () => {
    const domains = [stage.domain({ mode: 'enforce' }), stage.domain()]
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    const sender = stage.sender({})
    let signed = 0
    sender.use('stream', (mail, done) => {
      mail.message.addHeader('X-Plugin', 'seen')
      signed++
      done()
    })
    const dkim = { domainName: 'sender.example', keySelector: 's1', privateKey }
    await sender.sendMail({ ...messageTo(...domains), dkim })
    const bodies = domains.map(({ inbox }) => only(inbox).raw)
    expect(signed).toBe(1)
    expect(bodies[0]).toMatch(/^DKIM-Signature: .*d=sender\.example/m)
    expect(bodies[0]).toMatch(/^X-Plugin: seen/m)
    expect(bodies[1]).toBe(bodies[0])
  })

  it('a logger of its kind logs commands, and policies that could not be fetched', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('404')
    const lines: string[] = []
    const log = (entry: object, message: string, ...args: unknown[]) => {
      lines.push([JSON.stringify(entry), message, ...args].join(' '))
    }
    const logger = { trace: log, debug: log, info: log, warn: log, error: log, fatal: log }
    await deliver(stage.sender({ logger, transactionLog: true }), domain)
    expect(lines.some((line) => line.includes('MAIL FROM'))).toBe(true)
    expect(
      lines.some((line) => line.includes('http-status-404') && line.includes(domain.name)),
    ).toBe(true)
  })
})

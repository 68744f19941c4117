/** Smart hosts, their ports, and plain clients of any kind. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import nodemailer from 'nodemailer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { errorOf } from '../e2e/support.js'
import { codeOf } from './support.js'

let world: MailWorld

beforeEach(async () => {
  world = await createMailWorld()
})
afterEach(() => world.close())

const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

describe('nodemailer()', () => {
  it('without a host: plain Nodemailer sends to the domains of the world', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    const transporter = nodemailer.createTransport(world.nodemailer())
    await transporter.sendMail(message)
    expect(bob.inbox).toMatchObject([{ mx: 'mx.bob.example', tls: { version: 'TLSv1.3' } }])
    expect(world.inbox).toHaveLength(1)
    expect(world.smartHost('smtp.sender.example').inbox).toHaveLength(1)
  })

  it.each([
    ['password', { user: 'me', pass: 'secret' }],
    ['access token (XOAUTH2)', { user: 'me', accessToken: 'token' }],
  ])('logs in by %s', async (_, auth) => {
    const host = world.smartHost('smtp.p.example', { auth })
    await nodemailer.createTransport(world.nodemailer(host)).sendMail(message)
    expect(host.inbox).toMatchObject([{ envelope: { to: ['b@bob.example'] } }])
    expect(host.inbox[0]?.user).toBe('me')
    const wrong = { ...world.nodemailer(host), auth: { user: 'me', pass: 'wrong' } }
    expect(await codeOf(nodemailer.createTransport(wrong).sendMail(message))).toBe('EAUTH')
  })

  it('speaks TLS from the first byte on with port 465, also with a pool', async () => {
    const host = world.smartHost('smtps.p.example', { port: 465 })
    const transporter = nodemailer.createTransport({ ...world.nodemailer(host), pool: true })
    await transporter.sendMail(message)
    transporter.close()
    expect(host.inbox).toMatchObject([{ tls: { servername: 'smtps.p.example' } }])
  })

  it('verifies the certificate', async () => {
    const host = world.smartHost('smtp.p.example')
    host.fails('wrong-name')
    const error = await errorOf(
      nodemailer.createTransport(world.nodemailer(host)).sendMail(message),
    )
    expect(error.message).toMatch(/altnames/)
    host.fails('unreachable')
    expect(await codeOf(nodemailer.createTransport(world.nodemailer(host)).sendMail(message))).toBe(
      'ESOCKET',
    )
  })
})

describe('a host that relays', () => {
  it('keeps mail for domains that nobody made', async () => {
    const transporter = nodemailer.createTransport(world.nodemailer())
    await transporter.sendMail(message)
    expect(world.inbox).toMatchObject([{ mx: 'smtp.sender.example' }])
  })

  it('tries again what was deferred, when time passes', async () => {
    const bob = world.domain('bob.example')
    bob.mx().greylists({ for: { minutes: 5 } })
    await nodemailer.createTransport(world.nodemailer()).sendMail(message)
    expect(bob.inbox).toEqual([])
    world.clock.advance({ minutes: 6 })
    expect((await bob.inbox.next()).subject).toBe('Hi')
  })

  it('bounces what was refused', async () => {
    const bob = world.domain('bob.example')
    const shop = world.domain('shop.example')
    bob.mx().knows(['a@bob.example'])
    const to = ['a@bob.example', 'b@bob.example']
    await nodemailer.createTransport(world.nodemailer()).sendMail({ ...message, to })
    const dsn = await shop.inbox.next({ subject: /undelivered/i })
    expect(dsn.raw).toContain('Final-Recipient: rfc822; b@bob.example')
    expect(dsn.raw).toContain('Status: 5.1.1')
    expect(dsn.raw).not.toContain('rfc822; a@bob.example')
    expect(bob.inbox).toHaveLength(1)
  })

  it('is held to the policy of the domain, and is idle in the end', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    bob.mx().fails('expired')
    await nodemailer.createTransport(world.nodemailer()).sendMail(message)
    await world.idle()
    expect(bob.inbox).toEqual([])
    expect(bob.mx().connections).toMatchObject([{ mailFrom: undefined }])
  })
})

describe('listen() and env()', () => {
  it('a port of loopback leads to the host, for a client without the world', async () => {
    const auth = { user: 'me', pass: 's€cret' }
    const host = world.smartHost('smtp.p.example', { auth })
    const port = await host.listen()
    expect(await host.listen()).toBe(port)
    for (const url of [port.url, port.url.replace('127.0.0.1', 'localhost')]) {
      await nodemailer.createTransport({ url, tls: { ca: world.ca } }).sendMail(message)
    }
    expect(host.inbox).toMatchObject([{ tls: { version: 'TLSv1.3' } }, {}])
    host.fails('expired')
    expect(
      await codeOf(
        nodemailer.createTransport({ url: port.url, tls: { ca: world.ca } }).sendMail(message),
      ),
    ).toBe('ESOCKET')
    await port.close()
    expect(await codeOf(once(connect(port.port, port.host), 'connect'))).toBe('ECONNREFUSED')
    expect((await host.listen()).port).toBeGreaterThan(0)
  })

  it('faults and rules hold there as well', async () => {
    const host = world.smartHost('smtp.p.example')
    const { url } = await host.listen()
    const transporter = nodemailer.createTransport({ url, tls: { ca: world.ca } })
    host.fails('unreachable', { times: 1 })
    expect(await codeOf(transporter.sendMail(message))).toBe('ESOCKET')
    host.rule({ at: 'rcpt', reply: '550 5.1.1 No', times: 1 })
    expect(await codeOf(transporter.sendMail(message))).toBe('EENVELOPE')
    await transporter.sendMail(message)
    expect(world.dials.map(({ outcome }) => outcome)).toEqual(['refused', 'connected', 'connected'])
  })

  it('a process in another language sends by environment variables, over verified TLS', async () => {
    const host = world.smartHost('smtp.p.example', { auth: { user: 'me', pass: 'secret' } })
    const env = { ...process.env, ...(await world.env(host)) }
    const program = `
import os, smtplib, ssl
from email.message import EmailMessage
message = EmailMessage()
message['From'], message['To'], message['Subject'] = 'py@shop.example', 'b@bob.example', 'From Python'
message.set_content('Hello')
with smtplib.SMTP(os.environ['SMTP_HOST'], int(os.environ['SMTP_PORT'])) as smtp:
    smtp.starttls(context=ssl.create_default_context())
    smtp.login(os.environ['SMTP_USER'], os.environ['SMTP_PASS'])
    smtp.send_message(message)
`
    await promisify(execFile)('python3', ['-c', program], { env })
    expect((await host.inbox.next()).subject).toBe('From Python')
    expect(host.inbox[0]?.tls).toMatchObject({ version: 'TLSv1.3' })
  })

  it('the root stands in a file as long as the world is open', async () => {
    const { NODE_EXTRA_CA_CERTS: path, SMTP_URL: url, SMTP_PORT: port } = await world.env()
    expect((await readFile(path, 'utf8')).trim()).toBe(world.ca)
    expect(url).toBe(`smtp://127.0.0.1:${port}`)
    await world.close()
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await codeOf(once(connect(Number(port), '127.0.0.1'), 'connect'))).toBe('ECONNREFUSED')
  })
})

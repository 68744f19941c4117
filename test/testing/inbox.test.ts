/** Waiting for messages, and reading them. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import nodemailer, { type SendMailOptions, type Transporter } from 'nodemailer'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMailWorld, type MailDomain, type MailWorld } from '../../src/testing/index.js'

let world: MailWorld
let bob: MailDomain
let transporter: Transporter

beforeAll(async () => {
  world = await createMailWorld()
  bob = world.domain('bob.example')
  transporter = nodemailer.createTransport(world.nodemailer())
})
beforeEach(() => world.reset())
afterAll(() => world.close())

const send = (message: SendMailOptions = {}) =>
  transporter.sendMail({
    from: 'shop@shop.example',
    to: 'b@bob.example',
    text: 'Hello',
    ...message,
  })

describe('next()', () => {
  it('resolves to what has arrived already, each message once, in order', async () => {
    await send({ subject: 'one' })
    await send({ subject: 'two' })
    expect((await bob.inbox.next()).subject).toBe('one')
    expect((await bob.inbox.next()).subject).toBe('two')
    await expect(bob.inbox.next({}, { timeout: 10 })).rejects.toMatchObject({ code: 'ENOMAIL' })
  })

  it('waits for one that fits', async () => {
    const waiting = bob.inbox.next({ subject: /reset/i })
    await send({ subject: 'Welcome' })
    await send({ subject: 'Password RESET' })
    expect((await waiting).subject).toBe('Password RESET')
    expect((await bob.inbox.next()).subject).toBe('Welcome')
  })

  it.each([
    ['to', { to: 'c@bob.example' }],
    ['a domain in to', { to: '@bob.example', subject: 'two' }],
    ['from', { from: 'two@shop.example' }],
    ['text', { text: 'second' }],
    ['html', { html: /<b>2<\/b>/ }],
    ['headers', { headers: { 'X-Number': '2' } }],
    ['a function', (mail: { subject: string | undefined }) => mail.subject === 'two'],
  ])('goes by %s', async (_, filter) => {
    await send({ subject: 'one' })
    await send({
      from: 'two@shop.example',
      to: 'c@bob.example',
      subject: 'two',
      text: 'the second',
      html: '<b>2</b>',
      headers: { 'X-Number': '2' },
    })
    expect((await bob.inbox.next(filter)).subject).toBe('two')
  })

  it('rejects with what happened', async () => {
    await send({ subject: 'Welcome' })
    await expect(bob.inbox.next({ subject: 'Reset' }, { timeout: { ms: 20 } })).rejects.toThrow(
      /^No message with subject "Reset" arrived at bob\.example within 20 ms\.\nIn this mail world:\n.*"Welcome" from shop@shop\.example to b@bob\.example/s,
    )
  })
})

describe('waitFor() and none()', () => {
  it('waits for as many as that', async () => {
    const waiting = bob.inbox.waitFor(2, { to: /^c/ })
    await send({ to: 'c1@bob.example' })
    await send()
    await send({ to: 'c2@bob.example' })
    expect((await waiting).map(({ envelope }) => envelope.to)).toEqual([
      ['c1@bob.example'],
      ['c2@bob.example'],
    ])
    await expect(bob.inbox.waitFor(9, {}, { timeout: 10 })).rejects.toThrow(/^3 of 9 messages/)
  })

  it('rejects when one is there or comes', async () => {
    await bob.inbox.none({ within: 10 })
    const waiting = bob.inbox.none({ within: { seconds: 5 } })
    const [outcome] = await Promise.allSettled([waiting, send({ subject: 'Spam' })])
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ENOMAIL' } })
    await expect(bob.inbox.none()).rejects.toThrow(/"Spam"/)
    await bob.inbox.none({ filter: { subject: 'Ham' } })
    await bob.inbox.next()
    await bob.inbox.none()
  })
})

describe('a message', () => {
  it('has what it says', async () => {
    await send({
      subject: 'Grüße aus Köln',
      to: 'Bob <b@bob.example>, c@bob.example',
      cc: 'd@bob.example',
      text: 'Grüße! https://shop.example/a.',
      html: '<a href="https://shop.example/reset?token=1&amp;x=2">reset</a> <p>Grüße</p>',
      attachments: [{ filename: 'bill.pdf', content: Buffer.from('%PDF') }],
    })
    const mail = await bob.inbox.next()
    expect(mail.subject).toBe('Grüße aus Köln')
    expect(mail.text?.trim()).toBe('Grüße! https://shop.example/a.')
    expect(mail.html).toContain('<p>Grüße</p>')
    expect({ from: mail.from, to: mail.to, cc: mail.cc }).toEqual({
      from: ['shop@shop.example'],
      to: ['b@bob.example', 'c@bob.example'],
      cc: ['d@bob.example'],
    })
    expect(mail.headers.get('cc')).toBe('d@bob.example')
    expect(mail.attachments).toMatchObject([{ filename: 'bill.pdf', mimeType: 'application/pdf' }])
    expect(String(mail.attachments[0]?.content)).toBe('%PDF')
    expect(mail.links.map(String)).toEqual([
      'https://shop.example/reset?token=1&x=2',
      'https://shop.example/a',
    ])
    expect(mail.link('/reset').searchParams.get('x')).toBe('2')
    expect(mail.link(/\/a$/).pathname).toBe('/a')
    expect(() => mail.link('/nothing')).toThrow(/"\/nothing".*https:\/\/shop\.example\/a/)
  })

  it('can be read without waiting, as soon as sendMail has resolved', async () => {
    await send({ subject: 'At once' })
    expect(bob.inbox[0]?.subject).toBe('At once')
  })

  it('of more than 256 KiB is read by next()', async () => {
    await send({
      subject: 'Large',
      attachments: [{ filename: 'x', content: Buffer.alloc(300_000) }],
    })
    expect(() => bob.inbox[0]?.subject).toThrow(/parse\(\)/)
    expect((await bob.inbox.next()).subject).toBe('Large')
  })

  it.each([
    ['Your code is 123456.', '123456'],
    ['Order 20261125\n\nYour one-time code:\n\n  481 516\n', '481516'],
    ['PIN: 0042', '0042'],
    ['It is 2026. https://shop.example/123456', undefined],
    ['987654 is what you type', '987654'],
  ])('has a code: %j', async (text, code) => {
    await send({ subject: 'Hello', text })
    expect((await bob.inbox.next()).code).toBe(code)
  })

  it('has a snapshot that is the same in each run', async () => {
    const message = {
      subject: 'Hi',
      html: '<p>Hi</p>',
      attachments: [{ filename: 'a.txt', content: 'a' }],
    }
    await send(message)
    await send(message)
    const [one, other] = [await bob.inbox.next(), await bob.inbox.next()]
    expect(one.raw).not.toBe(other.raw)
    expect(one.snapshot()).toEqual(other.snapshot())
    expect(one.snapshot()).toMatchObject({
      subject: 'Hi',
      attachments: [{ filename: 'a.txt', size: 1 }],
    })
  })

  it('verifies DKIM with the keys in the DNS of the world', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    world.dns.set('s1._domainkey.shop.example', 'TXT', [`v=DKIM1; k=rsa; p=${key}`])
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const dkim = { domainName: 'shop.example', keySelector: 's1', privateKey: pem }
    await send({ dkim })
    await send({ dkim: { ...dkim, keySelector: 's2' } })
    expect(await (await bob.inbox.next()).dkim()).toMatchObject([
      { domain: 'shop.example', selector: 's1', result: 'pass' },
    ])
    expect(await (await bob.inbox.next()).dkim()).not.toMatchObject([{ result: 'pass' }])
  })

  it('shows neither bytes nor what is computed when it is compared or printed', async () => {
    await send()
    const [message] = bob.inbox
    expect(Object.keys(message ?? {})).toEqual([
      'envelope',
      'raw',
      'mx',
      'address',
      'tls',
      'requireTls',
      'at',
    ])
    expect(message?.bytes.toString()).toBe(message?.raw)
  })
})

describe('an inbox', () => {
  it('equals an array with the same messages, by every runner', async () => {
    expect(bob.inbox).toEqual([])
    expect(bob.inbox).toStrictEqual([])
    assert.deepEqual(bob.inbox, [])
    await send()
    expect(bob.inbox).toEqual([...bob.inbox])
    assert.deepEqual(bob.inbox, [...bob.inbox])
    expect(Object.keys(bob.inbox)).toEqual(['0'])
  })
})

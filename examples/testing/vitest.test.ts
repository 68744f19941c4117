/**
 * A program that sends mail, tested against a mail world with Vitest.
 *
 *     npx vitest run --config examples/testing/vitest.config.ts /vitest.test
 */
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld, type MailDomain, type MailWorld } from 'mta-sts/testing'
import nodemailer, { type Transporter } from 'nodemailer'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sendWelcome, welcomeAll } from './welcome.js'

const user = { name: 'Bob', email: 'bob@bob.example' }
let world: MailWorld
let bob: MailDomain
let transporter: Transporter

beforeEach(async () => {
  world = await createMailWorld()
  bob = world.domain('bob.example', { mode: 'enforce' })
  transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
})

afterEach(async () => {
  transporter.close()
  await world.close()
})

test('a welcome is delivered over TLS', async () => {
  expect(await sendWelcome(transporter, user)).toBe('sent')
  expect(bob.inbox).toMatchObject([
    { envelope: { to: ['bob@bob.example'] }, mx: 'mx.bob.example', tls: { version: 'TLSv1.3' } },
  ])
})

test('a welcome is not handed to a host that cannot prove who it is', async () => {
  bob.mx().fails('wrong-name')
  expect(await sendWelcome(transporter, user)).toBe('later')
  expect(world.connections).toMatchObject([{ mx: 'mx.bob.example', mailFrom: undefined }])
})

test('a welcome that was refused is queued again, and sent once the host is mended', async () => {
  bob.mx().fails('expired')
  const queue = await welcomeAll(transporter, [user])
  expect(queue).toEqual([user])

  bob.mx().works()
  expect(await welcomeAll(transporter, queue)).toEqual([])
  expect(bob.inbox).toHaveLength(1)
})

test("a welcome that the receiver doesn't want is given up", async () => {
  bob.mx().fails({ at: 'rcpt', reply: '550 5.1.1 No such user' })
  expect(await sendWelcome(transporter, user)).toBe('never')
})

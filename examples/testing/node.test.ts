/**
 * A program that sends mail, tested against a mail world with node:test.
 *
 *     node --import tsx --test examples/testing/node.test.ts
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { mtaStsTransport } from 'mta-sts/nodemailer'
import { createMailWorld, type MailDomain, type MailWorld } from 'mta-sts/testing'
import nodemailer, { type Transporter } from 'nodemailer'
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
  assert.equal(await sendWelcome(transporter, user), 'sent')
  const [message] = bob.inbox
  assert.deepEqual(message?.envelope.to, ['bob@bob.example'])
  assert.ok(message?.tls)
})

test('a welcome is not handed to a host that cannot prove who it is', async () => {
  bob.mx().fails('wrong-name')
  assert.equal(await sendWelcome(transporter, user), 'later')
  assert.deepEqual(
    world.connections.map(({ mx, mailFrom }) => [mx, mailFrom]),
    [['mx.bob.example', undefined]],
  )
})

test('a welcome that was refused is queued again, and sent once the host is mended', async () => {
  bob.mx().fails('expired')
  const queue = await welcomeAll(transporter, [user])
  assert.deepEqual(queue, [user])

  bob.mx().works()
  assert.deepEqual(await welcomeAll(transporter, queue), [])
  assert.equal(bob.inbox.length, 1)
})

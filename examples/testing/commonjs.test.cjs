/**
 * A program that sends mail, tested against a mail world from CommonJS, with node:test.
 *
 *     npm run build && node --test examples/testing/commonjs.test.cjs
 */
const assert = require('node:assert/strict')
const { afterEach, beforeEach, test } = require('node:test')
const { DeliveryRefusedError } = require('mta-sts')
const { mtaStsTransport } = require('mta-sts/nodemailer')
const { createMailWorld } = require('mta-sts/testing')
const nodemailer = require('nodemailer')
const { sendWelcome, welcomeAll } = require('./welcome.cjs')

const user = { name: 'Bob', email: 'bob@bob.example' }
let world
let bob
let transporter

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
  assert.equal(bob.inbox[0].tls.version, 'TLSv1.3')
})

test('a message is refused by a class that can be asked for', async () => {
  bob.mx().fails('wrong-name')
  const message = { from: 'me@shop.example', to: user.email, text: 'Hello!' }
  await assert.rejects(transporter.sendMail(message), (error) => {
    assert.ok(error instanceof DeliveryRefusedError)
    assert.equal(error.failures[0].resultType, 'certificate-host-mismatch')
    return true
  })
  assert.equal(world.connections[0].mailFrom, undefined)
})

test('a welcome that was refused is queued again, and sent once the host is mended', async () => {
  bob.mx().fails('expired')
  const queue = await welcomeAll(transporter, [user])
  assert.deepEqual(queue, [user])

  bob.mx().works()
  assert.deepEqual(await welcomeAll(transporter, queue), [])
  assert.equal(bob.inbox.length, 1)
})

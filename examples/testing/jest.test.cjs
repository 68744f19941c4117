/**
 * A program that sends mail, tested against a mail world with Jest.
 *
 *     npm run build && npx jest --rootDir examples/testing testing/jest.test.cjs
 */
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

test('a welcome is delivered while time stands still', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'clearImmediate'] })
  const plain = nodemailer.createTransport(world.nodemailer())
  expect(await sendWelcome(plain, user)).toBe('sent')
  expect((await bob.inbox.next({ subject: /welcome/i })).to).toEqual(['bob@bob.example'])
  jest.useRealTimers()
})

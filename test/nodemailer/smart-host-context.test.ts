/** Async contexts of messages that share a pool: a subscriber sees each session in its own. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import nodemailer, { type SMTPTransportOptions } from 'nodemailer'
import { expect, it, onTestFinished } from 'vitest'
import { type SmartHostInfo, withMtaSts } from '../../src/nodemailer/index.js'
import { messageTo, useWorld } from '../e2e/support.js'

const stage = useWorld()

it('publishes a session in the context of its message when a pool opens it for the next in line', async () => {
  const name = stage.unusedName()
  stage.world.smartHost(name, { port: 587 })
  stage.world.domain(name, { mx: [], mode: 'enforce' })
  const smartHost = { host: name, port: 587, pool: true, maxConnections: 1, maxMessages: 1 }
  const { now, connect, resolver, ca } = stage.world.options()
  const options = { now, connect, resolver, ca }
  const transporter = nodemailer.createTransport<SmartHostInfo>(
    withMtaSts(smartHost as SMTPTransportOptions, options),
  )
  const message = new AsyncLocalStorage<string>()
  const contexts: Array<string | undefined> = []
  const onSession = () => contexts.push(message.getStore())
  subscribe('mta-sts:session', onSession)
  onTestFinished(() => {
    unsubscribe('mta-sts:session', onSession)
    transporter.close()
  })

  await Promise.all(
    ['first', 'second', 'third'].map((context) =>
      message.run(context, () => transporter.sendMail(messageTo('bob.example'))),
    ),
  )

  expect(contexts).toEqual(['first', 'second', 'third'])
})

/** A transport with an MtaSts object of another copy of the package, as two dependents may have. */
import nodemailer from 'nodemailer'
import { expect, it, onTestFinished, vi } from 'vitest'
import { MtaSts } from '../../src/index.js'
import { type Script, ScriptedMx, takeMessages, untilSecured } from '../e2e/scripted-mx.js'

async function sender(script: Script) {
  vi.resetModules()
  const { mtaStsTransport } = await import('../../src/nodemailer/index.js')
  const mx = await ScriptedMx.open(script)
  const { name, ...options } = mx.options()
  const sts = new MtaSts(options)
  const transporter = nodemailer.createTransport(mtaStsTransport({ name, sts }))
  onTestFinished(async () => {
    transporter.close()
    await sts.close()
    await mx[Symbol.asyncDispose]()
  })
  return { mx, transporter, own: await import('../../src/index.js') }
}

const MESSAGE = { from: 'a@sender.example', to: 'b@bob.example', text: 'Hello!' }

it('sends a message to several domains', async () => {
  const { transporter, own } = await sender(async (peer) => {
    await untilSecured(peer)
    await takeMessages(peer)
  })
  expect(own.MtaSts).not.toBe(MtaSts)
  const to = ['b@bob.example', 'c@carol.example']
  const { accepted } = await transporter.sendMail({ ...MESSAGE, to })
  expect(accepted).toEqual(to)
})

it('sends a message again on a new connection when the kept one is closed at MAIL FROM', async () => {
  const { mx, transporter } = await sender(async (peer) => {
    await untilSecured(peer)
    let mails = 0
    for (;;) {
      const line = await peer.hear()
      if (line === undefined) return
      if (line.startsWith('MAIL') && ++mails === 2) return void peer.say('421 Too many messages')
      if (line === 'DATA') {
        peer.say('354 Go ahead')
        while ((await peer.hear()) !== '.') if (peer.closed) return
      }
      peer.say('250 Fine')
    }
  })
  await transporter.sendMail(MESSAGE)
  const { accepted } = await transporter.sendMail(MESSAGE)
  expect(accepted).toEqual(['b@bob.example'])
  expect(mx.peers).toHaveLength(2)
})

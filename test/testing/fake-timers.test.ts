/** Fake timers of every kind, by the recipes of docs/testing.md: the world takes mail all the same. */
import { mock } from 'node:test'
import nodemailer from 'nodemailer'
import { expect, it, vi } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'

const RECIPES: Array<[string, () => () => void]> = [
  [
    'Vitest, which has the timers of sinon',
    () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      return () => vi.useRealTimers()
    },
  ],
  [
    'node:test',
    () => {
      mock.timers.enable({ apis: ['setTimeout'] })
      return () => mock.timers.reset()
    },
  ],
]

it.each(RECIPES)('%s: a message is sent, waited for and read', async (_, install) => {
  const uninstall = install()
  let fired = false
  setTimeout(() => {
    fired = true
  }, 1)
  try {
    await using world = await createMailWorld()
    const bob = world.domain('bob.example', { mode: 'enforce' })
    bob.mx().fails('slow')
    const transporter = nodemailer.createTransport(world.nodemailer())
    const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }
    await transporter.sendMail(message)
    expect((await bob.inbox.next()).subject).toBe('Hi')
    await expect(bob.inbox.next({}, { timeout: 5 })).rejects.toMatchObject({ code: 'ENOMAIL' })
    expect(fired).toBe(false)
  } finally {
    uninstall()
  }
})

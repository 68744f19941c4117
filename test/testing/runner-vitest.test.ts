/** The entry for Vitest: a world for each test, matchers, what they say. */
import nodemailer from 'nodemailer'
import { describe, expect, it, vi } from 'vitest'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { WorldForEachTest } from '../../src/testing/runner.js'
import { createMailWorld, test, useMailWorld } from '../../src/testing/vitest.js'

const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

describe('useMailWorld()', () => {
  const world = useMailWorld()
  const seen: unknown[] = []

  it.each([1, 2])('is a world of its own for each test: %i', async () => {
    const bob = world.domain('bob.example')
    expect(bob).toHaveReceivedNothing()
    await nodemailer.createTransport(world.nodemailer()).sendMail(message)
    expect(bob).toHaveReceived({ to: 'b@bob.example', subject: /hi/i, times: 1 })
    expect(bob.mx()).toHaveReceived({ from: 'me@shop.example' })
    expect(world).toHaveReceived({ text: 'Hello' })
    seen.push(world.ca)
    expect(new Set(seen).size).toBe(seen.length)
  })

  it('the matchers say what happened', async () => {
    const bob = world.domain('bob.example')
    await nodemailer.createTransport(world.nodemailer()).sendMail(message)
    expect(() => expect(bob).toHaveReceived({ subject: 'Other' })).toThrow(
      /^bob\.example should have received mail with subject "Other", but it has 0 times\nIn this mail world:/,
    )
    expect(() => expect(bob).toHaveReceivedNothing()).toThrow(
      /it has 1 times: "Hi" from me@shop\.example/,
    )
    expect(() => expect(bob).not.toHaveReceived()).toThrow(/should not have received mail/)
    expect(() => expect(bob).toHaveReceived({ times: 2 })).toThrow(/2 times, but it has 1 times/)
    expect(bob).toHaveReceived({ times: 1 })
  })

  it('mail to a domain that nobody made is no success', async () => {
    const bob = world.domain('bob.example')
    const to = 'typo@bob.exmaple'
    await nodemailer.createTransport(world.nodemailer()).sendMail({ ...message, to })
    expect(() => expect(bob).toHaveReceivedNothing()).toThrow(
      /typo@bob\.exmaple.*nearest is bob\.example/,
    )
    expect(bob).toHaveReceivedNothing({ strict: false })
  })

  it('refusals are seen, whichever came first in a pipeline', async () => {
    const bob = world.domain('bob.example')
    bob.mx().knows(['a@bob.example'])
    const to = ['a@bob.example', 'b@bob.example', 'c@bob.example']
    await nodemailer.createTransport(world.nodemailer(bob.mx())).sendMail({ ...message, to })
    expect(bob).toHaveRefused({ to: 'b@bob.example', reply: /^550 5\.1\.1/, times: 1 })
    expect(bob).toHaveRefused({ from: 'me@shop.example', times: 2 })
    expect(bob).not.toHaveRefused({ to: 'a@bob.example' })
    bob.mx().rule({ at: 'message', reply: '554 5.7.1 Spam', times: 1 })
    const refused = nodemailer
      .createTransport(world.nodemailer(bob.mx()))
      .sendMail({ ...message, to: 'a@bob.example' })
    await expect(refused).rejects.toThrow(/Spam/)
    expect(bob).toHaveRefused({ to: 'a@bob.example', reply: 'Spam' })
  })

  it('of a message whose recipients were all refused, a pipelined DATA is no refusal of its own', async () => {
    const bob = world.domain('bob.example', { mode: 'enforce' })
    bob.mx().knows([])
    const transporter = nodemailer.createTransport(mtaStsTransport(world.options()))
    await expect(transporter.sendMail(message)).rejects.toThrow(/No such user/)
    transporter.close()
    expect(bob.mx().connections[0]?.lines.map(({ text }) => text)).toContain('DATA')
    expect(bob).toHaveRefused({ times: 1 })
    expect(bob.mx()).toHaveRefused({ to: 'b@bob.example', times: 1 })
  })

  it('what is no part of a world is a TypeError', () => {
    expect(() => expect([]).toHaveReceived()).toThrow(TypeError)
    expect(() => expect(world).toHaveReceived({ subjct: 'x' } as object)).toThrow(
      /"subjct".*"subject"/,
    )
  })
})

test.concurrent.for([1, 2, 3])(
  'a world for each test that asks: %i',
  async (n, { world, expect: here }) => {
    const bob = world.domain(`bob${n}.example`)
    await nodemailer
      .createTransport(world.nodemailer())
      .sendMail({ ...message, to: `b@bob${n}.example` })
    here(bob).toHaveReceived({ times: 1 })
    here(world.inbox).toHaveLength(1)
  },
)

it('prints what happened in the world of a test that failed, and nothing of others', async () => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const worlds = new WorldForEachTest()
  await worlds.begin()
  await worlds.end(false)
  expect(printed).not.toHaveBeenCalled()
  await worlds.begin()
  worlds.world.domain('bob.example')
  await worlds.end(true)
  expect(printed).toHaveBeenCalledWith(expect.stringMatching(/^In this mail world:/))
  printed.mockRestore()
  expect(() => worlds.world.ca).toThrow(/only while a test runs/)
})

describe('fake timers', () => {
  it.each([
    ['setTimeout and clearTimeout', { toFake: ['setTimeout', 'clearTimeout'] }],
    [
      'all but setImmediate',
      { toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] },
    ],
  ] as const)(
    'with %s replaced, the world takes mail and waits in real time',
    async (_, options) => {
      vi.useFakeTimers({ ...options, toFake: [...options.toFake] })
      try {
        vi.setSystemTime(new Date('2030-01-01'))
        await using world = await createMailWorld()
        const bob = world.domain('bob.example', { mode: 'enforce' })
        bob.mx().fails('slow')
        await nodemailer.createTransport(world.nodemailer(bob.mx())).sendMail(message)
        expect((await bob.inbox.next()).subject).toBe('Hi')
        await expect(bob.inbox.next({}, { timeout: 10 })).rejects.toMatchObject({ code: 'ENOMAIL' })
        await world.idle()
      } finally {
        vi.useRealTimers()
      }
    },
  )
})

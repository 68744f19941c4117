/** Rules of MX hosts: whom they concern, how often, in which order. Stages and acts have a table in rule-stages.test.ts. */
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { errorOf, messageTo } from '../e2e/support.js'
import { useHosts } from './hosts.js'
import { codeOf, deliver, dial, RawClient, session } from './support.js'

const stage = useHosts()
const { envelope, fresh, greeted } = stage

describe('rule()', () => {
  it('asks the rule that was added last first', async () => {
    const domain = fresh()
    const mx = domain.mx()
    mx.rule({ at: 'rcpt', reply: '450 4.2.1 First' })
    const last = mx.rule({ at: 'rcpt', to: /^full/, reply: '452 4.2.2 Full' })
    const to = ['full@x.example', 'other@x.example']
    expect(await envelope(domain, 'a@s.example', ...to)).toEqual([
      expect.stringMatching(/^250 /),
      '452 4.2.2 Full',
      '450 4.2.1 First',
    ])
    expect(last.met).toBe(1)
    last.stop()
    expect((await envelope(domain, 'a@s.example', 'full@x.example')).at(-1)).toBe('450 4.2.1 First')
  })

  it('is met by the transport: one recipient is refused, the other has the message', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().rule({ at: 'rcpt', to: `gone@${domain.name}`, reply: '550 5.1.1 No such user' })
    const to = [`gone@${domain.name}`, `here@${domain.name}`]
    const { accepted, rejected } = await stage.sender().sendMail({ ...messageTo(domain), to })
    expect({ accepted, rejected }).toEqual({
      accepted: [`here@${domain.name}`],
      rejected: [`gone@${domain.name}`],
    })
  })

  it.each([
    ['a whole address, whatever its case', 'A@S.example', ['a@s.example'], ['b@s.example']],
    ['all of a domain', '@s.example', ['a@s.example', 'b@S.example'], ['a@sub.s.example']],
    ['a pattern', /^a/g, ['a@s.example', 'ab@t.example'], ['b@s.example']],
  ] as const)('means senders by %s', async (_, from, meant, others) => {
    const domain = fresh()
    domain.mx().rule({ at: 'mail', from, reply: '550 5.7.1 Not from you' })
    for (const sender of meant)
      expect(await envelope(domain, sender)).toEqual(['550 5.7.1 Not from you'])
    for (const sender of others)
      expect(await envelope(domain, sender)).toEqual([expect.stringMatching(/^250/)])
  })

  it('is over after so many times, and begins after so many', async () => {
    const domain = fresh()
    const rule = domain.mx().rule({ at: 'mail', reply: '451 4.3.0 Later', times: 2, after: 1 })
    const codes: string[] = []
    for (let n = 0; n < 5; n++)
      codes.push((await envelope(domain, 'a@s.example')).join().slice(0, 3))
    expect(codes).toEqual(['250', '451', '451', '250', '250'])
    expect(rule).toMatchObject({ met: 2, over: true })
  })

  it('is applied by chance, the same in each world', async () => {
    const runs: string[] = []
    for (let run = 0; run < 2; run++) {
      await using other = await createMailWorld()
      const mx = other.mx('mx.example')
      mx.rule({ at: 'mail', reply: '451 4.3.0 Later', probability: 0.5 })
      const client = await RawClient.open(other, mx)
      await client.reply()
      await client.say('EHLO s.example')
      const codes: string[] = []
      for (let n = 0; n < 20; n++) {
        codes.push((await client.say('MAIL FROM:<a@s.example>')).slice(0, 3))
        await client.say('RSET')
      }
      runs.push(codes.join())
      client.socket.destroy()
    }
    expect(runs[0]).toBe(runs[1])
    expect(new Set(runs[0]?.split(','))).toEqual(new Set(['250', '451']))
  })

  it.each(['mail', 'rcpt', 'data', 'quit', 'message', 'greeting', 'ehlo'] as const)(
    'drops the connection at %s, without a reply',
    async (at) => {
      const domain = fresh()
      const rule = domain.mx().rule({ at, act: 'drop' })
      const client = await RawClient.open(stage.world, domain.mx())
      const said = [
        'EHLO s.example',
        'MAIL FROM:<a@s.example>',
        `RCPT TO:<b@${domain.name}>`,
        'DATA',
        'x\r\n.',
        'QUIT',
      ]
      const replies = [await client.reply()]
      for (const line of said) if (replies.at(-1) !== '') replies.push(await client.say(line))
      const place = ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'message', 'quit'].indexOf(at)
      expect(replies).toHaveLength(place + 1)
      expect(replies.at(-1)).toBe('')
      expect(rule.met).toBe(1)
    },
  )

  it('resets the connection, stalls it, ends it after the reply', async () => {
    const domain = fresh()
    using reset = domain.mx().rule({ at: 'mail', act: 'reset' })
    const client = await greeted(domain)
    client.socket.write('MAIL FROM:<a@s.example>\r\n')
    expect(await codeOf(once(client.socket, 'close'))).toBe('ECONNRESET')
    reset.stop()

    using stall = domain.mx().rule({ at: 'mail', act: 'stall' })
    const waiting = await greeted(domain)
    waiting.socket.setTimeout(100)
    waiting.socket.write('MAIL FROM:<a@s.example>\r\n')
    await once(waiting.socket, 'timeout')
    waiting.socket.destroy()
    stall.stop()

    // biome-ignore lint/suspicious/noThenProperty: it is a word, and nothing is awaited
    domain.mx().rule({ at: 'mail', reply: '451 4.3.2 Going', then: 'drop' })
    const last = await greeted(domain)
    expect(await last.say('MAIL FROM:<a@s.example>')).toBe('451 4.3.2 Going')
    expect(await last.reply()).toBe('')
  })

  it('refuses connections; accepts them and says nothing', async () => {
    const domain = fresh()
    const refuse = domain.mx().rule({ at: 'connect', act: 'refuse', times: 1 })
    expect(await codeOf(once(dial(stage.world, domain.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    expect(refuse.over).toBe(true)
    domain.mx().rule({ at: 'connect', act: 'stall' })
    const socket = dial(stage.world, domain.mx(), 25)
    await once(socket, 'connect')
    socket.setTimeout(100)
    await once(socket, 'timeout')
    socket.destroy()
  })

  it('waits, and then does what comes next', async () => {
    const domain = fresh()
    domain.mx().rule({ at: 'mail', reply: '451 4.3.0 Later' })
    domain.mx().rule({ at: 'mail', delay: { seconds: 0.1 } })
    const client = await greeted(domain)
    const before = performance.now()
    expect(await client.say('MAIL FROM:<a@s.example>')).toBe('451 4.3.0 Later')
    expect(performance.now() - before).toBeGreaterThan(95)
    client.socket.destroy()
  })

  it('is about who logged in', async () => {
    const auth = [
      { user: 'ann', pass: 'a' },
      { user: 'bob', pass: 'b' },
    ]
    const host = stage.world.smartHost('smtp.users.example', { auth })
    host.rule({ at: 'mail', user: 'ann', reply: '550 5.7.1 Not you, Ann' })
    const said: Array<string | undefined> = []
    for (const { user, pass } of auth) {
      const connection = await session(stage.world, host, { port: 587 })
      await new Promise<void>((resolve, reject) => {
        connection.login({ credentials: { user, pass } }, (error) =>
          error ? reject(error) : resolve(),
        )
      })
      said.push(await codeOf(deliver(connection)))
    }
    expect(said).toEqual(['EENVELOPE', undefined])
    expect(host.inbox.map(({ user }) => user)).toEqual(['bob'])
  })

  it('at auth: refuses a login whose password is right', async () => {
    const auth = { user: 'me', pass: 'secret' }
    const host = stage.world.smartHost('smtp.auth.example', { auth })
    host.fails({ at: 'auth', reply: '454-4.7.0 Temporary\n454 4.7.0 failure' })
    const connection = await session(stage.world, host, { port: 587 })
    const error = await errorOf(
      new Promise<void>((resolve, reject) => {
        connection.login({ credentials: auth }, (thrown) => (thrown ? reject(thrown) : resolve()))
      }),
    )
    expect(error).toMatchObject({ code: 'EAUTH', responseCode: 454 })
    expect(host.connections[0]?.lines.map(({ text }) => text)).toContain('454-4.7.0 Temporary')
    connection.close()
  })

  it.each(['greeting', 'message'] as const)(
    'at %s: a reply of many lines stays one',
    async (at) => {
      const domain = fresh()
      const reply = '550-5.7.1 One\n550-5.7.1 two\n550 5.7.1 three'
      domain.mx().rule({ at, reply })
      const client = await RawClient.open(stage.world, domain.mx())
      let last = await client.reply()
      const lines = [
        'EHLO s.example',
        'MAIL FROM:<a@s.example>',
        `RCPT TO:<b@${domain.name}>`,
        'DATA',
        'x\r\n.',
      ]
      for (const line of lines) if (!last.startsWith('5')) last = await client.say(line)
      expect(last).toBe(reply)
      client.socket.destroy()
    },
  )
})

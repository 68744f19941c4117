/** Rules and habits of hosts: each met by a client of its own, and by the transport. */
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMailWorld, type MailDomain, type MailWorld } from '../../src/testing/index.js'
import { errorOf, messageTo, only, useWorld } from '../e2e/support.js'
import { codeOf, deliver, dial, RawClient, session } from './support.js'

const stage = useWorld()

let world: MailWorld
let count = 0
const fresh = (): MailDomain => world.domain(`d${++count}.example`, { mode: 'enforce' })

beforeAll(async () => {
  world = await createMailWorld()
})
afterAll(() => world.close())

/** A client that has said EHLO. */
async function greeted(domain: MailDomain): Promise<RawClient> {
  const client = await RawClient.open(world, domain.mx())
  await client.reply()
  await client.say('EHLO sender.example')
  return client
}

/** The replies to MAIL FROM and to each RCPT TO. */
async function envelope(domain: MailDomain, from: string, ...to: string[]): Promise<string[]> {
  const client = await greeted(domain)
  const replies = [await client.say(`MAIL FROM:<${from}>`)]
  for (const recipient of to) replies.push(await client.say(`RCPT TO:<${recipient}>`))
  client.socket.destroy()
  return replies
}

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
      const client = await RawClient.open(world, domain.mx())
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
    expect(await codeOf(once(dial(world, domain.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    expect(refuse.over).toBe(true)
    domain.mx().rule({ at: 'connect', act: 'stall' })
    const socket = dial(world, domain.mx(), 25)
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
    const host = world.smartHost('smtp.users.example', { auth })
    host.rule({ at: 'mail', user: 'ann', reply: '550 5.7.1 Not you, Ann' })
    const said: Array<string | undefined> = []
    for (const { user, pass } of auth) {
      const connection = await session(world, host, { port: 587 })
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
    const host = world.smartHost('smtp.auth.example', { auth })
    host.fails({ at: 'auth', reply: '454-4.7.0 Temporary\n454 4.7.0 failure' })
    const connection = await session(world, host, { port: 587 })
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
      const client = await RawClient.open(world, domain.mx())
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

describe('fails() with bounds', () => {
  it('is over after so many times, and what was there before is back', async () => {
    const domain = fresh()
    const { mx } = { mx: domain.mx() }
    using outage = mx.fails('unreachable', { times: 2 })
    const codes: Array<string | undefined> = []
    for (let n = 0; n < 3; n++) codes.push(await codeOf(once(dial(world, mx, 25), 'connect')))
    expect(codes).toEqual(['ECONNREFUSED', 'ECONNREFUSED', undefined])
    expect(outage).toMatchObject({ met: 2, over: true })

    mx.fails('wrong-name')
    mx.fails('expired', { times: 1 })
    expect(await codeOf(session(world, mx))).toBe('ESOCKET')
    expect(mx.connections.slice(-1)).toMatchObject([{ fault: 'expired' }])
    await codeOf(session(world, mx))
    expect(mx.connections.slice(-1)).toMatchObject([{ fault: 'wrong-name' }])
  })

  it('the transport delivers once the outage has been met often enough', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const outage = domain.mx().fails('expired', { times: 2 })
    for (let n = 0; n < 2; n++) {
      expect(await errorOf(stage.sender().sendMail(messageTo(domain)))).toMatchObject({
        code: 'EMTASTS',
      })
    }
    await stage.sender().sendMail(messageTo(domain))
    expect(domain.inbox).toHaveLength(1)
    expect(outage.met).toBe(2)
  })

  it('is over when its time has passed, in world time', async () => {
    await using other = await createMailWorld()
    const mx = other.domain('bob.example').mx()
    const outage = mx.fails('unreachable', { during: { minutes: 5 } })
    expect(await codeOf(once(dial(other, mx, 25), 'connect'))).toBe('ECONNREFUSED')
    other.clock.advance({ minutes: 4 })
    expect(outage.over).toBe(false)
    other.clock.advance({ minutes: 1 })
    expect(outage.over).toBe(true)
    await once(dial(other, mx, 25), 'connect')
  })

  it('concerns one family of addresses: the transport delivers by the other', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    const outage = mx.fails('unreachable', { family: 6 })
    const { resolver } = stage.world.options()
    expect(await resolver.resolve6(mx.name)).toEqual([mx.ipv6])
    await stage.sender().sendMail(messageTo(domain))
    expect(only(domain.inbox).address).toBe(mx.ipv4)
    outage.stop()
    expect(await codeOf(resolver.resolve6(mx.name))).toBe('ENODATA')
  })

  it('using ends it with the block', async () => {
    const domain = fresh()
    {
      using _outage = domain.mx().fails('unreachable')
      expect(await codeOf(once(dial(world, domain.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    }
    expect(await codeOf(once(dial(world, domain.mx(), 25), 'connect'))).toBeUndefined()
  })

  it('of a policy host, and of the DNS', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('500', { times: 1 })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'none' })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    const fault = domain.dns.fails('nxdomain', { times: 1 })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'none' })
    expect(fault.over).toBe(true)
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    const elsewhere = domain.dns.fails('servfail', 'mx', { times: 1 })
    expect(await codeOf(stage.world.options().resolver.resolveMx(domain.name))).toBe('ESERVFAIL')
    expect(elsewhere.met).toBeGreaterThan(0)
  })
})

describe('faults together', () => {
  it('a slow host with a reply of its own is both', async () => {
    const domain = fresh()
    const slow = domain.mx().fails('slow')
    const refusal = domain.mx().fails({ at: 'mail', reply: '451 4.3.0 Later' })
    const before = performance.now()
    expect(await envelope(domain, 'a@s.example')).toEqual(['451 4.3.0 Later'])
    expect(performance.now() - before).toBeGreaterThan(2 * 140)
    expect([slow.met, refusal.met]).toEqual([1, 1])
    expect(domain.mx().connections).toMatchObject([{ faults: [{ at: 'mail' }, 'slow'] }])
  })

  it('one that would hide the new one ends', async () => {
    const domain = fresh()
    const first = domain.mx().fails('unreachable')
    const second = domain.mx().fails('starttls-454')
    const third = domain.mx().fails('wrong-name')
    expect([first.over, second.over, third.over]).toEqual([true, true, false])
    expect(await codeOf(session(world, domain.mx()))).toBe('ESOCKET')
    domain.mx().works()
    expect(third.over).toBe(true)
  })

  it('refusals of different recipients add up', async () => {
    const domain = fresh()
    domain.mx().fails({ at: 'rcpt', to: 'a@x.example', reply: '550 5.1.1 No A' })
    domain.mx().fails({ at: 'rcpt', to: 'b@x.example', reply: '452 4.2.2 No B' })
    const replies = await envelope(
      domain,
      's@s.example',
      'a@x.example',
      'b@x.example',
      'c@x.example',
    )
    expect(replies.slice(1).map((reply) => reply.slice(0, 3))).toEqual(['550', '452', '250'])
  })
})

describe('habits', () => {
  it('greylists: a pair waits, and another as well', async () => {
    await using other = await createMailWorld()
    const bob = other.domain('bob.example', { mode: 'enforce' })
    bob.mx().greylists({ for: { minutes: 5 } })
    const ask = async (from: string): Promise<string> => {
      const client = await RawClient.open(other, bob.mx())
      await client.reply()
      await client.say('EHLO s.example')
      await client.say(`MAIL FROM:<${from}>`)
      const reply = await client.say('RCPT TO:<b@bob.example>')
      client.socket.destroy()
      return reply.slice(0, 3)
    }
    expect(await ask('a@s.example')).toBe('451')
    other.clock.advance({ minutes: 4 })
    expect([await ask('a@s.example'), await ask('c@s.example')]).toEqual(['451', '451'])
    other.clock.advance({ minutes: 2 })
    expect([await ask('a@s.example'), await ask('c@s.example')]).toEqual(['250', '451'])
  })

  it('greylists: the transport is deferred, and delivers later', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    using _ = domain.mx().greylists({ for: { seconds: 1 } })
    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))
    expect(error).toMatchObject({ permanent: false, responseCode: 451 })
    stage.world.clock.advance({ seconds: 2 })
    await stage.sender().sendMail(messageTo(domain))
    expect(domain.inbox).toHaveLength(1)
  })

  it('knows: others are refused for good', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().knows([`you@${domain.name}`, /^team-/])
    await stage.sender().sendMail(messageTo(domain))
    const to = `nobody@${domain.name}`
    const error = await errorOf(stage.sender().sendMail({ ...messageTo(domain), to }))
    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
    expect(domain.inbox).toHaveLength(1)
  })

  it('limits messages of one connection, recipients of one message, connections', async () => {
    const domain = fresh()
    const limits = domain.mx().limits({ messages: 1, recipients: 1, connections: 1 })
    const client = await greeted(domain)
    const busy = await RawClient.open(world, domain.mx())
    expect(await busy.reply()).toMatch(/^421 /)
    await client.say('MAIL FROM:<a@s.example>')
    expect(await client.say(`RCPT TO:<a@${domain.name}>`)).toMatch(/^250 /)
    expect(await client.say(`RCPT TO:<b@${domain.name}>`)).toMatch(/^452 /)
    await client.say('DATA')
    expect(await client.say('x\r\n.')).toMatch(/^250 /)
    expect(await client.say('MAIL FROM:<a@s.example>')).toMatch(/^451 /)
    client.socket.destroy()
    limits.stop()
  })

  it('limits a rate in world time', async () => {
    await using other = await createMailWorld()
    const mx = other.mx('mx.example')
    mx.limits({ messages: { count: 2, per: { minutes: 1 } }, reply: '421 4.7.0 Slow down' })
    const ask = async (): Promise<string> => {
      const client = await RawClient.open(other, mx)
      await client.reply()
      await client.say('EHLO s.example')
      const reply = await client.say('MAIL FROM:<a@s.example>')
      client.socket.destroy()
      return reply.slice(0, 3)
    }
    expect([await ask(), await ask(), await ask()]).toEqual(['250', '250', '421'])
    other.clock.advance({ minutes: 1 })
    expect(await ask()).toBe('250')
  })

  it('limits the size: SIZE is offered, and held to by the transport', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().limits({ size: 2000 })
    const large = { ...messageTo(domain), text: 'x'.repeat(3000) }
    expect(await errorOf(stage.sender().sendMail(large))).toMatchObject({ permanent: true })
    expect(domain.inbox).toEqual([])
    await stage.sender().sendMail(messageTo(domain))
    const { lines } = only(domain.mx().connections.slice(-1))
    expect(lines.map(({ text }) => text)).toContain('250 SIZE 2000')
  })

  it('limits the size: a message that says nothing of its size is refused at its end', async () => {
    const domain = fresh()
    domain.mx().limits({ size: 10 })
    const client = await greeted(domain)
    expect(await client.say('MAIL FROM:<a@s.example> SIZE=11')).toMatch(/^552 /)
    await client.say('MAIL FROM:<a@s.example>')
    await client.say(`RCPT TO:<a@${domain.name}>`)
    await client.say('DATA')
    expect(await client.say('0123456789\r\n.')).toMatch(/^552 /)
    expect(domain.inbox).toEqual([])
    client.socket.destroy()
  })

  it('offers: keywords go, come and have parameters', async () => {
    const domain = fresh()
    domain.mx().offers({ PIPELINING: false, 'x-test': true, AUTH: ['PLAIN', 'LOGIN'], SIZE: 5 })
    const client = await RawClient.open(world, domain.mx())
    await client.reply()
    const offered = (await client.say('EHLO s.example')).split('\n').map((line) => line.slice(4))
    expect(offered).toEqual(
      expect.arrayContaining(['X-TEST', 'AUTH PLAIN LOGIN', 'SIZE 5', 'STARTTLS']),
    )
    expect(offered).not.toContain('PIPELINING')
    client.socket.destroy()
  })

  it('offers: without PIPELINING the transport waits for each reply', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().offers({ PIPELINING: false, STARTTLS: true })
    await stage.sender().sendMail(messageTo(domain))
    const { lines } = only(domain.mx().connections)
    const mail = lines.findIndex(({ text }) => text.startsWith('MAIL FROM'))
    expect(lines[mail + 1]?.from).toBe('server')
  })

  it('tls: versions and client certificates', async () => {
    const domain = fresh()
    using versions = domain.mx().tls({ maxVersion: 'TLSv1.2' })
    await deliver(await session(world, domain.mx()), `b@${domain.name}`)
    expect(only(domain.inbox).tls).toMatchObject({ version: 'TLSv1.2' })
    versions.stop()
    domain.mx().tls({ clientCertificate: 'require' })
    const failed = session(world, domain.mx()).then((connection) =>
      deliver(connection, `b@${domain.name}`),
    )
    expect(await codeOf(failed)).toBeDefined()
    expect(domain.inbox).toHaveLength(1)
  })

  it('tls: an old version only is refused by the transport', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().tls({ maxVersion: 'TLSv1.1' })
    expect(await errorOf(stage.sender().sendMail(messageTo(domain)))).toMatchObject({
      code: 'EMTASTS',
      failures: [{ reason: 'tls-version' }],
    })
  })

  it('link: everything takes its time and comes in order', async () => {
    const domain = fresh()
    const link = domain.mx().link({ latency: 20, jitter: 10, bandwidth: 100_000, loss: 0.05 })
    const before = performance.now()
    await deliver(await session(world, domain.mx()), `b@${domain.name}`)
    expect(performance.now() - before).toBeGreaterThan(8 * 40)
    expect(only(domain.inbox).raw).toBe('Subject: hello\r\n\r\nBody\r\n')
    expect(link.met).toBe(1)
  })

  it('link: the transport delivers by it, and is told of a reset', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().link({ latency: 5 })
    await stage.sender().sendMail(messageTo(domain))
    expect(domain.inbox).toHaveLength(1)
    domain.mx().fails('handshake-reset')
    expect(await errorOf(stage.sender().sendMail(messageTo(domain)))).toMatchObject({
      code: 'EMTASTS',
      failures: [{ reason: 'handshake-failed' }],
    })
  })

  it('bounces: the sender has a notification', async () => {
    await using other = await createMailWorld()
    const shop = other.domain('shop.example', { mode: 'enforce' })
    const bob = other.domain('bob.example', { mode: 'enforce' })
    bob.mx().bounces({ to: 'gone@bob.example', status: '5.1.1' })
    const connection = await session(other, bob.mx())
    await new Promise<void>((resolve, reject) => {
      const envelope = { from: 'news@shop.example', to: ['gone@bob.example'] }
      connection.send(envelope, 'Subject: News\r\n\r\nNews\r\n', (error) =>
        error ? reject(error) : resolve(),
      )
    })
    connection.close()
    const dsn = await shop.inbox.next({ subject: /undeliver/i })
    expect(dsn.envelope).toEqual({ from: '', to: ['news@shop.example'] })
    expect(dsn.headers.get('content-type')).toContain('multipart/report')
    expect(dsn.raw).toContain('Final-Recipient: rfc822; gone@bob.example')
    expect(dsn.raw).toContain('Status: 5.1.1')
    expect(dsn.tls).not.toBe(false)
    expect(bob.inbox).toEqual([])
  })
})

describe('chaos()', () => {
  it('is the same in each run', async () => {
    const runs: string[] = []
    for (let run = 0; run < 2; run++) {
      await using other = await createMailWorld()
      const mx = other.mx('mx.example')
      other.chaos({ seed: 42, replies: 0.3, drops: 0.1 })
      const codes: string[] = []
      for (let n = 0; n < 20; n++) {
        const client = await RawClient.open(other, mx)
        await client.reply()
        await client.say('EHLO s.example')
        codes.push((await client.say('MAIL FROM:<a@s.example>')).slice(0, 3))
        client.socket.destroy()
      }
      runs.push(codes.join())
    }
    expect(runs[0]).toBe(runs[1])
    const met = new Set(runs[0]?.split(','))
    expect([...met].some((code) => code.startsWith('4'))).toBe(true)
    expect(met).toContain('')
    expect(met).toContain('250')
  })
})

/** Habits of receivers: each met by a client of its own, and by the transport. */
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { errorOf, messageTo, only } from '../e2e/support.js'
import { useHosts } from './hosts.js'
import { codeOf, deliver, RawClient, session } from './support.js'

const stage = useHosts()
const { fresh, greeted } = stage

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
    const busy = await RawClient.open(stage.world, domain.mx())
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
    const client = await RawClient.open(stage.world, domain.mx())
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
    await deliver(await session(stage.world, domain.mx()), `b@${domain.name}`)
    expect(only(domain.inbox).tls).toMatchObject({ version: 'TLSv1.2' })
    versions.stop()
    domain.mx().tls({ clientCertificate: 'require' })
    const failed = session(stage.world, domain.mx()).then((connection) =>
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
    await deliver(await session(stage.world, domain.mx()), `b@${domain.name}`)
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

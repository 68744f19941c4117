/**
 * Rules and habits of hosts from two sides: a client of its own, which reads line by line, and the
 * transport. Stages and acts have tables of their own in rule-stages.test.ts.
 */
import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import { describe, expect, it } from 'vitest'
import type { MailDomain, Rule } from '../../src/testing/index.js'
import { errorOf, messageTo, only, useWorld } from '../e2e/support.js'
import {
  codeOf,
  deliver,
  dial,
  envelopeReplies,
  get,
  greeted,
  RawClient,
  session,
} from './support.js'

const stage = useWorld()

/** Sends so many messages, each by a connection of its own: `250`, or the reply that deferred it. */
async function sent(domain: MailDomain, count: number): Promise<string[]> {
  const codes: string[] = []
  for (let n = 0; n < count; n++) {
    const { responseCode } = await stage
      .sender()
      .sendMail(messageTo(domain))
      .then(
        () => ({ responseCode: 250 }),
        (error: { responseCode?: number }) => error,
      )
    codes.push(String(responseCode))
  }
  return codes
}

/** The codes of so many MAIL FROM and RCPT TO, each in a connection of its own. */
async function asked(domain: MailDomain, count: number): Promise<string[]> {
  const codes: string[] = []
  for (let n = 0; n < count; n++) {
    const to = [`you@${domain.name}`]
    const replies = await envelopeReplies(stage.world, domain.mx(), {
      from: 'me@sender.example',
      to,
    })
    codes.push(replies.find((reply) => !reply.startsWith('250'))?.slice(0, 3) ?? '250')
  }
  return codes
}

type Send = typeof sent
const SIDES: ReadonlyArray<[string, Send]> = [
  ['a client of its own', asked],
  ['the transport', sent],
]

describe.each(SIDES)('%s meets', (_, send) => {
  const LATER: Rule = { at: 'mail', reply: '451 4.3.0 Later' }
  const TWO = { count: 2, per: { minutes: 1 } }
  const PLAYS: ReadonlyArray<[string, (domain: MailDomain) => unknown, string]> = [
    ['a rule that lets two pass', (d) => d.mx().rule({ ...LATER, after: 2 }), '250 250 451'],
    ['a rule for two times', (d) => d.mx().rule({ ...LATER, times: 2 }), '451 451 250'],
    ['a rule for its sender', (d) => d.mx().rule({ ...LATER, from: '@sender.example' }), '451'],
    ['a rule for others', (d) => d.mx().rule({ ...LATER, from: '@other.example' }), '250'],
    ['a rule for its recipient', (d) => d.mx().rule({ ...LATER, at: 'rcpt', to: /^you@/ }), '451'],
    ['a rule of no probability', (d) => d.mx().rule({ ...LATER, probability: 0 }), '250 250'],
    ['a rule of every probability', (d) => d.mx().rule({ ...LATER, probability: 1 }), '451 451'],
    ['a rule that only waits', (d) => d.mx().rule({ at: 'mail', delay: 1 }), '250'],
    ['a list without it', (d) => d.mx().knows([/^nobody/]), '550 550'],
    ['a list with it', (d) => d.mx().knows([`you@${d.name}`]), '250'],
    ['greylisting, as long as it lasts', (d) => d.mx().greylists(), '451 451'],
    ['a rate of messages', (d) => d.mx().limits({ messages: TWO }), '250 250 451'],
    ['a rate of recipients', (d) => d.mx().limits({ recipients: TWO }), '250 250 452'],
    [
      'a reply of the limit itself',
      (d) => d.mx().limits({ messages: TWO, reply: '421 4.7.0 Slow' }),
      '250 250 421',
    ],
  ]

  it.each(PLAYS)('%s', async (_title, play, codes) => {
    const domain = stage.domain({ mode: 'enforce' })
    play(domain)
    const expected = codes.split(' ')
    expect(await send(domain, expected.length)).toEqual(expected)
  })

  it('a rate of connections: 421 in place of a greeting, and in the next minute none', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const limits = domain.mx().limits({ connections: { count: 1, per: { minutes: 1 } } })
    expect(await send(domain, 2)).toEqual(['250', '421'])
    expect(only(domain.mx().connections.slice(1, 2)).lines[0]?.text).toMatch(/^421 /)
    stage.world.clock.advance({ minutes: 1 })
    expect(await send(domain, 1)).toEqual(['250'])
    limits.stop()
  })

  it('a rule of a probability between: some pass, some do not', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const rule = domain.mx().rule({ ...LATER, probability: 0.5 })
    const codes = await send(domain, 12)
    expect(new Set(codes)).toEqual(new Set(['250', '451']))
    expect(rule.met).toBe(codes.filter((code) => code === '451').length)
  })

  it('chaos: replies and broken connections, and after it none', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const chaos = stage.world.chaos({ seed: 7, replies: 0.5, drops: 0.3, latency: 2 })
    const codes = await send(domain, 12)
    chaos.stop()
    expect(codes.some((code) => /^4\d\d$/.test(code))).toBe(true)
    expect(codes.some((code) => !/^\d/.test(code))).toBe(true)
    expect(chaos.met).toBeGreaterThan(11)
    expect(await send(domain, 2)).toEqual(['250', '250'])
  })
})

describe('limits of numbers', () => {
  it('one open connection: the transport is deferred while another client has it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().limits({ connections: 1 })
    const client = await greeted(stage.world, domain.mx())
    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))
    expect(error).toMatchObject({ permanent: false })
    expect(error.message).toContain('421 4.7.0 Too many connections')
    client.socket.destroy()
    await once(client.socket, 'close')
    await stage.sender().sendMail(messageTo(domain))
  })

  it('one message in a connection: the transport sends the next by another', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().limits({ messages: 1 })
    const sender = stage.sender({ maxMessages: 10 })
    await sender.sendMail(messageTo(domain))
    await sender.sendMail(messageTo(domain))
    const replies = domain.mx().connections.flatMap(({ lines }) => lines.map(({ text }) => text))
    expect(replies).toContain('451 4.7.1 Too many messages, try again later')
    expect(domain.mx().connections).toHaveLength(2)
    expect(domain.inbox).toHaveLength(2)
  })

  it('one recipient of a message: the transport delivers to the first, and is told of the other', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().limits({ recipients: 1 })
    const to = ['a', 'b'].map((user) => `${user}@${domain.name}`)
    const { accepted, rejected } = await stage.sender().sendMail({ ...messageTo(domain), to })
    expect([accepted, rejected]).toEqual([[to[0]], [to[1]]])
  })
})

describe('a delay', () => {
  it('is waited for by the transport', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().rule({ at: 'message', delay: { ms: 60 } })
    const before = performance.now()
    await stage.sender().sendMail(messageTo(domain))
    expect(performance.now() - before).toBeGreaterThan(58)
  })
})

describe('bounces()', () => {
  it('the transport delivers, and the sender has a notification with its status', async () => {
    const sender = stage.domain()
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().bounces({ to: /^gone@/, status: '5.2.2', reply: '552 5.2.2 Full for good' })
    const to = ['gone', 'here'].map((user) => `${user}@${domain.name}`)
    const from = `me@${sender.name}`
    const { accepted } = await stage.sender().sendMail({ ...messageTo(domain), from, to })
    expect(accepted).toEqual(to)
    const { raw } = await sender.inbox.next({ to: from })
    expect(raw).toContain(`Final-Recipient: rfc822; gone@${domain.name}`)
    expect(raw).toContain('Diagnostic-Code: smtp; 552 5.2.2 Full for good')
    expect(raw).not.toContain(`Final-Recipient: rfc822; here@`)
  })
})

describe('response-fragment', () => {
  it('a client of its own reads the head of a reply behind the 220, and then speaks TLS', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('response-fragment')
    const socket = dial(stage.world, domain.mx(), 25)
    await once(socket, 'data')
    socket.write('EHLO sender.example\r\n')
    await once(socket, 'data')
    socket.write('STARTTLS\r\n')
    expect(String(await once(socket, 'data'))).toMatch(
      /^220 [^\r]*\r\n250-injected\.example [A-Z]+ $/,
    )
    const secure = tlsConnect({ socket, servername: domain.mx().name, ca: stage.world.ca })
    await once(secure, 'secureConnect')
    secure.destroy()
  })
})

describe('TLS of hosts', () => {
  it('client-certificate: a client of its own without one is cut off after its handshake', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('client-certificate')
    const failed = session(stage.world, domain.mx()).then((connection) =>
      deliver(connection, `you@${domain.name}`),
    )
    expect(await codeOf(failed)).toBeDefined()
    expect(domain.inbox).toEqual([])
    expect(domain.mx().connections).toMatchObject([{ mailFrom: undefined }])
  })

  it('a client certificate is demanded: the transport refuses the MX host', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    using _ = domain.mx().tls({ clientCertificate: 'require' })
    expect(await errorOf(stage.sender().sendMail(messageTo(domain)))).toMatchObject({
      code: 'EMTASTS',
      failures: [{ reason: 'handshake-failed' }],
    })
  })

  it('a client certificate is asked for: the transport delivers without one', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().tls({ clientCertificate: 'request' })
    domain.policyHost.tls({ clientCertificate: 'request' })
    const { deliveries } = await stage.sender().sendMail(messageTo(domain))
    expect(only(deliveries)).toMatchObject({ mode: 'enforce', proved: 'sts' })
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a policy host demands a client certificate, %s: no policy for a client of its own, nor for the library',
    async (version) => {
      const domain = stage.domain({ mode: 'enforce' })
      const tls = domain.policyHost.tls({ clientCertificate: 'require', maxVersion: version })
      expect(await codeOf(get(stage.world, domain.policyHost))).toMatch(/ERR_SSL_|ECONNRESET|EPIPE/)
      expect(domain.policyHost.gets).toEqual([])
      expect(await stage.sts().getPolicy(domain.name)).toMatchObject({
        status: 'none',
        failure: { resultType: 'sts-policy-fetch-error' },
      })
      tls.stop()
      expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    },
  )

  it.each([
    ['TLSv1.1', 'none'],
    ['TLSv1.2', 'found'],
  ] as const)('a policy host speaks %s only: %s', async (maxVersion, status) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.tls({ maxVersion })
    const fetched = codeOf(get(stage.world, domain.policyHost))
    if (status === 'found') expect(await fetched).toBeUndefined()
    else expect(await fetched).toMatch(/ERR_SSL|ECONNRESET/)
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status })
  })
})

describe('a link before a policy host', () => {
  it('a client of its own and the library fetch the policy by it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const link = domain.policyHost.link({ latency: 10, jitter: 2 })
    const before = performance.now()
    expect((await get(stage.world, domain.policyHost)).status).toBe(200)
    expect(performance.now() - before).toBeGreaterThan(40)
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    expect(link.met).toBe(2)
  })
})

it('a fault for one family of addresses: a client that dials the other is served', async () => {
  const mx = stage.domain({ mode: 'enforce' }).mx()
  mx.fails('unreachable', { family: 6 })
  const { connect } = stage.world.options()
  const target = { purpose: 'smtp', host: mx.name, port: 25 }
  const [six, four] = [mx.ipv6, mx.ipv4].map((address) => connect({ ...target, address }))
  if (six === undefined || four === undefined) throw new Error('There are two addresses')
  expect(await codeOf(once(six, 'connect'))).toBe('ECONNREFUSED')
  expect(String(await once(four, 'data'))).toMatch(/^220 /)
})

it('a fault with an end in world time is over for a client and for the transport alike', async () => {
  const domain = stage.domain({ mode: 'enforce' })
  domain.mx().fails('unreachable', { during: { minutes: 1 } })
  expect(await codeOf(RawClient.open(stage.world, domain.mx()))).toBe('ECONNREFUSED')
  expect(await sent(domain, 1)).toEqual(['undefined'])
  stage.world.clock.advance({ minutes: 1 })
  expect(await sent(domain, 1)).toEqual(['250'])
})

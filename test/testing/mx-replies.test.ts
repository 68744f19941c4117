import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import { describe, expect, it } from 'vitest'
import type { MailDomain } from '../../src/testing/index.js'
import { useHosts } from './hosts.js'
import { codeOf, deliver, dial, RawClient, session } from './support.js'

const stage = useHosts()
const { fresh } = stage

describe('replies of one own making', () => {
  const at = ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'message'] as const
  const replies = ['451 4.7.1 Come back later', '550 5.7.1 Not here'] as const

  it.each(at.flatMap((where) => replies.map((reply) => [where, reply] as const)))(
    'at %s: %s',
    async (where, reply) => {
      const domain = fresh()
      domain.mx().fails({ at: where, reply })
      const said = await converse(domain)
      expect(said.at(-1)).toBe(reply)
      expect(said).toHaveLength(at.indexOf(where) + 1)
      expect(domain.inbox).toEqual([])
      domain.mx().works()
      expect((await converse(domain)).at(-1)).toMatch(/^250 /)
    },
  )

  it('to one recipient only', async () => {
    const domain = fresh()
    const to = `gone@${domain.name}`
    domain.mx().fails({ at: 'rcpt', reply: '550 5.1.1 No such user', to })
    const recipients = [to, `here@${domain.name}`]
    const { rejected } = await deliver(await session(stage.world, domain.mx()), recipients)
    expect(rejected).toEqual([to])
    expect(domain.inbox).toMatchObject([{ envelope: { to: [`here@${domain.name}`] } }])
  })

  it('of several lines', async () => {
    const domain = fresh()
    domain.mx().fails({ at: 'mail', reply: '550-5.7.1 Not\n550 5.7.1 here' })
    expect((await converse(domain)).at(-1)).toBe('550-5.7.1 Not\n550 5.7.1 here')
  })

  it('421 ends the connection', async () => {
    const domain = fresh()
    domain.mx().fails({ at: 'mail', reply: '421 4.3.2 Shutting down' })
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    await client.say('EHLO sender.example')
    expect(await client.say('MAIL FROM:<a@sender.example>')).toMatch(/^421 /)
    expect(await client.reply()).toBe('')
  })

  it('EHLO refused, HELO taken', async () => {
    const domain = fresh()
    domain.mx().fails({ at: 'ehlo', reply: '502 5.5.1 What?' })
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    expect(await client.say('EHLO sender.example')).toMatch(/^502 /)
    expect(await client.say('HELO sender.example')).toMatch(/^250 /)
    await client.say('QUIT')
  })

  it('a reply that is none is refused', () => {
    expect(() => fresh().mx().fails({ at: 'mail', reply: '250 OK' })).toThrow(TypeError)
    expect(() => fresh().mx().fails({ at: 'mail', reply: 'no' })).toThrow(TypeError)
  })
})

describe('a smart host', () => {
  const auth = { user: 'me', pass: 'secret' }

  it('takes mail on port 587 from who may log in', async () => {
    const host = stage.world.smartHost('smtp.provider.example', { auth })
    expect(await codeOf(once(dial(stage.world, host, 25), 'connect'))).toBe('ECONNREFUSED')
    const connection = await session(stage.world, host, { port: 587 })
    await login(connection, { user: 'me', pass: 'secret' })
    await deliver(connection)
    expect(host.inbox).toHaveLength(1)
    const other = await session(stage.world, host, { port: 587 })
    expect(await codeOf(login(other, { user: 'me', pass: 'wrong' }))).toBe('EAUTH')
    other.close()
  })

  it('speaks TLS from the first byte on port 465', async () => {
    const host = stage.world.smartHost('smtps.provider.example', { port: 465 })
    const socket = tlsConnect({
      socket: dial(stage.world, host, 465),
      servername: host.name,
      ca: stage.world.ca,
    })
    const [greeting] = await once(socket, 'data')
    expect(String(greeting)).toMatch(/^220 /)
    socket.destroy()
    expect(host.connections).toMatchObject([{ port: 465, tls: { version: 'TLSv1.3' } }])
    expect(host.connections[0]?.lines[0]?.tls).toBe(true)
  })

  it('is its own Policy Domain', async () => {
    const host = stage.world.smartHost('submit.provider.example')
    const domain = stage.world.domain('submit.provider.example', { mode: 'enforce', mx: [] })
    expect(domain.mx()).toBe(host)
    expect(domain.policyFile).toContain('mx: submit.provider.example')
  })
})

/** The replies to a delivery, up to the first that is not a good one. */
async function converse(domain: MailDomain): Promise<string[]> {
  const client = await RawClient.open(stage.world, domain.mx())
  const replies = [await client.reply()]
  const lines = [
    'EHLO sender.example',
    'MAIL FROM:<a@sender.example>',
    `RCPT TO:<b@${domain.name}>`,
    'DATA',
    'Subject: x\r\n\r\n.',
  ]
  for (const line of lines) {
    if (!/^[23]/.test(replies.at(-1) ?? '')) break
    replies.push(await client.say(line))
  }
  client.socket.destroy()
  return replies
}

async function login(
  connection: Awaited<ReturnType<typeof session>>,
  auth: { user: string; pass: string },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    connection.login({ credentials: auth }, (error) => (error ? reject(error) : resolve()))
  })
}

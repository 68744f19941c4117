import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { describe, expect, it } from 'vitest'
import type { MailDomain } from '../../src/testing/index.js'
import { useHosts } from './hosts.js'
import { codeOf, deliver, dial, RawClient, session } from './support.js'

const stage = useHosts()
const { fresh } = stage

describe('an MX host as it should be', () => {
  it('takes a message over verified TLS', async () => {
    const bob = stage.world.domain('bob.example', { mode: 'enforce' })
    await deliver(await session(stage.world, bob.mx()))
    const [message] = bob.inbox
    expect(message).toMatchObject({
      envelope: { from: 'a@sender.example', to: ['b@bob.example'] },
      mx: 'mx.bob.example',
      address: bob.mx().ipv4,
      tls: { version: 'TLSv1.3', servername: 'mx.bob.example', cipher: expect.any(String) },
      requireTls: false,
    })
    expect(message?.raw).toBe('Subject: hello\r\n\r\nBody\r\n')
    expect(message?.bytes.toString()).toBe(message?.raw)
    expect(stage.world.inbox).toContain(message)
    expect(bob.mx().inbox).toEqual([message])
  })

  it('writes down what was said, in order, and whether in TLS', async () => {
    const domain = fresh()
    await deliver(await session(stage.world, domain.mx()), `b@${domain.name}`)
    const [connection] = domain.mx().connections
    expect(connection?.lines[0]).toMatchObject({ from: 'server', tls: false })
    const said = connection?.lines.filter(({ from }) => from === 'client')
    expect(said?.map(({ text, tls }) => `${tls ? 'TLS' : '---'} ${text}`)).toEqual([
      '--- EHLO sender.example',
      '--- STARTTLS',
      'TLS EHLO sender.example',
      'TLS MAIL FROM:<a@sender.example>',
      `TLS RCPT TO:<b@${domain.name}>`,
      'TLS DATA',
      'TLS (a message of 24 bytes)',
      'TLS QUIT',
    ])
    expect(connection).toMatchObject({
      mailFrom: 'a@sender.example',
      servername: `mx.${domain.name}`,
      tls: { version: 'TLSv1.3' },
      port: 25,
    })
  })

  it('takes a message in plaintext, and says so', async () => {
    const domain = fresh()
    const connection = await session(stage.world, domain.mx(), { plaintext: true })
    await deliver(connection, `b@${domain.name}`)
    expect(domain.inbox).toMatchObject([{ tls: false }])
    expect(domain.mx().connections).toMatchObject([{ tls: undefined, servername: undefined }])
  })

  it.each(['fails', 'works', 'certificate'] as const)(
    '%s() ends the connections that are open',
    async (change) => {
      const mx = fresh().mx()
      const connection = await session(stage.world, mx)
      const ended = once(connection, 'end')
      if (change === 'fails') mx.fails('slow')
      else mx[change]()
      await ended
      expect(mx.connections[0]?.lines.at(-1)?.text).not.toMatch(/QUIT|221/)
    },
  )

  it('greets at once', async () => {
    const mx = fresh().mx()
    await (await RawClient.open(stage.world, mx)).say('QUIT')
    // smtp-server waits 100 ms by itself, each time; a busy machine is slow now and then
    const times: number[] = []
    while (times.length < 20 && !times.some((time) => time < 90)) {
      const before = performance.now()
      const client = await RawClient.open(stage.world, mx)
      expect(await client.reply()).toMatch(/^220 /)
      times.push(performance.now() - before)
      await client.say('QUIT')
    }
    expect(Math.min(...times)).toBeLessThan(90)
  })

  it('offers REQUIRETLS when told to', async () => {
    const mx = stage.world.mx('mx.requiretls.example', { requireTls: true })
    const domain = stage.world.domain('requiretls.example', { mode: 'enforce', mx: [mx.name] })
    const connection = await session(stage.world, mx)
    await new Promise<void>((resolve, reject) => {
      const envelope = { from: 'a@sender.example', to: ['b@requiretls.example'] }
      connection.send({ ...envelope, requireTLSExtensionEnabled: true }, 'x', (error) =>
        error ? reject(error) : resolve(),
      )
    })
    connection.close()
    expect(domain.inbox).toMatchObject([{ requireTls: true }])
  })
})

it('domains share MX hosts; each has its own inbox', async () => {
  const mx = ['mx1.fleet.example']
  const [one, other] = ['one.example', 'other.example'].map((name) =>
    stage.world.domain(name, { mode: 'enforce', mx }),
  )
  await deliver(await session(stage.world, stage.world.mx('mx1.fleet.example')), ['b@one.example'])
  await deliver(await session(stage.world, stage.world.mx('mx1.fleet.example')), [
    'c@one.example',
    'd@other.example',
  ])
  expect(one?.inbox.map(({ envelope }) => envelope.to.length)).toEqual([1, 2])
  expect(other?.inbox).toHaveLength(1)
  expect(one?.mx()).toBe(other?.mx())
})

it('what an attacker took is not in the inbox of the domain', async () => {
  const domain = fresh()
  domain.dns.fails('spoofed-mx')
  await stage.world.options().resolver.resolveMx(domain.name)
  const attacker = stage.world.mx('mx.attacker.example')
  await deliver(await session(stage.world, attacker), `b@${domain.name}`)
  expect(domain.inbox).toEqual([])
  expect(attacker.inbox).toHaveLength(1)
})

describe('faults of the certificate', () => {
  it.each([
    ['wrong-name', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['unknown-authority', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['missing-intermediate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['not-yet-valid', 'CERT_NOT_YET_VALID'],
  ] as const)('%s: %s', async (fault, code) => {
    const domain = fresh()
    domain.mx().fails(fault)
    expect(await tlsError(domain)).toBe(code)
    const [connection] = domain.mx().connections
    expect(connection).toMatchObject({ fault, mailFrom: undefined, servername: domain.mx().name })
    expect(domain.inbox).toEqual([])
    domain.mx().works()
    expect(await tlsError(domain)).toBeUndefined()
  })

  it.each([
    ['cn-only', undefined],
    ['partial-wildcard', 'DNS:m*.'],
  ] as const)('%s: Node lets it pass, RFC 8461 does not', async (fault, san) => {
    const domain = fresh()
    const host = domain.mx().name
    domain.mx().fails(fault)
    const socket = await startTls(domain)
    expect(socket.authorized).toBe(true)
    const certificate = new X509Certificate(socket.getPeerCertificate().raw)
    expect(certificate.subjectAltName).toBe(san === undefined ? undefined : san + domain.name)
    expect(certificate.checkHost(host, { subject: 'always' })).toBeDefined()
    const strict = { subject: 'never', partialWildcards: false } as const
    expect(certificate.checkHost(host, strict)).toBeUndefined()
    socket.destroy()
  })

  it('a wildcard, and anything else that is asked for', async () => {
    const domain = fresh()
    domain.mx().certificate({ san: [`DNS:*.${domain.name}`], cn: 'whatever' })
    expect(await tlsError(domain)).toBeUndefined()
    domain.mx().certificate({ san: ['IP:192.0.2.1'] })
    expect(await tlsError(domain)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    domain.mx().certificate()
    expect(await tlsError(domain)).toBeUndefined()
  })

  it.each([
    [{ key: 'own' }, undefined],
    [{ validity: 'past' }, 'CERT_HAS_EXPIRED'],
    [{ signedBy: 'itself' }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [{ cn: 'whatever' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [{ san: [] }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const)(
    'a certificate with %o is the good one in all else, or has only the name in cn: %s',
    async (spec, code) => {
      const domain = fresh()
      domain.mx().certificate(spec)
      expect(await tlsError(domain)).toBe(code)
    },
  )
})

describe('faults of STARTTLS', () => {
  it('no-starttls: neither offered nor accepted; mail is', async () => {
    const domain = fresh()
    domain.mx().fails('no-starttls')
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    expect(await client.say('EHLO sender.example')).not.toContain('STARTTLS')
    expect(await client.say('STARTTLS')).toMatch(/^500 /)
    await client.say('MAIL FROM:<a@sender.example>')
    await client.say(`RCPT TO:<b@${domain.name}>`)
    await client.say('DATA')
    expect(await client.say('Subject: x\r\n\r\n.')).toMatch(/^250 /)
    await client.say('QUIT')
    expect(domain.inbox).toMatchObject([{ tls: false }])
  })

  it.each([
    ['starttls-454', /^454 /],
    ['starttls-502', /^502 /],
  ] as const)('%s: offered and refused', async (fault, reply) => {
    const domain = fresh()
    domain.mx().fails(fault)
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    expect(await client.say('EHLO sender.example')).toContain('STARTTLS')
    expect(await client.say('STARTTLS')).toMatch(reply)
    expect(await client.say('MAIL FROM:<a@sender.example>')).toMatch(/^250 /)
    await client.say('QUIT')
    expect(domain.mx().connections).toMatchObject([{ mailFrom: 'a@sender.example' }])
  })

  it('tls-1.1: nothing higher', async () => {
    const domain = fresh()
    domain.mx().fails('tls-1.1')
    expect(await tlsError(domain)).toMatch(/PROTOCOL/)
    const old = { minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const socket = await startTls(domain, old)
    expect(socket.getProtocol()).toBe('TLSv1.1')
    socket.destroy()
  })

  it('handshake-reset', async () => {
    const domain = fresh()
    domain.mx().fails('handshake-reset')
    expect(await tlsError(domain)).toBe('ECONNRESET')
    expect(domain.mx().connections[0]?.lines.at(-1)?.text).toMatch(/^220 /)
  })

  it('handshake-stall: the ClientHello is taken and nothing comes back', async () => {
    const domain = fresh()
    domain.mx().fails('handshake-stall')
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    await client.say('EHLO sender.example')
    await client.say('STARTTLS')
    const { socket } = client
    const secure = tlsConnect({ socket, servername: domain.mx().name, ca: stage.world.ca })
    secure.setTimeout(200)
    const first = await Promise.race([
      once(secure, 'timeout').then(() => 'nothing'),
      once(secure, 'secureConnect').then(() => 'a handshake'),
    ])
    expect(first).toBe('nothing')
    secure.destroy()
  })

  it('response-injection: a reply rides along with the 220', async () => {
    const domain = fresh()
    domain.mx().fails('response-injection')
    const client = await RawClient.open(stage.world, domain.mx())
    await client.reply()
    await client.say('EHLO sender.example')
    client.socket.write('STARTTLS\r\n')
    const [packet] = await once(client.socket, 'data')
    expect(String(packet)).toMatch(/^220 .*\r\n250-injected\.example\r\n250 AUTH PLAIN\r\n$/)
    const { socket } = client
    const secure = tlsConnect({ socket, servername: domain.mx().name, ca: stage.world.ca })
    await once(secure, 'secureConnect')
    secure.write('EHLO sender.example\r\n')
    expect(String(await once(secure, 'data'))).toMatch(/^250-mx\./)
    secure.destroy()
  })
})

describe('faults of the connection', () => {
  it('unreachable', async () => {
    const domain = fresh()
    domain.mx().fails('unreachable')
    expect(await codeOf(once(dial(stage.world, domain.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    expect(domain.mx().connections).toEqual([])
    expect(stage.world.dials.at(-1)).toMatchObject({ outcome: 'refused', host: domain.mx().name })
  })

  it('slow: every reply takes its time, and comes', async () => {
    const domain = fresh()
    domain.mx().fails('slow')
    const before = performance.now()
    await deliver(await session(stage.world, domain.mx()), `b@${domain.name}`)
    expect(performance.now() - before).toBeGreaterThan(7 * 140)
    expect(domain.inbox).toHaveLength(1)
  })

  it('drops-after-data: the message is not kept', async () => {
    const domain = fresh()
    domain.mx().fails('drops-after-data')
    const connection = await session(stage.world, domain.mx())
    expect(await codeOf(deliver(connection, `b@${domain.name}`))).toBe('ECONNECTION')
    expect(domain.inbox).toEqual([])
    expect(domain.mx().connections[0]?.lines.at(-1)?.text).toMatch(/^\(a message/)
  })
})

/** Nodemailer reports the code of Node's TLS error beside its own. */
async function tlsError(domain: MailDomain): Promise<string | undefined> {
  return codeOf(startTls(domain).then((socket) => socket.destroy()))
}

async function startTls(domain: MailDomain, options = {}): Promise<TLSSocket> {
  const client = await RawClient.open(stage.world, domain.mx())
  await client.reply()
  await client.say('EHLO sender.example')
  await client.say('STARTTLS')
  const { socket } = client
  const servername = domain.mx().name
  const secure = tlsConnect({ socket, servername, ca: stage.world.ca, ...options })
  await once(secure, 'secureConnect')
  return secure
}

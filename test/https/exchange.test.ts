/** One verified HTTPS exchange: the result for each address, and the data sent to each. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ExchangeOptions,
  exchangeAt,
  exchanges,
  type HttpsExchange,
  type HttpsRequest,
} from '../../src/https/exchange.js'
import { defaultBlockedAddresses } from '../../src/net/blocked-addresses.js'
import type { CertificateAuthority, CertificateSpec } from '../../src/testing/authority.js'
import { trustedRoots } from '../../src/tls/options.js'
import { makeAuthority, resolverOf, Servers, Wire } from '../tls/support.js'

const HOST = 'mta-sts.bob.example'
const servers = new Servers()
let authority: CertificateAuthority

beforeAll(async () => {
  authority = await makeAuthority()
})
afterAll(() => servers.close())

/** A server that answers each request with these bytes, and the bytes that it received. */
async function host(answer: string, spec: CertificateSpec = { san: [`DNS:${HOST}`] }) {
  const received: string[] = []
  const secured: TLSSocket[] = []
  const port = await servers.tls(await authority.issue(spec), (socket) => {
    secured.push(socket)
    socket.on('data', (chunk) => {
      received.push(chunk.toString('latin1'))
      socket.end(answer)
    })
  })
  return { port, received, secured }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi'

function request(changes: Partial<HttpsRequest> = {}): HttpsRequest {
  return {
    purpose: 'policy',
    host: HOST,
    method: 'GET',
    path: '/x',
    headers: {},
    maxBody: 100,
    ...changes,
  }
}

function options(wire: Wire, changes: Partial<ExchangeOptions> = {}): ExchangeOptions {
  return {
    resolver: resolverOf({ a: ['192.0.2.1', '192.0.2.2'] }),
    connect: wire.connect,
    blockedAddresses: defaultBlockedAddresses(),
    roots: trustedRoots(authority.root),
    dnsTimeout: 10_000,
    timeout: 20_000,
    ...changes,
  }
}

async function all(
  asked: HttpsRequest,
  { wire, ...changes }: { wire: Wire } & Partial<ExchangeOptions>,
): Promise<HttpsExchange[]> {
  const seen: HttpsExchange[] = []
  for await (const exchange of exchanges(asked, options(wire, changes))) seen.push(exchange)
  return seen
}

describe('exchanges', () => {
  it('yields the exchange with each address of the host, with status, headers, body and times', async () => {
    const good = await host(OK)
    const busy = await host('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n')
    const wire = new Wire({ '192.0.2.1': busy.port, '192.0.2.2': good.port })
    const [first, second, ...others] = await all(request(), { wire })
    expect(others).toEqual([])
    expect(first).toMatchObject({ ok: true, address: '192.0.2.1', status: 503, sent: true })
    expect(second).toMatchObject({
      ok: true,
      address: '192.0.2.2',
      status: 200,
      headers: { 'content-type': 'text/plain' },
      body: Buffer.from('hi'),
    })
    const { connected = 0, secured = 0, answered = 0, ended = 0 } = second?.times ?? {}
    expect([connected, secured, answered, ended]).toEqual(
      [connected, secured, answered, ended].sort((a, b) => a - b),
    )
    expect(connected).toBeGreaterThan(0)
    expect(wire.left).toEqual([])
  })

  it('stops when the caller has enough, without contacting further addresses', async () => {
    const good = await host(OK)
    const wire = new Wire({ '192.0.2.1': good.port, '192.0.2.2': good.port })
    for await (const exchange of exchanges(request(), options(wire))) {
      expect(exchange.ok).toBe(true)
      break
    }
    expect(wire.addresses).toEqual(['192.0.2.1'])
    expect(wire.left).toEqual([])
  })

  it('does not yield an address that cannot be connected to beside one that answers', async () => {
    const good = await host(OK)
    const seen = await all(request(), { wire: new Wire({ '192.0.2.1': good.port }) })
    expect(seen.map(({ address }) => address)).toEqual(['192.0.2.1'])
  })

  it('yields one failure when no address can be connected to, or the host has none', async () => {
    const refusing = new Wire({ '192.0.2.1': 'refuse', '192.0.2.2': 'refuse' })
    const refused = await all(request(), { wire: refusing })
    expect(refused).toMatchObject([{ ok: false, failure: { reason: 'connection-failed' } }])
    const none = await all(request(), { wire: new Wire({}), resolver: resolverOf({}) })
    expect(none).toMatchObject([{ ok: false, sent: false, failure: { reason: 'no-address' } }])
  })

  it('sends the body of a POST with its length, and does not wait for an unwanted body', async () => {
    const collector = await host('HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n')
    const wire = new Wire({ '192.0.2.1': collector.port, '192.0.2.2': 'refuse' })
    const body = Buffer.from('a report')
    const post = request({ method: 'POST', body, port: 8443, wantsBody: () => false })
    const [exchange] = await all(post, { wire })
    expect(exchange).toMatchObject({ ok: true, status: 201, body: Buffer.alloc(0) })
    expect(collector.received.join('')).toMatch(/^POST \/x HTTP\/1.1\r\n/)
    expect(collector.received.join('').toLowerCase()).toContain('content-length: 8\r\n')
    expect(collector.received.join('').toLowerCase()).toContain(`host: ${HOST}:8443\r\n`)
    expect(new Set(wire.dials.map(({ port }) => port))).toEqual(new Set([8443]))
  })

  it('keeps the status and the received part of a body that is too long or breaks off', async () => {
    const long = await host(`HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n${'x'.repeat(300)}`)
    const cut = await host('HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nhalf')
    const wire = new Wire({ '192.0.2.1': long.port, '192.0.2.2': cut.port })
    const [first, second] = await all(request(), { wire })
    expect(first).toMatchObject({ ok: false, status: 200, failure: { reason: 'too-large' } })
    expect(second).toMatchObject({ ok: false, status: 200, body: Buffer.from('half') })
  })

  it('[STS-14] ends at one deadline for all addresses, and when its signal is aborted', async () => {
    const silent = await servers.tcp()
    const wire = new Wire({ '192.0.2.1': silent, '192.0.2.2': silent })
    const late = await all(request(), { wire, timeout: 200 })
    expect(late.map((exchange) => !exchange.ok && exchange.failure.reason)).toEqual([
      'timeout',
      'timeout',
    ])
    const closing = new AbortController()
    const aborted = all(request(), { wire, signal: closing.signal })
    closing.abort(new Error('closed'))
    const [last] = await aborted
    expect(last).toMatchObject({ ok: false, failure: { reason: 'timeout' } })
    expect(wire.left).toEqual([])
  })
})

describe('a signal that is aborted between two steps', () => {
  it.each([0, 1, 2, 3, 4])(
    '[STS-57] %i promises after the connection stands: the exchange ends',
    async (promises) => {
      const wire = new Wire({ '192.0.2.1': await servers.tcp() })
      const closing = new AbortController()
      const connect: ExchangeOptions['connect'] = (target) => {
        const socket = wire.connect(target) as Socket
        socket.once('connect', async () => {
          for (let settled = 0; settled < promises; settled++) await undefined
          closing.abort(new Error('closed'))
        })
        return socket
      }
      const exchange = exchangeAt(
        '192.0.2.1',
        request(),
        options(wire, { connect, signal: closing.signal, timeout: 2 ** 31 - 1 }),
      )
      expect(await exchange).toMatchObject({ ok: false, failure: { reason: 'timeout' } })
      expect(wire.left).toEqual([])
    },
  )
})

describe('exchangeAt', () => {
  it('makes one handshake with the address that the caller names', async () => {
    const good = await host(OK)
    const wire = new Wire({ '192.0.2.1': 'refuse', '192.0.2.2': good.port })
    const exchange = await exchangeAt('192.0.2.2', request(), options(wire, { inspect: true }))
    expect(exchange).toMatchObject({ ok: true, address: '192.0.2.2', status: 200 })
    expect(exchange.tls).toMatchObject({ version: 'TLSv1.3', cipher: expect.any(String) })
    expect(exchange.tls?.certificate?.subjectAltName).toBe(`DNS:${HOST}`)
    expect([wire.dials.length, good.secured.length]).toEqual([1, 1])
  })

  it('names the address that it cannot connect to', async () => {
    const wire = new Wire({ '192.0.2.1': 'refuse' })
    expect(await exchangeAt('192.0.2.1', request(), options(wire))).toMatchObject({
      ok: false,
      address: '192.0.2.1',
      failure: { reason: 'connection-failed', certificate: false },
    })
  })

  it.each<[name: string, spec: CertificateSpec, reason: string]>([
    ['another name', { san: ['DNS:other.example'] }, 'certificate-host-mismatch'],
    ['no DNS name', { cn: HOST, san: [] }, 'certificate-host-mismatch'],
    ['an unknown authority', { san: [`DNS:${HOST}`], signedBy: 'itself' }, 'self-signed'],
    ['an end in the past', { san: [`DNS:${HOST}`], validity: 'past' }, 'certificate-expired'],
  ])(
    'with `inspect`, shows a certificate with %s and sends the host nothing',
    async (_, spec, reason) => {
      const wrong = await host(OK, spec)
      const wire = new Wire({ '192.0.2.1': wrong.port })
      for (const inspect of [true, false]) {
        const exchange = await exchangeAt('192.0.2.1', request(), options(wire, { inspect }))
        expect(exchange).toMatchObject({
          ok: false,
          sent: false,
          failure: { reason, certificate: true },
        })
        expect(exchange.tls?.certificate !== undefined).toBe(inspect)
      }
      expect(wrong.received).toEqual([])
      expect(wire.left).toEqual([])
    },
  )
})

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:https'
import {
  type AddressInfo,
  BlockList,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket,
} from 'node:net'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { defaultBlockedAddresses } from '../../src/net/blocked-addresses.js'
import type { ConnectTarget } from '../../src/net/connect.js'
import { CertificateAuthority } from '../../src/testing/authority.js'
import { trustedRoots } from '../../src/tls/options.js'
import { parseReport, TlsReporter } from '../../src/tlsrpt/index.js'
import { type PostOptions, postReport } from '../../src/tlsrpt/post-report.js'
import {
  DAY,
  FakeResolver,
  FakeTransporter,
  HOUR,
  publishSession,
  reporterOptions,
  TODAY_NOON,
} from './support.js'

type Answer = number | 'nothing' | 'drip' | 'reset' | { status: number; location: string }

/** Collectors on one port of loopback, distinguished by the dialled address. */
class Collectors {
  readonly posts: Array<{ request: IncomingMessage; body: Buffer }> = []
  readonly dials: ConnectTarget[] = []
  answers: Answer[] = []
  /** Addresses that lead to a host with another certificate */
  readonly strangers = new Set<string>()
  readonly resolver = new FakeResolver()
  roots = trustedRoots(undefined)
  ca = ''
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Duplex>()

  async open(): Promise<void> {
    const authority = await CertificateAuthority.create()
    this.ca = authority.root
    this.roots = trustedRoots(authority.root)
    for (const spec of [{ san: ['DNS:collector.example'] }, { san: ['DNS:stranger.example'] }]) {
      const server = createServer(await authority.issue(spec), (request, response) => {
        void buffer(request).then((body) => {
          this.posts.push({ request, body })
          const answer = this.answers.shift() ?? 200
          if (answer === 'nothing') return
          if (answer === 'reset') return request.socket.destroy()
          if (answer === 'drip') return void response.socket?.write('HTTP/1.1 2')
          if (typeof answer === 'number') return response.writeHead(answer).end('x'.repeat(100_000))
          response.writeHead(answer.status, { location: answer.location }).end()
        })
      })
      server.on('connection', (socket) => this.#sockets.add(socket))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      this.#servers.push(server)
    }
    this.reset()
  }

  reset(): void {
    this.posts.length = 0
    this.dials.length = 0
    this.answers = []
    this.strangers.clear()
    this.resolver.addresses.clear()
    this.resolver.addresses.set('collector.example', ['192.0.2.80'])
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#servers.map((server) => once(server.close(), 'close')))
  }

  readonly connect = (target: ConnectTarget): Socket => {
    this.dials.push(target)
    if (target.address === '192.0.2.99') return connectTcp({ host: '127.0.0.1', port: 1 })
    const [collector, stranger] = this.#servers.map((server) => server.address() as AddressInfo)
    const port = (this.strangers.has(target.address) ? stranger : collector)?.port ?? 1
    return connectTcp({ host: '127.0.0.1', port })
  }

  options(overrides: Partial<PostOptions> = {}): PostOptions {
    return {
      resolver: this.resolver,
      connect: this.connect,
      blockedAddresses: defaultBlockedAddresses(),
      roots: this.roots,
      dnsTimeout: 1000,
      postTimeout: 20_000,
      ...overrides,
    }
  }
}

const collectors = new Collectors()
beforeAll(() => collectors.open())
afterEach(() => collectors.reset())
afterAll(() => collectors.close())

const URL_ = new URL('https://collector.example:8443/v1/tlsrpt?d=x')
const BODY = Buffer.from('a report')

describe('postReport', () => {
  it('[RPT-11] POSTs the file with its media type, to the host and the path of the URI', async () => {
    await postReport(URL_, BODY, collectors.options())
    const [post] = collectors.posts
    expect(post?.body).toEqual(BODY)
    expect(post?.request).toMatchObject({ method: 'POST', url: '/v1/tlsrpt?d=x' })
    expect(post?.request.headers).toMatchObject({
      host: 'collector.example:8443',
      'content-type': 'application/tlsrpt+gzip',
      'content-length': '8',
    })
    expect(collectors.dials).toMatchObject([
      { purpose: 'report', host: 'collector.example', address: '192.0.2.80', port: 8443 },
    ])
  })

  it('[RPT-11] uses port 443 for a URI without a port', async () => {
    await postReport(new URL('https://collector.example/'), BODY, collectors.options())
    expect(collectors.dials.map(({ port }) => port)).toEqual([443])
    expect(collectors.posts[0]?.request.headers.host).toBe('collector.example')
  })

  it.each([200, 201, 202, 204, 299])('[RPT-11] accepts %d as success', async (status) => {
    collectors.answers = [status]
    await postReport(URL_, BODY, collectors.options())
    expect(collectors.posts.length).toBe(1)
  })

  it.each([300, 304, 400, 401, 404, 410, 413, 429, 500, 503])(
    '[RPT-11] fails for %d',
    async (status) => {
      collectors.answers = [status]
      await expect(postReport(URL_, BODY, collectors.options())).rejects.toMatchObject({
        code: 'EREPORTPOST',
        message: expect.stringContaining(`it answered ${status}`),
      })
    },
  )

  it.each([301, 302, 307, 308])('[RPT-11] does not follow %d', async (status) => {
    collectors.answers = [{ status, location: 'https://collector.example:8443/elsewhere' }]
    await expect(postReport(URL_, BODY, collectors.options())).rejects.toThrow(String(status))
    expect(collectors.posts.map(({ request }) => request.url)).toEqual(['/v1/tlsrpt?d=x'])
  })

  it.each<Answer>(['nothing', 'drip'])('ends at the deadline: %s', async (answer) => {
    collectors.answers = [answer]
    const posting = postReport(URL_, BODY, collectors.options({ postTimeout: 300 }))
    await expect(posting).rejects.toMatchObject({
      code: 'EREPORTPOST',
      message: expect.stringContaining('longer than 300 ms'),
    })
  })

  it('ends at the deadline in the handshake', async () => {
    const silent = createTcpServer(() => {})
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const connect = () => connectTcp({ host: '127.0.0.1', port })
    const posting = postReport(URL_, BODY, collectors.options({ connect, postTimeout: 300 }))
    await expect(posting).rejects.toThrow('longer than 300 ms')
    silent.close()
  })

  it('fails for a connection that breaks off, without trying another address', async () => {
    collectors.resolver.addresses.set('collector.example', ['192.0.2.80', '192.0.2.81'])
    collectors.answers = ['reset']
    await expect(postReport(URL_, BODY, collectors.options())).rejects.toMatchObject({
      code: 'EREPORTPOST',
    })
    expect(collectors.posts.length).toBe(1)
  })

  it('[RPT-11] sends nothing to a collector that does not prove its name', async () => {
    collectors.strangers.add('192.0.2.80')
    await expect(postReport(URL_, BODY, collectors.options())).rejects.toMatchObject({
      code: 'EREPORTPOST',
      message: expect.stringMatching(/collector\.example/),
    })
    const unknown = collectors.options({ roots: trustedRoots(undefined) })
    collectors.strangers.clear()
    await expect(postReport(URL_, BODY, unknown)).rejects.toMatchObject({ code: 'EREPORTPOST' })
    expect(collectors.posts).toEqual([])
  })

  it('tries the next address after one that does not answer or is another host', async () => {
    collectors.resolver.addresses.set('collector.example', [
      '192.0.2.99',
      '192.0.2.98',
      '192.0.2.80',
    ])
    collectors.strangers.add('192.0.2.98')
    await postReport(URL_, BODY, collectors.options())
    expect(collectors.dials.map(({ address }) => address)).toEqual([
      '192.0.2.99',
      '192.0.2.98',
      '192.0.2.80',
    ])
    expect(collectors.posts.length).toBe(1)
  })

  it.each(['127.0.0.1', '10.0.0.1', '169.254.169.254', '0.0.0.0'])(
    'never connects to %s, whatever the name',
    async (address) => {
      collectors.resolver.addresses.set('collector.example', [address])
      await expect(postReport(URL_, BODY, collectors.options())).rejects.toThrow('blocked-address')
      expect(collectors.dials).toEqual([])
    },
  )

  it('fails for a host without addresses', async () => {
    collectors.resolver.addresses.clear()
    await expect(postReport(URL_, BODY, collectors.options())).rejects.toThrow('no-address')
  })
})

describe('TlsReporter', () => {
  it('[RPT-11] [RPT-12] sends the same report again to a collector that answers 500, then 200', async () => {
    const clock = { time: TODAY_NOON }
    const transporter = new FakeTransporter()
    collectors.resolver.reports('bob.example', `${URL_.href},mailto:reports@bob.example`)
    const reporter = new TlsReporter(
      reporterOptions({
        transporter,
        resolver: collectors.resolver,
        connect: collectors.connect,
        ca: collectors.ca,
        now: () => clock.time,
      }),
    )
    publishSession()
    clock.time += DAY
    collectors.answers = [500, 200]
    expect(await reporter.sendReports()).toMatchObject({ sent: 0, postponed: 1 })
    clock.time += HOUR
    expect(await reporter.sendReports()).toMatchObject({ sent: 1, postponed: 0 })
    const [first, second] = collectors.posts
    expect(collectors.posts.length).toBe(2)
    expect(second?.body).toEqual(first?.body)
    expect(transporter.sent.length).toBe(1)
    expect(parseReport(first?.body ?? '')).toEqual(transporter.sent[0]?.report)
    await reporter.close()
  })

  it('has the blocked addresses of the core, and accepts others', async () => {
    const clock = { time: TODAY_NOON }
    collectors.resolver.reports('bob.example', URL_.href)
    collectors.resolver.addresses.set('collector.example', ['127.0.0.1'])
    const post = async (blockedAddresses?: BlockList) => {
      clock.time = TODAY_NOON
      const reporter = new TlsReporter(
        reporterOptions({
          resolver: collectors.resolver,
          connect: collectors.connect,
          ca: collectors.ca,
          now: () => clock.time,
          blockedAddresses,
        }),
      )
      publishSession()
      await reporter.flush()
      clock.time += DAY
      const summary = await reporter.sendReports()
      await reporter.close()
      return summary
    }
    expect(await post()).toMatchObject({ postponed: 1 })
    expect(await post(new BlockList())).toMatchObject({ sent: 1 })
  })
})

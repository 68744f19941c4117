/** The addresses and the time of a GET of a policy. */
import { getEventListeners } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import type { Resolver } from '../../src/dns/resolver.js'
import { dnsError, resolverOf, Wire } from '../tls/support.js'
import {
  type Answer,
  authority,
  chunked,
  failureOf,
  fetchError,
  fetchFrom,
  fetchOver,
  freshDomain,
  HEAD,
  HOST,
  PARSED,
  POLICY,
  policyHost,
  response,
  said,
  servers,
  useFetching,
  webpki,
  world,
} from './fetching.js'

useFetching()

describe('[STS-14] the deadline', () => {
  const SOON = { fetchTimeout: 300 }

  /** Writes a byte now and then: no pause is long enough for a timeout of an idle socket. */
  function drip(first: string): Answer {
    return (socket) => {
      socket.write(first)
      const timer = setInterval(() => socket.write('x'), 20)
      socket.once('close', () => clearInterval(timer))
    }
  }

  test.each<[name: string, answer: Answer]>([
    ['no answer to the request', () => {}],
    ['a head that drips', drip('HTTP/1.1 200 OK\r\nX-Drip: ')],
    ['interim answers without end', drip('HTTP/1.1 100 Continue\r\nX-Drip: ')],
    ['a body that does not begin', (socket) => socket.write(`${HEAD}Content-Length: 100\r\n\r\n`)],
    ['a body that drips', drip(`${HEAD}Content-Length: 9999\r\n\r\n${POLICY}x_drip: `)],
    ['a chunk that drips', drip(`${HEAD}Transfer-Encoding: chunked\r\n\r\nffff\r\n`)],
    ['all of a body but its end', (socket) => socket.write(chunked([POLICY], ''))],
  ])('ends the fetch: %s', async (_, answer) => {
    const { port } = await policyHost(answer)
    const wire = new Wire({ '192.0.2.1': port })
    expect(said(await fetchOver(wire, SOON))).toEqual(fetchError('timeout'))
    expect(wire.left).toEqual([])
    expect(wire.dials).toHaveLength(1)
  })

  test('ends a dripping body without a length, whose received part is not used', async () => {
    const { port } = await policyHost(drip(`${HEAD}Connection: close\r\n\r\n${POLICY}x_drip: `))
    const wire = new Wire({ '192.0.2.1': port })
    expect(failureOf(await fetchOver(wire, SOON)).resultType).toBe('sts-policy-fetch-error')
    expect(wire.left).toEqual([])
  })

  test('ends a connection that is never established', async () => {
    const wire = new Wire({ '192.0.2.1': 'hang' })
    expect(said(await fetchOver(wire, SOON))).toEqual(fetchError('timeout'))
    expect(wire.left).toEqual([])
  })

  test('ends a handshake without an answer', async () => {
    const wire = new Wire({ '192.0.2.1': await servers.tcp() })
    expect(said(await fetchOver(wire, SOON))).toEqual(fetchError('timeout'))
    expect(wire.left).toEqual([])
  })

  test('ends a dripping handshake', async () => {
    const port = await servers.tcp((socket) => {
      // A record of the type handshake that has 16 KiB to come
      socket.write(Buffer.from([0x16, 0x03, 0x03, 0x40, 0x00]))
      const timer = setInterval(() => socket.write(Buffer.from([0])), 20)
      socket.once('close', () => clearInterval(timer))
    })
    const wire = new Wire({ '192.0.2.1': port })
    expect(said(await fetchOver(wire, SOON))).toEqual(fetchError('timeout'))
    expect(wire.left).toEqual([])
  })

  test('ends the wait for a resolver that does not answer, even if dnsTimeout is longer', async () => {
    const never = () => new Promise<string[]>(() => {})
    const resolver: Resolver = { ...resolverOf({}), resolve4: never, resolve6: never }
    const wire = new Wire({})
    const fetched = await fetchOver(wire, { ...SOON, resolver, dnsTimeout: 3_600_000 })
    expect(said(fetched)).toEqual(fetchError('dns-failure'))
    expect(wire.dials).toEqual([])
  })

  test('ends the wait for a connect hook that never settles', async () => {
    const wire = { connect: () => new Promise<Socket>(() => {}) }
    expect(said(await fetchOver(wire, SOON))).toEqual(fetchError('timeout'))
  })

  test('is shared by several stalling addresses', async () => {
    const silent = await servers.tcp()
    const wire = new Wire({ '192.0.2.1': silent, '192.0.2.2': silent, '192.0.2.3': 'hang' })
    const records = { a: ['192.0.2.1', '192.0.2.2', '192.0.2.3'] }
    expect(said(await fetchOver(wire, { ...SOON, records }))).toEqual(fetchError('timeout'))
    expect(wire.addresses.slice(0, 2)).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(wire.left).toEqual([])
  })

  test('leaves no timer behind', async () => {
    const { port } = await policyHost(response(POLICY))
    const set = vi.spyOn(globalThis, 'setTimeout')
    const cleared = vi.spyOn(globalThis, 'clearTimeout')
    try {
      const wire = new Wire({ '192.0.2.1': port })
      expect(await fetchOver(wire, { fetchTimeout: 3_600_000 })).toMatchObject({ kind: 'fetched' })
      const timers = set.mock.calls.flatMap(([, ms], i) =>
        Number(ms) > 1_000_000 ? [set.mock.results[i]?.value] : [],
      )
      const gone = new Set<unknown>(cleared.mock.calls.map(([timer]) => timer))
      expect(timers.length).toBeGreaterThan(0)
      expect(timers.filter((timer) => !gone.has(timer))).toEqual([])
    } finally {
      set.mockRestore()
      cleared.mockRestore()
    }
  })
})

describe('the signal', () => {
  test('aborts a running GET', async () => {
    const controller = new AbortController()
    const { port } = await policyHost(() => controller.abort(new Error('closed')))
    const wire = new Wire({ '192.0.2.1': port })
    const fetched = await fetchOver(wire, { signal: controller.signal })
    expect(failureOf(fetched).resultType).toBe('sts-policy-fetch-error')
    expect(wire.left).toEqual([])
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  test('aborts a GET with a second address left to try', async () => {
    const controller = new AbortController()
    const { port } = await policyHost(() => controller.abort(new Error('closed')))
    const wire = new Wire({ '192.0.2.1': port, '192.0.2.2': port })
    const records = { a: ['192.0.2.1', '192.0.2.2'] }
    expect((await fetchOver(wire, { signal: controller.signal, records })).kind).toBe('failed')
    expect(wire.addresses).toEqual(['192.0.2.1'])
  })

  test('that was aborted before: no connection is opened', async () => {
    const wire = new Wire({ '192.0.2.1': 'hang' })
    expect((await fetchOver(wire, { signal: AbortSignal.abort() })).kind).toBe('failed')
    expect(wire.dials).toEqual([])
  })

  test('has no listener left after a GET, successful or failed', async () => {
    const { signal } = new AbortController()
    const { port } = await policyHost(response(POLICY))
    const wire = new Wire({ '192.0.2.1': port })
    expect((await fetchOver(wire, { signal })).kind).toBe('fetched')
    const records = { a: ['192.0.2.8', '192.0.2.9'] }
    expect((await fetchOver(wire, { signal, records })).kind).toBe('failed')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('[STS-21] the addresses are tried in turn', () => {
  const FIRST = '192.0.2.1'
  const SECOND = '192.0.2.2'
  const records = { a: [FIRST, SECOND] }

  /** Ports of faulty hosts, by fault. */
  const faults: Array<[name: string, port: () => Promise<number | 'refuse' | 'hang'>]> = [
    ['refuses', async () => 'refuse'],
    ['does not connect', async () => 'hang'],
    ['stalls in the handshake', () => servers.tcp()],
    [
      'is reset',
      () => servers.tcp((socket) => socket.once('data', () => socket.resetAndDestroy())),
    ],
    ['stalls before the answer', async () => (await policyHost(() => {})).port],
    ['stalls in the answer', async () => (await policyHost((socket) => socket.write(HEAD))).port],
    [
      'has a certificate for another name',
      async () => (await policyHost(response(POLICY), await authority.issue({ cn: HOST }))).port,
    ],
    [
      'has an expired certificate',
      async () => {
        const expired = await authority.issue({ san: [`DNS:${HOST}`], validity: 'past' })
        return (await policyHost(response(POLICY), expired)).port
      },
    ],
    ['has no policy', async () => (await policyHost(response('', {}, '404 Not Found'))).port],
    ['has a policy that breaks off', async () => (await policyHost(chunked([POLICY], ''))).port],
    ['has a policy that does not parse', async () => (await policyHost(response('x'))).port],
  ]

  test.each(faults)('uses the second address when the first %s', async (_, fault) => {
    const { port, heads } = await policyHost(response(POLICY))
    const wire = new Wire({ [FIRST]: await fault(), [SECOND]: port })
    const fetched = await fetchOver(wire, { records, fetchTimeout: 2000 })
    expect(fetched).toMatchObject({ kind: 'fetched', policy: PARSED })
    expect(wire.addresses).toEqual([FIRST, SECOND])
    expect(heads).toHaveLength(1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(wire.left).toEqual([])
  })

  test('uses IPv4 when IPv6 does not work', async () => {
    const { port } = await policyHost(response(POLICY))
    const wire = new Wire({ '2001:db8::1': 'hang', '2001:db8::2': 'hang', [FIRST]: port })
    const fetched = await fetchOver(wire, {
      records: { aaaa: ['2001:db8::1', '2001:db8::2'], a: [FIRST] },
    })
    expect(fetched).toMatchObject({ kind: 'fetched' })
    expect(wire.addresses).toEqual(['2001:db8::1', FIRST])
  })

  test('tries no second address after a valid policy', async () => {
    const { port } = await policyHost(response(POLICY))
    const wire = new Wire({ [FIRST]: port, [SECOND]: port })
    expect(await fetchOver(wire, { records })).toMatchObject({ kind: 'fetched' })
    expect(wire.addresses).toEqual([FIRST])
  })

  test('returns the failure of the last address when all fail, each tried once', async () => {
    const expired = await authority.issue({ san: [`DNS:${HOST}`], validity: 'past' })
    const wire = new Wire({
      [FIRST]: (await policyHost(response('', {}, '404 Not Found'))).port,
      [SECOND]: (await policyHost(response(POLICY), expired)).port,
    })
    expect(said(await fetchOver(wire, { records }))).toEqual(webpki('certificate-expired'))
    expect(wire.addresses).toEqual([FIRST, SECOND])
    expect(wire.left).toEqual([])
  })

  test("returns an address's answer rather than the refused connection of another", async () => {
    const { port } = await policyHost(response('', {}, '404 Not Found'))
    for (const routes of [{ [FIRST]: port }, { [SECOND]: port }]) {
      const wire = new Wire(routes)
      expect(said(await fetchOver(wire, { records }))).toEqual(fetchError('http-status-404'))
      expect([...wire.addresses].sort()).toEqual([FIRST, SECOND])
    }
  })

  test('fails when all of them refuse connections', async () => {
    const wire = new Wire({})
    const fetched = await fetchOver(wire, { records })
    expect(said(fetched)).toEqual(fetchError('connection-failed'))
    expect(failureOf(fetched).cause).toMatchObject({ code: 'ECONNECTION' })
    expect(wire.addresses).toEqual([FIRST, SECOND])
  })

  test('reaches a valid address behind many that stall', async () => {
    const { port } = await policyHost(response(POLICY))
    const dead = Array.from({ length: 7 }, (_, i) => `192.0.2.${i + 10}`)
    const wire = new Wire({
      ...Object.fromEntries(dead.map((address) => [address, 'hang' as const])),
      [SECOND]: port,
    })
    // A second one is started every 250 ms, so that it takes two seconds of ten
    const fetched = await fetchOver(wire, {
      records: { a: [...dead, SECOND] },
      fetchTimeout: 10_000,
    })
    expect(fetched).toMatchObject({ kind: 'fetched' })
    expect(wire.addresses).toEqual([...dead, SECOND])
  })

  test('starts both of two stalling addresses in a short time', async () => {
    const wire = new Wire({ [FIRST]: 'hang', [SECOND]: 'hang' })
    const fetched = await fetchOver(wire, { records, fetchTimeout: 400 })
    expect(said(fetched)).toEqual(fetchError('timeout'))
    expect(wire.addresses).toEqual([FIRST, SECOND])
  })
})

describe('addresses that must not be contacted', () => {
  test.each([
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'fd00::1',
    'ff02::1',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '2002:7f00:1::',
    '2001:0:7f00:1::',
  ])('%s is never connected to', async (address) => {
    const { port, sockets } = await policyHost(response(POLICY))
    const wire = new Wire({ [address]: port })
    const records = address.includes(':') ? { aaaa: [address] } : { a: [address] }
    expect(said(await fetchOver(wire, { records }))).toEqual(fetchError('blocked-address'))
    expect(wire.dials).toEqual([])
    expect(sockets).toEqual([])
  })

  test('are not connected to beside a valid address', async () => {
    const { port } = await policyHost(response(POLICY))
    const bad = ['127.0.0.1', '::ffff:127.0.0.1', '64:ff9b::a00:1']
    const wire = new Wire({ '192.0.2.1': port, ...Object.fromEntries(bad.map((a) => [a, port])) })
    const fetched = await fetchOver(wire, {
      records: { a: ['127.0.0.1', '192.0.2.1'], aaaa: ['::ffff:127.0.0.1', '64:ff9b::a00:1'] },
    })
    expect(fetched).toMatchObject({ kind: 'fetched' })
    expect(wire.addresses).toEqual(['192.0.2.1'])
  })

  test('are not connected to after a valid address that failed', async () => {
    const wire = new Wire({ '192.0.2.1': 'refuse' })
    const records = { a: ['192.0.2.1', '127.0.0.1'] }
    expect(said(await fetchOver(wire, { records }))).toEqual(fetchError('connection-failed'))
    expect(wire.addresses).toEqual(['192.0.2.1'])
  })

  test('are refused in a world, over the DNS', async () => {
    const domain = freshDomain()
    world.dns.set(domain.policyHost.name, 'A', ['127.0.0.1'])
    world.dns.set(domain.policyHost.name, 'AAAA', ['::1', '::ffff:a00:1'])
    world.forget()
    expect(said(await fetchFrom(domain.name).result)).toEqual(fetchError('blocked-address'))
    expect([world.dials, world.gets]).toEqual([[], []])
  })
})

describe('the addresses of the policy host', () => {
  test('are fetched over IPv6 only', async () => {
    const domain = freshDomain()
    domain.dns.fails('ipv6-only')
    world.forget()
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
    expect(world.dials).toMatchObject([{ address: domain.policyHost.ipv6, port: 443 }])
  })

  test('are found behind a CNAME: the certificate must still name the policy host', async () => {
    const domain = freshDomain()
    domain.dns.fails('cname-chain', 'policy-host')
    world.forget()
    expect(await fetchFrom(domain.name).result).toMatchObject({ kind: 'fetched' })
    expect(world.gets).toMatchObject([{ host: domain.policyHost.name }])
    expect(world.dials).toMatchObject([{ host: domain.policyHost.name }])
  })

  test.each([
    ['nxdomain', 'nxdomain'],
    ['servfail', 'dns-failure'],
    ['refused', 'dns-failure'],
    ['timeout', 'dns-failure'],
  ] as const)('fail the fetch: %s', async (fault, reason) => {
    const domain = freshDomain()
    domain.dns.fails(fault, 'policy-host')
    world.forget()
    const options = fault === 'timeout' ? { dnsTimeout: 50 } : {}
    expect(said(await fetchFrom(domain.name, options).result)).toEqual(fetchError(reason))
    expect(world.dials).toEqual([])
  })

  test('fail the fetch where there are none', async () => {
    expect(said(await fetchOver(new Wire({}), { records: {} }))).toEqual(fetchError('no-address'))
  })

  test('are used from one family when the lookup of the other fails', async () => {
    const { port } = await policyHost(response(POLICY))
    const wire = new Wire({ '192.0.2.1': port })
    const records = { aaaa: dnsError('ESERVFAIL'), a: ['192.0.2.1'] }
    expect(await fetchOver(wire, { records })).toMatchObject({ kind: 'fetched' })
  })
})

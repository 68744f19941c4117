import { createSocket } from 'node:dgram'
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ask, defaultResolver } from '../../src/dns/resolver.js'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { dnsError } from '../tls/support.js'

const TIMEOUT = 10_000
const failing = (error: unknown) => ask(() => Promise.reject(error), TIMEOUT)

describe('records', () => {
  test('are returned unchanged', async () => {
    const records = [['a', 'b'], ['c']]
    expect(await ask(async () => records, TIMEOUT)).toEqual({ kind: 'found', records })
  })
})

describe('an absent record', () => {
  test('is an NXDOMAIN answer', async () => {
    expect(await failing(dnsError('ENOTFOUND'))).toEqual({ kind: 'absent', nxdomain: true })
  })

  test('is an answer without records of the type', async () => {
    expect(await failing(dnsError('ENODATA'))).toEqual({ kind: 'absent', nxdomain: false })
    expect(await ask(async () => [], TIMEOUT)).toEqual({ kind: 'absent', nxdomain: false })
  })
})

describe('a failed lookup', () => {
  test.each([
    'ESERVFAIL',
    'EREFUSED',
    'ETIMEOUT',
    'ECONNREFUSED',
    'EFORMERR',
    'ENOTIMP',
    'EBADNAME',
    'EBADRESP',
    'ECANCELLED',
    'ENOMEM',
    'EAI_AGAIN',
    'enodata',
    'NXDOMAIN',
  ])('is any other error: %s', async (code) => {
    const error = dnsError(code)
    expect(await failing(error)).toEqual({ kind: 'failed', error })
  })

  test.each<unknown>([
    new Error('without a code'),
    new TypeError('fetch failed'),
    Object.assign(new Error('a number'), { code: 4 }),
  ])('is any other code: %s', async (error) => {
    expect(await failing(error)).toEqual({ kind: 'failed', error })
  })

  test.each<[thrown: unknown, message: string]>([
    ['ENOTFOUND', 'ENOTFOUND'],
    [undefined, 'undefined'],
    [null, 'null'],
    [{ code: 'ENOTFOUND' }, '[object Object]'],
  ])('is anything thrown, as an error: %j', async (thrown, message) => {
    expect(await failing(thrown)).toEqual({ kind: 'failed', error: new Error(message) })
  })

  test('is a resolver that throws', async () => {
    const error = new Error('thrown at once')
    const query = () => {
      throw error
    }
    expect(await ask(query, TIMEOUT)).toEqual({ kind: 'failed', error })
  })

  test.each<unknown>([
    undefined,
    null,
    'v=STSv1; id=1;',
    42,
    {},
    { length: 1, 0: ['v=STSv1'] },
    new Set(['192.0.2.1']),
  ])('is an answer that is not a list: %j', async (garbage) => {
    const query = () => Promise.resolve(garbage as string[])
    const answer = await ask(query, TIMEOUT)
    expect(answer).toEqual({
      kind: 'failed',
      error: new TypeError('The resolver did not return an array'),
    })
  })

  test('[STS-56] is a sparse list, which is not an empty answer', async () => {
    const isText = (record: unknown) => typeof record === 'string'
    expect(await ask(async () => new Array(3), TIMEOUT, isText)).toMatchObject({ kind: 'failed' })
  })

  test('is no answer within the time', async () => {
    const answer = await ask(() => new Promise<string[]>(() => {}), 20)
    expect(answer).toMatchObject({ kind: 'failed', error: { code: 'ETIMEOUT' } })
    expect(answer).toMatchObject({ error: { message: 'No DNS answer within 20 ms' } })
  })

  test('after its time leaves no unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      let fail: (error: Error) => void = () => {}
      const query = new Promise<string[]>((_, reject) => {
        fail = reject
      })
      expect(await ask(() => query, 5)).toMatchObject({ kind: 'failed' })
      fail(new Error('late'))
      await expect(query).rejects.toThrow('late')
      await new Promise(setImmediate)
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })

  test('leaves no timer behind', async () => {
    vi.useFakeTimers()
    try {
      const pending = ask(() => new Promise<string[]>(() => {}), 1000)
      expect(vi.getTimerCount()).toBe(1)
      await Promise.all([ask(async () => ['x'], 1000), ask(async () => [], 1000), failing('x')])
      expect(vi.getTimerCount()).toBe(1)
      vi.advanceTimersByTime(1000)
      expect(await pending).toMatchObject({ kind: 'failed' })
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a lookup over the network', () => {
  let world: MailWorld

  beforeAll(async () => {
    world = await createMailWorld({ dnsTimeout: 5000 })
  })
  afterAll(() => world.close())

  const askTxt = (domain: string, timeout = TIMEOUT) =>
    ask(() => world.options().resolver.resolveTxt(`_mta-sts.${domain}`), timeout)

  test('finds a record, and an absent one', async () => {
    world.domain('found.example', { mode: 'enforce', id: 'a1' })
    const records = [['v=STSv1; id=a1;']]
    expect(await askTxt('found.example')).toEqual({ kind: 'found', records })

    world.domain('nodata.example', { mode: 'enforce' })
    world.dns.set('_mta-sts.nodata.example', 'TXT', [])
    world.dns.set('_mta-sts.nodata.example', 'A', ['192.0.2.1'])
    expect(await askTxt('nodata.example')).toEqual({ kind: 'absent', nxdomain: false })
    expect(world.queries.at(-1)).toMatchObject({ outcome: 'nodata' })
  })

  test.each([
    ['nxdomain', { kind: 'absent', nxdomain: true }],
    ['servfail', { kind: 'failed', error: { code: 'ESERVFAIL' } }],
    ['refused', { kind: 'failed', error: { code: 'EREFUSED' } }],
    ['timeout', { kind: 'failed', error: { code: 'ETIMEOUT' } }],
  ] as const)('fails with %s', async (fault, expected) => {
    const domain = world.domain(`${fault}.example`, { mode: 'enforce' })
    domain.dns.fails(fault)
    expect(await askTxt(domain.name, fault === 'timeout' ? 50 : TIMEOUT)).toMatchObject(expected)
    expect(world.queries.at(-1)).toMatchObject({ name: `_mta-sts.${domain.name}`, outcome: fault })
  })

  test('fails without a server', async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    socket.close()
    await once(socket, 'close')
    const resolver = new dns.Resolver({ timeout: 200, tries: 1 })
    resolver.setServers([`127.0.0.1:${port}`])
    const answer = await ask(() => resolver.resolve4('mx.example.com'), TIMEOUT)
    expect(answer.kind).toBe('failed')
  })
})

describe('the default resolver', () => {
  test("is Node's own, and asks once more within its time", async () => {
    const queries: string[] = []
    const silent = createSocket('udp4')
    silent.on('message', (message) => queries.push(message.toString('latin1')))
    silent.bind(0, '127.0.0.1')
    await once(silent, 'listening')
    try {
      const resolver = defaultResolver(400)
      if (!(resolver instanceof dns.Resolver)) throw new TypeError('It is another one')
      resolver.setServers([`127.0.0.1:${silent.address().port}`])
      const answer = await ask(() => resolver.resolve4('mx.example.com'), TIMEOUT)
      expect(answer).toMatchObject({ kind: 'failed', error: { code: 'ETIMEOUT' } })
      expect(queries).toHaveLength(2)
    } finally {
      silent.close()
    }
  })

  test('works with the shortest time', () => {
    expect(() => defaultResolver(1)).not.toThrow()
  })
})

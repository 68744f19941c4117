import { createSocket } from 'node:dgram'
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ask, askingOnce, defaultResolver, type Resolver } from '../../src/dns/resolver.js'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { dnsError, resolverOf } from '../tls/support.js'

const TIMEOUT = 10_000
const failing = (error: unknown) => ask(() => Promise.reject(error), TIMEOUT)

describe('what was found', () => {
  test('as it came', async () => {
    const records = [['a', 'b'], ['c']]
    expect(await ask(async () => records, TIMEOUT)).toEqual({ kind: 'found', records })
  })
})

describe('absent is the DNS’s own answer', () => {
  test('no such name', async () => {
    expect(await failing(dnsError('ENOTFOUND'))).toEqual({ kind: 'absent', nxdomain: true })
  })

  test('no such record', async () => {
    expect(await failing(dnsError('ENODATA'))).toEqual({ kind: 'absent', nxdomain: false })
    expect(await ask(async () => [], TIMEOUT)).toEqual({ kind: 'absent', nxdomain: false })
  })
})

describe('everything else has failed', () => {
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
  ])('%s', async (code) => {
    const error = dnsError(code)
    expect(await failing(error)).toEqual({ kind: 'failed', error })
  })

  test.each<unknown>([
    new Error('without a code'),
    new TypeError('fetch failed'),
    Object.assign(new Error('a number'), { code: 4 }),
  ])('%s', async (error) => {
    expect(await failing(error)).toEqual({ kind: 'failed', error })
  })

  test.each<[thrown: unknown, message: string]>([
    ['ENOTFOUND', 'ENOTFOUND'],
    [undefined, 'undefined'],
    [null, 'null'],
    [{ code: 'ENOTFOUND' }, '[object Object]'],
  ])('what is no error becomes one: %j', async (thrown, message) => {
    expect(await failing(thrown)).toEqual({ kind: 'failed', error: new Error(message) })
  })

  test('a resolver that throws', async () => {
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
  ])('an answer that is no list: %j', async (garbage) => {
    const query = () => Promise.resolve(garbage as string[])
    const answer = await ask(query, TIMEOUT)
    expect(answer).toEqual({
      kind: 'failed',
      error: new TypeError('The resolver did not return an array'),
    })
  })

  test('no answer within the time', async () => {
    const answer = await ask(() => new Promise<string[]>(() => {}), 20)
    expect(answer).toMatchObject({ kind: 'failed', error: { code: 'ETIMEOUT' } })
    expect(answer).toMatchObject({ error: { message: 'No DNS answer within 20 ms' } })
  })

  test('what fails after its time has passed is nobody’s unhandled rejection', async () => {
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

  test('no timer is left behind', async () => {
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

describe('over the wire', () => {
  let world: MailWorld

  beforeAll(async () => {
    world = await createMailWorld({ dnsTimeout: 5000 })
  })
  afterAll(() => world.close())

  const askTxt = (domain: string, timeout = TIMEOUT) =>
    ask(() => world.options().resolver.resolveTxt(`_mta-sts.${domain}`), timeout)

  test('a record, and one that is not there', async () => {
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
  ] as const)('%s', async (fault, expected) => {
    const domain = world.domain(`${fault}.example`, { mode: 'enforce' })
    domain.dns.fails(fault)
    expect(await askTxt(domain.name, fault === 'timeout' ? 50 : TIMEOUT)).toMatchObject(expected)
    expect(world.queries.at(-1)).toMatchObject({ name: `_mta-sts.${domain.name}`, outcome: fault })
  })

  test('nobody listens', async () => {
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
  test('is that of Node, and asks once more within its time', async () => {
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

  test('can be had for the shortest of times', () => {
    expect(() => defaultResolver(1)).not.toThrow()
  })
})

describe('askingOnce', () => {
  interface Question {
    name: string
    answer(records: string[]): void
    fail(error: Error): void
  }

  /** A resolver whose A answers are given by hand. */
  function byHand(): { resolver: Resolver; questions: Question[] } {
    const questions: Question[] = []
    const resolve4 = (name: string) =>
      new Promise<string[]>((resolve, reject) => {
        questions.push({ name, answer: resolve, fail: reject })
      })
    return { resolver: { ...resolverOf({ aaaa: ['2001:db8::1'] }), resolve4 }, questions }
  }

  test('a question that is being asked is not asked a second time', async () => {
    const { resolver, questions } = byHand()
    const once = askingOnce(resolver, TIMEOUT)
    const answers = [once.resolve4('a.example'), once.resolve4('a.example')]
    const other = once.resolve4('b.example')
    expect(questions.map(({ name }) => name)).toEqual(['a.example', 'b.example'])
    questions[0]?.answer(['192.0.2.1'])
    questions[1]?.answer(['192.0.2.2'])
    expect(await Promise.all(answers)).toEqual([['192.0.2.1'], ['192.0.2.1']])
    expect(await other).toEqual(['192.0.2.2'])
  })

  test('one that was answered, or failed, is: nothing is kept', async () => {
    const { resolver, questions } = byHand()
    const once = askingOnce(resolver, TIMEOUT)
    const first = once.resolve4('a.example')
    questions[0]?.answer(['192.0.2.1'])
    expect(await first).toEqual(['192.0.2.1'])
    const second = once.resolve4('a.example')
    questions[1]?.fail(dnsError('ESERVFAIL'))
    await expect(second).rejects.toMatchObject({ code: 'ESERVFAIL' })
    const third = once.resolve4('a.example')
    questions[2]?.answer(['192.0.2.3'])
    expect(await third).toEqual(['192.0.2.3'])
  })

  test('one that is never answered does not stand in the way of the next for ever', async () => {
    vi.useFakeTimers()
    try {
      const { resolver, questions } = byHand()
      const once = askingOnce(resolver, 1000)
      const silent = once.resolve4('a.example')
      vi.advanceTimersByTime(999)
      expect(once.resolve4('a.example')).toBe(silent)
      vi.advanceTimersByTime(1)
      const next = once.resolve4('a.example')
      expect(questions).toHaveLength(2)
      // The answer to the first, late, does not make the second forgotten
      questions[0]?.answer(['192.0.2.1'])
      await silent
      expect(once.resolve4('a.example')).toBe(next)
      questions[1]?.answer(['192.0.2.2'])
      expect(await next).toEqual(['192.0.2.2'])
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('questions of another type are other questions', async () => {
    const { resolver, questions } = byHand()
    const once = askingOnce(resolver, TIMEOUT)
    const ipv4 = once.resolve4('a.example')
    expect(await once.resolve6('a.example')).toEqual(['2001:db8::1'])
    questions[0]?.answer(['192.0.2.1'])
    expect(await ipv4).toEqual(['192.0.2.1'])
    await expect(once.resolveTxt('a.example')).rejects.toMatchObject({ code: 'ENODATA' })
    await expect(once.resolveMx('a.example')).rejects.toMatchObject({ code: 'ENODATA' })
  })

  test('methods are called on the resolver that they are of', async () => {
    const resolver = new (class {
      readonly #address = '192.0.2.7'
      async resolve4() {
        return [this.#address]
      }
      async resolve6() {
        return [this.#address]
      }
      async resolveTxt() {
        return [[this.#address]]
      }
      async resolveMx() {
        return [{ exchange: this.#address, priority: 1 }]
      }
    })()
    const once = askingOnce(resolver, TIMEOUT)
    expect(await once.resolve4('a.example')).toEqual(['192.0.2.7'])
    expect(await once.resolve6('a.example')).toEqual(['192.0.2.7'])
    expect(await once.resolveTxt('a.example')).toEqual([['192.0.2.7']])
    expect(await once.resolveMx('a.example')).toEqual([{ exchange: '192.0.2.7', priority: 1 }])
  })
})

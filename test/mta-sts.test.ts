/** The front: inputs and guarantees of `getPolicy`, and the options. */
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MtaSts } from '../src/mta-sts.js'
import type { ConnectTarget } from '../src/net/connect.js'
import type { MtaStsOptions } from '../src/options.js'
import type { MailDomain } from '../src/testing/index.js'
import { errorOf } from './e2e/support.js'
import {
  announcing,
  DAY,
  deferred,
  dnsError,
  emptyResolver,
  HOUR,
  listen,
  ManualClock,
  MINUTE,
  noConnect,
  recordingLogger,
  SMALL,
  Stage,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  watchedStore,
} from './policy/scripted-network.js'

let stage: Stage
let bob: MailDomain
const opened: MtaSts[] = []
const unhandled = vi.fn()

beforeAll(async () => {
  process.on('unhandledRejection', unhandled)
  stage = await Stage.open()
  bob = stage.domain('bob.example', { mode: 'enforce', id: 'n1' })
})
afterAll(async () => {
  await stage.close()
  process.off('unhandledRejection', unhandled)
})
beforeEach(() => {
  unhandled.mockClear()
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sts) => sts.close()))
})

/** An object whose only network is the scripted one. */
function open(options: MtaStsOptions = {}): MtaSts {
  const scripted = { ...SMALL, resolver: emptyResolver(), connect: noConnect, refreshInterval: 0 }
  const sts = new MtaSts({ ...scripted, ...options })
  opened.push(sts)
  return sts
}

describe('getPolicy: the domain', () => {
  it.each([
    ['bob.example', 'bob.example'],
    ['BOB.Example', 'bob.example'],
    ['bob.example.', 'bob.example'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah'],
    ['localhost', 'localhost'],
    ['under_score.example', 'under_score.example'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  ])('[STS-1] %s is looked up as %s', async (domain, asked) => {
    const resolver = emptyResolver()
    expect(said(await open({ resolver }).getPolicy(domain))).toBe('no-record')
    expect(resolver.asked).toEqual([`TXT _mta-sts.${asked}`])
  })

  it('[STS-31] all spellings of a domain share its cached policy', async () => {
    const resolver = emptyResolver()
    const sts = open({ resolver })
    for (const spelling of ['bücher.example', 'BÜCHER.EXAMPLE.', 'xn--bcher-kva.example']) {
      expect(said(await sts.getPolicy(spelling))).toBe('no-record')
    }
    expect(resolver.asked).toHaveLength(1)
  })

  it.each(['[192.0.2.1]', '[IPv6:2001:db8::1]', '[ipv6:2001:DB8::1]', '[127.0.0.1]'])(
    '[STS-9] %s has no policy and causes no lookup',
    async (literal) => {
      const resolver = emptyResolver()
      const store = watchedStore()
      const sts = open({ resolver, store })
      expect(await sts.getPolicy(literal)).toEqual({ status: 'none', reason: 'address-literal' })
      expect(resolver.asked).toEqual([])
      expect(store.calls).toEqual([])
    },
  )

  const nonsense: unknown[] = [
    '',
    '.',
    '..',
    'bob..example',
    '.bob.example',
    'bob.example..',
    ' bob.example',
    'bob.example ',
    'bob example',
    'bob.example\n',
    'bob.example\0',
    'bob@bob.example',
    'bob.example/x',
    'bob.example:443',
    'https://bob.example',
    '-bob.example',
    'bob-.example',
    '192.0.2.1',
    '127.1',
    '0x7f.1',
    '::1',
    '[192.0.2]',
    '[192.0.2.1',
    '[]',
    '[bob.example]',
    '*.bob.example',
    `${'a'.repeat(64)}.example`,
    `${'abcdefg.'.repeat(40)}example`,
    'x'.repeat(1_000_000),
    'ｂｏｂ.example',
    'bob。example',
    'bo\u200bb.example',
    '\u202eelpmaxe.bob',
    '\ud800.example',
    '%62ob.example',
    undefined,
    null,
    5,
    true,
    {},
    [],
    ['bob.example'],
    Symbol('bob.example'),
    () => 'bob.example',
    Object.create(null),
  ]

  it.each(nonsense.map((domain) => [describeValue(domain), domain]))(
    '%s is not a domain: EDOMAIN, without a lookup',
    async (_, domain) => {
      const resolver = emptyResolver()
      const store = watchedStore()
      // Rejects instead of throwing
      const lookup = open({ resolver, store }).getPolicy(domain as string)
      const error: unknown = await lookup.catch((reason: unknown) => reason)
      expect(error).toMatchObject({ name: 'MtaStsError', code: 'EDOMAIN' })
      // Safe for a log: the sender's text is escaped and truncated
      const message = error instanceof Error ? error.message : ''
      expect(message).toMatch(/is not a domain name/)
      expect(message).not.toMatch(/[\p{Cc}\u200b\u202e]/u)
      expect(message.length).toBeLessThan(400)
      expect(resolver.asked).toEqual([])
      expect(store.calls).toEqual([])
    },
  )

  it('any text gives a lookup or EDOMAIN', async () => {
    const sts = open()
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.domain(),
      fc.ipV4().map((address) => `[${address}]`),
      fc.ipV6().map((address) => `[IPv6:${address}]`),
    )
    await fc.assert(
      fc.asyncProperty(text, async (domain) => {
        const outcome = await sts.getPolicy(domain).catch((error: unknown) => error)
        const known = expect.objectContaining({ status: 'none' })
        const refused = expect.objectContaining({ code: 'EDOMAIN' })
        expect([known, refused].some((one) => one.asymmetricMatch(outcome))).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60))
  if (typeof value === 'object' && value !== null && !Object.getPrototypeOf(value))
    return 'a bare {}'
  return `${typeof value} ${String(value)}`
}

describe('getPolicy never rejects because of others', () => {
  const STRANGE: Array<[string, unknown]> = [
    ['undefined', undefined],
    ['null', null],
    ['text', 'no such host'],
    ['a number', 42],
    ['a symbol', Symbol('x')],
    ['an object', { code: 'ESERVFAIL' }],
    ['a bare object', Object.create(null)],
    ['an array', []],
  ]

  it.each(STRANGE)('for a resolver that rejects with %s', async (_, reason) => {
    const resolver = scriptedResolver(() => Promise.reject(reason))
    expect(said(await open({ resolver }).getPolicy('bob.example'))).toBe('dns-failure')
  })

  it('for a resolver that throws', async () => {
    const resolver = emptyResolver()
    resolver.resolveTxt = () => {
      throw new Error('not even a promise')
    }
    expect(said(await open({ resolver }).getPolicy('bob.example'))).toBe('dns-failure')
  })

  it('[STS-24] for a resolver that never answers: it resolves after dnsTimeout', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const resolver = scriptedResolver(() => new Promise(() => undefined))
      const lookup = open({ resolver }).getPolicy('bob.example')
      await vi.advanceTimersByTimeAsync(5000)
      expect(said(await lookup)).toBe('dns-failure')
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['text', 'v=STSv1; id=n1;'],
    ['a number', 5],
    ['an object', { length: 1, 0: ['v=STSv1; id=n1;'] }],
    ['a list of texts', ['v=STSv1; id=n1;']],
    ['a list of null', [null]],
    ['a list of numbers', [5]],
    ['a list of objects', [{ entries: ['v=STSv1; id=n1;'] }]],
    ['records of null', [[null]]],
    ['records of symbols', [[Symbol('x')]]],
    ['records of bare objects', [[Object.create(null)]]],
  ])('for a resolver that answers with %s', async (_, answer) => {
    const resolver = scriptedResolver(() => answer)
    const lookup = await open({ resolver }).getPolicy('bob.example')
    expect(lookup.status).toBe('none')
  })

  it('for a resolver that answers with anything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), fc.anything(), async (txt, addresses) => {
        const resolver = scriptedResolver((question) => {
          if (!question.startsWith('TXT')) return addresses
          return resolver.asked.length % 2 === 0 ? txt : announcing('n1')
        })
        const sts = open({ resolver })
        expect((await sts.getPolicy('a.example')).status).toBe('none')
        expect((await sts.getPolicy('b.example')).status).toBe('none')
      }),
      { numRuns: 300 },
    )
  })

  it('for TXT records of any text', async () => {
    const record = fc.array(
      fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constant('v=STSv1; id=')),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(record), async (records) => {
        const resolver = scriptedResolver((question) =>
          question.startsWith('TXT') ? records : dnsError('ENOTFOUND'),
        )
        const lookup = await open({ resolver }).getPolicy('bob.example')
        expect(lookup.status).toBe('none')
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['none', []],
    ['texts that are no addresses', ['mta-sts.bob.example', '', '::ffff:300.1.1.1']],
    ['no list', 'x'],
    ['null', [null]],
    ['numbers', [3221225985]],
    ['lists', [['192.0.2.1']]],
    ['objects', [{ address: '192.0.2.1', ttl: 5 }]],
    ['symbols', [Symbol('x')]],
    ['addresses by the thousand', Array.from({ length: 5000 }, (_, n) => `192.0.2.${n % 256}`)],
  ])('for addresses of a policy host that are %s', async (_, addresses) => {
    const resolver = scriptedResolver((question) =>
      question.startsWith('TXT') ? announcing('n1') : addresses,
    )
    expect(said(await open({ resolver }).getPolicy('bob.example'))).toBe('fetch-failed')
  })

  it.each([
    ['throws', noConnect],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['rejects with nothing', () => Promise.reject(undefined)],
    ['returns nothing', () => undefined],
    ['returns null', () => null],
  ])(
    'for a connect that %s',
    async (_, connect) => {
      const resolver = scriptedResolver((question) =>
        question.startsWith('TXT') ? announcing('n1') : ['192.0.2.1'],
      )
      const sts = open({ resolver, connect: connect as unknown as () => never, fetchTimeout: 500 })
      const lookup = await sts.getPolicy('bob.example')
      expect(said(lookup)).toBe('fetch-failed')
      expect(lookup.failure).toMatchObject({ resultType: 'sts-policy-fetch-error' })
    },
    10_000,
  )

  it.each(STRANGE)('[STS-22] for a background recheck that fails with %s', async (_, reason) => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    await store.inner.set('bob.example', storedPolicy(clock.now()))
    for (const answer of [() => Promise.reject(reason), () => reason, () => [reason]]) {
      // Stops a recheck that would otherwise repeat forever
      const resolver = scriptedResolver(() =>
        resolver.asked.length > 100 ? new Promise(() => undefined) : answer(),
      )
      const sts = open({ resolver, store, now: clock.now })
      expect(said(await sts.getPolicy('bob.example'))).toBe('enforce stored1')
      await turns()
      clock.advance(HOUR)
      expect(said(await sts.getPolicy('bob.example'))).toBe('enforce stored1')
      await turns()
      clock.advance(-HOUR)
      expect(resolver.asked).toHaveLength(2)
    }
    // Node ends a process for an unhandled rejection
    expect(unhandled).not.toHaveBeenCalled()
  })
})

describe('reported failures', () => {
  it('include a policy that could not be fetched: published and logged, with a cause', async () => {
    const { logger, lines } = recordingLogger()
    const sts = open({ resolver: scriptedResolver(() => dnsError('ESERVFAIL')), logger })
    const failures = listen('mta-sts:policy-failure')
    await sts.getPolicy('Bob.Example')
    await sts.getPolicy('bob.example')
    failures.stop()
    expect(failures.events).toEqual([
      {
        policyDomain: 'bob.example',
        policy: { type: 'no-policy-found', domain: 'bob.example', mode: 'none', mxHosts: [] },
        failure: {
          resultType: 'sts-policy-fetch-error',
          reason: 'dns-failure',
          cause: expect.objectContaining({ code: 'ESERVFAIL' }),
        },
      },
    ])
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      level: 'warn',
      entry: { policyDomain: 'bob.example', mode: 'none' },
    })
    expect(lines[0]?.text).toContain('no policy applies')
  })

  it('exclude a domain without a record', async () => {
    const { logger, lines } = recordingLogger()
    const failures = listen('mta-sts:policy-failure')
    expect(said(await open({ logger }).getPolicy('bob.example'))).toBe('no-record')
    failures.stop()
    expect(failures.events).toEqual([])
    expect(lines).toEqual([])
  })
})

describe('options', () => {
  const DURATIONS = [
    'fetchTimeout',
    'dnsTimeout',
    'recheckInterval',
    'negativeTtl',
    'fetchBackoff',
    'refreshInterval',
    'maxPolicies',
    'maxNegatives',
  ] as const

  it.each(DURATIONS)(
    'refuse %s with a TypeError that names it if it is not a whole number',
    (field) => {
      for (const value of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '60', null, {}]) {
        const options = { [field]: value } as MtaStsOptions
        expect(() => new MtaSts(options)).toThrow(TypeError)
        expect(() => new MtaSts(options)).toThrow(`"${field}"`)
      }
    },
  )

  it.each([
    ['resolver', {}],
    ['resolver', { resolveTxt: () => [] }],
    ['store', {}],
    ['store', 'policies.db'],
    ['connect', {}],
    ['now', 5],
    ['logger', { warn: () => undefined }],
  ])('refuse %s with a TypeError that names it', (field, value) => {
    const options = { [field]: value } as MtaStsOptions
    expect(() => new MtaSts(options)).toThrow(TypeError)
    expect(() => new MtaSts(options)).toThrow(`"${field}"`)
  })

  it('have defaults: a recheck every five minutes, "no policy" for five', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    await store.inner.set('bob.example', storedPolicy(clock.now()))
    const resolver = scriptedResolver((question) =>
      question.endsWith('bob.example') ? announcing('stored1') : dnsError('ENOTFOUND'),
    )
    const sts = open({ resolver, store, now: clock.now })
    const askBoth = async () => {
      await Promise.all([sts.getPolicy('bob.example'), sts.getPolicy('nobody.example')])
      await turns()
      return resolver.asked.splice(0).sort()
    }
    const both = ['TXT _mta-sts.bob.example', 'TXT _mta-sts.nobody.example']
    expect(await askBoth()).toEqual(both)
    clock.advance(5 * MINUTE - 1)
    expect(await askBoth()).toEqual([])
    clock.advance(1)
    expect(await askBoth()).toEqual(both)
  })

  it('include connect, called for policy hosts with name, address and port', async () => {
    const targets: ConnectTarget[] = []
    const { connect } = stage.options()
    const sts = new MtaSts(
      stage.options({
        connect: (target) => {
          targets.push(target)
          if (connect === undefined) throw new Error('the world has a connect')
          return connect(target)
        },
      }),
    )
    opened.push(sts)
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
    expect(targets).toEqual([
      { purpose: 'policy', host: 'mta-sts.bob.example', address: bob.policyHost.ipv4, port: 443 },
    ])
  })

  it('use the system clock by default', async () => {
    const before = Date.now()
    const sts = new MtaSts({ ...stage.options(), now: undefined })
    opened.push(sts)
    const lookup = await sts.getPolicy(bob.name)
    if (lookup.status !== 'found') throw new Error('the policy is there')
    expect(lookup.fetchedAt.getTime()).toBeGreaterThanOrEqual(before)
    expect(lookup.fetchedAt.getTime()).toBeLessThanOrEqual(Date.now())
  })
})

describe('close', () => {
  it('works by asynchronous disposal, too', async () => {
    const store = watchedStore()
    {
      await using sts = new MtaSts({ ...SMALL, store, resolver: emptyResolver() })
      await sts.getPolicy('bob.example')
    }
    expect(store.calls.at(-1)).toBe('close')
  })

  it('can be called twice', async () => {
    const sts = open({ store: watchedStore() })
    await sts.close()
    await sts.close()
    expect(await sts.refresh()).toMatchObject({ checked: 0 })
  })

  it('aborts a running GET without waiting for its timeout', async () => {
    bob.policyHost.fails('drip')
    try {
      stage.world.forget()
      const sts = new MtaSts(stage.options({ fetchTimeout: DAY }))
      const lookup = sts.getPolicy(bob.name)
      await vi.waitFor(() => expect(stage.gets(bob)).toBe(1), 60_000)
      const attempts: string[] = []
      const delivery = sts.deliver(bob.name, async ({ mxHost }) => attempts.push(mxHost))
      await sts.close()
      // Not "no policy": a caller that acts on it would send unprotected
      await expect(lookup).rejects.toMatchObject({ code: 'ECLOSED' })
      await expect(delivery).rejects.toMatchObject({ code: 'ECLOSED' })
      expect(attempts).toEqual([])
    } finally {
      bob.policyHost.works()
    }
  })

  it('[STS-59] rejects with ECLOSED after close, also for a policy that is cached', async () => {
    const sts = new MtaSts(stage.options())
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
    await sts.close()
    const errors = await Promise.all([
      errorOf(sts.getPolicy(bob.name)),
      errorOf(sts.plan(bob.name)),
      errorOf(sts.deliver(bob.name, async () => 'sent')),
      errorOf(sts.open(bob.name)),
      errorOf(sts.lookAgain(bob.name)),
    ])
    expect(errors).toMatchObject(new Array(5).fill({ code: 'ECLOSED' }))
    expect(new Set(errors).size).toBe(5)
  })

  it('[STS-59] rejects with ECLOSED after close, for overrides and unknown domains too', async () => {
    const overrides = { 'off.example': 'off' } as const
    const sts = new MtaSts(stage.options({ overrides }))
    expect(said(await sts.getPolicy(bob.name))).toBe('enforce n1')
    await sts.close()
    const errors = new Set<unknown>()
    for (const domain of [bob.name, 'off.example', 'unknown.example', '[192.0.2.1]']) {
      const asked: Promise<unknown>[] = [
        sts.getPolicy(domain),
        sts.lookAgain(domain),
        sts.plan(domain),
      ]
      for (const ask of asked) {
        const error: unknown = await ask.catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'ECLOSED' })
        errors.add(error)
      }
    }
    // Each caller has its own error
    expect(errors.size).toBe(12)
  })

  it('does not wait for a background recheck that never ends', async () => {
    const clock = new ManualClock()
    const store = watchedStore({ now: clock.now })
    await store.inner.set('bob.example', storedPolicy(clock.now()))
    const answer = deferred<string[][]>()
    const sts = open({ resolver: scriptedResolver(() => answer.promise), store, now: clock.now })
    expect(said(await sts.getPolicy('bob.example'))).toBe('enforce stored1')
    await sts.close()
    answer.resolve(announcing('stored1'))
  })
})

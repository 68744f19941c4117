import { BlockList } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import type { Resolver } from '../../src/dns/resolver.js'
import { Lookups } from '../../src/dns/shared-lookups.js'
import { dnsError, resolverOf } from '../tls/support.js'

function lookupsWith(resolver: Resolver, dnsTimeout = 10_000): Lookups {
  return new Lookups({ resolver, dnsTimeout, blockedAddresses: new BlockList() })
}

interface Question {
  name: string
  answer(exchange: string): void
  fail(error: Error): void
}

/** A resolver whose MX answers the test gives. */
function byHand(): { resolver: Resolver; questions: Question[] } {
  const questions: Question[] = []
  const resolveMx = (name: string) =>
    new Promise<Array<{ exchange: string; priority: number }>>((resolve, reject) => {
      const answer = (exchange: string) => resolve([{ exchange, priority: 10 }])
      questions.push({ name, answer, fail: reject })
    })
  return { resolver: { ...resolverOf({}), resolveMx }, questions }
}

const found = (exchange: string) => ({ kind: 'found', records: [{ exchange, priority: 10 }] })

describe('a lookup', () => {
  test('under way is not repeated', async () => {
    const { resolver, questions } = byHand()
    const lookups = lookupsWith(resolver)
    const answers = [lookups.mx('a.example'), lookups.mx('a.example')]
    const other = lookups.mx('b.example')
    expect(questions.map(({ name }) => name)).toEqual(['a.example', 'b.example'])
    questions[0]?.answer('mx.a.example')
    questions[1]?.answer('mx.b.example')
    expect(await Promise.all(answers)).toEqual([found('mx.a.example'), found('mx.a.example')])
    expect(await other).toEqual(found('mx.b.example'))
  })

  test('that was answered or has failed is repeated later: nothing is cached', async () => {
    const { resolver, questions } = byHand()
    const lookups = lookupsWith(resolver)
    const first = lookups.mx('a.example')
    questions[0]?.answer('mx1.a.example')
    expect(await first).toEqual(found('mx1.a.example'))
    const second = lookups.mx('a.example')
    questions[1]?.fail(dnsError('ESERVFAIL'))
    expect(await second).toMatchObject({ kind: 'failed', error: { code: 'ESERVFAIL' } })
    const third = lookups.mx('a.example')
    questions[2]?.answer('mx3.a.example')
    expect(await third).toEqual(found('mx3.a.example'))
  })

  test('that is never answered does not block later ones forever', async () => {
    vi.useFakeTimers()
    try {
      const { resolver, questions } = byHand()
      const lookups = lookupsWith(resolver, 1000)
      const silent = [lookups.mx('a.example')]
      await vi.advanceTimersByTimeAsync(999)
      silent.push(lookups.mx('a.example'))
      expect(questions).toHaveLength(1)
      await vi.advanceTimersByTimeAsync(1)
      const timeout = { kind: 'failed', error: { code: 'ETIMEOUT' } }
      expect(await Promise.all(silent)).toMatchObject([timeout, timeout])
      const next = lookups.mx('a.example')
      expect(questions).toHaveLength(2)
      // The late answer to the first one does not answer a second one
      questions[0]?.answer('old.a.example')
      questions[1]?.answer('new.a.example')
      expect(await next).toEqual(found('new.a.example'))
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('during concurrent deliveries', () => {
  /** Returns another answer every time. */
  function counting(): Lookups {
    let asked = 0
    return lookupsWith({
      ...resolverOf({}),
      resolve4: async () => [`192.0.2.${++asked}`],
      resolveMx: async () => [{ exchange: `mx${++asked}.example`, priority: 10 }],
    })
  }

  test.each(['mx', 'addresses'] as const)(
    '%s: an answer is reused, and dropped after the last of them',
    async (type) => {
      const lookups = counting()
      let first: unknown
      await lookups.during(async () => {
        await lookups.during(async () => {
          first = await lookups[type]('a.example')
          expect(await lookups[type]('a.example')).toBe(first)
          expect(await lookups[type]('b.example')).not.toEqual(first)
        })
        expect(await lookups[type]('a.example')).toBe(first)
      })
      await lookups.during(async () => {
        expect(await lookups[type]('a.example')).not.toEqual(first)
      })
    },
  )

  test('a failing delivery drops the answers, too', async () => {
    const lookups = counting()
    const failing = lookups.during(async () => {
      await lookups.mx('a.example')
      throw new Error('no MX host would have it')
    })
    await expect(failing).rejects.toThrow('no MX host would have it')
    expect(await lookups.mx('a.example')).toEqual(found('mx2.example'))
  })

  test('an answer is reused for a second only', async () => {
    vi.useFakeTimers()
    try {
      const lookups = counting()
      await lookups.during(async () => {
        expect(await lookups.mx('a.example')).toEqual(found('mx1.example'))
        vi.advanceTimersByTime(1000)
        expect(await lookups.mx('a.example')).toEqual(found('mx1.example'))
        vi.advanceTimersByTime(1)
        expect(await lookups.mx('a.example')).toEqual(found('mx2.example'))
        vi.advanceTimersByTime(1000)
        expect(await lookups.mx('a.example')).toEqual(found('mx2.example'))
      })
    } finally {
      vi.useRealTimers()
    }
  })

  /** Makes the first question fail or find nothing, and so on; returns the number of questions. */
  async function askTwice(type: 'mx' | 'addresses', code: string): Promise<number> {
    let asked = 0
    const fail = async () => {
      asked++
      throw dnsError(code)
    }
    const lookups = lookupsWith({ ...resolverOf({}), resolveMx: fail, resolve4: fail })
    await lookups.during(async () => {
      await lookups[type]('a.example')
      await lookups[type]('a.example')
    })
    return asked
  }

  test.each(['mx', 'addresses'] as const)('%s: the answer "absent" is reused', async (type) => {
    expect(await askTwice(type, 'ENODATA')).toBe(1)
    expect(await askTwice(type, 'ENOTFOUND')).toBe(1)
  })

  test.each(['mx', 'addresses'] as const)('%s: a failed lookup is repeated', async (type) => {
    expect(await askTwice(type, 'ESERVFAIL')).toBe(2)
    expect(await askTwice(type, 'ETIMEOUT')).toBe(2)
  })
})

describe('an MX answer of a faulty resolver', () => {
  test.each([
    ['null', [null]],
    ['null beside a record', [{ exchange: 'mx.a.example', priority: 10 }, null]],
    ['undefined', [undefined]],
    ['text', ['mx.a.example']],
    ['a number', [5]],
    ['no exchange', [{ priority: 10 }]],
    ['an exchange that is null', [{ exchange: null, priority: 10 }]],
    ['null instead of a list', null],
    ['an object instead of a list', {}],
  ])('fails the lookup: %s', async (_, records) => {
    const resolver = { ...resolverOf({}), resolveMx: async () => records as [] }
    expect(await lookupsWith(resolver).mx('a.example')).toMatchObject({ kind: 'failed' })
  })
})

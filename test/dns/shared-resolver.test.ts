import { describe, expect, test, vi } from 'vitest'
import type { Resolver } from '../../src/dns/resolver.js'
import { SharedResolver } from '../../src/dns/shared-resolver.js'
import { dnsError, resolverOf } from '../tls/support.js'

const TIMEOUT = 10_000

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

describe('a question', () => {
  test('a question that is being asked is not asked a second time', async () => {
    const { resolver, questions } = byHand()
    const shared = new SharedResolver(resolver, TIMEOUT)
    const answers = [shared.resolve4('a.example'), shared.resolve4('a.example')]
    const other = shared.resolve4('b.example')
    expect(questions.map(({ name }) => name)).toEqual(['a.example', 'b.example'])
    questions[0]?.answer(['192.0.2.1'])
    questions[1]?.answer(['192.0.2.2'])
    expect(await Promise.all(answers)).toEqual([['192.0.2.1'], ['192.0.2.1']])
    expect(await other).toEqual(['192.0.2.2'])
  })

  test('one that was answered, or failed, is, when nothing is under way: nothing is kept', async () => {
    const { resolver, questions } = byHand()
    const shared = new SharedResolver(resolver, TIMEOUT)
    const first = shared.resolve4('a.example')
    questions[0]?.answer(['192.0.2.1'])
    expect(await first).toEqual(['192.0.2.1'])
    const second = shared.resolve4('a.example')
    questions[1]?.fail(dnsError('ESERVFAIL'))
    await expect(second).rejects.toMatchObject({ code: 'ESERVFAIL' })
    const third = shared.resolve4('a.example')
    questions[2]?.answer(['192.0.2.3'])
    expect(await third).toEqual(['192.0.2.3'])
  })

  test('one that is never answered does not stand in the way of the next for ever', async () => {
    vi.useFakeTimers()
    try {
      const { resolver, questions } = byHand()
      const shared = new SharedResolver(resolver, 1000)
      const silent = shared.resolve4('a.example')
      vi.advanceTimersByTime(999)
      expect(shared.resolve4('a.example')).toBe(silent)
      vi.advanceTimersByTime(1)
      const next = shared.resolve4('a.example')
      expect(questions).toHaveLength(2)
      // The answer to the first, late, does not make the second forgotten
      questions[0]?.answer(['192.0.2.1'])
      await silent
      expect(shared.resolve4('a.example')).toBe(next)
      questions[1]?.answer(['192.0.2.2'])
      expect(await next).toEqual(['192.0.2.2'])
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('questions of another type are other questions', async () => {
    const { resolver, questions } = byHand()
    const shared = new SharedResolver(resolver, TIMEOUT)
    const ipv4 = shared.resolve4('a.example')
    expect(await shared.resolve6('a.example')).toEqual(['2001:db8::1'])
    questions[0]?.answer(['192.0.2.1'])
    expect(await ipv4).toEqual(['192.0.2.1'])
    await expect(shared.resolveTxt('a.example')).rejects.toMatchObject({ code: 'ENODATA' })
    await expect(shared.resolveMx('a.example')).rejects.toMatchObject({ code: 'ENODATA' })
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
    const shared = new SharedResolver(resolver, TIMEOUT)
    expect(await shared.resolve4('a.example')).toEqual(['192.0.2.7'])
    expect(await shared.resolve6('a.example')).toEqual(['192.0.2.7'])
    expect(await shared.resolveTxt('a.example')).toEqual([['192.0.2.7']])
    expect(await shared.resolveMx('a.example')).toEqual([{ exchange: '192.0.2.7', priority: 1 }])
  })
})

describe('while deliveries overlap', () => {
  /** A resolver that counts what it is asked, and gives another answer every time. */
  function counting() {
    let asked = 0
    const next = async () => {
      asked++
      return asked
    }
    const resolver: Resolver = {
      resolve4: async () => [`192.0.2.${await next()}`],
      resolve6: async () => [`2001:db8::${await next()}`],
      resolveMx: async () => [{ exchange: `mx${await next()}.example`, priority: 10 }],
      resolveTxt: async () => [[`v=STSv1; id=${await next()};`]],
    }
    return new SharedResolver(resolver, TIMEOUT)
  }

  test.each(['resolve4', 'resolve6', 'resolveMx'] as const)(
    '%s: an answer is used again, and forgotten with the last of them',
    async (type) => {
      const shared = counting()
      let first: unknown
      await shared.during(async () => {
        await shared.during(async () => {
          first = await shared[type]('a.example')
          expect(await shared[type]('a.example')).toBe(first)
          expect(await shared[type]('b.example')).not.toEqual(first)
        })
        expect(await shared[type]('a.example')).toBe(first)
      })
      await shared.during(async () => {
        expect(await shared[type]('a.example')).not.toEqual(first)
      })
    },
  )

  test('one that fails lets go of them, too', async () => {
    const shared = counting()
    const failing = shared.during(async () => {
      await shared.resolve4('a.example')
      throw new Error('no MX host would have it')
    })
    await expect(failing).rejects.toThrow('no MX host would have it')
    expect(await shared.resolve4('a.example')).toEqual(['192.0.2.2'])
  })

  test('[STS-30] TXT records are asked for every time: the id may be another one', async () => {
    const shared = counting()
    await shared.during(async () => {
      expect(await shared.resolveTxt('_mta-sts.a.example')).toEqual([['v=STSv1; id=1;']])
      expect(await shared.resolveTxt('_mta-sts.a.example')).toEqual([['v=STSv1; id=2;']])
    })
  })

  test('an answer is used for a second, and no longer', async () => {
    vi.useFakeTimers()
    try {
      const shared = counting()
      await shared.during(async () => {
        expect(await shared.resolve4('a.example')).toEqual(['192.0.2.1'])
        vi.advanceTimersByTime(1000)
        expect(await shared.resolve4('a.example')).toEqual(['192.0.2.1'])
        vi.advanceTimersByTime(1)
        expect(await shared.resolve4('a.example')).toEqual(['192.0.2.2'])
        vi.advanceTimersByTime(1000)
        expect(await shared.resolve4('a.example')).toEqual(['192.0.2.2'])
      })
    } finally {
      vi.useRealTimers()
    }
  })

  test.each(['ENODATA', 'ENOTFOUND'])('%s is an answer, too', async (code) => {
    let asked = 0
    const resolve6 = async () => {
      asked++
      throw dnsError(code)
    }
    const shared = new SharedResolver({ ...resolverOf({}), resolve6 }, TIMEOUT)
    await shared.during(async () => {
      await expect(shared.resolve6('a.example')).rejects.toMatchObject({ code })
      await expect(shared.resolve6('a.example')).rejects.toMatchObject({ code })
    })
    expect(asked).toBe(1)
  })

  test('a question that failed is asked again', async () => {
    let works = false
    const resolve4 = async () => {
      if (!works) throw dnsError('ESERVFAIL')
      return ['192.0.2.1']
    }
    const shared = new SharedResolver({ ...resolverOf({}), resolve4 }, TIMEOUT)
    await shared.during(async () => {
      await expect(shared.resolve4('a.example')).rejects.toMatchObject({ code: 'ESERVFAIL' })
      works = true
      expect(await shared.resolve4('a.example')).toEqual(['192.0.2.1'])
    })
  })
})

import { afterEach, describe, expect, it } from 'vitest'
import { RESULT_TYPES } from '../../src/tls/failures.js'
import { Collector } from '../../src/tlsrpt/collector.js'
import { addCounts, type DomainCounts, readFailure } from '../../src/tlsrpt/counts.js'
import { asOwnTraffic } from '../../src/tlsrpt/own-traffic.js'
import {
  DAY,
  ENFORCE_BODY,
  failedSession,
  plainSession,
  session,
  TODAY,
  TODAY_NOON,
} from './support.js'

const LIMITS = { maxPolicies: 16, maxFailures: 1000, maxDomains: 1000 }
let time = TODAY_NOON

afterEach(() => {
  time = TODAY_NOON
})

function newCollector(limits: Partial<typeof LIMITS> = {}): Collector {
  return new Collector({ ...LIMITS, ...limits, now: () => time })
}

/** The counts in readable form. */
function seen(collector: Collector) {
  const { counts } = collector.take()
  return counts.flatMap(({ day, domain, policies }) =>
    policies.map(({ policy, successes, failures }) => ({
      day,
      domain,
      type: policy.policyType,
      successes,
      failures: failures.map(([text, count]) => [readFailure(text), count]),
    })),
  )
}

function sessionsIn(counts: readonly DomainCounts[]): number {
  let sum = 0
  for (const { policies } of counts) {
    for (const { successes, failures } of policies) {
      sum += failures.reduce((total, [, count]) => total + count, successes)
    }
  }
  return sum
}

describe('the counts of a collector', () => {
  it('[RPT-3] hold successes and failures by day, domain and policy', () => {
    const collector = newCollector()
    for (let n = 0; n < 3; n++) collector.onSession(session())
    collector.onSession(plainSession('carol.example'))
    collector.onSession(failedSession())
    collector.onSession(failedSession())
    expect(seen(collector)).toEqual([
      {
        day: TODAY,
        domain: 'bob.example',
        type: 'sts',
        successes: 3,
        failures: [
          [
            {
              resultType: 'certificate-expired',
              sendingMtaIp: '198.51.100.7',
              receivingMxHostname: 'mx.bob.example',
              receivingMxHelo: 'mx.bob.example',
              receivingIp: '192.0.2.25',
            },
            2,
          ],
        ],
      },
      {
        day: TODAY,
        domain: 'carol.example',
        type: 'no-policy-found',
        successes: 1,
        failures: [],
      },
    ])
  })

  it('[RPT-6] change at midnight UTC, to the millisecond', () => {
    const collector = newCollector()
    time = Date.UTC(2026, 2, 14, 23, 59, 59, 999)
    collector.onSession(session())
    time += 1
    collector.onSession(session())
    collector.onSession(session())
    expect(seen(collector)).toMatchObject([
      { day: '2026-03-14', successes: 1 },
      { day: '2026-03-15', successes: 2 },
    ])
  })

  it('hold a failed discovery as a failed session without session data', () => {
    const collector = newCollector()
    const { policy } = session()
    collector.onPolicyFailure({
      policyDomain: 'bob.example',
      policy,
      failure: { resultType: 'sts-policy-fetch-error', reason: 'http-status-404' },
    })
    expect(seen(collector)).toMatchObject([
      {
        domain: 'bob.example',
        successes: 0,
        failures: [
          [{ resultType: 'sts-policy-fetch-error', failureReasonCode: 'http-status-404' }, 1],
        ],
      },
    ])
  })

  it('hold a refused host that the policy does not name as a failed session', () => {
    const collector = newCollector()
    const { policy } = session()
    collector.onSession({
      policy,
      mxHost: 'mx.attacker.example',
      failure: { resultType: 'validation-failure', reason: 'mx-mismatch' },
    })
    expect(seen(collector)).toMatchObject([
      {
        failures: [
          [
            {
              resultType: 'validation-failure',
              receivingMxHostname: 'mx.attacker.example',
              failureReasonCode: 'mx-mismatch',
            },
            1,
          ],
        ],
      },
    ])
  })

  it('[RPT-4] hold the lines of the fetched policy and its mx patterns', () => {
    const collector = newCollector()
    collector.onSession(session())
    collector.onSession(plainSession('carol.example'))
    const [bob, carol] = collector.take().counts
    expect(bob?.policies[0]?.policy).toEqual({
      policyType: 'sts',
      policyDomain: 'bob.example',
      policyString: ['version: STSv1', 'mode: enforce', 'mx: mx.bob.example', 'max_age: 604800'],
      mxHost: ['mx.bob.example'],
    })
    expect(carol?.policies[0]?.policy).toEqual({
      policyType: 'no-policy-found',
      policyDomain: 'carol.example',
    })
  })

  it('[RPT-4] separate a changed policy, but not a mere new id', () => {
    const collector = newCollector()
    const { policy } = session()
    collector.onSession(session())
    collector.onSession(session({ policy: { ...policy, id: 'other' } }))
    const body = ENFORCE_BODY.replace('enforce', 'testing')
    collector.onSession(session({ policy: { ...policy, mode: 'testing', body } }))
    expect(seen(collector).map(({ successes }) => successes)).toEqual([2, 1])
  })

  it('[RPT-5] hold every result type by its name, and an unknown word as a reason', () => {
    const collector = newCollector()
    for (const resultType of RESULT_TYPES) {
      collector.onSession(session({ failure: { resultType } }))
    }
    collector.onSession({ ...session(), failure: { resultType: 'quantum-decay' } })
    const [{ failures } = { failures: [] }] = seen(collector)
    const types = failures.map(([failure]) => Object(failure).resultType)
    expect(types).toEqual([...RESULT_TYPES, 'validation-failure'])
    expect(failures.at(-1)?.[0]).toMatchObject({ failureReasonCode: 'quantum-decay' })
  })

  it('[RPT-15] omit unknown fields', () => {
    const collector = newCollector()
    const { policy } = session()
    collector.onSession({
      policy,
      mxHost: 'mx.bob.example',
      helo: '',
      localAddress: undefined,
      failure: { resultType: 'certificate-expired' },
    })
    expect(seen(collector)[0]?.failures[0]?.[0]).toEqual({
      resultType: 'certificate-expired',
      receivingMxHostname: 'mx.bob.example',
    })
  })

  it('hold plain addresses, and bounded, escaped texts', () => {
    const collector = newCollector()
    collector.onSession(
      failedSession({
        localAddress: '::ffff:198.51.100.7',
        address: 'fe80::1%eth0',
        helo: `\u001b[31m${'x'.repeat(1000)}`,
      }),
    )
    const failure = Object(seen(collector)[0]?.failures[0]?.[0])
    expect(failure).toMatchObject({ sendingMtaIp: '198.51.100.7', receivingIp: 'fe80::1' })
    expect(failure.receivingMxHelo).toMatch(/^\\u\{1b\}\[31mx/)
    expect(failure.receivingMxHelo.length).toBeLessThan(220)
  })

  it('[RPT-10] exclude own traffic and everything it causes', async () => {
    const collector = newCollector()
    await asOwnTraffic(async () => {
      collector.onSession(session())
      await new Promise((resolve) => setTimeout(resolve, 1))
      collector.onSession(failedSession())
      const { policy } = session()
      const failure = { resultType: 'sts-policy-invalid' } as const
      collector.onPolicyFailure({ policyDomain: 'bob.example', policy, failure })
    })
    expect(seen(collector)).toEqual([])
    collector.onSession(session())
    expect(seen(collector)).toMatchObject([{ successes: 1 }])
  })
})

describe('events of an invalid form', () => {
  it.each([undefined, null, 5, 'text', {}, { policy: null }, { policy: {} }])(
    'never make the collector throw: %j',
    (event) => {
      const collector = newCollector()
      collector.onSession(event)
      collector.onPolicyFailure(event)
      expect(collector.take()).toEqual({ counts: [], uncounted: 2 })
    },
  )

  it.each(['[192.0.2.1]', '[IPv6:2001:db8::1]', 'Bob.example', 'bob.example.', ''])(
    'with the Policy Domain %j are not counted',
    (domain) => {
      const collector = newCollector()
      collector.onSession(plainSession(domain))
      expect(collector.take().counts).toEqual([])
    },
  )
})

describe('the bounds of a collector', () => {
  it('count a million different failures, of which a bounded number is distinct', () => {
    const collector = newCollector({ maxFailures: 500 })
    for (let n = 0; n < 1_000_000; n++) {
      collector.onSession(failedSession({ address: `2001:db8::${n.toString(16)}` }))
    }
    const { counts } = collector.take()
    expect(sessionsIn(counts)).toBe(1_000_000)
    const failures = counts[0]?.policies[0]?.failures ?? []
    expect(failures.length).toBe(501)
    const [others, count] = failures.at(-1) ?? ['{}', 0]
    expect(readFailure(others)).toEqual({
      resultType: 'certificate-expired',
      failureReasonCode: 'details-omitted',
    })
    expect(count).toBe(1_000_000 - 500)
  })

  it('[RPT-5] keep the result type of failures counted together', () => {
    const collector = newCollector({ maxFailures: 1 })
    for (const resultType of RESULT_TYPES) {
      for (const address of ['192.0.2.1', '192.0.2.2']) {
        collector.onSession(session({ address, failure: { resultType } }))
      }
    }
    const failures = seen(collector)[0]?.failures ?? []
    const sums = new Map<string, number>()
    for (const [failure, count] of failures) {
      const type = Object(failure).resultType
      sums.set(type, (sums.get(type) ?? 0) + Number(count))
    }
    expect(failures.length).toBe(1 + RESULT_TYPES.length)
    expect([...sums]).toEqual(RESULT_TYPES.map((type) => [type, 2]))
  })

  it('hold over all domains together', () => {
    const collector = newCollector()
    for (let n = 0; n < 150_000; n++) {
      const domain = `d${n % 200}.example`
      const failure = { resultType: 'certificate-expired' } as const
      collector.onSession(plainSession(domain, { failure, address: `2001:db8::${n.toString(16)}` }))
    }
    const { counts } = collector.take()
    const kept = counts.flatMap(({ policies }) => policies.flatMap(({ failures }) => failures))
    expect(sessionsIn(counts)).toBe(150_000)
    expect(kept.length).toBeLessThanOrEqual(100_000 + 200)
  })

  it('count the latest policies of a constantly changing domain together', () => {
    const collector = newCollector()
    const { policy } = session()
    for (let n = 0; n < 300; n++) {
      const body = `${ENFORCE_BODY}x_n: ${n}\r\n`
      collector.onSession(session({ policy: { ...policy, body } }))
    }
    const { counts } = collector.take()
    const policies = counts[0]?.policies ?? []
    expect(sessionsIn(counts)).toBe(300)
    expect(policies.length).toBe(17)
    expect(policies.at(-1)).toMatchObject({
      policy: { policyType: 'sts', policyDomain: 'bob.example' },
      successes: 284,
    })
    expect(policies.at(-1)?.policy).not.toHaveProperty('policyString')
  })

  it('go on counting known domains above maxDomains, and report the rest', () => {
    const collector = newCollector({ maxDomains: 2 })
    for (const domain of ['a.example', 'b.example', 'c.example', 'a.example', 'd.example']) {
      collector.onSession(plainSession(domain))
    }
    const { counts, uncounted } = collector.take()
    expect(counts.map(({ domain }) => domain)).toEqual(['a.example', 'b.example'])
    expect(sessionsIn(counts)).toBe(3)
    expect(uncounted).toBe(2)
    // The room is free again
    collector.onSession(plainSession('c.example'))
    expect(collector.take()).toMatchObject({ counts: [{ domain: 'c.example' }], uncounted: 0 })
  })

  it('count domains of each day separately', () => {
    const collector = newCollector({ maxDomains: 2 })
    collector.onSession(plainSession('a.example'))
    time += DAY
    collector.onSession(plainSession('a.example'))
    collector.onSession(plainSession('b.example'))
    expect(sessionsIn(collector.take().counts)).toBe(2)
  })
})

describe('adding counts', () => {
  const policy = { policyType: 'sts', policyDomain: 'bob.example' }
  const failure = (n: number) =>
    JSON.stringify({ resultType: 'certificate-expired', receivingIp: String(n) })
  const counted = (key: string, successes: number, failures: [string, number][] = []) => ({
    key,
    policy,
    successes,
    failures,
  })

  it('works by policy and failure', () => {
    const kept = [counted('a', 1, [[failure(1), 2]]), counted('b', 5)]
    const added = [
      counted('a', 10, [
        [failure(1), 20],
        [failure(2), 30],
      ]),
      counted('c', 7),
    ]
    expect(addCounts(kept, added, { maxPolicies: 16, maxFailures: 10 })).toEqual([
      counted('a', 11, [
        [failure(1), 22],
        [failure(2), 30],
      ]),
      counted('b', 5),
      counted('c', 7),
    ])
  })

  it('keeps no more details than the limits, and loses no session', () => {
    const others = JSON.stringify({
      resultType: 'certificate-expired',
      failureReasonCode: 'details-omitted',
    })
    const limits = { maxPolicies: 1, maxFailures: 2 }
    let sum = addCounts([], [counted('a', 0, [[others, 1]])], limits)
    for (let n = 0; n < 5; n++) sum = addCounts(sum, [counted('a', 1, [[failure(n), 1]])], limits)
    expect(sum).toEqual([
      counted('a', 5, [
        [others, 4],
        [failure(0), 1],
        [failure(1), 1],
      ]),
    ])
    const more = addCounts(sum, [counted('b', 3), counted('c', 4)], limits)
    expect(more.map(({ successes }) => successes)).toEqual([5, 7])
  })
})

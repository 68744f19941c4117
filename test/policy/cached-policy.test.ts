/** A policy in memory and its form in a store: the valid ones. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CachedPolicy } from '../../src/policy/cached-policy.js'
import { parsePolicy } from '../../src/policy/policy-file.js'
import { renewalDueAt, type StoredPolicy, startOf } from '../../src/policy/store.js'
import { fromStored } from '../../src/policy/stored-policy.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { DAY, HOUR, MINUTE, policyText, SECOND, storedPolicy, WEEK } from './scripted-network.js'

const now = Date.UTC(2040, 0, 1)
const failure: TlsFailure = { resultType: 'sts-policy-fetch-error' }

function cachedPolicy(body = policyText(), startedAt = now - 5 * SECOND): CachedPolicy {
  const fetched = { id: 'n1', policy: parsePolicy(body), body, startedAt, fetchedAt: now }
  return new CachedPolicy(fetched, now)
}

afterEach(() => {
  vi.useRealTimers()
})

describe('CachedPolicy', () => {
  it('[STS-26] counts max_age from the end of the fetch', () => {
    const policy = cachedPolicy()
    expect(policy).toMatchObject({ fetchedAt: now, expiresAt: now + WEEK })
    expect(policy.isValid(now + WEEK - 1)).toBe(true)
    expect(policy.isValid(now + WEEK)).toBe(false)
    expect(policy.lookup).toEqual({
      status: 'found',
      id: 'n1',
      policy: parsePolicy(policyText()),
      body: policyText(),
      fetchedAt: new Date(now),
      expiresAt: new Date(now + WEEK),
      source: 'cache',
    })
  })

  it.each([
    ['small', policyText()],
    [
      'large',
      policyText({
        mx: Array.from({ length: 100 }, (_, n) => `mx${n}.bob.example`).join('\r\nmx: '),
      }),
    ],
  ])('[STS-42] a caller cannot change a %s policy that other deliveries get', (_, body) => {
    const { policy } = cachedPolicy(body).lookup
    expect(() => Object.assign(policy, { mode: 'none' })).toThrow(TypeError)
    expect(() => Object.assign(policy.mx, ['evil.example'])).toThrow(TypeError)
    expect(policy).toEqual(parsePolicy(body))
  })

  it('expires after a year when its max_age is longer', () => {
    const policy = cachedPolicy(policyText({ maxAge: 9_999_999_999 }))
    expect(policy.expiresAt).toBe(now + 31_557_600_000)
  })

  it.each([0, 1, DAY - 1, DAY, 1_799_999_999_999, 1_764_000_000_000.375, -1])(
    'knows the end of its fetch exactly: %d',
    (fetchedAt) => {
      const fetched = { id: 'n1', policy: parsePolicy(policyText()), body: policyText(), fetchedAt }
      const policy = new CachedPolicy(fetched, now)
      expect(policy.fetchedAt).toBe(fetchedAt)
      expect(policy.expiresAt).toBe(fetchedAt + WEEK)
      expect(policy.lookup.fetchedAt).toEqual(new Date(fetchedAt))
      expect(policy.lookup.expiresAt).toEqual(new Date(fetchedAt + WEEK))
      expect(policy.toStored()).toMatchObject({ fetchedAt, expiresAt: fetchedAt + WEEK })
    },
  )

  it('returns lookups that cannot be changed', () => {
    expect(Object.isFrozen(cachedPolicy().lookup)).toBe(true)
  })

  it('adds a failure to later lookups and removes it; earlier lookups do not change', () => {
    const policy = cachedPolicy()
    const before = policy.lookup
    policy.failure = failure
    expect(policy.lookup).toEqual({ ...before, failure })
    expect(Object.isFrozen(policy.lookup)).toBe(true)
    expect(before.failure).toBeUndefined()
    policy.failure = undefined
    expect(policy.lookup).toEqual(before)
    expect('failure' in policy.lookup).toBe(false)
  })

  it('returns the same lookup of a large policy, which is not cached parsed', () => {
    const body = `${policyText()}${'mx: a.example\r\n'.repeat(500)}${'x: ü\r\n'.repeat(500)}`
    const policy = cachedPolicy(body)
    expect(policy.lookup).toMatchObject({ id: 'n1', policy: parsePolicy(body), body })
    policy.failure = failure
    expect(policy.lookup).toMatchObject({ failure, body })
  })

  it('[STS-57] computes the size of a large policy from its bytes, of a small one with its parts', () => {
    const large = `${policyText()}x: ${'ü'.repeat(30_000)}\r\n`
    expect(cachedPolicy(large).size).toBeGreaterThan(60_000)
    expect(cachedPolicy(large).size).toBeLessThan(65_000)
    const lines = Array.from({ length: 60 }, (_, index) => `mx: a${index}.example\r\n`)
    const many = `${policyText()}${lines.join('')}`
    expect(cachedPolicy(many).size - cachedPolicy().size).toBeGreaterThan(5000)
  })

  it.each([
    ['half of max_age', 86_400, DAY / 2],
    ['half of max_age', 3600, HOUR / 2],
    ['a day', WEEK / 1000, DAY],
    ['a day', 2 * 86_400, DAY],
  ])('[STS-55] is due for renewal after %s, whichever is first', (_, maxAge, due) => {
    const policy = cachedPolicy(policyText({ maxAge }))
    expect(policy.isRenewalDue(now + due - 1)).toBe(false)
    expect(policy.isRenewalDue(now + due)).toBe(true)
    expect(renewalDueAt(policy)).toBe(now + due)
  })

  it.each([
    ['30 days', DAY / 1000, 30 * DAY],
    ['one max_age', (90 * DAY) / 1000, 90 * DAY],
  ])(
    '[STS-55] is renewed without a TXT record for %s, whichever is longer',
    (_, maxAge, longest) => {
      const policy = cachedPolicy(policyText({ maxAge }))
      policy.recordSeenAt = now
      expect(policy.outlivesRecord(now + longest)).toBe(true)
      expect(policy.outlivesRecord(now + longest + 1)).toBe(false)
    },
  )

  it('[STS-54] keeps its age when the clock is set back: its dates move', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const policy = cachedPolicy()
    policy.usedAt = now
    policy.failure = failure
    vi.advanceTimersByTime(HOUR)
    const earlier = now - 30 * DAY
    const redated = policy.redated(earlier)
    expect(redated).toMatchObject({
      fetchedAt: earlier - HOUR,
      expiresAt: earlier - HOUR + WEEK,
      usedAt: earlier,
      recordSeenAt: earlier,
      failure,
      unsaved: true,
    })
    expect(redated.startedAt).toBeLessThanOrEqual(redated.fetchedAt)
  })
})

describe('toStored and fromStored', () => {
  it('[STS-33] preserve the policy, its id and its times', () => {
    const policy = cachedPolicy()
    policy.recordSeenAt = now - MINUTE
    const stored = policy.toStored()
    expect(stored).toEqual({
      id: 'n1',
      body: policyText(),
      startedAt: now - 5 * SECOND,
      fetchedAt: now,
      expiresAt: now + WEEK,
      usedAt: now,
      recordSeenAt: now - MINUTE,
    })
    const { cached, ahead } = fromStored(stored, now + DAY)
    expect(ahead).toBe(0)
    expect(cached.toStored()).toEqual(stored)
    // This process has not looked its record up
    expect(cached.checkedAt).toBeUndefined()
  })

  it('[STS-53] take the end of the fetch for its start in an entry without a start', () => {
    const { cached } = fromStored(storedPolicy(now - DAY), now)
    expect(cached).toMatchObject({ startedAt: now - DAY, recordSeenAt: now - DAY })
    expect(startOf(storedPolicy(now - DAY))).toBe(now - DAY)
  })

  it('do not preserve the failure', () => {
    const policy = cachedPolicy()
    policy.failure = failure
    expect(fromStored(policy.toStored(), now).cached.lookup.failure).toBeUndefined()
  })

  it.each([
    ['no id', { id: undefined }],
    ['an id that is a number', { id: 1 }],
    ['an id that is empty', { id: '' }],
    ['an id with a hyphen', { id: 'a-b' }],
    ['an id with a line break behind it', { id: 'n1\n' }],
    ['an id that is too long', { id: 'x'.repeat(33) }],
    ['no body', { body: undefined }],
    ['a body that is a buffer', { body: Buffer.from(policyText()) }],
    ['a body that is an object', { body: { mode: 'enforce' } }],
    ['an empty body', { body: '' }],
    ['a body that is no policy', { body: '<!doctype html>' }],
    ['a policy without mx', { body: 'version: STSv1\nmode: enforce\nmax_age: 1\n' }],
    ['a policy of an unknown mode', { body: policyText({ mode: 'strict' }) }],
    ['a policy of more than 64 KiB', { body: `${policyText()}x: ${'x'.repeat(65_536)}\r\n` }],
    ['no fetchedAt', { fetchedAt: undefined }],
    ['a fetchedAt that is text', { fetchedAt: String(now) }],
    ['a fetchedAt that is a Date', { fetchedAt: new Date(now) }],
    ['a fetchedAt that is NaN', { fetchedAt: Number.NaN }],
    ['a fetchedAt that is infinite', { fetchedAt: Number.NEGATIVE_INFINITY }],
    ['a fetchedAt that is a bigint', { fetchedAt: BigInt(now) }],
  ])('[STS-33] refuse an invalid stored policy: %s', (_, wrong) => {
    const stored: StoredPolicy = Object.assign(storedPolicy(now), wrong)
    expect(() => fromStored(stored, now)).toThrow()
  })

  it('[STS-26] recompute expiresAt: a store cannot extend a policy', () => {
    for (const expiresAt of [now + 100 * WEEK, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(fromStored(storedPolicy(now, { expiresAt }), now).cached.expiresAt).toBe(now + WEEK)
    }
  })

  it('recompute expiresAt: a store cannot shorten a policy', () => {
    const stored = storedPolicy(now, { expiresAt: now - 1 })
    expect(fromStored(stored, now).cached.expiresAt).toBe(now + WEEK)
  })

  it('[STS-26] do not extend a policy from a clock slightly ahead of ours', () => {
    const stored = storedPolicy(now + 5 * MINUTE)
    const { cached, ahead } = fromStored(stored, now)
    expect(cached).toMatchObject({ fetchedAt: now, expiresAt: now + WEEK })
    expect(ahead).toBe(5 * MINUTE)
  })

  it.each([61 * MINUTE, DAY, 365 * DAY])(
    '[STS-54] report an entry fetched %d ms in the future, which lives from now at most',
    (future) => {
      const { cached, ahead } = fromStored(storedPolicy(now + future), now)
      expect(ahead).toBe(future)
      expect(cached).toMatchObject({ startedAt: now, fetchedAt: now, expiresAt: now + WEEK })
    },
  )

  it.each([
    ['after the end', now, now - DAY],
    ['that is no time', Number.NaN, now - DAY],
    ['that is text', 'yesterday' as unknown as number, now - DAY],
    ['before the end', now - DAY - HOUR, now - DAY - HOUR],
  ])('[STS-53] read a start of the fetch %s', (_, startedAt, expected) => {
    const stored = { ...storedPolicy(now - DAY), startedAt }
    expect(fromStored(stored, now).cached.startedAt).toBe(expected)
  })

  it.each([
    ['of the future', now + DAY, now],
    ['of the past', now - HOUR, now - HOUR],
    ['that is no time', Number.NaN, now - DAY],
  ])('[STS-54] read a recordSeenAt %s', (_, recordSeenAt, expected) => {
    const stored = { ...storedPolicy(now - DAY), recordSeenAt }
    expect(fromStored(stored, now).cached.recordSeenAt).toBe(expected)
  })

  it.each([
    ['of the future', now + DAY, now],
    ['of the past', now - HOUR, now - HOUR],
    ['that is no time', Number.NaN, now - DAY],
  ])('read a usedAt %s', (_, usedAt, expected) => {
    const stored = { ...storedPolicy(now - DAY), usedAt }
    expect(fromStored(stored, now).cached.usedAt).toBe(expected)
  })
})

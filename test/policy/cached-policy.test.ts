/** A policy in memory and its form in a store: which of them may be believed. */
import { describe, expect, it } from 'vitest'
import {
  fromStored,
  hold,
  NEVER_CHECKED,
  noteFailure,
  toStored,
} from '../../src/policy/cached-policy.js'
import { parsePolicy } from '../../src/policy/policy-file.js'
import type { StoredPolicy } from '../../src/policy/store.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { DAY, HOUR, MINUTE, policyText, storedPolicy, WEEK } from './scripted-network.js'

const now = Date.UTC(2040, 0, 1)
const failure: TlsFailure = { resultType: 'sts-policy-fetch-error' }

function held() {
  const body = policyText()
  const fetched = { id: 'n1', policy: parsePolicy(body), body, fetchedAt: now }
  return hold(fetched, { usedAt: now, checkedAt: now })
}

describe('hold', () => {
  it('[STS-26] max_age runs from the fetch', () => {
    expect(held()).toMatchObject({ fetchedAt: now, expiresAt: now + WEEK })
    expect(held().lookup).toEqual({
      status: 'found',
      id: 'n1',
      policy: parsePolicy(policyText()),
      body: policyText(),
      fetchedAt: new Date(now),
      expiresAt: new Date(now + WEEK),
      source: 'cache',
    })
  })

  it('the greatest max_age is a year, and ends', () => {
    const body = policyText({ maxAge: 9_999_999_999 })
    const year = { id: 'n1', policy: parsePolicy(body), body, fetchedAt: now }
    expect(hold(year, { usedAt: now, checkedAt: now }).expiresAt).toBe(now + 31_557_600_000)
  })

  it('what a delivery is told cannot be changed by it', () => {
    expect(Object.isFrozen(held().lookup)).toBe(true)
  })
})

describe('noteFailure', () => {
  it('puts a failure down and takes it back, and leaves the policy alone', () => {
    const policy = held()
    const before = policy.lookup
    noteFailure(policy, failure)
    expect(policy.lookup).toEqual({ ...before, failure })
    expect(Object.isFrozen(policy.lookup)).toBe(true)
    // What an earlier delivery was told stays as it was
    expect(before.failure).toBeUndefined()
    noteFailure(policy, undefined)
    expect(policy.lookup).toEqual(before)
    expect('failure' in policy.lookup).toBe(false)
  })
})

describe('toStored and fromStored', () => {
  it('[STS-33] bring back the policy, its id and its times', () => {
    const stored = toStored(held())
    expect(stored).toEqual({
      id: 'n1',
      body: policyText(),
      fetchedAt: now,
      expiresAt: now + WEEK,
      usedAt: now,
    })
    // This process has not looked at its record
    expect(fromStored(stored, now + DAY)).toEqual({ ...held(), checkedAt: NEVER_CHECKED })
  })

  it('a failure is not stored', () => {
    const policy = held()
    noteFailure(policy, failure)
    expect(fromStored(toStored(policy), now).lookup.failure).toBeUndefined()
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
    ['a fetchedAt of tomorrow', { fetchedAt: now + DAY }],
    ['a fetchedAt of an hour and a minute ahead', { fetchedAt: now + 61 * MINUTE }],
  ])('[STS-33] %s: not a stored policy', (_, wrong) => {
    const stored: StoredPolicy = Object.assign(storedPolicy(now), wrong)
    expect(() => fromStored(stored, now)).toThrow()
  })

  it('[STS-26] expiresAt is reckoned anew: a store cannot lengthen a policy', () => {
    for (const expiresAt of [now + 100 * WEEK, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(fromStored(storedPolicy(now, { expiresAt }), now).expiresAt).toBe(now + WEEK)
    }
  })

  it('nor shorten it', () => {
    expect(fromStored(storedPolicy(now, { expiresAt: now - 1 }), now).expiresAt).toBe(now + WEEK)
  })

  it('[STS-26] a clock a little ahead of ours does not lengthen it', () => {
    const stored = storedPolicy(now + 5 * MINUTE)
    expect(fromStored(stored, now)).toMatchObject({ fetchedAt: now, expiresAt: now + WEEK })
  })

  it.each([
    ['of the future', now + DAY, now],
    ['of the past', now - HOUR, now - HOUR],
    ['that is no time', Number.NaN, now - DAY],
  ])('a usedAt %s', (_, usedAt, expected) => {
    const stored = { ...storedPolicy(now - DAY), usedAt }
    expect(fromStored(stored, now).usedAt).toBe(expected)
  })
})

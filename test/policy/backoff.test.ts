/** The wait before an id is fetched again after a failed GET. */
import { describe, expect, it } from 'vitest'
import { FetchBackoff } from '../../src/policy/backoff.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { HOUR, MINUTE } from './scripted-network.js'

const FIVE_MINUTES = 5 * MINUTE
const failure: TlsFailure = { resultType: 'sts-policy-fetch-error', reason: 'http-status-500' }
const now = Date.UTC(2040, 0, 1)
const bounds = (max: number) => ({ max, maxBytes: 2 ** 20 })

/** Returns the wait of an id after one more failure, to the millisecond. */
function waitAfterFailure(backoff: FetchBackoff, at: number, id = 'n1'): number {
  backoff.failed('bob.example', id, { now: at, failure })
  let [low, high] = [0, 100 * HOUR]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (backoff.waiting('bob.example', id, at + middle)) low = middle + 1
    else high = middle
  }
  return low
}

/** Returns the waits after a number of failures, each at the earliest time. */
function waits(backoff: FetchBackoff, count: number): number[] {
  let at = now
  return Array.from({ length: count }, () => {
    const wait = waitAfterFailure(backoff, at)
    at += wait
    return wait
  })
}

describe('FetchBackoff', () => {
  it('[STS-16] waits five minutes, then twice as long each time, up to an hour', () => {
    const minutes = waits(new FetchBackoff(FIVE_MINUTES, bounds(10)), 8).map(
      (wait) => wait / MINUTE,
    )
    expect(minutes).toEqual([5, 10, 20, 40, 60, 60, 60, 60])
  })

  it('[STS-16] never waits less than its initial value, even if that exceeds an hour', () => {
    const hours = waits(new FetchBackoff(3 * HOUR, bounds(10)), 3).map((wait) => wait / HOUR)
    expect(hours).toEqual([3, 3, 3])
  })

  it('waits an hour after a thousand failures', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    expect(waits(backoff, 1100).at(-1)).toBe(HOUR)
  })

  it('does not wait when the initial value is 0', () => {
    expect(waits(new FetchBackoff(0, bounds(10)), 3)).toEqual([0, 0, 0])
  })

  it('returns the failure that caused the wait', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    expect(backoff.waiting('bob.example', 'n1', now)).toBeUndefined()
    backoff.failed('bob.example', 'n1', { now, failure })
    expect(backoff.waiting('bob.example', 'n1', now)).toBe(failure)
    const later: TlsFailure = { resultType: 'sts-webpki-invalid' }
    backoff.failed('bob.example', 'n1', { now: now + FIVE_MINUTES, failure: later })
    expect(backoff.waiting('bob.example', 'n1', now + FIVE_MINUTES)).toBe(later)
  })

  it('[STS-16] waits per Policy Domain and id: another id is not delayed', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    backoff.failed('bob.example', 'n1', { now, failure })
    expect(backoff.waiting('bob.example', 'n1', now)).toBe(failure)
    expect(backoff.waiting('bob.example', 'n2', now)).toBeUndefined()
    expect(backoff.waiting('bob.example', 'N1', now)).toBeUndefined()
    expect(backoff.waiting('carol.example', 'n1', now)).toBeUndefined()
    expect(backoff.waiting('1.bob.example', 'n', now)).toBeUndefined()
  })

  it('doubles separately for each id of a domain', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    expect(waitAfterFailure(backoff, now, 'n1')).toBe(5 * MINUTE)
    expect(waitAfterFailure(backoff, now, 'n1')).toBe(10 * MINUTE)
    expect(waitAfterFailure(backoff, now, 'n2')).toBe(5 * MINUTE)
    expect(waitAfterFailure(backoff, now, 'n1')).toBe(20 * MINUTE)
  })

  it('ends the wait and the doubling of an id after its success, but not of others', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    waits(backoff, 3)
    backoff.failed('bob.example', 'n2', { now, failure })
    backoff.succeeded('bob.example', 'n1')
    expect(backoff.waiting('bob.example', 'n1', now)).toBeUndefined()
    expect(backoff.waiting('bob.example', 'n2', now)).toBe(failure)
    expect(waitAfterFailure(backoff, now)).toBe(5 * MINUTE)
  })

  it('doubles a wait that has ended when the next GET fails', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    expect(waitAfterFailure(backoff, now)).toBe(5 * MINUTE)
    expect(waitAfterFailure(backoff, now + 40 * MINUTE)).toBe(10 * MINUTE)
  })

  it('evicts the oldest entries above its maximum number', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(100))
    for (let index = 0; index < 10_000; index++) {
      backoff.failed(`d${index}.example`, 'n1', { now, failure })
    }
    const waiting = Array.from({ length: 10_000 }, (_, index) => index).filter((index) =>
      backoff.waiting(`d${index}.example`, 'n1', now),
    )
    expect(waiting).toEqual(Array.from({ length: 100 }, (_, index) => 9900 + index))
  })

  it('stays within its maximum of bytes', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, { max: 10_000, maxBytes: 100_000 })
    for (let index = 0; index < 1000; index++) {
      backoff.failed(`d${index}.example`, 'n1', { now, failure })
    }
    const waiting = Array.from({ length: 1000 }, (_, index) => index).filter((index) =>
      backoff.waiting(`d${index}.example`, 'n1', now),
    )
    expect(waiting.length).toBeGreaterThan(50)
    expect(waiting.length).toBeLessThan(200)
    expect(waiting.at(-1)).toBe(999)
  })

  it('[STS-54] ends the wait when the clock was set back or forward beyond it', () => {
    const backoff = new FetchBackoff(FIVE_MINUTES, bounds(10))
    backoff.failed('bob.example', 'n1', { now: now + 30 * 24 * HOUR, failure })
    expect(backoff.waiting('bob.example', 'n1', now)).toBeUndefined()
    expect(backoff.waiting('bob.example', 'n1', now + 60 * 24 * HOUR)).toBeUndefined()
  })
})

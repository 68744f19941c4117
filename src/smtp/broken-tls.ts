/**
 * Remembers addresses whose TLS fails, so that not every message waits for the same timeout. Used
 * only where no proof is demanded or audited: a host under a policy always gets STARTTLS.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { FailureReason, TlsFailure } from '../tls/failures.js'

/** Failures of STARTTLS that are likely to occur again. */
const BROKEN: ReadonlySet<FailureReason | undefined> = new Set([
  'no-answer',
  'handshake-failed',
  'handshake-timeout',
  'tls-version',
])

/**
 * Failures in a row before an address is remembered: a single one may be chance, or an attacker.
 */
const FAILURES = 2

/** Time for which an address is remembered, in milliseconds. */
const REMEMBERED = 600_000

const MAX_ADDRESSES = 10_000

interface Failed {
  times: number
  failure: TlsFailure
}

/** Addresses, with ports, whose TLS has failed lately. */
export class BrokenTls {
  #addresses: LRUCache<string, Failed> | undefined

  /** Returns the failure of an address whose TLS is not tried at the moment. */
  failureOf(address: string, port: number): TlsFailure | undefined {
    const failed = this.#addresses?.get(`${address} ${port}`)
    return failed && failed.times >= FAILURES ? failed.failure : undefined
  }

  record(address: string, port: number, failure: TlsFailure | undefined): void {
    const key = `${address} ${port}`
    if (!failure || !BROKEN.has(failure.reason)) {
      this.#addresses?.delete(key)
      return
    }
    this.#addresses ??= new LRUCache({ max: MAX_ADDRESSES, ttl: REMEMBERED })
    const times = (this.#addresses.get(key)?.times ?? 0) + 1
    const { resultType, reason } = failure
    const plain = reason === undefined ? { resultType } : { resultType, reason }
    this.#addresses.set(key, { times, failure: plain })
  }
}

/**
 * After a GET that failed, the same id is not fetched again for a while, and for twice as long
 * after each further failure; another id is (RFC 8461 §3.3).
 *
 * @module
 */
import { LRUCache } from 'lru-cache'
import type { TlsFailure } from '../tls/failures.js'

interface Wait {
  attempts: number
  /** Epoch milliseconds */
  until: number
  failure: TlsFailure
}

const LONGEST_WAIT = 3_600_000

export class FetchBackoff {
  readonly #waits: LRUCache<string, Wait>
  readonly #initial: number

  /** @param initial the first wait, in milliseconds */
  constructor(initial: number, max: number) {
    this.#initial = initial
    this.#waits = new LRUCache({ max })
  }

  /** The failure that is being waited after, or undefined when a fetch may be tried. */
  waiting(policyDomain: string, id: string, now: number): TlsFailure | undefined {
    const wait = this.#waits.get(key(policyDomain, id))
    return wait !== undefined && now < wait.until ? wait.failure : undefined
  }

  failed(policyDomain: string, id: string, { now, failure }: { now: number; failure: TlsFailure }) {
    const attempts = (this.#waits.get(key(policyDomain, id))?.attempts ?? 0) + 1
    const longest = Math.max(LONGEST_WAIT, this.#initial)
    const until = now + Math.min(this.#initial * 2 ** (attempts - 1), longest)
    this.#waits.set(key(policyDomain, id), { attempts, until, failure })
  }

  succeeded(policyDomain: string, id: string): void {
    this.#waits.delete(key(policyDomain, id))
  }
}

function key(policyDomain: string, id: string): string {
  return `${id} ${policyDomain}`
}

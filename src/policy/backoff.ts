/**
 * The wait after a failed fetch: the same id is not fetched again for a while, twice as long after
 * each further failure. Another id is fetched at once (RFC 8461 §3.3).
 *
 * @module
 */
import type { TlsFailure } from '../tls/failures.js'
import { BoundedCache, type CacheBounds } from './bounded-cache.js'
import { hasPassed, type Span, span } from './span.js'

interface Wait {
  attempts: number
  span: Span
  failure: TlsFailure
}

const LONGEST_WAIT = 3_600_000

export class FetchBackoff {
  readonly #waits: BoundedCache<Wait>
  readonly #initial: number

  /** @param initial first wait, in milliseconds */
  constructor(initial: number, bounds: CacheBounds) {
    this.#initial = initial
    this.#waits = new BoundedCache(bounds, sizeOf)
  }

  /** Returns the failure that caused the wait, or undefined when a fetch may be tried. */
  waiting(policyDomain: string, id: string, now: number): TlsFailure | undefined {
    const wait = this.#waits.get(key(policyDomain, id))
    return wait === undefined || hasPassed(wait.span, now) ? undefined : wait.failure
  }

  /** @param failure plain data: it is cached */
  failed(policyDomain: string, id: string, { now, failure }: { now: number; failure: TlsFailure }) {
    const attempts = (this.#waits.get(key(policyDomain, id))?.attempts ?? 0) + 1
    const longest = Math.max(LONGEST_WAIT, this.#initial)
    const length = Math.min(this.#initial * 2 ** (attempts - 1), longest)
    this.#waits.set(key(policyDomain, id), { attempts, span: span(now, length), failure })
  }

  succeeded(policyDomain: string, id: string): void {
    this.#waits.delete(key(policyDomain, id))
  }
}

function key(policyDomain: string, id: string): string {
  return `${id} ${policyDomain}`
}

/** Sizes of keys, spans and the failure with the text of its cause. */
function sizeOf(_: Wait, name: string): number {
  return 900 + name.length
}

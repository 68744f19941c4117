/**
 * Policies are fetched anew before they expire, about daily, at times that nobody can predict
 * (RFC 8461 §3.3, §10.2): who blocks the policy host for a while gains nothing by it.
 *
 * @module
 */
import { publish, type RefreshEvent } from '../events.js'
import type { PolicyCache } from './cache.js'

/** How many policies were looked at in a pass, and what became of them. */
export type RefreshSummary = RefreshEvent

export class Refresher {
  readonly #cache: PolicyCache
  readonly #interval: number
  #timer: NodeJS.Timeout | undefined
  #pass: Promise<RefreshSummary> | undefined
  #closed = false

  /** @param interval from pass to pass, in milliseconds, give or take a fifth; 0: only by hand */
  constructor(cache: PolicyCache, interval: number) {
    this.#cache = cache
    this.#interval = interval
    // The first pass comes at any time: many processes that start together do not meet
    this.#schedule(Math.random() * interval)
  }

  /** One pass; a second call while it runs joins it. Never rejects. */
  run(): Promise<RefreshSummary> {
    this.#pass ??= this.#refreshAll().finally(() => {
      this.#pass = undefined
    })
    return this.#pass
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#pass
  }

  #schedule(delay: number): void {
    if (this.#interval === 0 || this.#closed) return
    this.#timer = setTimeout(
      async () => {
        await this.run()
        this.#schedule(this.#interval * (0.8 + 0.4 * Math.random()))
      },
      Math.min(delay, MAX_DELAY),
    )
    this.#timer.unref()
  }

  async #refreshAll(): Promise<RefreshSummary> {
    const summary = { checked: 0, renewed: 0, changed: 0, failed: 0, dropped: 0 }
    const domains = this.#cache.domains()
    const worker = async () => {
      for await (const policyDomain of domains) {
        if (this.#closed) return
        summary.checked++
        const renewal = await this.#cache.renew(policyDomain)
        if (renewal !== 'kept') summary[renewal]++
      }
    }
    // An async generator hands out its values one by one, to however many workers
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    publish('mta-sts:refresh', () => summary)
    return summary
  }
}

const CONCURRENCY = 16

/** What a timer of Node can count to, in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1

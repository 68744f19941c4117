/**
 * The pass over the cached policies: fetches them again before they expire, about daily, at
 * unpredictable times (RFC 8461 §3.3, §10.2), so that blocking the policy host for a while gains
 * nothing.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { publish, type RefreshEvent } from '../events.js'
import { startTimer } from '../net/deadline.js'
import type { PolicyCache } from './cache.js'

/** Counts of a pass: policies examined, and their outcomes. */
export type RefreshSummary = RefreshEvent

/** Maximum number of renewals at once. */
const CONCURRENCY = 16

/** Shortest pause before an extra pass for a policy that would expire, in milliseconds. */
const SHORTEST_PAUSE = 300_000

export interface RefresherOptions {
  /** Time between passes, plus or minus a fifth, in milliseconds; 0: only by `run()` */
  interval: number
  /** The wall clock */
  now: () => number
}

export class Refresher {
  readonly #cache: PolicyCache
  readonly #options: RefresherOptions
  #timer: NodeJS.Timeout | undefined
  /** `performance.now()` of the next pass */
  #next = Number.POSITIVE_INFINITY
  #pass: Promise<RefreshSummary> | undefined
  #closed = false
  /** A delivery that schedules a pass must not pass its async context on to this and all later ones */
  readonly #inOwnContext = AsyncLocalStorage.snapshot()

  constructor(cache: PolicyCache, options: RefresherOptions) {
    this.#cache = cache
    this.#options = options
    // The first pass has a random time: processes that start together spread out
    this.#schedule(Math.random() * options.interval)
  }

  /**
   * Renews every cached policy that was used lately; joins a pass that is running. Never rejects.
   */
  run(): Promise<RefreshSummary> {
    return this.#run(undefined)
  }

  /** Schedules the next pass within some milliseconds, before a policy expires. */
  within(milliseconds: number): void {
    const { interval } = this.#options
    if (interval === 0) return
    const pause = Math.max(milliseconds, Math.min(SHORTEST_PAUSE, interval))
    if (performance.now() + pause < this.#next) this.#schedule(pause)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#pass
  }

  #run(due: { at: number } | undefined): Promise<RefreshSummary> {
    this.#pass ??= this.#refreshAll(due).finally(() => {
      this.#pass = undefined
    })
    return this.#pass
  }

  #schedule(pause: number): void {
    const { interval, now } = this.#options
    if (interval === 0 || this.#closed) return
    clearTimeout(this.#timer)
    this.#next = performance.now() + pause
    const pass = async () => {
      // A policy that another process renews on time needs no renewal here before it is due
      await this.#run({ at: now() + interval / 2 })
      this.#schedule(interval * (0.8 + 0.4 * Math.random()))
      this.#considerPolicies()
    }
    this.#timer = this.#inOwnContext(startTimer, pass, pause)
    this.#timer.unref()
  }

  /** Schedules the next pass before one of the policies in use expires. */
  #considerPolicies(): void {
    const now = this.#options.now()
    for (const [, policy] of this.#cache.policies()) {
      if (policy.isInUse(now)) this.within(policy.renewWithin(now))
    }
  }

  async #refreshAll(due: { at: number } | undefined): Promise<RefreshSummary> {
    const summary = { checked: 0, renewed: 0, changed: 0, failed: 0, dropped: 0 }
    const domains = this.#cache.domains(due)
    const worker = async () => {
      for await (const policyDomain of domains) {
        if (this.#closed) return
        summary.checked++
        const renewal = await this.#cache.renew(policyDomain)
        if (renewal !== 'kept') summary[renewal]++
      }
    }
    // Several workers share one async generator
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    publish('mta-sts:refresh', () => summary)
    return summary
  }
}

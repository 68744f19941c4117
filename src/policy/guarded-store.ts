/**
 * A policy store seen by the cache: bounded in time, checked like remote input, and never the
 * reason why a delivery fails or a policy is lost. What it does wrong is reported, once a minute
 * at most.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import { fromStored, type HeldPolicy, toStored } from './cached-policy.js'
import type { PolicyStore, StoredPolicy } from './store.js'

export interface GuardedStoreOptions {
  /** For each call, in milliseconds */
  timeout: number
  now: () => number
  /** Told of failures, once a minute at most */
  report: (operation: string, error: unknown) => void
}

const REPORT_INTERVAL = 60_000

export class GuardedStore {
  readonly #store: PolicyStore | undefined
  readonly #options: GuardedStoreOptions
  #lastReport = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(store: PolicyStore | undefined, options: GuardedStoreOptions) {
    this.#store = store
    this.#options = options
  }

  /** What is kept and has not expired. */
  async get(policyDomain: string): Promise<HeldPolicy | undefined> {
    const stored = await this.#attempt('get', (store) => store.get(policyDomain))
    return stored && this.#check(policyDomain, stored)
  }

  async set(policyDomain: string, held: HeldPolicy): Promise<void> {
    await this.#attempt('set', async (store) => store.set(policyDomain, toStored(held)))
  }

  async delete(policyDomain: string): Promise<void> {
    await this.#attempt('delete', (store) => store.delete(policyDomain))
  }

  /** Every entry that is sound and has not expired; ends early when the store fails. */
  async *list(): AsyncGenerator<[string, HeldPolicy]> {
    const entries = await this.#attempt('list', (store) => store.list?.()[Symbol.asyncIterator]())
    if (!entries) return
    for (;;) {
      const next = await this.#attempt('list', () => entries.next())
      if (!next || next.done) return
      const entry = this.#checkEntry(next.value)
      if (entry) yield entry
    }
  }

  /**
   * Runs `work` under a lock that other processes respect; does not run it when one of them holds
   * the lock. Without a store, or with one that cannot lock, it runs at once.
   */
  async locked(name: string, ttl: number, work: () => Promise<void>): Promise<boolean> {
    if (!this.#store?.lock) {
      await work()
      return true
    }
    const lock = await this.#attempt('lock', async (store) => ({
      release: await store.lock?.(name, ttl),
    }))
    // A store that fails weakens nothing: the work is done without it
    if (lock && lock.release === undefined) return false
    try {
      await work()
    } finally {
      await this.#attempt('lock', () => lock?.release?.())
    }
    return true
  }

  /** The last that is asked of the store. */
  async close(): Promise<void> {
    const closing = this.#attempt('close', (store) => store.close?.())
    this.#closed = true
    await closing
  }

  #checkEntry(entry: unknown): [string, HeldPolicy] | undefined {
    const [policyDomain, stored]: unknown[] = Array.isArray(entry) ? entry : []
    if (typeof policyDomain !== 'string' || toALabels(policyDomain) !== policyDomain) {
      this.#report('list', new TypeError('an entry without a Policy Domain'))
      return undefined
    }
    const held = this.#check(policyDomain, stored as StoredPolicy)
    return held && [policyDomain, held]
  }

  #check(policyDomain: string, stored: StoredPolicy): HeldPolicy | undefined {
    const now = this.#options.now()
    try {
      const held = fromStored(stored, now)
      return held.expiresAt > now ? held : undefined
    } catch (error) {
      this.#report(`get ${policyDomain}`, error)
      return undefined
    }
  }

  /** undefined when there is no store, or when it fails or takes too long. */
  async #attempt<T>(
    operation: string,
    call: (store: PolicyStore) => Promise<T> | T,
  ): Promise<T | undefined> {
    if (!this.#store || this.#closed) return undefined
    let timer: NodeJS.Timeout | undefined
    try {
      const { timeout } = this.#options
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`The policy store did not answer within ${timeout} ms`)),
          timeout,
        )
      })
      return await Promise.race([call(this.#store), late])
    } catch (error) {
      this.#report(operation, error)
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  #report(operation: string, error: unknown): void {
    const now = this.#options.now()
    if (now - this.#lastReport < REPORT_INTERVAL) return
    this.#lastReport = now
    this.#options.report(operation, error)
  }
}

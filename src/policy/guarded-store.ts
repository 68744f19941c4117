/**
 * A policy store with a time limit for each call and validated entries. Its failures lose no
 * policy; they are reported at most once a minute.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import { MtaStsError } from '../errors.js'
import { type TimeLimit, withinTime } from '../net/deadline.js'
import type { CachedPolicy } from './cached-policy.js'
import { hasPassed, type Span, span } from './span.js'
import type { PolicyStore, StoredPolicy } from './store.js'
import { fromStored, type ReadPolicy } from './stored-policy.js'

export interface GuardedStoreOptions {
  /** Limit of each call, in milliseconds */
  timeout: number
  now: () => number
  /** Aborts a list */
  closing?: AbortSignal
  /** Called with failures, once a minute at most */
  report: (operation: string, error: unknown) => void
}

/**
 * The answer of the store for a Policy Domain. `no-answer`: the store failed, took too long, or its
 * entry cannot be read.
 */
export type StoreAnswer =
  | ({ kind: 'entry'; stored: StoredPolicy } & ReadPolicy)
  /** `stored`: an entry that has expired */
  | { kind: 'nothing'; stored?: StoredPolicy }
  | { kind: 'no-answer' }

/** `refused`: the store has the result of a later fetch, or the entry was removed meanwhile. */
export type StoreWrite = 'stored' | 'refused' | 'failed'

/** Returns the time limit of one call to a policy store. */
export function storeLimit(milliseconds: number): TimeLimit {
  const message = `The policy store did not answer within ${milliseconds} ms`
  return { milliseconds, late: () => new MtaStsError(message, 'ESTORE') }
}

const REPORT_INTERVAL = 60_000

/** Distance in the future above which an entry is reported: one of the clocks is wrong. */
const CLOCK_SKEW = 3_600_000

/** Maximum number of entries listed in one turn of the event loop. */
const ENTRIES_A_TURN = 100

const NOTHING = { kind: 'nothing' } as const
const NO_ANSWER = { kind: 'no-answer' } as const

export class GuardedStore {
  readonly #store: PolicyStore | undefined
  readonly #options: GuardedStoreOptions
  #reported: Span | undefined
  #closed = false

  constructor(store: PolicyStore | undefined, options: GuardedStoreOptions) {
    this.#store = store
    this.#options = options
  }

  /** Whether there is a store. */
  get isPresent(): boolean {
    return this.#store !== undefined
  }

  /** Whether the store can tell an entry that it has lost from one that was removed. */
  get tellsRemovals(): boolean {
    return this.#store?.removedAt !== undefined
  }

  /** Returns the entry of a Policy Domain, unless it has expired. */
  async get(policyDomain: string): Promise<StoreAnswer> {
    if (!this.#store) return NOTHING
    const answer = await this.#attempt('get', async (store) => ({
      stored: await store.get(policyDomain),
    }))
    if (answer === undefined) return NO_ANSWER
    // Many databases return null for "nothing"
    return (answer.stored ?? undefined) === undefined
      ? NOTHING
      : this.#check(policyDomain, answer.stored)
  }

  /** @param before the entry that was read when the fetch of the new one began */
  async set(
    policyDomain: string,
    cached: CachedPolicy,
    before?: StoredPolicy,
  ): Promise<StoreWrite> {
    if (!this.#store) return 'stored'
    const answer = await this.#attempt('set', async (store) => ({
      taken: await store.set(policyDomain, cached.toStored(), before),
    }))
    if (answer === undefined) return 'failed'
    return answer.taken === false ? 'refused' : 'stored'
  }

  /** Returns when an operator removed a domain's policy; ignores a time in the future. */
  async removedAt(policyDomain: string): Promise<number | undefined> {
    const at: unknown = await this.#attempt('removedAt', async (store) =>
      store.removedAt?.(policyDomain),
    )
    if (typeof at !== 'number') return undefined
    return at <= this.#options.now() ? at : undefined
  }

  /**
   * Iterates over the valid, unexpired entries: all, or those due for renewal at a time, as far as
   * the store can tell. Ends early when the store fails.
   */
  async *list(dueAt?: number): AsyncGenerator<[string, CachedPolicy]> {
    const entries = await this.#attempt('list', (store) => {
      if (dueAt !== undefined && store.due) return store.due(dueAt)[Symbol.asyncIterator]()
      return store.list?.()[Symbol.asyncIterator]()
    })
    if (!entries) return
    let end: 'own' | 'early' | 'failed' = 'early'
    try {
      for (let read = 1; ; read++) {
        end = 'failed'
        const next = await this.#attempt('list', () => entries.next())
        if (typeof next !== 'object' || next === null) return
        end = next.done ? 'own' : 'early'
        if (next.done) return
        // An endless list of resolved promises must not block the process
        if (read % ENTRIES_A_TURN === 0) await new Promise(setImmediate)
        if (this.#options.closing?.aborted) return
        const entry = this.#checkEntry(next.value)
        if (entry) yield entry
      }
    } finally {
      // A generator whose next() is late would end its list only after that
      const ending = end === 'own' ? undefined : this.#endList(entries)
      if (end === 'early') await ending
    }
  }

  /**
   * Ends a list before its own end, also when the store is closed: a cursor or a transaction may be
   * open. Never rejects.
   */
  async #endList(entries: AsyncIterator<unknown>): Promise<void> {
    try {
      await withinTime(storeLimit(this.#options.timeout), () => entries.return?.())
    } catch (error) {
      this.#report('list', error)
    }
  }

  /**
   * Runs `work` under a lock that other processes respect, unless one of them holds it. Runs it at
   * once without a store, or if the store cannot lock.
   */
  async locked(name: string, ttl: number, work: () => Promise<void>): Promise<boolean> {
    if (!this.#store?.lock) {
      await work()
      return true
    }
    const lock = await this.#attempt('lock', async (store) => ({
      release: await store.lock?.(name, ttl),
    }))
    // A store that fails prevents no work
    if (lock && lock.release === undefined) return false
    try {
      await work()
    } finally {
      await this.#attempt('lock', () => lock?.release?.())
    }
    return true
  }

  /** Closes the store, which is not called again. */
  async close(): Promise<void> {
    const closing = this.#attempt('close', (store) => store.close?.())
    this.#closed = true
    await closing
  }

  #checkEntry(entry: unknown): [string, CachedPolicy] | undefined {
    const [policyDomain, stored]: unknown[] = Array.isArray(entry) ? entry : []
    if (typeof policyDomain !== 'string' || toALabels(policyDomain) !== policyDomain) {
      this.#report('list', new TypeError('an entry without a Policy Domain'))
      return undefined
    }
    const answer = this.#check(policyDomain, stored)
    return answer.kind === 'entry' ? [policyDomain, answer.cached] : undefined
  }

  #check(policyDomain: string, stored: unknown): StoreAnswer {
    const now = this.#options.now()
    try {
      const entry = stored as StoredPolicy
      const read = fromStored(entry, now)
      if (read.ahead > CLOCK_SKEW) {
        const error = new TypeError('its fetchedAt is in the future: one of the clocks is wrong')
        this.#report(`get ${policyDomain}`, error)
      }
      if (!read.cached.isValid(now)) return { kind: 'nothing', stored: entry }
      return { kind: 'entry', stored: entry, ...read }
    } catch (error) {
      this.#report(`get ${policyDomain}`, error)
      return NO_ANSWER
    }
  }

  /** Resolves to undefined without a store, or when it fails or takes too long. */
  async #attempt<T>(
    operation: string,
    call: (store: PolicyStore) => Promise<T> | T,
  ): Promise<T | undefined> {
    const store = this.#store
    if (!store || this.#closed) return undefined
    try {
      return await withinTime(storeLimit(this.#options.timeout), () => call(store))
    } catch (error) {
      this.#report(operation, error)
      return undefined
    }
  }

  #report(operation: string, error: unknown): void {
    const now = this.#options.now()
    if (this.#reported && !hasPassed(this.#reported, now)) return
    this.#reported = span(now, REPORT_INTERVAL)
    try {
      this.#options.report(operation, error)
    } catch {
      // A logger that fails cannot be reported
    }
  }
}

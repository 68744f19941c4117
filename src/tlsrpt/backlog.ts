/**
 * Counts on their way to the store: in portions that hold it up only shortly, and added up while
 * it takes none.
 *
 * @module
 */
import { addCounts, type CountLimits, type DomainCounts } from './counts.js'

export interface BacklogLimits extends CountLimits {
  /** Domains and days that wait at a time; those beyond are not counted */
  maxDomains: number
}

/** What is written in one step: domains, or policies and failures. */
const STEP_DOMAINS = 100
const STEP_COUNTS = 2000

/** Policies and failures that wait at a time; beyond, failures are added up by result type. */
const MAX_COUNTS = 100_000

export class Backlog {
  readonly #limits: BacklogLimits
  readonly #waiting = new Map<string, DomainCounts>()
  #size = 0

  constructor(limits: BacklogLimits) {
    this.#limits = limits
  }

  /** Returns the number of sessions that there is no room for. */
  add(counts: readonly DomainCounts[]): number {
    return counts.reduce((left, one) => left + this.#addOne(one), 0)
  }

  /** Takes a portion out; undefined when nothing waits. What was not written is added again. */
  take(): DomainCounts[] | undefined {
    const portion: DomainCounts[] = []
    let size = 0
    for (const [key, counts] of this.#waiting) {
      size += sizeOf(counts)
      if (portion.length >= STEP_DOMAINS || (portion.length > 0 && size > STEP_COUNTS)) break
      portion.push(counts)
      this.#waiting.delete(key)
      this.#size -= sizeOf(counts)
    }
    return portion.length > 0 ? portion : undefined
  }

  #addOne(counts: DomainCounts): number {
    const { day, domain, policies } = counts
    const key = `${day} ${domain}`
    const kept = this.#waiting.get(key)
    if (kept === undefined && this.#waiting.size >= this.#limits.maxDomains) {
      return sessionsOf(counts)
    }
    const full = this.#size >= MAX_COUNTS
    const limits = full ? { ...this.#limits, maxFailures: 0 } : this.#limits
    const sum = { day, domain, policies: addCounts(kept?.policies ?? [], policies, limits) }
    this.#waiting.set(key, sum)
    this.#size += sizeOf(sum) - (kept === undefined ? 0 : sizeOf(kept))
    return 0
  }
}

function sizeOf({ policies }: DomainCounts): number {
  return policies.reduce((sum, { failures }) => sum + 1 + failures.length, 0)
}

function sessionsOf({ policies }: DomainCounts): number {
  return policies.reduce(
    (sum, { successes, failures }) =>
      failures.reduce((subtotal, [, sessions]) => subtotal + sessions, sum + successes),
    0,
  )
}

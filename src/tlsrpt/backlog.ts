/**
 * Counts to be stored: in numbered portions, small enough not to block the store for long, and
 * added up while the store accepts none.
 *
 * A portion whose reply was lost may have been added. It is sent again unchanged, with the same
 * number, until the store answers.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { type CountLimits, type DomainCounts, Tally } from './counts.js'
import type { Portion } from './store.js'

export interface BacklogLimits extends CountLimits {
  /** Maximum number of waiting domains and days; others are not counted */
  maxDomains: number
}

/** Counts for one call of the store. */
export interface NumberedCounts {
  portion: Portion
  counts: readonly DomainCounts[]
}

/** Bounds of one call: domains, or policies and failures. */
const STEP_DOMAINS = 100
const STEP_COUNTS = 2000

/** Maximum number of waiting policies and failures; others are added up by result type. */
const MAX_COUNTS = 100_000

/** Time for which refused counts are offered again, in milliseconds, and the interval. */
const SET_ASIDE_TIME = 24 * 3_600_000
const SET_ASIDE_INTERVAL = 60_000

interface Waiting {
  day: string
  domain: string
  tally: Tally
  /** The first refusal, by the clock of `performance` */
  refusedAt?: number
}

export class Backlog {
  readonly #limits: BacklogLimits
  readonly #writer = randomUUID()
  #number = 0
  readonly #waiting = new Map<string, Waiting>()
  #size = 0
  #current: (NumberedCounts & Pick<Waiting, 'refusedAt'>) | undefined
  /** Sent to the store one by one, since it refused one of them */
  readonly #single: Waiting[] = []
  /** Set aside; later counts of the same domain and day are added to them */
  readonly #refused = new Map<string, Waiting>()
  #offeredAt = Number.NEGATIVE_INFINITY

  constructor(limits: BacklogLimits) {
    this.#limits = limits
  }

  /** Adds counts of one domain. Returns the number of sessions without room. */
  add({ day, domain, policies }: DomainCounts): number {
    const key = `${day} ${domain}`
    const refused = this.#refused.get(key)
    if (refused !== undefined) {
      refused.tally.add(policies, this.#limits)
      return 0
    }
    const known = this.#waiting.get(key)
    if (known === undefined && this.#waiting.size >= this.#limits.maxDomains) {
      return sessionsOf(policies)
    }
    const waiting = known ?? { day, domain, tally: new Tally() }
    this.#waiting.set(key, waiting)
    const full = this.#size >= MAX_COUNTS
    const before = known === undefined ? 0 : waiting.tally.size
    waiting.tally.add(policies, full ? { ...this.#limits, maxFailures: 0 } : this.#limits)
    this.#size += waiting.tally.size - before
    return 0
  }

  /** Returns the next counts for the store; unacknowledged ones first. */
  next(): NumberedCounts | undefined {
    if (this.#current !== undefined) return this.#current
    const single = this.#single.shift()
    const counts = single === undefined ? this.#nextGroup() : [countsOf(single)]
    if (counts.length === 0) return undefined
    const portion = { writer: this.#writer, number: ++this.#number }
    this.#current = { portion, counts }
    if (single?.refusedAt !== undefined) this.#current.refusedAt = single.refusedAt
    return this.#current
  }

  /** Records that the store has added the current portion. */
  acknowledge(): void {
    this.#current = undefined
  }

  /**
   * Records that the store has added nothing of the current portion, since it cannot add one of its
   * domains. They are sent one by one; a single one is set aside, and offered again later. Returns
   * the number of sessions that are dropped.
   */
  refuse(): number {
    const { counts = [], refusedAt } = this.#current ?? {}
    this.#current = undefined
    if (counts.length === 1) return counts.reduce((_, one) => this.#setAside(one, refusedAt), 0)
    for (const { day, domain, policies } of counts) {
      const tally = new Tally()
      tally.add(policies, this.#limits)
      this.#single.push({ day, domain, tally })
    }
    return 0
  }

  /** Offers refused counts again, at most once a minute. */
  offerRefused(): void {
    const now = performance.now()
    if (now - this.#offeredAt < SET_ASIDE_INTERVAL) return
    this.#offeredAt = now
    this.#single.push(...this.#refused.values())
    this.#refused.clear()
  }

  #setAside({ day, domain, policies }: DomainCounts, refusedAt = performance.now()): number {
    const key = `${day} ${domain}`
    const known = this.#refused.get(key)
    const late = performance.now() - refusedAt > SET_ASIDE_TIME
    const full = known === undefined && this.#refused.size >= this.#limits.maxDomains
    if (late || full) return sessionsOf(policies)
    const waiting = known ?? { day, domain, tally: new Tally(), refusedAt }
    waiting.tally.add(policies, this.#limits)
    this.#refused.set(key, waiting)
    return 0
  }

  #nextGroup(): DomainCounts[] {
    const counts: DomainCounts[] = []
    let size = 0
    for (const [key, waiting] of this.#waiting) {
      size += waiting.tally.size
      if (counts.length >= STEP_DOMAINS || (counts.length > 0 && size > STEP_COUNTS)) break
      counts.push(countsOf(waiting))
      this.#waiting.delete(key)
      this.#size -= waiting.tally.size
    }
    return counts
  }
}

function countsOf({ day, domain, tally }: Waiting): DomainCounts {
  return { day, domain, policies: tally.policies() }
}

function sessionsOf(policies: DomainCounts['policies']): number {
  return policies.reduce(
    (sum, { successes, failures }) =>
      failures.reduce((subtotal, [, sessions]) => subtotal + sessions, sum + successes),
    0,
  )
}

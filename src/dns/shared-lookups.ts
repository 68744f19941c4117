/**
 * Lookups of MX hosts and their addresses, shared by concurrent deliveries: a thousand messages to
 * one domain cause a few lookups, while a single message makes its own.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import { type AddressLookup, lookupAddresses } from './addresses.js'
import { type Answer, ask, type Resolver } from './resolver.js'

export interface LookupOptions {
  resolver: Resolver
  /** Limit of a DNS query, in milliseconds */
  dnsTimeout: number
  blockedAddresses: BlockList
}

/** An MX record, as in `node:dns`. */
export interface MxRecord {
  /** Name of the MX host */
  exchange: string
  /** Preference; lower is tried first */
  priority: number
}

/** Time for which concurrent deliveries reuse an answer, in milliseconds. */
export const REUSE = 1000

/** Shared lookups of MX hosts. The methods never reject: a failed lookup is an answer, too. */
export class Lookups {
  readonly #mx: Answers<Answer<MxRecord>>
  readonly #addresses: Answers<AddressLookup>
  #underWay = 0

  constructor(options: LookupOptions) {
    const { resolver, dnsTimeout } = options
    this.#mx = new Answers({
      lookup: (domain) => ask(() => resolver.resolveMx(domain), dnsTimeout, isMxRecord),
      isKept: ({ kind }) => this.#underWay > 0 && kind !== 'failed',
    })
    this.#addresses = new Answers({
      lookup: (host) => lookupAddresses(host, options),
      isKept: ({ problem }) => this.#underWay > 0 && problem !== 'dns-failure',
    })
  }

  /** Looks up the MX records of a domain, unsorted. */
  mx(domain: string): Answer<MxRecord> | Promise<Answer<MxRecord>> {
    return this.#mx.of(domain)
  }

  addresses(host: string): AddressLookup | Promise<AddressLookup> {
    return this.#addresses.of(host)
  }

  /** Runs work during which answers are reused; they are dropped when no work is left. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await work()
    } finally {
      this.#underWay--
      if (this.#underWay === 0) for (const answers of [this.#mx, this.#addresses]) answers.forget()
    }
  }
}

interface Question<T> {
  lookup(name: string): Promise<T>
  isKept(answer: T): boolean
}

/** Shares the answers of one kind of question, by name. */
export class Answers<T> {
  readonly #question: Question<T>
  readonly #asking = new Map<string, Promise<T>>()
  /** Answers since `#since`, dropped together: as many as a second brings */
  #given = new Map<string, T>()
  #since = 0

  constructor(question: Question<T>) {
    this.#question = question
  }

  of(name: string): T | Promise<T> {
    if (performance.now() - this.#since > REUSE) this.forget()
    return this.#given.get(name) ?? this.#asking.get(name) ?? this.#ask(name)
  }

  forget(): void {
    if (this.#given.size > 0) this.#given = new Map()
  }

  #ask(name: string): Promise<T> {
    const asking = this.#lookup(name)
    this.#asking.set(name, asking)
    return asking
  }

  async #lookup(name: string): Promise<T> {
    try {
      const answer = await this.#question.lookup(name)
      if (this.#question.isKept(answer)) this.#give(name, answer)
      return answer
    } finally {
      this.#asking.delete(name)
    }
  }

  #give(name: string, answer: T): void {
    if (this.#given.size === 0) this.#since = performance.now()
    this.#given.set(name, answer)
  }
}

/** Whether a resolver's record names a host. `null` and the like come from faulty resolvers. */
export function isMxRecord(record: unknown): boolean {
  if (typeof record !== 'object' || record === null) return false
  const { exchange, priority } = record as Record<string, unknown>
  if (typeof exchange !== 'string' || exchange.length > MAX_NAME) return false
  return !['symbol', 'object', 'function'].includes(typeof (priority ?? 0))
}

/** Characters of a name of 255 octets, each of them escaped (RFC 1035 §5.1). */
const MAX_NAME = 1020

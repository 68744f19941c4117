/**
 * One resolver for deliveries that run side by side: a thousand messages to one domain are few
 * questions for its MX hosts, while a message that is alone asks for itself.
 *
 * @module
 */
import { isAbsence, type Resolver } from './resolver.js'

/** While deliveries overlap, an answer is used again for so long, in milliseconds. */
const REUSE = 1000

export class SharedResolver implements Resolver {
  readonly resolveTxt: Resolver['resolveTxt']
  readonly resolveMx: Resolver['resolveMx']
  readonly resolve4: Resolver['resolve4']
  readonly resolve6: Resolver['resolve6']
  readonly #reused: readonly Answers<unknown>[]
  #underWay = 0

  /** @param timeout in milliseconds; a question without an answer is asked anew after it */
  constructor(resolver: Resolver, timeout: number) {
    const overlapping = () => this.#underWay > 0
    const mx = new Answers((name) => resolver.resolveMx(name), timeout, overlapping)
    const ipv4 = new Answers((name) => resolver.resolve4(name), timeout, overlapping)
    const ipv6 = new Answers((name) => resolver.resolve6(name), timeout, overlapping)
    // Whoever looks at a policy's id again wants to know what it is now
    const txt = new Answers(
      (name) => resolver.resolveTxt(name),
      timeout,
      () => false,
    )
    this.resolveMx = (name) => mx.of(name)
    this.resolve4 = (name) => ipv4.of(name)
    this.resolve6 = (name) => ipv6.of(name)
    this.resolveTxt = (name) => txt.of(name)
    this.#reused = [mx, ipv4, ipv6]
  }

  /** Answers are used again for as long as something is under way; then they are forgotten. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await work()
    } finally {
      this.#underWay--
      if (this.#underWay === 0) for (const answers of this.#reused) answers.forget()
    }
  }
}

/** To questions of one type, by the name that is asked about. */
class Answers<T> {
  readonly #query: (name: string) => Promise<T>
  readonly #timeout: number
  readonly #isReused: () => boolean
  readonly #asking = new Map<string, Promise<T>>()
  /** All given since `#since`; let go of together, so that they are as many as a second brings */
  #given = new Map<string, Promise<T>>()
  #since = 0

  constructor(query: (name: string) => Promise<T>, timeout: number, isReused: () => boolean) {
    this.#query = query
    this.#timeout = timeout
    this.#isReused = isReused
  }

  of(name: string): Promise<T> {
    return this.#lately().get(name) ?? this.#asking.get(name) ?? this.#ask(name)
  }

  forget(): void {
    if (this.#given.size > 0) this.#given = new Map()
  }

  #lately(): Map<string, Promise<T>> {
    if (this.#given.size > 0 && performance.now() - this.#since > REUSE) this.forget()
    return this.#given
  }

  #ask(name: string): Promise<T> {
    const answer = this.#query(name)
    const settled = () => {
      clearTimeout(timer)
      if (this.#asking.get(name) === answer) this.#asking.delete(name)
    }
    const timer = setTimeout(settled, this.#timeout).unref()
    this.#asking.set(name, answer)
    answer.then(
      () => {
        settled()
        this.#give(name, answer)
      },
      (error: unknown) => {
        settled()
        // Most hosts have no IPv6 address, and that is an answer
        if (isAbsence(error)) this.#give(name, answer)
      },
    )
    return answer
  }

  #give(name: string, answer: Promise<T>): void {
    if (!this.#isReused()) return
    const given = this.#lately()
    if (given.size === 0) this.#since = performance.now()
    given.set(name, answer)
  }
}

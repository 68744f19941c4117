/**
 * Results in the order of their questions, as far as that costs no time.
 *
 * @module
 */

/**
 * Passes results on in the order of their numbers. A result that is missing holds those behind it
 * back for a moment only; then they go before it.
 */
export class InOrder<T> {
  readonly #emit: (item: T) => void
  readonly #patience: number
  readonly #waiting = new Map<number, T>()
  readonly #emitted = new Set<number>()
  #next = 0
  #timer: NodeJS.Timeout | undefined

  /** @param patience in milliseconds; Infinity: the order is kept whatever it takes */
  constructor(patience: number, emit: (item: T) => void) {
    this.#patience = patience
    this.#emit = emit
  }

  add(number: number, item: T): void {
    this.#waiting.set(number, item)
    this.#advance()
    if (this.#waiting.size > 0 && this.#timer === undefined && this.#patience < Infinity) {
      this.#timer = setTimeout(() => this.flush(), this.#patience)
    }
  }

  /** Passes on what is there. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const number of [...this.#waiting.keys()].sort((a, b) => a - b)) this.#pass(number)
    this.#advance()
  }

  #advance(): void {
    while (this.#waiting.has(this.#next) || this.#emitted.delete(this.#next)) {
      this.#pass(this.#next)
      this.#emitted.delete(this.#next)
      this.#next++
    }
    if (this.#waiting.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #pass(number: number): void {
    const item = this.#waiting.get(number)
    if (item === undefined) return
    this.#waiting.delete(number)
    this.#emitted.add(number)
    this.#emit(item)
  }
}

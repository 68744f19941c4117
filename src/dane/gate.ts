/**
 * A bound on concurrent work; the rest waits.
 *
 * @module
 */
export class Gate {
  #free: number
  readonly #waiting: Array<() => void> = []

  constructor(places: number) {
    this.#free = places
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      // The slot is passed on without becoming free in between
      if (next) next()
      else this.#free++
    }
  }
}

/**
 * A bound on what is under way at once; the rest waits its turn.
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
      // The place is handed on, and not free in between
      if (next) next()
      else this.#free++
    }
  }
}

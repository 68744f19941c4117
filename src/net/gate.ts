/**
 * A bound on concurrent work; the rest waits in order of arrival.
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
    await this.take()
    try {
      return await work()
    } finally {
      this.release()
    }
  }

  /** Waits for a place; give it back with {@link release}. */
  async take(): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    const next = this.#waiting.shift()
    // The place is passed on without becoming free in between
    if (next) next()
    else this.#free++
  }
}

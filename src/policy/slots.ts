/**
 * A bound on concurrent work. Further work waits in order of arrival; deliveries go before
 * background work.
 *
 * @module
 */
import { onAbort } from '../net/deadline.js'

export type Urgency = 'delivery' | 'background'

interface Waiting {
  begin(): void
  giveUp(): void
}

export class Slots {
  #free: number
  readonly #lines: Record<Urgency, Waiting[]> = { delivery: [], background: [] }
  readonly #closing: AbortSignal
  readonly #reason: () => Error

  /** @param closing rejects the waiting work, each with its own error from `reason` */
  constructor(max: number, closing: AbortSignal, reason: () => Error) {
    this.#free = max
    this.#closing = closing
    this.#reason = reason
    onAbort(closing, () => this.#giveUp())
  }

  async run<T>(urgency: Urgency, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await this.#wait(urgency)
    try {
      return await work()
    } finally {
      this.#release()
    }
  }

  #wait(urgency: Urgency): Promise<void> {
    if (this.#closing.aborted) return Promise.reject(this.#reason())
    return new Promise((resolve, reject) => {
      this.#lines[urgency].push({ begin: resolve, giveUp: () => reject(this.#reason()) })
    })
  }

  #release(): void {
    const next = this.#lines.delivery.shift() ?? this.#lines.background.shift()
    if (next) next.begin()
    else this.#free++
  }

  #giveUp(): void {
    for (const line of Object.values(this.#lines)) {
      for (const waiting of line.splice(0)) waiting.giveUp()
    }
  }
}

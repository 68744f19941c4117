/**
 * A bound on concurrent work. Further work waits in order of arrival. Deliveries go before
 * background work, but a flood of them does not stop it: policies would no longer be renewed.
 *
 * @module
 */
import { onAbort } from '../net/deadline.js'

export type Urgency = 'delivery' | 'background'

/** While both wait, one place in so many goes to background work. */
const BACKGROUND_TURN = 4

interface Waiting {
  begin(): void
  giveUp(): void
}

export class Slots {
  #free: number
  readonly #lines: Record<Urgency, Waiting[]> = { delivery: [], background: [] }
  readonly #closing: AbortSignal
  readonly #reason: () => Error
  /** Places that deliveries got while background work waited */
  #preferred = 0

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
    const next = this.#next()
    if (next) next.begin()
    else this.#free++
  }

  #next(): Waiting | undefined {
    const { delivery, background } = this.#lines
    const isTurn = background.length === 0 || ++this.#preferred >= BACKGROUND_TURN
    if (isTurn) this.#preferred = 0
    return (isTurn ? background.shift() : undefined) ?? delivery.shift() ?? background.shift()
  }

  #giveUp(): void {
    for (const line of Object.values(this.#lines)) {
      for (const waiting of line.splice(0)) waiting.giveUp()
    }
  }
}

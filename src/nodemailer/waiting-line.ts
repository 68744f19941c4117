/**
 * Messages that wait for a connection, in the order in which they came.
 *
 * @module
 */
import { onAbort } from '../net/deadline.js'

interface Waiting {
  mxHost: string
  wake(): void
}

export class WaitingLine {
  readonly #first = new Set<Waiting>()
  readonly #again = new Set<Waiting>()

  /**
   * Waits until the message is woken, or until the signal is aborted.
   *
   * @param again it was woken for a place that another message took: it goes before the others
   */
  wait(mxHost: string, again: boolean, signal: AbortSignal | undefined): Promise<void> {
    const line = again ? this.#again : this.#first
    return new Promise((resolve) => {
      let release: (() => void) | undefined
      const waiting: Waiting = {
        mxHost,
        wake: () => {
          line.delete(waiting)
          release?.()
          resolve()
        },
      }
      line.add(waiting)
      release = onAbort(signal, waiting.wake)
    })
  }

  /** Wakes the message that has waited longest among those that can go on. */
  wakeNext(canGoOn: (mxHost: string) => boolean): void {
    for (const { mxHost, wake } of this.#inOrder()) {
      if (!canGoOn(mxHost)) continue
      wake()
      return
    }
  }

  wakeAll(): void {
    for (const { wake } of [...this.#inOrder()]) wake()
  }

  *#inOrder(): Generator<Waiting> {
    yield* this.#again
    yield* this.#first
  }
}

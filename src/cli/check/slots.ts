/**
 * Bounds on the number of tasks and sockets at a time.
 *
 * @module
 */
import type { Connect } from '../../net/connect.js'

/** Bounds the number of tasks that run at a time; the others wait in their order. */
export class Slots {
  #free: number
  readonly #waiting: Array<() => void> = []

  constructor(count: number) {
    this.#free = count
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    await this.take()
    try {
      return await task()
    } finally {
      this.release()
    }
  }

  async take(): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}

/**
 * Returns the same `connect`, with at most so many sockets at a time. A socket counts until it is
 * closed, which is a moment after the task that it was for: where tasks are bounded by the same
 * number, nothing waits for longer than that moment.
 */
export function boundedConnect(connect: Connect, count: number): Connect {
  const places = new Slots(count)
  return async (target) => {
    await places.take()
    try {
      const socket = await connect(target)
      if (socket.destroyed && socket.closed) places.release()
      else socket.once('close', () => places.release())
      return socket
    } catch (error) {
      places.release()
      throw error
    }
  }
}

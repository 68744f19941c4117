/**
 * Time limits.
 *
 * @module
 */
import { setMaxListeners } from 'node:events'
import { MtaStsError } from '../errors.js'
import { MAX_TIMER } from '../option-checks.js'

/**
 * A signal that is aborted after some milliseconds, or with another signal. Call `clear()` when the
 * work is done.
 */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #end: number
  readonly #what: string
  readonly #unfollow: () => void
  #timer: NodeJS.Timeout | undefined

  /** @param what subject of the error: "The deadline of {what} has passed" */
  constructor(milliseconds: number, what: string, parent?: AbortSignal) {
    this.#what = what
    this.#end = performance.now() + milliseconds
    this.#unfollow = onAbort(parent, () => this.#controller.abort(parent?.reason))
    this.shorten(milliseconds)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Milliseconds until the original end; 0 when it has passed. */
  get left(): number {
    return Math.max(0, this.#end - performance.now())
  }

  /** Aborts after this many milliseconds from now, but never later than the original end. */
  shorten(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#expire(), Math.min(milliseconds, this.left))
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#unfollow()
  }

  #expire(): void {
    this.#controller.abort(new MtaStsError(`The deadline of ${this.#what} has passed`, 'ETIMEDOUT'))
  }
}

/** `setTimeout` for any time limit, `Infinity` included: Node takes one above MAX_TIMER for 1 ms. */
export function startTimer(onEnd: () => void, milliseconds: number): NodeJS.Timeout {
  return setTimeout(onEnd, Math.min(milliseconds, MAX_TIMER))
}

/**
 * Calls the listener when the signal is aborted, at once if it is already. Returns a function that
 * removes the listener. Any number of operations may share a signal: Node's warning about eleven
 * listeners is switched off.
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) return () => undefined
  if (signal.aborted) {
    listener()
    return () => undefined
  }
  setMaxListeners(0, signal)
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/** Returns a signal that is aborted with either of two, until `release()`. */
export function eitherOf(
  one: AbortSignal,
  other: AbortSignal | undefined,
): { signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const releases = [one, other].map((signal) =>
    onAbort(signal, () => controller.abort(signal?.reason)),
  )
  const release = () => {
    for (const each of releases) each()
  }
  return { signal: controller.signal, release }
}

export interface TimeLimit {
  milliseconds: number
  /** Creates the error when the limit has passed */
  late: () => Error
  /** Whether the process may end during the call */
  background?: boolean
}

/** Settles as a call does. Rejects if it takes longer than the limit; the call itself goes on. */
export async function withinTime<T>(
  { milliseconds, late, background = false }: TimeLimit,
  call: () => T | PromiseLike<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    // One promise: each of the many lookups would pay for those of `Promise.race`
    return await new Promise<T>((resolve, reject) => {
      timer = setTimeout(() => reject(late()), milliseconds)
      if (background) timer.unref()
      Promise.resolve(call()).then(resolve, reject)
    })
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits for a promise until a signal is aborted; then rejects with the error that `reason` creates,
 * or the signal's own. The work itself goes on: others may wait for it.
 */
export function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  reason: () => unknown = () => signal?.reason,
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const release = onAbort(signal, () => reject(reason()))
    promise.finally(release).then(resolve, reject)
  })
}

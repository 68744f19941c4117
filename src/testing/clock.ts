/**
 * The time of a mail world: real time, plus what a test has let pass.
 *
 * @module
 */

/** A span of time; what is given adds up. */
export interface Duration {
  /** Of 24 hours */
  days?: number
  /** Of 60 minutes */
  hours?: number
  /** Of 60 seconds */
  minutes?: number
  /** Of 1000 milliseconds */
  seconds?: number
  /** Milliseconds */
  ms?: number
}

/**
 * Hand `world.options().now` to a sender and its policies age by this clock. Certificates do not:
 * OpenSSL looks at the real time.
 */
export class WorldClock {
  #ahead = 0

  /** Milliseconds since the epoch, in the world. */
  readonly now = (): number => Date.now() + this.#ahead

  /** Lets time pass, at once. Timers do not fire for it. */
  advance(duration: Duration): void {
    const ms = milliseconds(duration)
    if (!Number.isFinite(ms) || ms < 0) {
      throw new RangeError(`The clock goes forward only: ${JSON.stringify(duration)}`)
    }
    this.#ahead += ms
  }
}

function milliseconds({ days = 0, hours = 0, minutes = 0, seconds = 0, ms = 0 }: Duration): number {
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms
}

/**
 * The clock of a mail world: real time, plus the time that a test has added.
 *
 * @module
 */
import { type Check, checkFields, checkSome, must, shown } from './named.js'
import { timers } from './timers.js'

/** A span of time: the sum of its fields. */
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

const ANY = must('a number', (value) => typeof value === 'number')
const isObject = must(
  'a span of time, such as { minutes: 5 }',
  (value) => typeof value === 'object' && value !== null,
)
const UNITS = { days: ANY, hours: ANY, minutes: ANY, seconds: ANY, ms: ANY }

/**
 * The clock of a mail world. Senders with `world.options().now` use it for policies. Certificates
 * go by real time, which OpenSSL uses.
 */
export class WorldClock {
  #ahead = 0
  readonly #listeners = new Set<() => void>()

  /** Milliseconds since the epoch, in the world. */
  readonly now = (): number => timers.now() + this.#ahead

  /** Milliseconds that the world is ahead of real time. */
  get ahead(): number {
    return this.#ahead
  }

  /** Advances the clock at once. No timer fires for it. */
  advance(duration: Duration): void {
    isDuration('clock.advance()', duration)
    this.#ahead += milliseconds('clock.advance()', duration)
    this.#tell()
  }

  /** Sets the time of the world back to real time. */
  reset(): void {
    this.#ahead = 0
    this.#tell()
  }

  /** Calls `listener` whenever the clock has changed; returns a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** Returns a span of time in milliseconds; a number is milliseconds. */
export function milliseconds(field: string, duration: Duration | number): number {
  const ms = typeof duration === 'number' ? duration : sum(field, duration)
  if (Number.isFinite(ms) && ms >= 0) return ms
  throw new RangeError(
    `${field} must be a span of time that is not negative, but it is ${shown(duration)}`,
  )
}

/** Throws unless a value is a span of time, or a number of milliseconds. */
export const isDurationOrMs: Check = (field, value) => {
  milliseconds(field, value as Duration)
}

/** Throws unless a value is a span of time with its units. */
export const isDuration: Check = (field, value) => {
  isObject(field, value)
  milliseconds(field, value as Duration)
}

/** Throws unless a value is a span of time with its units that is longer than zero. */
export const isSomeDuration: Check = (field, value) => {
  isDuration(field, value)
  must('longer than zero', () => milliseconds(field, value as Duration) > 0)(field, value)
}

function sum(field: string, duration: Duration): number {
  isObject(field, duration)
  checkFields(field, duration, UNITS)
  checkSome(field, duration, Object.keys(UNITS))
  const { days = 0, hours = 0, minutes = 0, seconds = 0, ms = 0 } = duration
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms
}

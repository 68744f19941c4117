/**
 * Handles of faults, rules and habits: they are in force until they were met often enough, their
 * time has passed, or a test ends them.
 *
 * @module
 */
import { type Duration, isSomeDuration, milliseconds, type WorldClock } from './clock.js'
import { type Check, checkFields, must, wholeFrom } from './named.js'

/** Bounds of a fault; default: none. */
export interface FaultOptions {
  /** Number of times it is met */
  times?: number | undefined
  /** Duration in world time */
  during?: Duration | undefined
  /** Connections to IPv4 or to IPv6 addresses only; the host then has addresses of both kinds */
  family?: 4 | 6 | undefined
}

/** Handle of a fault, a rule or a habit. `using` ends it at the end of the block. */
export interface FaultHandle extends Disposable {
  /** Number of times it was met so far */
  readonly met: number
  /** Whether it has ended, by itself or by `stop()` */
  readonly over: boolean
  /** Description, for messages */
  readonly title: string
  /** Ends it. Connections that are open end if they began under it */
  stop(): void
}

/** Parts of a {@link Standing}. */
export interface StandingSetup {
  title: string
  clock: WorldClock
  options?: FaultOptions | undefined
  onStop?: (() => void) | undefined
}

export class Standing implements FaultHandle {
  readonly title: string
  readonly family: 4 | 6 | undefined
  readonly bounded: boolean
  readonly #clock: WorldClock
  readonly #times: number
  readonly #until: number
  readonly #onStop: (() => void) | undefined
  #met = 0
  #stopped = false

  constructor({ title, clock, options = {}, onStop }: StandingSetup) {
    const { times, during, family } = options
    this.title = title
    this.family = family
    this.bounded = times !== undefined || during !== undefined || family !== undefined
    this.#clock = clock
    this.#times = times ?? Number.POSITIVE_INFINITY
    this.#until =
      during === undefined ? Number.POSITIVE_INFINITY : clock.now() + milliseconds('during', during)
    this.#onStop = onStop
  }

  get met(): number {
    return this.#met
  }

  /** Whether it was met as often as its bounds allow. */
  get spent(): boolean {
    return this.#met >= this.#times
  }

  get over(): boolean {
    return this.#stopped || this.spent || this.#clock.now() >= this.#until
  }

  /** Whether it is in force for a connection of this family. */
  concerns(family: 4 | 6): boolean {
    return !this.over && (this.family === undefined || this.family === family)
  }

  meet(): void {
    this.#met++
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#onStop?.()
  }

  replace(): void {
    this.#stopped = true
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}

/** Returns one handle for several. */
export function joined(handles: readonly FaultHandle[]): FaultHandle {
  const [first] = handles
  if (first !== undefined && handles.length === 1) return first
  return {
    get met() {
      return handles.reduce((sum, { met }) => sum + met, 0)
    },
    get over() {
      return handles.every(({ over }) => over)
    },
    title: handles.map(({ title }) => title).join(', then '),
    stop() {
      for (const handle of handles) handle.stop()
    },
    [Symbol.dispose]() {
      this.stop()
    },
  }
}

const BOUNDS = { times: wholeFrom(1), during: isSomeDuration }
const FAULT_OPTIONS = { ...BOUNDS, family: must('4 or 6', (value) => value === 4 || value === 6) }

/** Throws a TypeError for wrong bounds of a fault. */
export function checkFaultOptions(field: string, options: FaultOptions | undefined): void {
  if (options !== undefined) checkFields(field, options, FAULT_OPTIONS)
}

/** The same, for bounds without a family of addresses; `others`: further options. */
export function checkBounds(
  field: string,
  options: Omit<FaultOptions, 'family'>,
  others: Readonly<Record<string, Check>> = {},
): void {
  checkFields(field, options, { ...BOUNDS, ...others })
}

/** All handles of a world, for `verify()` and `reset()`. */
export class Register {
  readonly #all: Array<{ where: string; standing: Standing; expected: boolean }> = []

  add(where: string, standing: Standing, expected = true): void {
    this.#all.push({ where, standing, expected })
  }

  /** Describes handles that were never met. */
  unmet(): string[] {
    return this.#all
      .filter(({ standing, expected }) => expected && standing.met === 0)
      .map(({ where, standing }) => `${where}: ${standing.title}`)
  }

  /** Describes handles in force. */
  inForce(): string[] {
    return this.#all
      .filter(({ standing }) => !standing.over)
      .map(({ where, standing }) => `${where}: ${standing.title}`)
  }

  clear(): void {
    this.#all.length = 0
  }
}

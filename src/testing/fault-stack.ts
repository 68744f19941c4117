/**
 * The faults of a host. They combine where one connection can meet all of them; a fault that would
 * keep a newer one from being met ends when that is set.
 *
 * @module
 */
import type { WorldClock } from './clock.js'
import { shown } from './named.js'
import { type FaultOptions, Standing } from './standing.js'

/** Where in a connection a fault is met. */
export interface Place {
  /** Faults of one slot exclude each other: the newest is played */
  slot: string
  /** The order of slots in a connection */
  stage: number
  /** Whether a connection that meets it goes no further */
  ends: boolean
}

/** A fault in force. */
export interface Played<Fault> {
  fault: Fault
  place: Place
  standing: Standing
}

/** What a fault is set with. */
export interface FaultSetup<Fault> {
  fault: Fault
  place: Place
  options: FaultOptions | undefined
  clock: WorldClock
  onStop: () => void
}

export class FaultStack<Fault> {
  #faults: Played<Fault>[] = []

  /** Adds a fault, the first to be played. */
  add({ fault, place, options, clock, onStop }: FaultSetup<Fault>): Standing {
    const title = typeof fault === 'string' ? fault : shown(fault)
    const standing = new Standing({ title, clock, options, onStop })
    if (!standing.bounded) this.#makeRoom(place)
    this.#faults.unshift({ fault, place, standing })
    return standing
  }

  /** The faults in force for connections of a family, the newest first, one for each slot. */
  of(family: 4 | 6): Played<Fault>[] {
    const slots = new Set<string>()
    return this.#faults.filter(({ place, standing }) => {
      if (!standing.concerns(family) || slots.has(place.slot)) return false
      slots.add(place.slot)
      return true
    })
  }

  /** Whether a fault in force is only for this family of addresses. */
  names(family: 4 | 6): boolean {
    return this.#faults.some(({ standing }) => standing.family === family && !standing.over)
  }

  /** Ends them all. */
  clear(): void {
    for (const { standing } of this.#faults) standing.replace()
    this.#faults = []
  }

  /** Ends what a fault without bounds takes the place of. */
  #makeRoom(place: Place): void {
    this.#faults = this.#faults.filter(({ place: other, standing }) => {
      if (standing.over) return false
      const inTheWay = other.slot === place.slot || (other.ends && other.stage < place.stage)
      if (standing.bounded || !inTheWay) return true
      standing.replace()
      return false
    })
  }
}

/** Returns the fault of a slot. */
export function inSlot<Fault>(
  played: readonly Played<Fault>[],
  slot: string,
): Played<Fault> | undefined {
  return played.find(({ place }) => place.slot === slot)
}

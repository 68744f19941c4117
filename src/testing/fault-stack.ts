/**
 * The faults of a host. They combine if one connection can meet all of them; a newer fault ends an
 * older one that would come first.
 *
 * @module
 */
import type { WorldClock } from './clock.js'
import { shown } from './named.js'
import { type FaultOptions, Standing } from './standing.js'

/** The place of a fault in a connection. */
export interface Place {
  /** Faults of one slot exclude each other: the newest is played */
  slot: string
  /** The order of slots in a connection */
  stage: number
  /** Whether it ends the connection */
  ends: boolean
}

/** A fault in force. */
export interface Played<Fault> {
  fault: Fault
  place: Place
  standing: Standing
}

/** Parts of a new fault. */
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

  clear(): void {
    for (const { standing } of this.#faults) standing.replace()
    this.#faults = []
  }

  /** Ends faults that a fault without bounds replaces. */
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

export function inSlot<Fault>(
  played: readonly Played<Fault>[],
  slot: string,
): Played<Fault> | undefined {
  return played.find(({ place }) => place.slot === slot)
}

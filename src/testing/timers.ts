/**
 * The timers and the date of the process at the time of import. A world uses them, so that later
 * fake timers of a test do not stop its servers.
 *
 * @module
 */
import { setImmediate as turnNow, setTimeout as waitNow } from 'node:timers/promises'

const {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  Date: RealDate,
} = globalThis
const [wait, turn] = [waitNow, turnNow]

export const timers = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  /** Milliseconds since the epoch, in real time. */
  now: (): number => RealDate.now(),
  /** A date of real time. */
  date: (ms: number): Date => new RealDate(ms),
  /** Resolves after some milliseconds; does not keep the process alive. */
  wait: (ms: number): Promise<void> => wait(ms, undefined, { ref: false }),
  /** Resolves after one turn of the event loop. */
  turn: (): Promise<void> => turn(),
} as const

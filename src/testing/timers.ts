/**
 * The timers and the date of the process as they were when the module was loaded. A world goes by
 * them, so that fake timers which a test installs later stop no server of the world.
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

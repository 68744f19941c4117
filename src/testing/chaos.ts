/**
 * Random faults, the same in each run: temporary replies, dropped connections, delays.
 *
 * @module
 */
import { checkFields, checkSome, numberFrom, wholeFrom } from './named.js'
import type { Decide, Stage } from './rules.js'

/** Options of `chaos()`. */
export interface ChaosOptions {
  /** The same seed has the same faults; default 1 */
  seed?: number
  /** 0 to 1: share of commands and messages that get a temporary reply */
  replies?: number
  /** 0 to 1: share of them that ends the connection */
  drops?: number
  /** Longest delay of each, in milliseconds of real time */
  latency?: number
}

const REPLIES = [
  '421 4.3.2 Service shutting down',
  '450 4.2.1 Mailbox busy',
  '451 4.3.0 Local error in processing',
  '452 4.3.1 Insufficient system storage',
]

const STAGES: readonly Stage[] = ['mail', 'rcpt', 'data', 'message']

const CHAOS = {
  seed: wholeFrom(0),
  replies: numberFrom(0, 1),
  drops: numberFrom(0, 1),
  latency: wholeFrom(0),
}

/** Throws a TypeError for wrong options. */
export function checkChaos(options: ChaosOptions): void {
  checkFields('chaos()', options, CHAOS)
  checkSome('chaos()', options, ['replies', 'drops', 'latency'])
  const { replies = 0, drops = 0 } = options
  numberFrom(0, 1)('chaos(): the sum of replies and drops', replies + drops)
}

export function chaotic(options: ChaosOptions, random: () => number): Decide {
  const { replies = 0, drops = 0, latency = 0 } = options
  return ({ stage }) => {
    if (!STAGES.includes(stage)) return undefined
    const delay = Math.floor(random() * latency)
    const lot = random()
    if (lot < drops) return { act: 'drop', delay }
    if (lot >= drops + replies) return { delay }
    return { reply: REPLIES[Math.floor(random() * REPLIES.length)] ?? REPLIES[0], delay }
  }
}

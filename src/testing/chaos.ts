/**
 * Trouble at random, the same in each run: temporary replies, dropped connections, delays.
 *
 * @module
 */
import { checkKeys, shown } from './named.js'
import type { Decide, Stage } from './rules.js'
import { checkCount } from './standing.js'

/** What `chaos()` takes. */
export interface ChaosOptions {
  /** The same seed brings the same trouble; default 1 */
  seed?: number
  /** 0 to 1: how many commands and messages get a temporary reply */
  replies?: number
  /** 0 to 1: how many of them end the connection */
  drops?: number
  /** Up to how many milliseconds of real time each of them takes */
  latency?: number
}

const REPLIES = [
  '421 4.3.2 Service shutting down',
  '450 4.2.1 Mailbox busy',
  '451 4.3.0 Local error in processing',
  '452 4.3.1 Insufficient system storage',
]

const STAGES: readonly Stage[] = ['mail', 'rcpt', 'data', 'message']

/** Throws a TypeError that names what is wrong. */
export function checkChaos(options: ChaosOptions): void {
  checkKeys('chaos()', options, ['seed', 'replies', 'drops', 'latency'])
  const { seed, replies, drops, latency } = options
  checkCount('chaos(): seed', seed, 0)
  checkCount('chaos(): latency', latency, 0)
  for (const [field, value] of Object.entries({ replies, drops })) {
    if (value === undefined || (value >= 0 && value <= 1)) continue
    throw new TypeError(`chaos(): ${field} must be 0 to 1, but it is ${shown(value)}`)
  }
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

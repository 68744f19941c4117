/**
 * What a domain, a host or a world is judged by: what arrived, what was said, what went astray.
 *
 * @module
 */

import type { MxConnection } from './log.js'
import type { ReceivedMessage } from './message.js'
import { shown } from './named.js'

/** What there is to judge. */
export interface Judged {
  name: string
  inbox: readonly ReceivedMessage[]
  connections: readonly MxConnection[]
  /** Mail to domains that nobody made, in words */
  strays: readonly string[]
  explain: () => string
}

/** Something that a matcher can be asked of. */
export interface Judgeable {
  judged(): Judged
}

/** Returns what is judged. Throws a TypeError for what is no domain, no host and no world. */
export function judgedOf(matcher: string, received: unknown): Judged {
  if (isJudgeable(received)) return received.judged()
  throw new TypeError(
    `${matcher}() is asked of a domain, an MX host or a mail world, not of ${shown(received)}`,
  )
}

function isJudgeable(received: unknown): received is Judgeable {
  if (typeof received !== 'object' || received === null) return false
  return 'judged' in received && typeof received.judged === 'function'
}

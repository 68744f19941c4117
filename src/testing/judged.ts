/**
 * The facts that matchers judge: messages, connections, mail to unknown domains.
 *
 * @module
 */

import type { MxConnection } from './log.js'
import type { ReceivedMessage } from './message.js'
import { shown } from './named.js'

/** The facts of a domain, a host or a world. */
export interface Judged {
  name: string
  inbox: readonly ReceivedMessage[]
  connections: readonly MxConnection[]
  /** Descriptions of mail to domains that were not made */
  strays: readonly string[]
  explain: () => string
}

/** A subject of a matcher. */
export interface Judgeable {
  judged(): Judged
}

/** Returns the facts of a subject. Throws a TypeError for any other value. */
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

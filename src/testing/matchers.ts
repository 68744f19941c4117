/**
 * Matchers for what a domain, a host or a world has received and refused.
 *
 * @module
 */
import { checkMatch, described, filterOf, type MailMatch, titleOf } from './inbox.js'
import { type Judged, judgedOf } from './judged.js'
import type { Line } from './log.js'
import { checkFields, isFlag, isTextOrPattern, matchesText, wholeFrom } from './named.js'
import { type AddressPattern, isPattern, matchesAddress } from './rules.js'

/** Which messages, how many, and whether mail that went astray is let pass. */
export interface Received extends MailMatch {
  /** Exactly so many; default: one at least */
  times?: number
  /** False: mail to domains that nobody made is let pass; default true */
  strict?: boolean
}

/** Which refusals, and how many. */
export interface Refused {
  /** The recipient of a RCPT TO that was refused, or of a message that was */
  to?: AddressPattern
  /** The sender of MAIL FROM */
  from?: AddressPattern
  /** The reply, `550 5.1.1 No such user`, or a part of it */
  reply?: string | RegExp
  /** Exactly so many; default: one at least */
  times?: number
}

const REFUSED = { to: isPattern, from: isPattern, reply: isTextOrPattern, times: wholeFrom(0) }

/** What a matcher comes to, for `expect.extend`. */
export interface Verdict {
  pass: boolean
  message: () => string
}

/** Whether messages that fit were taken. */
export function toHaveReceived(received: unknown, expected: Received = {}): Verdict {
  return verdictOf('toHaveReceived', received, expected)
}

/** Whether no message that fits was taken. */
export function toHaveReceivedNothing(
  received: unknown,
  expected: Omit<Received, 'times'> = {},
): Verdict {
  checkMatch('toHaveReceivedNothing()', expected, { strict: isFlag })
  return verdictOf('toHaveReceivedNothing', received, { ...expected, times: 0 })
}

/** Whether a recipient or a message that fits was refused by a reply. */
export function toHaveRefused(received: unknown, expected: Refused = {}): Verdict {
  const judged = judgedOf('toHaveRefused', received)
  checkFields('toHaveRefused()', expected, REFUSED)
  const { to, from, reply, times } = expected
  const { times: _, ...which } = expected
  const found = judged.connections
    .flatMap(({ lines }) => refusals(lines))
    .filter((one) => {
      if (to !== undefined && !one.to.some((address) => matchesAddress(to, address))) return false
      if (from !== undefined && !matchesAddress(from, one.from)) return false
      return reply === undefined || matchesText(reply, one.reply)
    })
  return verdict(judged, { what: `refused mail${described(which)}`, times, count: found.length })
}

export const matchers = { toHaveReceived, toHaveReceivedNothing, toHaveRefused }

function verdictOf(matcher: string, received: unknown, expected: Received): Verdict {
  const judged = judgedOf(matcher, received)
  const { times, strict = true, ...match } = expected
  checkMatch(`${matcher}()`, expected, { times: wholeFrom(0), strict: isFlag })
  const [stray] = judged.strays
  if (strict && stray !== undefined) {
    return { pass: false, message: () => `There was ${stray}\n${judged.explain()}` }
  }
  const found = judged.inbox.filter(filterOf(`${matcher}()`, match))
  const what = `received mail${described(match)}`
  return verdict(judged, { what, times, count: found.length, found: found.map(titleOf) })
}

interface Count {
  what: string
  times: number | undefined
  count: number
  found?: readonly string[]
}

function verdict({ name, explain }: Judged, { what, times, count, found = [] }: Count): Verdict {
  const pass = times === undefined ? count > 0 : count === times
  const wanted = times === undefined ? '' : ` ${times} times`
  const list = found.length === 0 ? '' : `: ${found.join('; ')}`
  return {
    pass,
    message: () =>
      `${name} should ${pass ? 'not ' : ''}have ${what}${wanted}, but it has ${count} times${list}\n${explain()}`,
  }
}

interface Refusal {
  from: string
  to: readonly string[]
  reply: string
}

/** Returns what was refused in a connection. Replies answer commands in order (RFC 2920). */
function refusals(lines: readonly Line[]): Refusal[] {
  const found: Refusal[] = []
  const commands: string[] = []
  let from = ''
  let accepted: string[] = []
  for (const { from: who, text } of lines) {
    if (who === 'client') {
      commands.push(text)
      continue
    }
    if (/^\d{3}-/.test(text)) continue
    const command = commands.shift() ?? ''
    const [, verb = '', address = ''] = /^(MAIL FROM|RCPT TO):\s*<([^>]*)>/i.exec(command) ?? []
    const isMail = verb.toUpperCase() === 'MAIL FROM'
    const isRcpt = verb.toUpperCase() === 'RCPT TO'
    if (isMail) {
      from = address
      accepted = []
    }
    const refused = /^[45]/.test(text)
    if (isRcpt && !refused) accepted.push(address)
    // Behind recipients that were all refused, a pipelined DATA is refused for want of them
    const counts = isMail || isRcpt || (accepted.length > 0 && /^DATA$|^\(a message/i.test(command))
    if (refused && counts) found.push({ from, to: isRcpt ? [address] : accepted, reply: text })
  }
  return found
}

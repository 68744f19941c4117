/**
 * Matchers for received and refused mail of a domain, a host or a world.
 *
 * @module
 */
import { checkMatch, described, filterOf, type MailMatch, titleOf } from './inbox.js'
import { type Judged, judgedOf } from './judged.js'
import type { Line } from './log.js'
import { checkFields, isFlag, isTextOrPattern, matchesText, wholeFrom } from './named.js'
import { type AddressPattern, isPattern, matchesAddress } from './rules.js'

/** Filter of messages, their number, and whether mail to unknown domains is an error. */
export interface Received extends MailMatch {
  /** The exact number; default: one or more */
  times?: number
  /** Whether mail to domains that were not made is an error; default true */
  strict?: boolean
}

/** Filter of refusals, and their number. */
export interface Refused {
  /** The recipient of a refused RCPT TO or message */
  to?: AddressPattern
  /** The sender of MAIL FROM */
  from?: AddressPattern
  /** The reply, `550 5.1.1 No such user`, or a part of it */
  reply?: string | RegExp
  /** The exact number; default: one or more */
  times?: number
}

const REFUSED = { to: isPattern, from: isPattern, reply: isTextOrPattern, times: wholeFrom(0) }

/** Result of a matcher, for `expect.extend`. */
export interface Verdict {
  pass: boolean
  message: () => string
}

/** Passes if messages that fit were accepted. */
export function toHaveReceived(received: unknown, expected: Received = {}): Verdict {
  return verdictOf('toHaveReceived', received, expected)
}

/** Passes if no message that fits was accepted. */
export function toHaveReceivedNothing(
  received: unknown,
  expected: Omit<Received, 'times'> = {},
): Verdict {
  checkMatch('toHaveReceivedNothing()', expected, { strict: isFlag })
  return verdictOf('toHaveReceivedNothing', received, { ...expected, times: 0 })
}

/** Passes if a recipient or a message that fits was refused by a reply. */
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

/** Returns the refusals of a connection. Replies answer commands in order (RFC 2920). */
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
    // After refused recipients only, a pipelined DATA is refused too
    const counts = isMail || isRcpt || (accepted.length > 0 && /^DATA$|^\(a message/i.test(command))
    if (refused && counts) found.push({ from, to: isRcpt ? [address] : accepted, reply: text })
  }
  return found
}

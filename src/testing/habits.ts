/**
 * Habits of receivers, as decisions at stages of a session: greylisting, known recipients, limits.
 *
 * @module
 */
import { type Duration, isSomeDuration, milliseconds, type WorldClock } from './clock.js'
import { type Check, checkFields, checkKeys, checkSome, listOf, must, wholeFrom } from './named.js'
import { isReply } from './replies.js'
import { type AddressPattern, type Decide, isPattern, matchesAddress } from './rules.js'

/** Options of `greylists()`. */
export interface GreylistOptions {
  /** Time between first attempt and acceptance, in world time; default 5 minutes */
  for?: Duration
  /** Default `451 4.7.1 Greylisted, try again later` */
  reply?: string
}

/** A rate. */
export interface Rate {
  /** Number that passes */
  count: number
  /** The span of world time */
  per: Duration
}

/** Options of `limits()`. A missing option is no limit. */
export interface LimitOptions {
  /** Open connections at a time: `421` instead of a greeting */
  connections?: number | Rate
  /** A number: messages in one connection; a rate: messages altogether. `451` to MAIL FROM */
  messages?: number | Rate
  /** A number: recipients of one message; a rate: recipients altogether. `452` to RCPT TO */
  recipients?: number | Rate
  /** Bytes of one message; SIZE (RFC 1870) is then offered. `552` to MAIL FROM or to the message */
  size?: number
  /** Reply of every limit; default: that of each */
  reply?: string
}

/** Options of `bounces()`. */
export interface BounceOptions {
  /** Recipients whose messages bounce; default: all */
  to?: AddressPattern
  /** The enhanced status code (RFC 3463); default `5.1.1` */
  status?: string
  /** The reply in the notification; default: by the status */
  reply?: string
}

const GREYLISTED = '451 4.7.1 Greylisted, try again later'

/** Defers a pair of sender and recipient until it has waited long enough. */
export function greylisting(options: GreylistOptions, clock: WorldClock): Decide {
  checkFields('greylists()', options, { for: isSomeDuration, reply: isReply })
  const wait = milliseconds('greylists(): for', options.for ?? { minutes: 5 })
  const { reply = GREYLISTED } = options
  const first = new Map<string, number>()
  return ({ stage, from, to }) => {
    if (stage !== 'rcpt') return undefined
    const pair = `${from} ${to.join()}`.toLowerCase()
    const began = first.get(pair) ?? clock.now()
    first.set(pair, began)
    return clock.now() - began < wait ? { reply } : undefined
  }
}

/** Refuses recipients that are not in the list. */
export function knowing(addresses: readonly AddressPattern[]): Decide {
  listOf(isPattern, "['b@bob.example', /^team-/]")('knows()', addresses)
  return ({ stage, to: [recipient] }) => {
    if (stage !== 'rcpt' || recipient === undefined) return undefined
    const known = addresses.some((address) => matchesAddress(address, recipient))
    return known ? undefined : { reply: '550 5.1.1 No such user here' }
  }
}

/** The surroundings of a limit. */
export interface LimitSurroundings {
  clock: WorldClock
  /** Connections to the host that are open now */
  open: () => number
}

const isCountOrRate: Check = (field, value) => {
  if (typeof value !== 'object') return wholeFrom(1)(field, value)
  checkKeys(field, value, ['count', 'per'])
  const { count, per } = value as Partial<Rate>
  wholeFrom(1)(`${field}: count`, count)
  isSomeDuration(`${field}: per`, per)
}

const LIMITS = {
  connections: isCountOrRate,
  messages: isCountOrRate,
  recipients: isCountOrRate,
  size: wholeFrom(1),
  reply: isReply,
}

const BOUNCE = {
  to: isPattern,
  status: must(
    'as in 5.1.1',
    (value) => typeof value === 'string' && /^[45]\.\d{1,3}\.\d{1,3}$/.test(value),
  ),
  reply: isReply,
}

/** Throws a TypeError for wrong options of `bounces()`. */
export function checkBounce(options: BounceOptions): void {
  checkFields('bounces()', options, BOUNCE)
}

/** Returns one decision for all the limits. */
export function limiting(options: LimitOptions, { clock, open }: LimitSurroundings): Decide {
  checkFields('limits()', options, LIMITS)
  checkSome('limits()', options, ['connections', 'messages', 'recipients', 'size'])
  const { connections, messages, recipients, size, reply } = options
  const limits = [
    ratio('connections', connections, clock, () => open() - 1),
    ratio('messages', messages, clock, perConnection()),
    ratio('recipients', recipients, clock, ({ recipients }) => recipients),
  ]
  return (moment) => {
    const { stage } = moment
    const tooLarge = size !== undefined && moment.size > size
    if ((stage === 'mail' || stage === 'message') && tooLarge) {
      return { reply: reply ?? '552 5.3.4 Message too large' }
    }
    for (const limit of limits) {
      if (limit?.stage === stage && limit.isOver(moment)) return { reply: reply ?? limit.reply }
    }
    return undefined
  }
}

type Counted = 'connections' | 'messages' | 'recipients'
type Asked = Parameters<Decide>[0]

const LIMITED = {
  connections: { stage: 'greeting', reply: '421 4.7.0 Too many connections, try again later' },
  messages: { stage: 'mail', reply: '451 4.7.1 Too many messages, try again later' },
  recipients: { stage: 'rcpt', reply: '452 4.5.3 Too many recipients' },
} as const

function ratio(
  name: Counted,
  limit: number | Rate | undefined,
  clock: WorldClock,
  count: (moment: Asked) => number,
): { stage: string; reply: string; isOver: (moment: Asked) => boolean } | undefined {
  if (limit === undefined) return undefined
  if (typeof limit === 'number') {
    return { ...LIMITED[name], isOver: (moment) => count(moment) >= limit }
  }
  return { ...LIMITED[name], isOver: rate(limit.count, milliseconds('per', limit.per), clock) }
}

/** Counts events in a moving span of world time. */
function rate(count: number, per: number, clock: WorldClock): () => boolean {
  let passed: number[] = []
  return () => {
    const now = clock.now()
    passed = passed.filter((at) => now - at < per)
    if (passed.length >= count) return true
    passed.push(now)
    return false
  }
}

/** Counts the messages that were begun before in a connection. */
function perConnection(): (moment: Asked) => number {
  const begun = new WeakMap<object, number>()
  return ({ connection }) => {
    const before = begun.get(connection) ?? 0
    begun.set(connection, before + 1)
    return before
  }
}

/**
 * Rules of an MX host: at which stage of a session, for whom, it does what in place of the usual.
 *
 * @module
 */
import { type Duration, isDurationOrMs, milliseconds } from './clock.js'
import {
  checkFields,
  checkName,
  isTextOrPattern,
  matchesText,
  must,
  numberFrom,
  oneOf,
  shown,
  wholeFrom,
} from './named.js'
import { isReply } from './replies.js'
import type { Standing } from './standing.js'

/** The stages of an SMTP session, in order. `data` is the command, `message` the end of the message. */
export const STAGES = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'auth',
  'mail',
  'rcpt',
  'data',
  'message',
  'quit',
] as const

/** A stage of an SMTP session. */
export type Stage = (typeof STAGES)[number]

/** Which addresses are meant: one, all of a domain (`@bob.example`), or those that match. */
export type AddressPattern = string | RegExp

/**
 * What a host does with the connection: ends it, resets it, says nothing any more; `refuse` is for
 * the stage `connect` only.
 */
export type Act = 'drop' | 'reset' | 'stall' | 'refuse'

const ACTS: readonly Act[] = ['drop', 'reset', 'stall', 'refuse']

/** What a host does at a stage of a session. The rule that was added last is asked first. */
export interface Rule {
  /** The stage; `data` is the command before the message, `message` the end of the message */
  at: Stage
  /** For these recipients only; at `data`, `message` and `quit`: when one of them is among them */
  to?: AddressPattern
  /** For messages of these senders only */
  from?: AddressPattern
  /** For clients that logged in as these users only */
  user?: AddressPattern
  /** `451 4.7.1 Come back later`; a line break makes it a reply of several lines */
  reply?: string
  /** What is done with the connection in place of a reply */
  act?: Act
  /** How long the host waits first, in real time; a number is milliseconds */
  delay?: Duration | number
  /**
   * What is done with the connection after the reply; or the rule that takes over when this one has
   * been applied `times` times, without `times` once
   */
  then?: Exclude<Act, 'refuse'> | NextRule
  /** How often it is applied; then it is over */
  times?: number
  /** How many that it would concern pass first */
  after?: number
  /** How likely it is applied, 0 to 1; by the seed of `world.chaos()` or a fixed one */
  probability?: number
}

/** A rule that takes over from another. `at`, `to`, `from` and `user` are those of the other by default. */
export type NextRule = Omit<Rule, 'at'> & { at?: Stage }

/** An address, or `@` and a domain; without a name to be shown, which no envelope has. */
const ADDRESS = /^(?:".*"|[^\s<>"]*)@[^\s<>@]+$/

/** Throws unless a value is an address, `@` and a domain, or a RegExp. */
export const isPattern = must(
  "an address or a RegExp; '@bob.example' is every address of a domain",
  (value) => (typeof value === 'string' && ADDRESS.test(value)) || value instanceof RegExp,
)

const RULE = {
  at: oneOf(STAGES),
  to: isPattern,
  from: isPattern,
  user: isTextOrPattern,
  reply: isReply,
  act: oneOf(ACTS),
  delay: isDurationOrMs,
  // biome-ignore lint/suspicious/noThenProperty: it is the name of a field, and nothing is awaited
  then: (field: string, value: unknown): void => {
    if (typeof value !== 'object') checkName(field, value, ACTS.slice(0, 3))
  },
  times: wholeFrom(1),
  after: wholeFrom(0),
  probability: numberFrom(0, 1),
}

/** The stages from which on something is known. */
const KNOWN_FROM = { to: 'rcpt', from: 'mail', user: 'auth' } as const satisfies Record<
  string,
  Stage
>

/** Throws a TypeError that names what is wrong with a rule. */
export function checkRule(field: string, rule: Rule): void {
  checkFields(field, rule, RULE)
  checkName(`${field}: at`, rule.at, STAGES)
  const { at, reply, act, delay, then } = rule
  if (reply === undefined && act === undefined && delay === undefined) {
    throw new TypeError(
      `${field}: at ${shown(at)} needs a reply, such as '451 4.7.1 Come back later', or an act`,
    )
  }
  if (reply !== undefined && act !== undefined) {
    throw new TypeError(`${field}: act ${shown(act)} takes the place of a reply: use then with it`)
  }
  if (typeof then === 'string' && reply === undefined) {
    throw new TypeError(`${field}: then ${shown(then)} is for after a reply: use act without one`)
  }
  if (at === 'connect' && (reply !== undefined || delay !== undefined)) {
    throw new TypeError(`${field}: "connect" has no reply and no delay: use the stage "greeting"`)
  }
  if (act === 'refuse' && at !== 'connect') {
    throw new TypeError(`${field}: act "refuse" is for the stage "connect", not ${shown(at)}`)
  }
  for (const [key, from] of Object.entries(KNOWN_FROM)) {
    if (rule[key as keyof typeof KNOWN_FROM] === undefined) continue
    if (STAGES.indexOf(at) >= STAGES.indexOf(from)) continue
    throw new TypeError(`${field}: ${key} is known from "${from}" on, not at ${shown(at)}`)
  }
  const next = nextOf(rule)
  if (next !== undefined) checkRule(`${field}: then`, next)
}

/** Returns the rules that follow each other, the first one first. */
export function sequenceOf(rule: Rule): Rule[] {
  const next = nextOf(rule)
  if (next === undefined) return [rule]
  const { then: _, times = 1, ...first } = rule
  return [{ ...first, times }, ...sequenceOf(next)]
}

/** Returns the rule that takes over from another, with what it has of that one. */
function nextOf({ at, to, from, user, then }: Rule): Rule | undefined {
  if (typeof then !== 'object') return undefined
  const whom = { to, from, user }
  const given = Object.entries(whom).filter(([, pattern]) => pattern !== undefined)
  return { at, ...Object.fromEntries(given), ...then }
}

/** Whether an address is one of those that are meant. */
export function matchesAddress(pattern: AddressPattern | undefined, address: string): boolean {
  if (pattern === undefined) return true
  if (pattern instanceof RegExp) return matchesText(pattern, address)
  const [one, other] = [pattern.toLowerCase(), address.toLowerCase()]
  return one.startsWith('@') ? other.endsWith(one) : one === other
}

/** What a session asks its rules with. */
export interface Moment {
  stage: Stage
  /** The connection that asks */
  connection: object
  family: 4 | 6
  from: string | undefined
  /** At `rcpt` the one that is named; later all that were accepted */
  to: readonly string[]
  user: string | undefined
  /** How many recipients of the message were accepted so far */
  recipients: number
  /** Bytes that MAIL FROM declares, or that the message has */
  size: number
}

/** What a host does in place of the usual. */
export interface Decision {
  reply?: string | undefined
  act?: Act | undefined
  delay?: number | undefined
  then?: Act | undefined
}

/** Decides at a moment; undefined: the next one is asked. */
export type Decide = (moment: Moment) => Decision | undefined

interface Entry {
  standing: Standing
  decide: Decide
}

/** The rules of a host, the last that was added first. */
export class RuleBook {
  readonly #entries: Entry[] = []

  add(standing: Standing, decide: Decide): void {
    this.#entries.unshift({ standing, decide })
  }

  /** Returns what is to be done; the delays of all rules on the way add up. */
  ask(moment: Moment): Decision {
    let delay = 0
    for (const { standing, decide } of this.#entries) {
      if (!standing.concerns(moment.family)) continue
      const decision = decide(moment)
      if (decision === undefined) continue
      standing.meet()
      delay += decision.delay ?? 0
      if (decision.reply !== undefined || decision.act !== undefined) return { ...decision, delay }
    }
    return { delay }
  }

  clear(): void {
    for (const { standing } of this.#entries) standing.replace()
    this.#entries.length = 0
  }
}

/** Returns how a rule decides; `begun`: whether the rule before it has been applied often enough. */
export function deciding(rule: Rule, random: () => number, begun = () => true): Decide {
  const { at, reply, act, after = 0, probability = 1 } = rule
  const then = typeof rule.then === 'string' ? rule.then : undefined
  const delay = milliseconds('delay', rule.delay ?? 0)
  let passed = 0
  return ({ stage, from, to, user }) => {
    if (stage !== at || !begun()) return undefined
    if (rule.to !== undefined && !to.some((one) => matchesAddress(rule.to, one))) return undefined
    if (!concernsText(rule.from, from) || !concernsText(rule.user, user)) return undefined
    if (passed < after) {
      passed++
      return undefined
    }
    if (probability < 1 && random() >= probability) return undefined
    return { reply, act, then, delay }
  }
}

/** Returns a rule in words. */
export function ruleTitle({ at, to, from, user, reply, act, delay }: Rule): string {
  const whom = [to && `to ${to}`, from && `from ${from}`, user && `user ${user}`].filter(Boolean)
  const what = reply ?? act ?? `wait ${shown(delay)}`
  return [`at ${at}`, ...whom].join(', ').concat(`: ${what}`)
}

function concernsText(pattern: AddressPattern | undefined, text: string | undefined): boolean {
  return pattern === undefined || (text !== undefined && matchesAddress(pattern, text))
}

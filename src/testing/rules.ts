/**
 * Rules of an MX host: its behaviour at a stage of a session, for some clients or all.
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

/**
 * The stages of an SMTP session, in order. `data` is the command, `message` the end of the message.
 */
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

/** Filter of addresses: one, all of a domain (`@bob.example`), or a RegExp. */
export type AddressPattern = string | RegExp

/**
 * Acts on a connection: end it, reset it, never reply; `refuse` is for the stage `connect`.
 */
export type Act = 'drop' | 'reset' | 'stall' | 'refuse'

const ACTS: readonly Act[] = ['drop', 'reset', 'stall', 'refuse']

/** The behaviour of a host at a stage of a session. The newest rule comes first. */
export interface Rule {
  /** The stage; `data` is the command before the message, `message` the end of the message */
  at: Stage
  /** For these recipients only; at `data`, `message` and `quit`, if one of them was accepted */
  to?: AddressPattern
  /** For these senders only */
  from?: AddressPattern
  /** For these logins only */
  user?: AddressPattern
  /** `451 4.7.1 Come back later`; a line break makes it a reply of several lines */
  reply?: string
  /** Act on the connection, in place of a reply */
  act?: Act
  /** Delay before it, in real time; a number is milliseconds */
  delay?: Duration | number
  /**
   * Act on the connection after the reply; or the rule that follows when this one has been applied
   * `times` times, by default once
   */
  then?: Exclude<Act, 'refuse'> | NextRule
  /** Number of times it is applied */
  times?: number
  /** Number that pass before it begins */
  after?: number
  /** 0 to 1; random numbers are the same in each run, see `world.chaos()` */
  probability?: number
}

/**
 * A rule that follows another. By default, `at`, `to`, `from` and `user` are those of the other.
 */
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

/** The first stage at which each filter is known. */
const KNOWN_FROM = { to: 'rcpt', from: 'mail', user: 'auth' } as const satisfies Record<
  string,
  Stage
>

/** Throws a TypeError for a wrong rule. */
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

/** Returns a rule and those that follow it, in order. */
export function sequenceOf(rule: Rule): Rule[] {
  const next = nextOf(rule)
  if (next === undefined) return [rule]
  const { then: _, times = 1, ...first } = rule
  return [{ ...first, times }, ...sequenceOf(next)]
}

/** Returns the rule that follows another, with its inherited fields. */
function nextOf({ at, to, from, user, then }: Rule): Rule | undefined {
  if (typeof then !== 'object') return undefined
  const whom = { to, from, user }
  const given = Object.entries(whom).filter(([, pattern]) => pattern !== undefined)
  return { at, ...Object.fromEntries(given), ...then }
}

export function matchesAddress(pattern: AddressPattern | undefined, address: string): boolean {
  if (pattern === undefined) return true
  if (pattern instanceof RegExp) return matchesText(pattern, address)
  const [one, other] = [pattern.toLowerCase(), address.toLowerCase()]
  return one.startsWith('@') ? other.endsWith(one) : one === other
}

/** The state of a session when it asks its rules. */
export interface Moment {
  stage: Stage
  /** The connection that asks */
  connection: object
  family: 4 | 6
  from: string | undefined
  /** At `rcpt`, the named recipient; later, all accepted ones */
  to: readonly string[]
  user: string | undefined
  /** Number of recipients accepted so far */
  recipients: number
  /** Size by MAIL FROM, or of the message, in bytes */
  size: number
}

/** The decision of a rule, in place of the usual reply. */
export interface Decision {
  reply?: string | undefined
  act?: Act | undefined
  delay?: number | undefined
  then?: Act | undefined
}

/** Decides; undefined: the next rule is asked. */
export type Decide = (moment: Moment) => Decision | undefined

interface Entry {
  standing: Standing
  decide: Decide
}

/** The rules of a host, the newest first. */
export class RuleBook {
  readonly #entries: Entry[] = []

  add(standing: Standing, decide: Decide): void {
    this.#entries.unshift({ standing, decide })
  }

  /** Returns the decision; the delays of all rules that apply add up. */
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

/** Returns the function of a rule; `begun`: whether the rule before it is over. */
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

/** Describes a rule. */
export function ruleTitle({ at, to, from, user, reply, act, delay }: Rule): string {
  const whom = [to && `to ${to}`, from && `from ${from}`, user && `user ${user}`].filter(Boolean)
  const what = reply ?? act ?? `wait ${shown(delay)}`
  return [`at ${at}`, ...whom].join(', ').concat(`: ${what}`)
}

function concernsText(pattern: AddressPattern | undefined, text: string | undefined): boolean {
  return pattern === undefined || (text !== undefined && matchesAddress(pattern, text))
}

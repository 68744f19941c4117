/**
 * The rules of one MX host, before those of the whole world.
 *
 * @module
 */
import { type Arrival, familyOf } from './endpoint.js'
import {
  checkRule,
  type Decide,
  type Decision,
  deciding,
  type Moment,
  type Rule,
  RuleBook,
  sequenceOf,
} from './rules.js'
import type { FaultOptions, Standing } from './standing.js'

/** Why a fault or a rule cannot be met at a host with implicit TLS. */
export const WITHOUT_STARTTLS = 'a host with TLS from the first byte on does not have'

/** What decides which stages the sessions of a host have. */
interface HostStages {
  takesLogins: boolean
  /** TLS from the first byte on */
  secure: boolean
}

/** Throws a TypeError for a rule that is wrong, or that no session with the host can meet. */
export function checkHostRule(
  field: string,
  rule: Rule,
  { takesLogins, secure }: HostStages,
): void {
  checkRule(field, rule)
  for (const { at, user } of sequenceOf(rule)) {
    if ((at === 'auth' || user !== undefined) && !takesLogins) {
      const what = at === 'auth' ? 'at "auth"' : 'user'
      throw new TypeError(
        `${field}: ${what} is for hosts with logins: world.smartHost(name, { auth: { user, pass } })`,
      )
    }
    if (at === 'starttls' && secure) {
      throw new TypeError(`${field}: at "starttls" is a stage that ${WITHOUT_STARTTLS}`)
    }
  }
}

export class HostRules {
  readonly #own = new RuleBook()
  readonly #worldRules: RuleBook
  readonly #random: () => number

  constructor(worldRules: RuleBook, random: () => number) {
    this.#worldRules = worldRules
    this.#random = random
  }

  add(standing: Standing, decide: Decide): void {
    this.#own.add(standing, decide)
  }

  /** Adds rules that take over from each other. */
  addSequence(rules: readonly Rule[], standings: readonly Standing[]): void {
    for (const [index, standing] of standings.entries()) {
      const rule = rules[index]
      if (rule === undefined) continue
      // The last one is asked first: a rule that waits must not begin at the same moment
      const begun = () => standings[index - 1]?.spent ?? true
      this.#own.add(standing, deciding(rule, this.#random, begun))
    }
  }

  /** Returns the decision of the host's rules, or that of the world's. */
  ask(moment: Moment): Decision {
    const decision = this.#own.ask(moment)
    if (decision.reply !== undefined || decision.act !== undefined) return decision
    const other = this.#worldRules.ask(moment)
    return { ...other, delay: (decision.delay ?? 0) + (other.delay ?? 0) }
  }

  clear(): void {
    this.#own.clear()
  }
}

/** Returns the moment before the greeting. */
export function atConnect(arrival: Arrival): Moment {
  return {
    stage: 'connect',
    connection: arrival,
    family: familyOf(arrival),
    from: undefined,
    to: [],
    user: undefined,
    recipients: 0,
    size: 0,
  }
}

/** Returns the bounds of a rule, with its own `times`. */
export function withTimes({ times }: Rule, options: FaultOptions = {}): FaultOptions {
  return { ...options, times: options.times ?? times }
}

/**
 * Counts sessions as they are published, in memory: no I/O, and a few map lookups for a session.
 * Whoever owns the collector takes the counts away every few seconds and keeps them somewhere.
 *
 * @module
 */
import { isIPv4 } from 'node:net'
import { toALabels } from '../dns/domain-name.js'
import type { AppliedPolicy, PolicyFailureEvent, SessionEvent } from '../events.js'
import { escapeRemoteText } from '../text.js'
import { RESULT_TYPES, type TlsFailure } from '../tls/failures.js'
import {
  type CountLimits,
  type DomainCounts,
  type PolicyCounts,
  policyKey,
  withoutDetails,
  writeFailure,
  writeOthers,
} from './counts.js'
import { DAY, dayOf } from './day.js'
import { isOwnTraffic } from './own-traffic.js'
import type { FailureDescription, PolicyDescription } from './report.js'

export interface CollectorOptions extends CountLimits {
  /** Epoch milliseconds */
  now: () => number
  /** Domains that are held at a time; the sessions with others are not counted */
  maxDomains: number
}

/** Failures that are told apart at a time, over all domains; bounds what a flood can hold. */
const MAX_FAILURES_HELD = 100_000

/** Text of a session that goes into a report; a host name has 253 characters at most. */
const MAX_TEXT = 255

const PLAIN_TEXT = /^[!-~]*$/
const KNOWN_TYPES: ReadonlySet<string> = new Set(RESULT_TYPES)

export class Collector {
  readonly #options: CollectorOptions
  /** By the number of the day since 1970, then by domain */
  #days = new Map<number, Map<string, PolicyTally[]>>()
  #domains = 0
  #failures = 0
  #uncounted = 0

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /** One session, as `mta-sts:session` tells it. Never throws, and costs about a microsecond. */
  readonly onSession = (event: unknown): void => {
    if (isOwnTraffic()) return
    try {
      const session = event as SessionEvent
      const { policy, failure } = session
      const tally = this.#tally(policy)
      if (tally === undefined) return
      if (failure === undefined) tally.successes++
      else this.#countFailure(tally, failure, session)
    } catch {
      // What is no session event; a subscriber that throws would bring the process down
      this.#uncounted++
    }
  }

  /** A discovery that failed, as `mta-sts:policy-failure` tells it. Never throws. */
  readonly onPolicyFailure = (event: unknown): void => {
    if (isOwnTraffic()) return
    try {
      const { policy, failure } = event as PolicyFailureEvent
      const tally = this.#tally(policy)
      if (tally !== undefined) this.#countFailure(tally, failure, {})
    } catch {
      this.#uncounted++
    }
  }

  /** Hands over all that was counted since the last call, and begins anew. */
  take(): { counts: DomainCounts[]; uncounted: number } {
    const days = this.#days
    const uncounted = this.#uncounted
    this.#days = new Map()
    this.#domains = 0
    this.#failures = 0
    this.#uncounted = 0
    const counts = [...days].flatMap(([number, domains]) => {
      const day = dayOf(number * DAY)
      return [...domains].map(([domain, tallies]) => ({
        day,
        domain,
        policies: tallies.map((tally) => tally.counts()),
      }))
    })
    return { counts, uncounted }
  }

  /** Undefined where there is nothing to count: an address literal, or too many domains. */
  #tally(policy: AppliedPolicy): PolicyTally | undefined {
    const { domain } = policy
    const day = Math.floor(this.#options.now() / DAY)
    let domains = this.#days.get(day)
    if (domains === undefined) {
      domains = new Map()
      this.#days.set(day, domains)
    }
    const tallies = domains.get(domain)
    if (tallies === undefined) return this.#firstTally(policy, domains)
    for (const tally of tallies) if (tally.isFor(policy)) return tally
    return this.#anotherTally(policy, tallies)
  }

  #firstTally(policy: AppliedPolicy, domains: Map<string, PolicyTally[]>): PolicyTally | undefined {
    // An address literal has no _smtp._tls record
    if (toALabels(policy.domain) !== policy.domain) return undefined
    if (this.#domains >= this.#options.maxDomains) {
      this.#uncounted++
      return undefined
    }
    this.#domains++
    const tally = new PolicyTally(policy)
    domains.set(policy.domain, [tally])
    return tally
  }

  #anotherTally(policy: AppliedPolicy, tallies: PolicyTally[]): PolicyTally {
    if (tallies.length < this.#options.maxPolicies) {
      const tally = new PolicyTally(policy)
      tallies.push(tally)
      return tally
    }
    // One for each type at most
    const { type, domain, mode } = policy
    const rest = { type, domain, mode, mxHosts: [] }
    let tally = tallies.find((other) => other.isFor(rest))
    if (tally === undefined) {
      tally = new PolicyTally(rest)
      tallies.push(tally)
    }
    return tally
  }

  #countFailure(tally: PolicyTally, failure: TlsFailure, session: Partial<SessionEvent>): void {
    const { resultType, reason } = failure
    const { localAddress, mxHost, helo, address } = session
    // Texts of this process and of the MX host: what parts them here cannot be in them
    const key = `${resultType}\n${reason}\n${mxHost}\n${address}\n${localAddress}\n${helo}`
    if (tally.countAgain(key)) return
    const fits =
      tally.failures.size < this.#options.maxFailures && this.#failures < MAX_FAILURES_HELD
    if (!fits) {
      tally.countOther(knownType(resultType))
      return
    }
    this.#failures++
    tally.countFirst(key, describe(failure, session))
  }
}

/** The sessions under one policy. */
class PolicyTally {
  readonly #policy: AppliedPolicy
  successes = 0
  readonly failures = new Map<string, { description: FailureDescription; sessions: number }>()
  readonly #others = new Map<FailureDescription['resultType'], number>()

  constructor(policy: AppliedPolicy) {
    this.#policy = policy
  }

  /** Whether a report would show the two as the same. The body is one string, as a rule. */
  isFor({ type, body, mxHosts }: AppliedPolicy): boolean {
    const mine = this.#policy
    if (mine.type !== type || mine.body !== body) return false
    return body !== undefined || mine.mxHosts.join() === mxHosts.join()
  }

  countAgain(key: string): boolean {
    const known = this.failures.get(key)
    if (known !== undefined) known.sessions++
    return known !== undefined
  }

  countFirst(key: string, description: FailureDescription): void {
    this.failures.set(key, { description, sessions: 1 })
  }

  countOther(resultType: FailureDescription['resultType']): void {
    this.#others.set(resultType, (this.#others.get(resultType) ?? 0) + 1)
  }

  counts(): PolicyCounts {
    const policy = describePolicy(this.#policy)
    const failures: [string, number][] = []
    for (const { description, sessions } of this.failures.values()) {
      failures.push([writeFailure(description), sessions])
    }
    for (const [resultType, sessions] of this.#others) {
      failures.push([writeOthers(resultType), sessions])
    }
    return { key: policyKey(policy), policy, successes: this.successes, failures }
  }
}

/** The policy in the terms of RFC 8460 §4.4: as it was fetched, line by line. */
function describePolicy({ type, domain, body, mxHosts }: AppliedPolicy): PolicyDescription {
  const bare = withoutDetails({ policyType: type, policyDomain: domain })
  const lines = body?.split(/\r?\n/).filter((line) => line !== '') ?? []
  return {
    ...bare,
    ...(lines.length > 0 ? { policyString: lines } : {}),
    ...(mxHosts.length > 0 ? { mxHost: mxHosts } : {}),
  }
}

function describe(
  { resultType, reason }: TlsFailure,
  { localAddress, mxHost, helo, address }: Partial<SessionEvent>,
): FailureDescription {
  const type = knownType(resultType)
  return {
    resultType: type,
    ...optional('sendingMtaIp', plainAddress(localAddress)),
    ...optional('receivingMxHostname', mxHost),
    ...optional('receivingMxHelo', helo),
    ...optional('receivingIp', plainAddress(address)),
    // A type that RFC 8460 does not know is a word, too
    ...optional('failureReasonCode', reason ?? (type === resultType ? undefined : resultType)),
  }
}

/** RFC 8460 §4.3.3: what fits none of the other types. */
function knownType(resultType: string): FailureDescription['resultType'] {
  return KNOWN_TYPES.has(resultType) ? resultType : 'validation-failure'
}

function optional<K extends string>(name: K, value: unknown): { [P in K]?: string } {
  if (typeof value !== 'string' || value === '') return {}
  const plain = value.length <= MAX_TEXT && PLAIN_TEXT.test(value)
  return { [name]: plain ? value : escapeRemoteText(value) } as { [P in K]?: string }
}

/** Of a socket that is open to both families Node says `::ffff:192.0.2.1`. */
function plainAddress(address: string | undefined): string | undefined {
  const mapped = address?.startsWith('::ffff:') ? address.slice('::ffff:'.length) : undefined
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  return address?.split('%', 1)[0]
}

/**
 * Counts published sessions in memory: no I/O, and a few map lookups for each session. The owner of
 * the collector takes the counts every few seconds and stores them.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import type { AppliedPolicy, PolicyFailureEvent, SessionEvent } from '../events.js'
import type { TlsFailure } from '../tls/failures.js'
import type { CountLimits, DomainCounts } from './counts.js'
import { DAY, dayOf } from './day.js'
import { isOwnTraffic } from './own-traffic.js'
import { describe, knownType, PolicyTally } from './policy-tally.js'

export interface CollectorOptions extends CountLimits {
  /** Epoch milliseconds */
  now: () => number
  /** Maximum number of domains; sessions with others are not counted */
  maxDomains: number
}

/** Bound of distinct failures over all domains, against floods. */
const MAX_FAILURES_HELD = 100_000

export class Collector {
  readonly #options: CollectorOptions
  /** By day (number since 1970), then by domain */
  #days = new Map<number, Map<string, PolicyTally[]>>()
  #domains = 0
  #failures = 0
  #uncounted = 0

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /** Counts a session of `mta-sts:session`. Never throws, and costs about a microsecond. */
  readonly onSession = (event: unknown): void => {
    if (isOwnTraffic()) return
    try {
      const session = event as SessionEvent
      const { policy, failure, applied } = session
      // A report goes to the recipient's domain, even for TLSA records of another one
      if (applied === undefined) this.#count(policy.domain, { policy, failure }, session)
      else for (const result of applied) this.#count(policy.domain, result, session)
    } catch {
      // Not a session event; a subscriber that throws would end the process
      this.#uncounted++
    }
  }

  #count(
    owner: string,
    { policy, failure }: { policy: AppliedPolicy; failure?: TlsFailure | undefined },
    session: SessionEvent,
  ): void {
    const tally = this.#tally(policy, owner)
    if (tally === undefined) return
    if (failure === undefined) tally.successes++
    else this.#countFailure(tally, failure, session)
  }

  /** Counts a failed discovery of `mta-sts:policy-failure`. Never throws. */
  readonly onPolicyFailure = (event: unknown): void => {
    if (isOwnTraffic()) return
    try {
      const { policy, failure } = event as PolicyFailureEvent
      const tally = this.#tally(isOfPolicyFile(failure) ? policyOfRecord(policy) : policy)
      if (tally !== undefined) this.#countFailure(tally, failure, {})
    } catch {
      this.#uncounted++
    }
  }

  /** Takes all counts since the last call, at once. */
  take(): { counts: DomainCounts[]; uncounted: number } {
    const taken = this.drain()
    const counts = [...taken.counts]
    return { counts, uncounted: taken.uncounted }
  }

  /**
   * Takes all counts since the last call. Each domain is converted when it is read, because many
   * domains take long. `uncounted` is final after the last one.
   */
  drain(): Taken {
    const days = this.#days
    const taken: Taken = { counts: [], uncounted: this.#uncounted }
    taken.counts = countsIn(days, (sessions) => {
      taken.uncounted += sessions
    })
    this.#days = new Map()
    this.#domains = 0
    this.#failures = 0
    this.#uncounted = 0
    return taken
  }

  /** Returns undefined if nothing is counted: an address literal, or too many domains. */
  #tally(policy: AppliedPolicy, domain = policy.domain): PolicyTally | undefined {
    const day = Math.floor(this.#options.now() / DAY)
    let domains = this.#days.get(day)
    if (domains === undefined) {
      domains = new Map()
      this.#days.set(day, domains)
    }
    const tallies = domains.get(domain)
    if (tallies === undefined) return this.#firstTally(policy, domain, domains)
    for (const tally of tallies) if (tally.isFor(policy)) return tally
    return this.#anotherTally(policy, domain, tallies)
  }

  #firstTally(
    policy: AppliedPolicy,
    domain: string,
    domains: Map<string, PolicyTally[]>,
  ): PolicyTally | undefined {
    // An address literal has no _smtp._tls record
    if (toALabels(domain) !== domain) return undefined
    if (this.#domains >= this.#options.maxDomains) {
      this.#uncounted++
      return undefined
    }
    const tally = new PolicyTally(policy)
    this.#domains++
    domains.set(domain, [tally])
    return tally
  }

  #anotherTally(policy: AppliedPolicy, domain: string, tallies: PolicyTally[]): PolicyTally {
    if (tallies.length < this.#options.maxPolicies) {
      const tally = new PolicyTally(policy)
      tallies.push(tally)
      return tally
    }
    // One for each type at most
    const { type, mode } = policy
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
    // None of these texts contains a line break
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

/** The result of {@link Collector.drain}. */
export interface Taken {
  counts: Iterable<DomainCounts>
  /** Sessions that were not counted */
  uncounted: number
}

function* countsIn(
  days: ReadonlyMap<number, ReadonlyMap<string, readonly PolicyTally[]>>,
  lose: (sessions: number) => void,
): Generator<DomainCounts> {
  for (const [number, domains] of days) {
    const day = dayOf(number * DAY)
    for (const [domain, tallies] of domains) {
      const policies = tallies.flatMap((tally) => {
        try {
          return tally.sessions > 0 ? [tally.counts()] : []
        } catch {
          // An event of a wrong shape, which was not fully checked when it came
          lose(tally.sessions)
          return []
        }
      })
      if (policies.length > 0) yield { day, domain, policies }
    }
  }
}

/** Reasons about the TXT record, not the policy file that it announces. */
const RECORD_REASONS: ReadonlySet<TlsFailure['reason']> = new Set([
  'dns-failure',
  'record-gone',
  'several-records',
  'malformed-record',
])

function isOfPolicyFile({ reason }: TlsFailure): boolean {
  return !RECORD_REASONS.has(reason)
}

/**
 * Returns the policy for reports of a failed fetch. Its type is `sts`, because the TXT record
 * announced a policy, although nothing more is known (RFC 8460 §4.4): under `no-policy-found` the
 * domain would not learn that it has one.
 */
function policyOfRecord(policy: AppliedPolicy): AppliedPolicy {
  if (policy.type !== 'no-policy-found') return policy
  return { type: 'sts', domain: policy.domain, mode: 'none', mxHosts: [] }
}

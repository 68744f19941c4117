/**
 * Counts of a day's sessions with one domain (RFC 8460 §4.2), as stores hold and add them: by
 * policy, then by failure.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { MtaStsError } from '../errors.js'
import { RESULT_TYPES } from '../tls/failures.js'
import type { Day } from './day.js'
import type { FailureDescription, PolicyDescription } from './report.js'

/** The sessions with one Policy Domain on one day, or a part of them. */
export interface DomainCounts {
  /** The UTC day on which the sessions were counted */
  day: Day
  /** A-labels, lower case */
  domain: string
  /** By the policy that applied */
  policies: readonly PolicyCounts[]
}

/** The sessions under one policy. */
export interface PolicyCounts {
  /** A hash of the policy: the same in every process */
  key: string
  /** The policy, as reports show it */
  policy: PolicyDescription
  /** Sessions that met the demands of the policy */
  successes: number
  /** The failed sessions: by their description, as JSON with its fields in a fixed order */
  failures: ReadonlyArray<readonly [failure: string, sessions: number]>
}

/** Bounds of the details for one domain and day. Everything beyond is still counted. */
export interface CountLimits {
  /** Further sessions are counted under a policy with only a type and a domain */
  maxPolicies: number
  /** For each policy. Further sessions are counted by result type only */
  maxFailures: number
}

/** Returns a short key, the same for policies that a report shows as the same. */
export function policyKey(policy: PolicyDescription): string {
  const { policyType, policyDomain, policyString, mxHost } = policy
  const text = JSON.stringify([policyType, policyDomain, policyString ?? null, mxHost ?? null])
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/** Returns the description for all policies beyond the limit. */
export function withoutDetails({ policyType, policyDomain }: PolicyDescription): PolicyDescription {
  return { policyType, policyDomain }
}

/** Returns the text of a failure: JSON, its fields in a fixed order. */
export function writeFailure(failure: FailureDescription): string {
  const { resultType, sendingMtaIp, receivingMxHostname, receivingMxHelo } = failure
  const { receivingIp, failureReasonCode } = failure
  return JSON.stringify({
    resultType,
    sendingMtaIp,
    receivingMxHostname,
    receivingMxHelo,
    receivingIp,
    failureReasonCode,
  })
}

/** Reads the text of {@link writeFailure}. */
export function readFailure(text: string): FailureDescription {
  const value: unknown = JSON.parse(text)
  if (isDescription(value)) return value
  throw unreadable('a failure has no result type')
}

/** `failure-reason-code` of the failures beyond the limit. */
export const DETAILS_OMITTED = 'details-omitted'

/** Returns the text for all failures of a result type beyond the limit. */
export function writeOthers(resultType: FailureDescription['resultType']): string {
  return writeFailure({ resultType, failureReasonCode: DETAILS_OMITTED })
}

/** All texts of {@link writeOthers}; they do not count towards the limit. */
export const OTHERS: ReadonlySet<string> = new Set(RESULT_TYPES.map(writeOthers))

/** Returns the text for a failure beyond the limit: its result type only. */
export function othersOf(failure: string): string {
  try {
    return writeOthers(readFailure(failure).resultType)
  } catch {
    return writeOthers('validation-failure')
  }
}

/** Returns the key and description of policies beyond the limit. */
export function otherPolicy(policy: PolicyDescription): Pick<PolicyCounts, 'key' | 'policy'> {
  const bare = withoutDetails(policy)
  return { key: policyKey(bare), policy: bare }
}

/** Adds up the counts of one domain and day; the cost depends only on what is added. */
export class Tally {
  readonly #sums = new Map<string, Sum>()

  /** Number of distinct policies and failures. */
  get size(): number {
    let size = this.#sums.size
    for (const sum of this.#sums.values()) size += sum.size
    return size
  }

  add(policies: readonly PolicyCounts[], limits: CountLimits): void {
    for (const counts of policies) this.#sumOf(counts, limits).add(counts, limits.maxFailures)
  }

  policies(): PolicyCounts[] {
    return [...this.#sums.values()].map((sum) => sum.counts())
  }

  #sumOf({ key, policy }: PolicyCounts, { maxPolicies }: CountLimits): Sum {
    const known = this.#sums.get(key)
    if (known) return known
    const shown = this.#sums.size < maxPolicies ? { key, policy } : otherPolicy(policy)
    const sum = this.#sums.get(shown.key) ?? new Sum(shown)
    this.#sums.set(shown.key, sum)
    return sum
  }
}

/** Returns the sum of two counts of the same domain and day, within the limits. */
export function addCounts(
  kept: readonly PolicyCounts[],
  added: readonly PolicyCounts[],
  limits: CountLimits,
): PolicyCounts[] {
  const tally = new Tally()
  tally.add(kept, limits)
  tally.add(added, limits)
  return tally.policies()
}

/** Adds up the counts of one policy. */
class Sum {
  readonly #shown: Pick<PolicyCounts, 'key' | 'policy'>
  readonly #failures = new Map<string, number>()
  #successes = 0
  /** Failures that count towards the limit */
  #distinct = 0

  constructor(shown: Pick<PolicyCounts, 'key' | 'policy'>) {
    this.#shown = shown
  }

  get size(): number {
    return this.#failures.size
  }

  add({ successes, failures }: PolicyCounts, maxFailures: number): void {
    this.#successes += successes
    for (const [failure, sessions] of failures) this.#addFailure(failure, sessions, maxFailures)
  }

  counts(): PolicyCounts {
    const { key, policy } = this.#shown
    return { key, policy, successes: this.#successes, failures: [...this.#failures] }
  }

  #addFailure(failure: string, sessions: number, maxFailures: number): void {
    const known = this.#failures.get(failure)
    if (known !== undefined) {
      this.#failures.set(failure, known + sessions)
      return
    }
    const fits = OTHERS.has(failure) || this.#distinct < maxFailures
    const shown = fits ? failure : othersOf(failure)
    this.#failures.set(shown, (this.#failures.get(shown) ?? 0) + sessions)
    if (!OTHERS.has(shown)) this.#distinct++
  }
}

/**
 * Reads the JSON of a list of counts, as in files of version 0.1.0.
 *
 * @throws MtaStsError `ESTOREVALUE`
 */
export function readCounts(text: string): PolicyCounts[] {
  const value = parseJson(text)
  if (Array.isArray(value) && value.every(isCounts)) return value
  throw unreadable('it is not a list of counts')
}

/** Reads the JSON of a policy. Throws as {@link readCounts}. */
export function readPolicy(text: string): PolicyDescription {
  const value = parseJson(text)
  if (isPolicy(value)) return value
  throw unreadable('a policy has no type or domain')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw unreadable('it is not JSON', error)
  }
}

/** Returns the error for an invalid value in a store. */
export function unreadable(what: string, cause?: unknown): MtaStsError {
  return new MtaStsError(
    `An entry of the report store cannot be read (${what}). Find out what else writes to this store.`,
    'ESTOREVALUE',
    { cause },
  )
}

function isCounts(value: unknown): value is PolicyCounts {
  if (typeof value !== 'object' || value === null) return false
  const { key, policy, successes, failures } = value as Record<string, unknown>
  if (typeof key !== 'string' || !isPolicy(policy) || typeof successes !== 'number') return false
  return Array.isArray(failures) && failures.every(isCounted)
}

function isCounted(pair: unknown): boolean {
  if (!Array.isArray(pair)) return false
  return typeof pair[0] === 'string' && typeof pair[1] === 'number'
}

function isPolicy(value: unknown): value is PolicyDescription {
  if (typeof value !== 'object' || value === null) return false
  const { policyType, policyDomain } = value as Record<string, unknown>
  return typeof policyType === 'string' && typeof policyDomain === 'string'
}

function isDescription(value: unknown): value is FailureDescription {
  if (typeof value !== 'object' || value === null) return false
  return typeof (value as Record<string, unknown>).resultType === 'string'
}

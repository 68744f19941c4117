/**
 * What was counted of a day's sessions with one domain, in the form in which stores keep it and
 * add it up (RFC 8460 §4.2): by policy, and below that by failure.
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
  /** Stands for the policy, a hash of it: the same in every process */
  key: string
  /** The policy, as the report shows it */
  policy: PolicyDescription
  /** Sessions that met what the policy asks for */
  successes: number
  /** The others: by their description, as JSON with its fields in a fixed order */
  failures: ReadonlyArray<readonly [failure: string, sessions: number]>
}

/** How much is told apart for one domain on one day. What is beyond is counted all the same. */
export interface CountLimits {
  /** Beyond, sessions are counted under a policy of which only type and domain are known */
  maxPolicies: number
  /** For each policy. Beyond, sessions are counted by their result type alone */
  maxFailures: number
}

/** Short, for it is part of many names. Policies that a report shows as the same have the same. */
export function policyKey(policy: PolicyDescription): string {
  const { policyType, policyDomain, policyString, mxHost } = policy
  const text = JSON.stringify([policyType, policyDomain, policyString ?? null, mxHost ?? null])
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/** What stands for all policies beyond the limit. */
export function withoutDetails({ policyType, policyDomain }: PolicyDescription): PolicyDescription {
  return { policyType, policyDomain }
}

/** The one text that stands for a failure: JSON, its fields in a fixed order. */
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

/** What {@link writeFailure} wrote. */
export function readFailure(text: string): FailureDescription {
  const value: unknown = JSON.parse(text)
  if (isDescription(value)) return value
  throw unreadable('a failure has no result type')
}

/** `failure-reason-code` of the failures beyond the limit. */
export const DETAILS_OMITTED = 'details-omitted'

/** What stands for all failures of a result type beyond the limit. */
export function writeOthers(resultType: FailureDescription['resultType']): string {
  return writeFailure({ resultType, failureReasonCode: DETAILS_OMITTED })
}

/** Every text that {@link writeOthers} can write; none of them counts towards the limit. */
export const OTHERS: readonly string[] = RESULT_TYPES.map(writeOthers)

/** The sum of two counts of the same domain and day, within the limits. */
export function addCounts(
  kept: readonly PolicyCounts[],
  added: readonly PolicyCounts[],
  limits: CountLimits,
): PolicyCounts[] {
  const sums = new Map(kept.map((counts) => [counts.key, new Sum(counts)]))
  for (const counts of added) sumOf(counts, sums, limits).add(counts, limits.maxFailures)
  return [...sums.values()].map((sum) => sum.counts())
}

function sumOf(
  { key, policy }: PolicyCounts,
  sums: Map<string, Sum>,
  { maxPolicies }: CountLimits,
): Sum {
  const known = sums.get(key)
  if (known) return known
  const shown = sums.size < maxPolicies ? policy : withoutDetails(policy)
  const shownKey = shown === policy ? key : policyKey(shown)
  const sum = sums.get(shownKey) ?? new Sum({ key: shownKey, policy: shown })
  sums.set(shownKey, sum)
  return sum
}

/** The counts of one policy while they are added up. */
class Sum {
  readonly #key: string
  readonly #policy: PolicyDescription
  readonly #failures: Map<string, number>
  #successes: number

  constructor(start: Pick<PolicyCounts, 'key' | 'policy'> & Partial<PolicyCounts>) {
    this.#key = start.key
    this.#policy = start.policy
    this.#successes = start.successes ?? 0
    this.#failures = new Map(start.failures)
  }

  add({ successes, failures }: PolicyCounts, maxFailures: number): void {
    this.#successes += successes
    for (const [failure, sessions] of failures) {
      const fits = this.#failures.has(failure) || this.#distinct() < maxFailures
      const shown = fits ? failure : writeOthers(readFailure(failure).resultType)
      this.#failures.set(shown, (this.#failures.get(shown) ?? 0) + sessions)
    }
  }

  counts(): PolicyCounts {
    return {
      key: this.#key,
      policy: this.#policy,
      successes: this.#successes,
      failures: [...this.#failures],
    }
  }

  #distinct(): number {
    return this.#failures.size - OTHERS.filter((text) => this.#failures.has(text)).length
  }
}

/** Counts as text, for stores that keep them so. */
export function writeCounts(policies: readonly PolicyCounts[]): string {
  return JSON.stringify(policies)
}

/** @throws MtaStsError `ESTOREVALUE` for anything that {@link writeCounts} has not written */
export function readCounts(text: string): PolicyCounts[] {
  const value = parseJson(text)
  if (Array.isArray(value) && value.every(isCounts)) return value
  throw unreadable('it is no list of counts')
}

/** A policy as text, for stores that keep it beside its counts. Throws as {@link readCounts}. */
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

/** What a store holds that is not what was put into it. */
export function unreadable(what: string, cause?: unknown): MtaStsError {
  return new MtaStsError(
    `What the report store holds cannot be read (${what}). Find out what else writes to this store.`,
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

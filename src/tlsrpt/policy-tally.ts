/**
 * The counts of one policy, in the terms of a report (RFC 8460 §4.4).
 *
 * @module
 */
import { isIPv4 } from 'node:net'
import type { AppliedPolicy, SessionEvent } from '../events.js'
import { escapeRemoteText } from '../text.js'
import { RESULT_TYPES, type TlsFailure } from '../tls/failures.js'
import {
  type PolicyCounts,
  policyKey,
  withoutDetails,
  writeFailure,
  writeOthers,
} from './counts.js'
import type { FailureDescription, PolicyDescription } from './report.js'

/** The counts of one policy. */
export class PolicyTally {
  readonly #policy: AppliedPolicy
  successes = 0
  readonly failures = new Map<string, { description: FailureDescription; sessions: number }>()
  readonly #others = new Map<FailureDescription['resultType'], number>()

  /** @throws TypeError for an invalid policy, which would spoil the counts */
  constructor(policy: AppliedPolicy) {
    const { type, body, mxHosts } = policy
    const isPolicy = typeof type === 'string' && (body === undefined || typeof body === 'string')
    if (!isPolicy || !Array.isArray(mxHosts) || !mxHosts.every((one) => typeof one === 'string')) {
      throw new TypeError('The event has no policy')
    }
    this.#policy = policy
  }

  /** Whether a report shows both policies as the same. The body is usually the same string. */
  isFor({ type, domain, body, mxHosts }: AppliedPolicy): boolean {
    const mine = this.#policy
    if (mine.type !== type || mine.domain !== domain || mine.body !== body) return false
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

  get sessions(): number {
    let sum = this.successes
    for (const { sessions } of this.failures.values()) sum += sessions
    for (const sessions of this.#others.values()) sum += sessions
    return sum
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

/** Returns the policy in the terms of RFC 8460 §4.4: the fetched text, line by line. */
function describePolicy({ type, domain, body, mxHosts }: AppliedPolicy): PolicyDescription {
  const bare = withoutDetails({ policyType: type, policyDomain: domain })
  const lines = body?.split(/\r?\n/).filter((line) => line !== '') ?? []
  return {
    ...bare,
    ...(lines.length > 0 ? { policyString: lines } : {}),
    ...(mxHosts.length > 0 ? { mxHost: mxHosts } : {}),
  }
}

export function describe(
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
    // A type that RFC 8460 does not define is allowed
    ...optional('failureReasonCode', reason ?? (type === resultType ? undefined : resultType)),
  }
}

/** Returns the type; unknown ones become the general type of RFC 8460 §4.3.3. */
export function knownType(resultType: string): FailureDescription['resultType'] {
  return KNOWN_TYPES.has(resultType) ? resultType : 'validation-failure'
}

/** Bound of a text from a session; a host name has 253 characters at most. */
const MAX_TEXT = 255

const PLAIN_TEXT = /^[!-~]*$/
const KNOWN_TYPES: ReadonlySet<string> = new Set(RESULT_TYPES)

function optional<K extends string>(name: K, value: unknown): { [P in K]?: string } {
  if (typeof value !== 'string' || value === '') return {}
  const plain = value.length <= MAX_TEXT && PLAIN_TEXT.test(value)
  return { [name]: plain ? value : escapeRemoteText(value) } as { [P in K]?: string }
}

/** Removes `::ffff:`, which Node adds on sockets for both families. */
function plainAddress(address: string | undefined): string | undefined {
  const mapped = address?.startsWith('::ffff:') ? address.slice('::ffff:'.length) : undefined
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  return address?.split('%', 1)[0]
}

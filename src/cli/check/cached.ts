/**
 * The verdict of senders that have a policy of the domain cached. They keep it until its `max_age` is
 * over, whatever becomes of the record, unless they fetch a new one (RFC 8461 §3.3, §5.1).
 *
 * @module
 */

import type { PolicyLookup } from '../../policy/lookup.js'
import { matchesMx } from '../../policy/mx-pattern.js'
import { MAX_AGE_LIMIT, type Policy } from '../../policy/policy-file.js'
import type { PolicyStore, StoredPolicy } from '../../policy/store.js'
import { fromStored } from '../../policy/stored-policy.js'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import { EXIT } from '../context.js'
import { day } from '../time.js'
import type {
  CachedVerdict,
  CheckReport,
  MxHostCheck,
  PolicyCheck,
  Problem,
  Verdict,
} from './findings.js'
import { isOfPolicy, outcomeUnderEnforce } from './outcome.js'
import { hostProblem, underPolicy } from './verdict.js'

type Findings = Omit<CheckReport, 'verdict' | 'cached' | 'advice'>

/** Returns when the last sender drops a policy that it fetches now, or has cached already. */
export function lastCachedUntil(policy: PolicyCheck | null, now: number): number {
  const seconds = policy?.valid && policy.maxAge !== null ? policy.maxAge : MAX_AGE_LIMIT
  return now + seconds * 1000
}

/** The policy in a store. */
export interface CachedInStore {
  policy: Policy
  id: string
  expiresAt: number
}

/** A store that did not answer. */
export interface StoreFailure {
  failure: string
}

/** Returns the unexpired policy of a store; undefined where it has none that can be read. */
export async function cachedIn(
  store: PolicyStore,
  policyDomain: string,
  now: number,
): Promise<CachedInStore | StoreFailure | undefined> {
  let stored: StoredPolicy | undefined
  try {
    stored = await store.get(policyDomain)
  } catch (error) {
    return { failure: escapeRemoteText(textOfThrown(error)) }
  }
  if (stored === undefined) return undefined
  try {
    const { lookup } = fromStored(stored, now).cached
    const expiresAt = lookup.expiresAt.getTime()
    return expiresAt > now ? { policy: lookup.policy, id: lookup.id, expiresAt } : undefined
  } catch {
    // A sender passes over an entry that it cannot read, too
    return undefined
  }
}

export function verdictWithCached(
  findings: Findings,
  lookup: PolicyLookup,
  { cached, verdict }: { cached: CachedInStore; verdict: Verdict },
): CachedVerdict {
  const { policy, id, expiresAt } = cached
  const until = new Date(expiresAt)
  const common = {
    source: 'store' as const,
    mode: policy.mode,
    id,
    until: until.toISOString(),
    problem: reportedBy(findings, id),
  }
  if (lookup.status === 'found' && lookup.id !== id) {
    const text = `a sender with the policy ${id} cached fetches this one at its next look at the record`
    return { ...common, status: verdict.status, exitStatus: verdict.exitStatus, text }
  }
  const judged = judgeUnder(policy, findings)
  const text = `a sender with the policy ${id} cached applies it until ${day(until)}; ${judged.text}`
  return { ...common, ...judged, text }
}

/** Returns the verdict where the store did not answer: any policy may be cached. */
export function verdictWithoutStore({ failure }: StoreFailure, now: number): CachedVerdict {
  const until = new Date(now + MAX_AGE_LIMIT * 1000)
  const text = `the store does not answer (${failure}): whether a policy is cached is not known`
  return { ...earlier(until), exitStatus: EXIT.unknown, problem: null, text }
}

export function verdictOfCaches(
  findings: Findings,
  lookup: PolicyLookup,
  now: number,
): CachedVerdict | null {
  const { record, policy, policyHost, domain } = findings
  if (findings.mx.status === 'null-mx' || findings.mx.status === 'no-domain') return null
  const until = new Date(lastCachedUntil(policy, now))
  const date = day(until)
  if (lookup.status === 'found') {
    if (lookup.policy.mode !== 'none') return null
    const text = `senders with an earlier policy of ${domain} cached fetch this one if its id, ${lookup.id}, is new to them; under the same id they may apply the earlier one until ${day(new Date(now + MAX_AGE_LIMIT * 1000))}`
    return { ...earlier(until), problem: null, text }
  }
  if (policy?.valid && policy.mode !== null && policy.mode !== 'none') {
    const judged = judgeUnder({ mode: policy.mode, mx: policy.mx }, findings)
    const text = `senders with the policy cached apply it until ${date}; ${judged.text}`
    return {
      source: 'policy',
      mode: policy.mode,
      id: null,
      until: until.toISOString(),
      problem: reportedBy(findings, undefined),
      ...judged,
      text,
    }
  }
  // Nothing speaks for it that there ever was a policy
  if (record.status === 'none' && record.texts.length === 0 && policyHost === null) return null
  const text = `senders with an earlier policy cached apply it, and refuse what it does not allow, until its max_age is over: ${date} at the latest`
  return { ...earlier(until), problem: reportedBy(findings, undefined), text }
}

/** Returns the failure that such a sender reports; it fetches no policy under the id that it has. */
function reportedBy({ record, policyHost }: Findings, id: string | undefined): Problem | null {
  const { status, resultType, reason } = record
  if (status === 'none') {
    return { resultType: 'sts-policy-fetch-error', reason: 'record-gone', detail: null }
  }
  if (resultType !== null) return { resultType, reason, detail: null }
  if (record.id === id || policyHost === null) return null
  return hostProblem(policyHost) ?? null
}

function earlier(until: Date): Omit<CachedVerdict, 'text' | 'problem'> {
  return {
    source: 'unknown',
    mode: null,
    id: null,
    until: until.toISOString(),
    status: 'unknown',
    exitStatus: EXIT.fine,
  }
}

/** The MX hosts under another policy than the present one. */
function judgeUnder(policy: Pick<Policy, 'mode' | 'mx'>, { mx }: Findings) {
  if (mx.status !== 'found' && mx.status !== 'implicit') {
    const text = 'the MX hosts are not known'
    return { status: 'unknown' as const, exitStatus: EXIT.unknown, text }
  }
  return underPolicy(
    policy.mode,
    mx.hosts.map((host) => asUnder(policy, host)),
  )
}

function asUnder({ mx }: Pick<Policy, 'mx'>, check: MxHostCheck): MxHostCheck {
  const { host, problem } = check
  if (!matchesMx(host, mx)) {
    const mismatch = {
      resultType: 'validation-failure',
      reason: 'mx-mismatch',
      detail: null,
    } as const
    return { ...check, inPolicy: false, problem: mismatch, outcome: 'refused' }
  }
  const named = { ...check, inPolicy: true, problem: isOfPolicy(problem) ? null : problem }
  return { ...named, outcome: outcomeUnderEnforce(named) }
}

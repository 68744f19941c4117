/**
 * The examination of a domain, in the order of RFC 8461 §3 to §5.
 *
 * @module
 */
import { domainToUnicode } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { Dane } from '../../dane/dane.js'
import { ask } from '../../dns/resolver.js'
import type { Gate } from '../../net/gate.js'
import type { Settings } from '../../options.js'
import { CachedPolicy } from '../../policy/cached-policy.js'
import { noPolicy, type PolicyLookup } from '../../policy/lookup.js'
import { policyHost, recordName, tlsRptName } from '../../policy/names.js'
import type { PolicyStore } from '../../policy/store.js'
import type { remembering } from '../name-servers.js'
import { adviceOn } from './advice/advice.js'
import {
  type CachedInStore,
  cachedIn,
  type StoreFailure,
  verdictOfCaches,
  verdictWithCached,
  verdictWithoutStore,
} from './cached.js'
import type {
  CachedVerdict,
  CheckReport,
  PolicyHostCheck,
  RecordCheck,
  Verdict,
} from './findings.js'
import { checkMx } from './mx.js'
import { checkPolicyFile } from './policy-file.js'
import { inspectPolicyHost, type PolicyHostInspection } from './policy-host.js'
import { checkRecord, checkTlsRpt } from './records.js'
import type { Assessments } from './reports.js'
import type { Sessions } from './sessions.js'
import { verdictOn } from './verdict.js'

/** The surroundings that all domains of a run share. */
export interface Run {
  settings: Settings & { resolver: ReturnType<typeof remembering> }
  slots: Gate
  /** undefined: MX hosts are not connected to */
  sessions: Sessions | undefined
  /** undefined: TLSA records are not asked for */
  dane: Dane | undefined
  /** A sender's store, to see what it does with the policy that it has cached */
  store: PolicyStore | undefined
  /** The timeouts are shorter than a sender's own */
  shortened: boolean
  /** The assessments by the reports of `--reports` */
  assessments: Assessments
}

export interface ExamineOptions {
  /** Receives the step that is waited for */
  onStep: (what: string) => void
  signal?: AbortSignal | undefined
}

/**
 * @param policyDomain A-labels, lower case
 * @throws the signal's reason when it is aborted
 */
export async function examine(
  policyDomain: string,
  run: Run,
  { onStep, signal }: ExamineOptions,
): Promise<CheckReport> {
  const { settings } = run
  const { resolver, dnsTimeout } = settings
  const now = settings.now()

  onStep('TXT records')
  askAhead(policyDomain, resolver)
  const [txt, rpt] = await Promise.all([
    ask(() => resolver.resolveTxt(recordName(policyDomain)), dnsTimeout),
    ask(() => resolver.resolveTxt(tlsRptName(policyDomain)), dnsTimeout),
  ])
  signal?.throwIfAborted()
  const record = checkRecord(policyDomain, txt)

  onStep('policy host')
  const inspection = await inspectPolicyHost(policyDomain, { ...run, signal })
  const lookup = lookupFrom(record, inspection, now)

  onStep(run.sessions === undefined ? 'MX records' : 'MX hosts')
  const resolveCname = (host: string) => resolver.resolveCname(host)
  const findings = {
    domain: policyDomain,
    unicodeDomain: unicodeOf(policyDomain),
    record,
    policyHost: isThere(inspection.check, record) ? inspection.check : null,
    policy: checkPolicyFile(inspection, now),
    mx: await checkMx(policyDomain, lookup, { ...run, resolveCname, signal }),
    tlsrpt: checkTlsRpt(policyDomain, rpt),
  }
  signal?.throwIfAborted()
  const verdict = verdictOn(findings, run)
  const stored = run.store && (await cachedIn(run.store, policyDomain, now))
  const cachedDiffers = isCachedOtherwise(stored, lookup)
  return {
    ...findings,
    verdict,
    cached: cachedVerdict({ findings, lookup, verdict, stored, now }),
    advice: adviceOn(findings, {
      now,
      cachedDiffers,
      assessment: run.assessments.get(policyDomain),
    }),
  }
}

/** Asks what the later steps will ask, so that a dead domain costs one wait and not three. */
function askAhead(policyDomain: string, resolver: Run['settings']['resolver']): void {
  const host = policyHost(policyDomain)
  const questions = [
    resolver.resolveMx(policyDomain),
    resolver.resolve4(host),
    resolver.resolve6(host),
  ]
  // The steps themselves handle the errors
  for (const question of questions) question.catch(() => undefined)
}

/** The same domain in U-labels, where it has some. */
export function unicodeOf(domain: string): string | null {
  if (!domain.includes('xn--')) return null
  const unicode = domainToUnicode(domain)
  return unicode === '' || unicode === domain ? null : unicode
}

/** A policy host that is missing says nothing about a domain without a record. */
function isThere({ addresses, blocked }: PolicyHostCheck, record: RecordCheck): boolean {
  return record.status === 'found' || addresses.length > 0 || blocked.length > 0
}

/** The policy of a sender that has none of the domain cached. */
function lookupFrom(
  record: RecordCheck,
  { fetch }: PolicyHostInspection,
  now: number,
): PolicyLookup {
  const { id } = record
  if (id === null) {
    if (record.status === 'none') return noPolicy('no-record')
    return noPolicy(record.status === 'unknown' ? 'dns-failure' : 'invalid')
  }
  if (fetch.kind === 'failed') return noPolicy('fetch-failed', fetch.failure)
  const { policy, body } = fetch
  return new CachedPolicy({ id, policy, body, fetchedAt: now }, now).lookup
}

function isCachedOtherwise(
  stored: CachedInStore | StoreFailure | undefined,
  lookup: PolicyLookup,
): boolean {
  if (stored === undefined || 'failure' in stored) return false
  if (lookup.status === 'none' || stored.id !== lookup.id) return false
  return !isDeepStrictEqual(stored.policy, lookup.policy)
}

function cachedVerdict(facts: {
  findings: Omit<CheckReport, 'verdict' | 'cached' | 'advice'>
  lookup: PolicyLookup
  verdict: Verdict
  stored: CachedInStore | StoreFailure | undefined
  now: number
}): CachedVerdict | null {
  const { findings, lookup, verdict, stored, now } = facts
  if (stored !== undefined && 'failure' in stored) return verdictWithoutStore(stored, now)
  if (findings.mx.status === 'null-mx') return null
  if (stored === undefined) return verdictOfCaches(findings, lookup, now)
  return verdictWithCached(findings, lookup, { cached: stored, verdict })
}

/**
 * Everything that a sender would find out about a domain, in the order of RFC 8461 §3 to §5.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util'
import { ask } from '../../dns/resolver.js'
import type { Settings } from '../../options.js'
import { CachedPolicy } from '../../policy/cached-policy.js'
import { noPolicy, type PolicyLookup } from '../../policy/lookup.js'
import { parsePolicy } from '../../policy/policy-file.js'
import type { PolicyStore } from '../../policy/store.js'
import { remembering } from '../network.js'
import { adviceOn } from './advice.js'
import type { CheckReport, PolicyHostCheck, RecordCheck } from './findings.js'
import { checkMx } from './mx.js'
import { checkPolicyFile } from './policy-file.js'
import { inspectPolicyHost, type PolicyHostInspection } from './policy-host.js'
import { checkRecord, checkTlsRpt, recordName, tlsRptName } from './records.js'
import { verdictOn } from './verdict.js'

export interface ExamineOptions {
  settings: Settings
  /** undefined: MX hosts are not connected to */
  connection: { timeout: number; name: string } | undefined
  /** What a sender knows already, to see whether the id was changed with the policy */
  store: PolicyStore | undefined
  /** Told what is waited for */
  onStep: (what: string) => void
}

/** @param policyDomain A-labels, lower case */
export async function examine(policyDomain: string, options: ExamineOptions): Promise<CheckReport> {
  const { onStep, connection } = options
  const settings = { ...options.settings, resolver: remembering(options.settings.resolver) }
  const { resolver, dnsTimeout } = settings
  const now = settings.now()

  onStep('TXT records')
  const [txt, rpt] = await Promise.all([
    ask(() => resolver.resolveTxt(recordName(policyDomain)), dnsTimeout),
    ask(() => resolver.resolveTxt(tlsRptName(policyDomain)), dnsTimeout),
  ])
  const record = checkRecord(policyDomain, txt)

  onStep('policy host')
  const inspection = await inspectPolicyHost(policyDomain, settings)
  const lookup = lookupFrom(record, inspection, now)

  onStep(connection === undefined ? 'MX records' : 'MX hosts')
  const findings = {
    domain: policyDomain,
    record,
    policyHost: isThere(inspection.check, record) ? inspection.check : null,
    policy: checkPolicyFile(inspection, now),
    mx: await checkMx(policyDomain, lookup, { settings, connection }),
    tlsrpt: checkTlsRpt(policyDomain, rpt),
  }
  const heldDiffers = await isHeldOtherwise(policyDomain, lookup, options.store)
  return {
    ...findings,
    verdict: verdictOn(findings),
    advice: adviceOn(findings, { now, heldDiffers }),
  }
}

/** Of a domain that does not say that it has a policy, a missing host is nothing to tell of. */
function isThere({ addresses, blocked }: PolicyHostCheck, record: RecordCheck): boolean {
  return record.status === 'found' || addresses.length > 0 || blocked.length > 0
}

/** What the domain is held to by a sender who knew nothing of it. */
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

async function isHeldOtherwise(
  policyDomain: string,
  lookup: PolicyLookup,
  store: PolicyStore | undefined,
): Promise<boolean> {
  if (store === undefined || lookup.status === 'none') return false
  const held = await store.get(policyDomain)
  if (held === undefined || held.id !== lookup.id) return false
  return !isDeepStrictEqual(parsePolicy(held.body), lookup.policy)
}

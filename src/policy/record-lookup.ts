/**
 * The first step of discovery (RFC 8461 §3.1): the lookup of the TXT record with the id of the
 * policy. The second step is `fetch.ts`.
 *
 * @module
 */
import { ask, isTextRecord, type Resolver } from '../dns/resolver.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { recordName } from './names.js'
import { examineRecords } from './record.js'

/** The result of looking up the TXT record. Only `found` has an id. */
export type RecordLookup =
  | { kind: 'found'; id: string }
  | { kind: 'gone' }
  | { kind: 'invalid'; failure: TlsFailure }
  | { kind: 'failed'; failure: TlsFailure }

/** Looks up `_mta-sts.` + Policy Domain, and no other name (RFC 8461 §3.1, §3.4). */
export async function lookupRecord(
  policyDomain: string,
  options: { resolver: Resolver; dnsTimeout: number },
): Promise<RecordLookup> {
  const answer = await ask(
    () => options.resolver.resolveTxt(recordName(policyDomain)),
    options.dnsTimeout,
    isTextRecord,
  )
  if (answer.kind === 'absent') return { kind: 'gone' }
  if (answer.kind === 'failed') {
    return {
      kind: 'failed',
      failure: failure('sts-policy-fetch-error', 'dns-failure', answer.error),
    }
  }
  const records = examineRecords(answer.records)
  switch (records.kind) {
    case 'one':
      return { kind: 'found', id: records.record.id }
    case 'none':
      return { kind: 'gone' }
    case 'several':
      return { kind: 'invalid', failure: failure('sts-policy-invalid', 'several-records') }
    case 'malformed':
      return {
        kind: 'invalid',
        failure: failure('sts-policy-invalid', 'malformed-record', records.error),
      }
  }
}

function failure(
  resultType: TlsFailure['resultType'],
  reason: FailureReason,
  cause?: unknown,
): TlsFailure {
  return cause === undefined ? { resultType, reason } : { resultType, reason, cause }
}

/**
 * The first step of discovery (RFC 8461 §3.1): does the TXT record say that there is a policy, and
 * by which id? The second is `fetch.ts`.
 *
 * @module
 */
import { ask, type Resolver } from '../dns/resolver.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { examineRecords } from './record.js'

/** What the TXT record says. `gone`, `invalid` and `failed`: no id is to be had from it. */
export type RecordLookup =
  | { kind: 'found'; id: string }
  | { kind: 'gone' }
  | { kind: 'invalid'; failure: TlsFailure }
  | { kind: 'failed'; failure: TlsFailure }

/** Looks at `_mta-sts.` + Policy Domain, and at no other name (RFC 8461 §3.1, §3.4). */
export async function lookupRecord(
  policyDomain: string,
  options: { resolver: Resolver; dnsTimeout: number },
): Promise<RecordLookup> {
  const answer = await ask(
    () => options.resolver.resolveTxt(`_mta-sts.${policyDomain}`),
    options.dnsTimeout,
  )
  if (answer.kind === 'absent') return { kind: 'gone' }
  if (answer.kind === 'failed') {
    return {
      kind: 'failed',
      failure: failure('sts-policy-fetch-error', 'dns-failure', answer.error),
    }
  }
  if (!answer.records.every(isTextRecord)) {
    const error = new TypeError('The resolver did not return an array of arrays of strings')
    return { kind: 'failed', failure: failure('sts-policy-fetch-error', 'dns-failure', error) }
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

/** A resolver of the caller's own may answer anything. */
function isTextRecord(record: unknown): boolean {
  return Array.isArray(record) && record.every((text) => typeof text === 'string')
}

function failure(
  resultType: TlsFailure['resultType'],
  reason: FailureReason,
  cause?: unknown,
): TlsFailure {
  return cause === undefined ? { resultType, reason } : { resultType, reason, cause }
}

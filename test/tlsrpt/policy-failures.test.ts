/** The policy type under which a failed discovery is reported. */
import { describe, expect, it } from 'vitest'
import type { AppliedPolicy } from '../../src/events.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { Collector } from '../../src/tlsrpt/collector.js'

const NONE: AppliedPolicy = {
  type: 'no-policy-found',
  domain: 'bob.example',
  mode: 'none',
  mxHosts: [],
}

const CACHED: AppliedPolicy = {
  type: 'sts',
  domain: 'bob.example',
  mode: 'enforce',
  id: '1',
  mxHosts: ['mx.bob.example'],
  body: 'version: STSv1\nmode: enforce\nmx: mx.bob.example\nmax_age: 86400\n',
}

/** The policies of the report, and whether sessions failed under them. */
function reported(policy: AppliedPolicy, failure: TlsFailure) {
  const limits = { maxPolicies: 10, maxFailures: 10, maxDomains: 10 }
  const collector = new Collector({ now: () => Date.UTC(2026, 7, 1, 12), ...limits })
  collector.onPolicyFailure({ policyDomain: policy.domain, policy, failure })
  // The message is still delivered
  collector.onSession({ policy, mxHost: 'mx.bob.example' })
  const [domain] = collector.take().counts
  return domain?.policies.map(({ policy: { policyType, policyString }, ...counts }) => [
    policyType,
    policyString?.length ?? 0,
    counts.successes,
    counts.failures.length,
  ])
}

describe('a failed discovery without a policy', () => {
  it.each<[string, TlsFailure]>([
    ['404', { resultType: 'sts-policy-fetch-error', reason: 'http-status-404' }],
    ['no answer in time', { resultType: 'sts-policy-fetch-error', reason: 'timeout' }],
    ['no connection', { resultType: 'sts-policy-fetch-error', reason: 'connection-failed' }],
    ['an expired certificate', { resultType: 'sts-webpki-invalid', reason: 'certificate-expired' }],
    ['a wrong media type', { resultType: 'sts-policy-fetch-error', reason: 'media-type' }],
    ['an invalid policy file', { resultType: 'sts-policy-invalid' }],
  ])('[RPT-3] is reported as sts with only the domain after %s', (_, failure) => {
    expect(reported(NONE, failure)).toEqual([
      ['sts', 0, 0, 1],
      ['no-policy-found', 0, 1, 0],
    ])
  })

  it.each<[string, TlsFailure]>([
    ['two TXT records', { resultType: 'sts-policy-invalid', reason: 'several-records' }],
    ['a malformed TXT record', { resultType: 'sts-policy-invalid', reason: 'malformed-record' }],
    ['a failed TXT lookup', { resultType: 'sts-policy-fetch-error', reason: 'dns-failure' }],
  ])('[RPT-3] is reported as no-policy-found after %s', (_, failure) => {
    expect(reported(NONE, failure)).toEqual([['no-policy-found', 0, 1, 1]])
  })
})

it('[RPT-3] a failed renewal is reported under the cached policy', () => {
  const failure = { resultType: 'sts-policy-fetch-error', reason: 'http-status-404' } as const
  expect(reported(CACHED, failure)).toEqual([['sts', 4, 1, 1]])
})

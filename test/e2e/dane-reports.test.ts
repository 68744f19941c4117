/** The counts of TLS reports for deliveries under DANE (RFC 8460 §4.4). */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dane, dnssecResolver } from '../../src/dane/index.js'
import type { MtaStsTransportOptions } from '../../src/nodemailer/index.js'
import type { DaneOptions, MailDomain } from '../../src/testing/index.js'
import { Collector } from '../../src/tlsrpt/collector.js'
import { readFailure } from '../../src/tlsrpt/counts.js'
import { messageTo, useWorld } from './support.js'

const stage = useWorld()

const collector = new Collector({
  now: Date.now,
  maxDomains: 100,
  maxPolicies: 10,
  maxFailures: 10,
})
beforeAll(() => subscribe('mta-sts:session', collector.onSession))
afterAll(() => {
  unsubscribe('mta-sts:session', collector.onSession)
})

function sender(options: MtaStsTransportOptions = {}) {
  const resolver = dnssecResolver({ servers: [stage.world.dns.server], timeout: 5000, tries: 1 })
  return stage.sender({ resolver: undefined, dane: dane({ resolver }), ...options })
}

/** Sends a message, and returns the counts of the domain: policies with their failures. */
async function counted(domain: MailDomain, transporter = sender()) {
  await transporter.sendMail(messageTo(domain)).catch(() => undefined)
  const mine = collector.take().counts.filter((counts) => counts.domain === domain.name)
  return mine
    .flatMap(({ policies }) => policies)
    .map(({ policy, successes, failures }) => ({
      ...policy,
      successes,
      failures: failures.map(([text]) => readFailure(text)),
    }))
}

function domainWith(mode: 'enforce' | 'testing' | undefined, options?: DaneOptions): MailDomain {
  const domain = stage.domain(mode ? { mode } : {})
  domain.dane(options)
  return domain
}

const failedFor = (resultType: string, failureReasonCode?: string) => [
  expect.objectContaining(
    failureReasonCode === undefined ? { resultType } : { resultType, failureReasonCode },
  ),
]

describe('[DANE-14] a report', () => {
  test('has the TLSA records, one on each line, under their base domain, and no MX hosts', async () => {
    const domain = domainWith(undefined, { records: [{}, { usage: 2, of: 'intermediate' }] })
    const mx = domain.mx().name
    expect(await counted(domain)).toEqual([
      {
        policyType: 'tlsa',
        policyDomain: mx,
        policyString: [
          expect.stringMatching(/^2 1 1 [0-9A-F]{64}$/),
          expect.stringMatching(/^3 1 1 [0-9A-F]{64}$/),
        ],
        successes: 1,
        failures: [],
      },
    ])
  })

  test('has both policies where both applied, each with its own success', async () => {
    const domain = domainWith('enforce')
    expect(await counted(domain)).toMatchObject([
      { policyType: 'tlsa', policyDomain: domain.mx().name, successes: 1, failures: [] },
      { policyType: 'sts', policyDomain: domain.name, successes: 1, failures: [] },
    ])
  })

  test('has a record of an old key as a failure of DANE only', async () => {
    const domain = domainWith('enforce', { fails: 'old-key' })
    expect(await counted(domain)).toMatchObject([
      {
        policyType: 'tlsa',
        successes: 0,
        failures: failedFor('validation-failure', 'tlsa-mismatch'),
      },
      { policyType: 'sts', successes: 1, failures: [] },
    ])
  })

  test('under testing, has an unknown issuer as a failure of MTA-STS only', async () => {
    const domain = stage.domain({ mode: 'testing' })
    const mx = domain.mx()
    mx.certificate({ san: [`DNS:${mx.name}`], signedBy: 'stranger' })
    domain.dane()
    expect(await counted(domain)).toMatchObject([
      { policyType: 'tlsa', successes: 1, failures: [] },
      { policyType: 'sts', successes: 0, failures: failedFor('certificate-not-trusted') },
    ])
  })

  test('under enforce, does not count DANE where MTA-STS ended the handshake', async () => {
    const domain = domainWith('enforce')
    domain.mx().fails('unknown-authority')
    expect(await counted(domain)).toMatchObject([
      { policyType: 'sts', successes: 0, failures: failedFor('certificate-not-trusted') },
    ])
  })

  test('has a missing STARTTLS as a failure of both', async () => {
    const domain = domainWith('enforce')
    domain.mx().fails('no-starttls')
    const failures = failedFor('starttls-not-supported')
    expect(await counted(domain)).toMatchObject([
      { policyType: 'tlsa', successes: 0, failures },
      { policyType: 'sts', successes: 0, failures },
    ])
  })

  test('has a bogus TLSA lookup as a failed session under TLSA only', async () => {
    const domain = domainWith('enforce', { fails: 'bogus-tlsa' })
    expect(await counted(domain)).toEqual([
      {
        policyType: 'tlsa',
        policyDomain: domain.mx().name,
        successes: 0,
        failures: failedFor('dnssec-invalid', 'dnssec-bogus'),
      },
    ])
  })

  test('has unusable records as tlsa-invalid, and the session under the policy', async () => {
    const domain = domainWith('enforce', { fails: 'pkix-records' })
    expect(await counted(domain)).toMatchObject([
      { policyType: 'tlsa', successes: 0, failures: failedFor('tlsa-invalid', 'tlsa-unusable') },
      { policyType: 'sts', successes: 1, failures: [] },
    ])
  })

  test('has no TLSA records where none applied', async () => {
    const domain = domainWith('enforce', { fails: 'no-tlsa' })
    expect(await counted(domain)).toMatchObject([{ policyType: 'sts', successes: 1 }])
    const plain = domainWith(undefined, { fails: 'insecure-mx' })
    expect(await counted(plain)).toMatchObject([{ policyType: 'no-policy-found', successes: 1 }])
  })

  test('has no TLSA records for a domain without DANE on the connection of one with it', async () => {
    const signed = domainWith('enforce')
    const unsigned = stage.domain({ mode: 'enforce', mx: [signed.mx().name] })
    const transporter = sender({ maxMessages: 100 })
    expect(await counted(signed, transporter)).toMatchObject([
      { policyType: 'tlsa' },
      { policyType: 'sts' },
    ])
    expect(await counted(unsigned, transporter)).toMatchObject([
      { policyType: 'sts', successes: 1, failures: [] },
    ])
    expect(signed.mx().connections).toHaveLength(1)
  })

  test('counts a reused connection once', async () => {
    const domain = domainWith('enforce')
    const pooled = sender({ maxMessages: 10 })
    expect(await counted(domain, pooled)).toHaveLength(2)
    expect(await counted(domain, pooled)).toEqual([])
  })
})

/** `assess`: from the reports of a month to one answer for each domain. */
import { describe, expect, it } from 'vitest'
import {
  assess,
  type DomainAssessment,
  type FailureDetails,
  type ReportedPolicy,
  readReports,
  type TlsReport,
} from '../../src/tlsrpt/index.js'

const DAY = 86_400_000
const FIRST = Date.parse('2026-08-01T00:00:00Z')

const POLICY = ['version: STSv1', 'mode: testing', 'mx: *.bob.example', 'max_age: 86400']

function policy(failures: Partial<FailureDetails>[] = [], more: Partial<ReportedPolicy> = {}) {
  const failureDetails = failures.map((failure) => ({
    resultType: 'certificate-host-mismatch',
    receivingMxHostname: 'mx2.bob.example',
    failedSessionCount: 10,
    ...failure,
  }))
  return {
    policyType: 'sts',
    policyString: POLICY,
    policyDomain: 'bob.example',
    totalSuccessfulSessionCount: 90,
    totalFailureSessionCount: failureDetails.reduce((sum, one) => sum + one.failedSessionCount, 0),
    failureDetails,
    ...more,
  }
}

function report(day: number, policies: ReportedPolicy[], organizationName = 'Sender'): TlsReport {
  const start = FIRST + (day - 1) * DAY
  return {
    organizationName,
    dateRange: { start: new Date(start), end: new Date(start + DAY - 1000) },
    reportId: `${organizationName}-${day}`,
    policies,
  }
}

/** A report of each day, from each sender. */
function month(days: number, policies: (day: number) => ReportedPolicy[], senders = ['Sender']) {
  return Array.from({ length: days }, (_, index) =>
    senders.map((sender) => report(index + 1, policies(index + 1), sender)),
  ).flat()
}

function only(assessments: DomainAssessment[]): DomainAssessment {
  const [first, ...others] = assessments
  if (first === undefined || others.length > 0) throw new Error('There should be one domain')
  return first
}

describe('the verdict', () => {
  it('is ready after 30 days without a failure that enforce would refuse', () => {
    const { verdict } = only(assess(month(30, () => [policy()], ['A', 'B'])))
    expect(verdict).toEqual({
      answer: 'ready',
      text: 'ready: 30 days, 2 senders, nothing would have been refused',
    })
  })

  it('is not ready after days on which no session was reported', () => {
    const none = policy([], { totalSuccessfulSessionCount: 0 })
    const reports = month(30, (day) => [day > 20 ? policy() : none])
    const { verdict, policies } = only(assess(reports))
    expect(verdict.text).toBe('not yet: only 10 days of data (30 wanted)')
    expect(policies[0]?.days).toMatchObject({ covered: 10, missing: 0 })
  })

  it.each([
    [
      'no sender could fetch the policy',
      policy([{ resultType: 'sts-policy-fetch-error' }], { totalSuccessfulSessionCount: 0 }),
    ],
    ['the policy was of mode none', policy([], { policyString: ['version: STSv1', 'mode: none'] })],
  ])('is not ready where %s', (_, reported) => {
    const { verdict } = only(assess(month(30, () => [reported])))
    expect(verdict).toEqual({
      answer: 'not-yet',
      text: 'not yet: no session that met the policy was reported',
    })
  })

  it('counts a report of more than a month on its first day', () => {
    const long = {
      ...report(1, [policy()]),
      dateRange: { start: new Date(FIRST), end: new Date(FIRST + 40 * DAY) },
    }
    const { verdict, policies } = only(assess([long]))
    expect(verdict.text).toBe('not yet: only 1 day of data (30 wanted)')
    expect(policies[0]?.days).toMatchObject({ first: '2026-08-01', last: '2026-08-01' })
  })

  it('is not ready with a failure without a count', () => {
    const bytes = JSON.stringify({
      'report-id': 'x',
      'date-range': { 'start-datetime': '2026-08-31', 'end-datetime': '2026-08-31' },
      policies: [
        {
          policy: { 'policy-type': 'sts', 'policy-domain': 'bob.example' },
          summary: { 'total-successful-session-count': 9, 'total-failure-session-count': 0 },
          'failure-details': [{ 'result-type': 'certificate-expired' }],
        },
      ],
    })
    const reports = [...month(30, () => [policy()]), ...readReports(bytes)]
    expect(only(assess(reports)).verdict.answer).toBe('would-defer')
  })

  it('names the failures that enforce would have deferred: where, why and when last', () => {
    const days = month(30, (day) => [policy(day === 30 ? [{ failedSessionCount: 1234 }] : [])])
    expect(only(assess(days)).verdict).toEqual({
      answer: 'would-defer',
      text:
        'enforce would have deferred 1,234 of 3,934 sessions (31.4 %), ' +
        'all at mx2.bob.example: certificate-host-mismatch, last on 2026-08-30',
    })
  })

  it('reports deferrals where the policy is in mode enforce', () => {
    const enforced = { policyString: ['version: STSv1', 'mode: enforce'] }
    const { verdict } = only(assess(month(30, () => [policy([{}], enforced)])))
    expect(verdict.text).toMatch(/^enforce has deferred 300 of 3,000 sessions \(10 %\), all at mx2/)
  })

  it('names the most frequent host of several', () => {
    const failures = [{}, { receivingMxHostname: 'mx1.bob.example', failedSessionCount: 20 }]
    const { verdict } = only(assess(month(30, () => [policy(failures)])))
    expect(verdict.text).toContain('most at mx1.bob.example: certificate-host-mismatch')
  })

  it('asks for more days if there are few', () => {
    expect(only(assess(month(15, () => [policy()]))).verdict).toEqual({
      answer: 'not-yet',
      text: 'not yet: only 15 days of data (30 wanted)',
    })
    expect(
      only(
        assess(
          month(15, () => [policy()]),
          { days: 14 },
        ),
      ).verdict.answer,
    ).toBe('ready')
  })

  it.each<[string, Partial<FailureDetails>]>([
    ['sts-policy-fetch-error', { resultType: 'sts-policy-fetch-error' }],
    ['sts-policy-invalid', { resultType: 'sts-policy-invalid' }],
    ['sts-webpki-invalid', { resultType: 'sts-webpki-invalid' }],
    ['tlsa-invalid', { resultType: 'tlsa-invalid' }],
  ])('is ready with no failure but %s, which enforce tolerates', (_, failure) => {
    const { verdict, policies } = only(assess(month(30, () => [policy([failure])])))
    expect(verdict.text).toBe(
      'ready: 30 days, 1 sender, nothing would have been refused; ' +
        '300 sessions failed that enforce lets pass',
    )
    expect(policies[0]).toMatchObject({ failed: 300, refused: 0 })
  })

  it.each([
    'starttls-not-supported',
    'certificate-host-mismatch',
    'certificate-expired',
    'certificate-not-trusted',
    'validation-failure',
    'a-new-word',
    'toString',
  ])('is not ready with a failure of type %s', (resultType) => {
    const { verdict } = only(
      assess(month(30, (day) => [policy(day === 3 ? [{ resultType }] : [])])),
    )
    expect(verdict.answer).toBe('would-defer')
  })

  it('counts failed sessions without details as refused', () => {
    const bare = policy([], { totalFailureSessionCount: 10 })
    const { verdict, policies } = only(assess(month(30, () => [bare])))
    expect(verdict.answer).toBe('would-defer')
    expect(policies[0]?.failures).toMatchObject([{ resultType: 'unspecified', sessions: 300 }])
  })

  it('counts failures that only the details contain', () => {
    const torn = policy([{}], { totalFailureSessionCount: 0 })
    expect(only(assess(month(30, () => [torn]))).verdict.answer).toBe('would-defer')
  })

  it('is not ready before a sender has reported under an MTA-STS policy', () => {
    const bare = policy([], { policyType: 'no-policy-found' })
    expect(only(assess(month(30, () => [bare]))).verdict.text).toBe(
      'not yet: no sender has reported sessions under an MTA-STS policy',
    )
  })

  it('is not ready if enforce would refuse sessions under another policy type', () => {
    const failing = policy([{}], { policyType: 'no-policy-found' })
    expect(only(assess(month(30, () => [policy(), failing]))).verdict).toEqual({
      answer: 'not-yet',
      text:
        'not yet: 300 of 3,000 sessions (10 %) under policy type no-policy-found failed in a way ' +
        'that enforce would refuse, all at mx2.bob.example: certificate-host-mismatch, ' +
        'last on 2026-08-30',
    })
  })

  it("escapes the senders' texts", () => {
    const failure = { receivingMxHostname: 'mx\u{202e}\u{1b}[2J', resultType: '\u{7}' }
    const { verdict } = only(assess([report(1, [policy([failure])])]))
    expect(verdict.text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })
})

describe('the counts of an assessment', () => {
  it('separate policy types: Microsoft reports the same sessions under each', () => {
    const tlsa = policy([], { policyType: 'tlsa' })
    const { policies } = only(assess(month(2, () => [tlsa, policy([{}])])))
    expect(policies).toMatchObject([
      { policyType: 'sts', sessions: 200, failed: 20, refused: 20, percent: 10 },
      { policyType: 'tlsa', sessions: 180, failed: 0, percent: 0, modes: [] },
    ])
  })

  it('separate domains, and unify the spellings of a domain', () => {
    const of = (policyDomain: string) => policy([], { policyDomain })
    const days = month(1, () => [of('Bob.example.'), of('bob.example'), of('bücher.example')])
    const found = assess(days).map(({ domain, policies: [first] }) => [domain, first?.sessions])
    expect(found).toEqual([
      ['bob.example', 180],
      ['xn--bcher-kva.example', 90],
    ])
  })

  it('group failures by type, MX host and reason', () => {
    const days = [
      report(1, [policy([{ failureReasonCode: 'a' }, { failureReasonCode: 'b' }])], 'A'),
      report(
        4,
        [policy([{ failureReasonCode: 'a', receivingMxHostname: 'MX2.bob.example.' }])],
        'B',
      ),
    ]
    expect(only(assess(days)).policies[0]?.failures).toEqual([
      {
        resultType: 'certificate-host-mismatch',
        mxHost: 'mx2.bob.example',
        reason: 'a',
        weight: 'refused',
        sessions: 20,
        senders: 2,
        firstDay: '2026-08-01',
        lastDay: '2026-08-04',
        advice: expect.stringContaining('certificate for its name'),
      },
      expect.objectContaining({ reason: 'b', sessions: 10, senders: 1, lastDay: '2026-08-01' }),
    ])
  })

  it('name days without a report, and missing senders', () => {
    const days = [
      ...[1, 2, 3].map((day) => report(day, [policy()], 'Silent')),
      ...[1, 2, 5, 12].map((day) => report(day, [policy()], 'Steady')),
    ]
    expect(only(assess(days)).policies[0]).toMatchObject({
      days: {
        first: '2026-08-01',
        last: '2026-08-12',
        covered: 5,
        missing: 7,
        gaps: [
          { first: '2026-08-04', last: '2026-08-04', days: 1 },
          { first: '2026-08-06', last: '2026-08-11', days: 6 },
        ],
      },
      senders: [
        { name: 'Steady', days: 4, sessions: 360, lastDay: '2026-08-12' },
        { name: 'Silent', days: 3, sessions: 270, lastDay: '2026-08-03' },
      ],
      missingSenders: [{ name: 'Silent' }],
      lastFailure: undefined,
    })
  })

  it.each<[string, readonly string[] | undefined, string]>([
    ['a carriage return on each line', POLICY.map((line) => `${line}\r`), 'testing'],
    ['one line of text for all', [POLICY.join('\r\n')], 'testing'],
    ['no mx', ['version: STSv1', 'mode: enforce', 'max_age: 1'], 'enforce'],
    ['an mx with an underscore', [...POLICY, 'mx: mx1_a.example'], 'testing'],
    ['no mode', ['version: STSv1'], 'unknown'],
    ['nothing', undefined, 'unknown'],
  ])('include the mode of a policy with %s', (_, policyString, mode) => {
    const reported: ReportedPolicy = { ...policy(), policyString: policyString ?? [] }
    expect(only(assess([report(1, [reported])])).policies[0]?.modes).toMatchObject([{ mode }])
  })

  it('show the latest mode first', () => {
    const enforced = { policyString: ['mode: enforce'] }
    const days = month(3, (day) => [policy([], day === 3 ? enforced : {})])
    expect(only(assess(days)).policies[0]?.modes).toEqual([
      { mode: 'enforce', sessions: 90, firstDay: '2026-08-03', lastDay: '2026-08-03' },
      { mode: 'testing', sessions: 180, firstDay: '2026-08-01', lastDay: '2026-08-02' },
    ])
  })

  it('count a repeated report once', () => {
    const days = month(2, () => [policy()])
    expect(only(assess([...days, ...structuredClone(days)])).policies[0]?.sessions).toBe(180)
  })

  it('count reports with one id but different days or content', () => {
    const same = { reportId: 'same' }
    const other = policy([], { policyDomain: 'carol.example' })
    const days = [
      { ...report(1, [policy()]), ...same },
      { ...report(2, [policy()]), ...same },
      { ...report(1, [other]), ...same },
    ]
    expect(assess(days).map(({ policies: [first] }) => first?.sessions)).toEqual([180, 90])
  })

  it.each([
    ['is one day in another time zone', '2026-07-31T22:00:00Z', '2026-08-01T21:59:59Z', 1],
    ['is a week', '2026-08-01T00:00:00Z', '2026-08-07T23:59:59Z', 7],
    ['ends when it begins', '2026-08-01T00:00:00Z', '2026-08-01T00:00:00Z', 1],
    ['ends before it begins', '2026-08-01T00:00:00Z', '2026-07-01T00:00:00Z', 1],
    ['lasts for thousands of years', '2026-08-01T00:00:00Z', '8999-01-01T00:00:00Z', 1],
  ])('[RPT-6] cover the days of a range that %s', (_, start, end, covered) => {
    const dateRange = { start: new Date(start), end: new Date(end) }
    const [first] = only(assess([{ ...report(1, [policy()]), dateRange }])).policies
    expect(first).toMatchObject({ sessions: 90, days: { first: '2026-08-01', covered } })
  })

  it.each<[string, object, number]>([
    ['the last ten days', { days: 10 }, 10],
    [
      'the ten days before a date, and that day',
      { days: 10, now: new Date(FIRST + 19.5 * DAY) },
      11,
    ],
    ['the ten days before a number', { days: 10, now: FIRST + 19.5 * DAY }, 11],
    ['the ten days before a clock', { days: 10, now: () => FIRST + 19.5 * DAY }, 11],
    ['everything', {}, 30],
  ])('accept %s', (_, options, days) => {
    const [first] = only(
      assess(
        month(30, () => [policy()]),
        options,
      ),
    ).policies
    expect(first?.days.covered).toBe(days)
  })

  it('bound the groups, and count the rest by its type', () => {
    const failures = Array.from({ length: 3000 }, (_, index) => ({
      receivingMxHostname: `mx${index}.bob.example`,
      failedSessionCount: 1,
    }))
    const [first] = only(assess([report(1, [policy(failures)])])).policies
    expect(first?.failures).toHaveLength(1001)
    expect(first?.failures[0]).toMatchObject({ mxHost: undefined, sessions: 2000 })
    expect(first?.refused).toBe(3000)
  })

  it('are empty without reports', () => {
    expect(assess([])).toEqual([])
    expect(assess([], { days: 30 })).toEqual([])
  })
})

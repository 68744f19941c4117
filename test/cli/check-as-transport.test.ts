/**
 * `check` and the transport meet the same faults of the mail world, with nothing cached and with the
 * policy cached: both come to the same outcome, host, result type and reason.
 */
import { describe, expect, it } from 'vitest'
import {
  DANE_FAULTS,
  type DaneFault,
  type DnsPlace,
  FAULTS,
  type MailDomain,
  type MxFault,
  type PolicyHostFault,
} from '../../src/testing/index.js'
import { contradictions, type Outcome, type Prediction } from './predicted.js'
import { byCheck, bySender, memoryStore, type Sending } from './sent.js'
import { useWorld } from './support.js'

const stage = useWorld()

const MODES = ['enforce', 'testing', 'none', undefined] as const
type Mode = (typeof MODES)[number]

const domainOf = (mode: Mode) => stage.domain(mode === undefined ? {} : { mode })

/** The outcome of `check` and that of the transport, each with its own copy of what is cached. */
async function both(
  domain: MailDomain,
  options: Partial<Sending> = {},
): Promise<{ checked: Prediction; sent: Outcome }> {
  const sending = { stage, domain: domain.name, store: memoryStore(), ...options }
  const checked = await byCheck(sending)
  const { outcome: sent } = await bySender(sending)
  return { checked, sent }
}

function expectSame({ checked, sent }: { checked: Prediction; sent: Outcome }, mode: Mode): void {
  const { status: _, text: __, ...predicted } = checked
  // Without a policy a sender notes failures that no policy asked for; no report has them
  const silent = mode === 'none' || mode === undefined
  const failures = silent && checked.failures.length === 0 ? [] : sent.failures
  expect(predicted).toEqual({ ...sent, failures })
  expect(contradictions(checked, { ...sent, failures })).toEqual([])
}

/** Sends a first message, and returns the store that holds the policy then. */
async function warm(domain: MailDomain, withDane = false) {
  const store = memoryStore()
  const { outcome } = await bySender({ stage, domain: domain.name, store, withDane })
  expect(outcome.outcome).toBe('reached')
  return store
}

const MX_FAULTS: ReadonlyArray<[string, MxFault]> = [
  ...FAULTS.mx.map(({ name }): [string, MxFault] => [name, name]),
  ['EHLO answered 502', { at: 'ehlo', reply: '502 5.5.1 What?' }],
  ['EHLO answered 421', { at: 'ehlo', reply: '421 4.3.2 Later' }],
  ['greeting 554', { at: 'greeting', reply: '554 5.7.1 Go away' }],
  [
    'greeting of many lines',
    { at: 'greeting', reply: `421 Later\r\n${'421 x\r\n'.repeat(9)}421 y` },
  ],
]

const POLICY_FAULTS: ReadonlyArray<[string, PolicyHostFault]> = [
  ...FAULTS.policyHost.map(({ name }): [string, PolicyHostFault] => [name, name]),
  ['status 201', { status: 201 }],
  ['no type', { headers: { 'content-type': '' } }],
]

const PLACES: readonly DnsPlace[] = ['mx', 'policy-host', 'mx-hosts']
const LOOKUP_FAULTS = ['nxdomain', 'servfail', 'timeout', 'refused', 'cname-chain'] as const

type Breaks = (domain: MailDomain) => void

const DNS_FAULTS: ReadonlyArray<[string, Breaks]> = [
  ...FAULTS.dns.map(({ name }): [string, Breaks] => [name, ({ dns }) => dns.fails(name)]),
  ...LOOKUP_FAULTS.flatMap((fault) =>
    PLACES.map((place): [string, Breaks] => [
      `${fault} at ${place}`,
      ({ dns }) => dns.fails(fault, place),
    ]),
  ),
]

describe.concurrent.each(MODES)('mode %s: check predicts the delivery', (mode) => {
  it.each(MX_FAULTS)('to an MX host with the fault %s', async (_, fault) => {
    const domain = domainOf(mode)
    domain.mx().fails(fault)
    expectSame(await both(domain), mode)
  })
})

describe.concurrent.each(['enforce', undefined] as const)('mode %s: check predicts', (mode) => {
  it.each(DNS_FAULTS)('the delivery to a domain with the DNS fault %s', async (_, breaks) => {
    const domain = domainOf(mode)
    breaks(domain)
    expectSame(await both(domain), mode)
  })
})

describe.concurrent('nothing cached: check predicts the delivery', () => {
  it.each(POLICY_FAULTS)('with the policy host fault %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(fault)
    expectSame(await both(domain), 'none')
  })
})

describe.concurrent('the policy cached: check predicts the delivery', () => {
  it.each(MX_FAULTS)('to an MX host with the fault %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    domain.mx().fails(fault)
    expectSame(await both(domain, { store }), 'enforce')
  })

  it.each(POLICY_FAULTS)('with a new id and the policy host fault %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    domain.policy({ mode: 'none' })
    domain.policyHost.fails(fault)
    domain.mx().fails('expired')
    const outcomes = await both(domain, { store })
    expect(outcomes.checked.outcome).toBe('refused')
    expectSame(outcomes, 'enforce')
  })

  it.each(DNS_FAULTS)('of a domain with the DNS fault %s', async (_, breaks) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    domain.mx().fails('expired')
    breaks(domain)
    expectSame(await both(domain, { store }), 'enforce')
  })

  it.each<[string, Breaks]>([
    ['whose record is gone', (domain) => domain.policy(null)],
    [
      'whose policy has mode none under the old id',
      (domain) => domain.policy({ mode: 'none', ...(domain.id && { id: domain.id }) }),
    ],
    [
      'whose policy names another host under the old id',
      (domain) =>
        domain.policy({ patterns: ['other.example'], ...(domain.id && { id: domain.id }) }),
    ],
  ])('of a domain %s', async (_, breaks) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    breaks(domain)
    domain.mx().fails('self-signed')
    const outcomes = await both(domain, { store })
    expect(outcomes.checked.outcome).toBe('refused')
    expectSame(outcomes, 'enforce')
  })
})

const DANE_NAMES: ReadonlyArray<DaneFault | undefined> = [
  undefined,
  ...DANE_FAULTS.map(({ name }) => name),
]

/** Faults that DANE judges otherwise than MTA-STS does, and one without TLS. */
const BESIDE_DANE = [undefined, 'unknown-authority', 'no-starttls', 'unreachable'] as const
type BesideDane = (typeof BESIDE_DANE)[number]

/** Modes `testing` and `none` leave the decision to DANE, as no policy does. */
const DANE_CELLS: ReadonlyArray<[Mode, BesideDane]> = [
  ...BESIDE_DANE.flatMap(
    (fault): Array<[Mode, BesideDane]> => [
      ['enforce', fault],
      [undefined, fault],
    ],
  ),
  ['testing', 'unknown-authority'],
  ['none', 'unknown-authority'],
]

describe.concurrent('with DANE: check predicts the delivery', () => {
  describe.each(DANE_CELLS)('under mode %s to an MX host with the fault %s', (mode, fault) => {
    it.each(DANE_NAMES)('and the DANE fault %s', async (fails) => {
      const domain = domainOf(mode)
      domain.dane(fails === undefined ? {} : { fails })
      if (fault !== undefined) domain.mx().fails(fault)
      expectSame(await both(domain, { withDane: true }), mode)
    })
  })
})

describe.concurrent('the policy cached, with DANE: check predicts the delivery', () => {
  it.each(DANE_FAULTS.map(({ name }) => name))('with the DANE fault %s', async (fails) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dane()
    const store = await warm(domain, true)
    domain.dane({ fails })
    expectSame(await both(domain, { store, withDane: true }), 'enforce')
  })
})

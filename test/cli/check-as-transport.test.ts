/**
 * `check` and the transport meet the same faults, with nothing cached and with the policy cached:
 * both come to the same outcome, host, result type and reason.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { join } from 'node:path'
import nodemailer from 'nodemailer'
import { describe, expect, it } from 'vitest'
import { openRun } from '../../src/cli/check/command.js'
import { examine } from '../../src/cli/check/examine.js'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { DeliveryRefusedError } from '../../src/index.js'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import {
  type DnsFault,
  FAULTS,
  type MailDomain,
  type MxFault,
  type PolicyHostFault,
} from '../../src/testing/index.js'
import type { TlsFailure } from '../../src/tls/failures.js'
import { useWorld } from './support.js'

const stage = useWorld()

/** All timeouts, of the sender and of the command, in milliseconds. */
const PATIENCE = 2500

/** What became of a message, or would become of it. */
interface Outcome {
  /** `reached`: a host that proved what it had to was given MAIL */
  outcome: 'reached' | 'refused' | 'deferred' | 'bounced'
  /** Of the MX hosts: `mx.example certificate-expired` */
  failures: string[]
  /** Of the policy: `sts-policy-fetch-error timeout` */
  policyFailure: string | undefined
}

function memoryStore(): PolicyStore {
  const entries = new Map<string, StoredPolicy>()
  return {
    get: async (domain) => entries.get(domain),
    set: async (domain, entry) => void entries.set(domain, entry),
    delete: async (domain) => void entries.delete(domain),
  }
}

const words = ({ mxHost, resultType, reason }: Partial<TlsFailure>) =>
  [mxHost, resultType, reason].filter(Boolean).join(' ')

async function byTransport(domain: MailDomain, store: PolicyStore): Promise<Outcome> {
  const policyFailures: TlsFailure[] = []
  const onFailure = (message: unknown) => {
    const { policyDomain, failure } = message as { policyDomain: string; failure: TlsFailure }
    if (policyDomain === domain.name) policyFailures.push(failure)
  }
  subscribe('mta-sts:policy-failure', onFailure)
  const transporter = nodemailer.createTransport(
    mtaStsTransport({
      ...stage.world.options(),
      ...{ store, maxMessages: 1, recheckInterval: 0, refreshInterval: 0 },
      ...{ fetchTimeout: PATIENCE, connectionTimeout: PATIENCE, socketTimeout: PATIENCE },
      greetingTimeout: PATIENCE,
    }),
  )
  const before = new Set(connectionsOf(domain))
  try {
    const message = { from: 'me@sender.example', to: `you@${domain.name}`, text: 'Hello!' }
    const sent = await transporter.sendMail(message).then(
      ({ deliveries }) => ({ failures: deliveries.flatMap(({ failures }) => failures) }),
      (error) => ({ error }),
    )
    const reached = connectionsOf(domain)
      .filter((connection) => !before.has(connection))
      .some(({ mailFrom }) => mailFrom !== undefined)
    const error = 'error' in sent ? sent.error : undefined
    const failures = 'failures' in sent ? sent.failures : failuresOf(error)
    return {
      outcome: reached ? 'reached' : outcomeOf(error),
      failures: failures.map(words),
      policyFailure: policyFailures.map(words)[0],
    }
  } finally {
    transporter.close()
    unsubscribe('mta-sts:policy-failure', onFailure)
  }
}

function connectionsOf(domain: MailDomain) {
  const hosts = [...new Set([domain.mx(), stage.world.mx('mx.attacker.example')])]
  return hosts.flatMap(({ connections }) => connections)
}

function outcomeOf(error: unknown): Outcome['outcome'] {
  if (error instanceof DeliveryRefusedError) return 'refused'
  const permanent = error instanceof Error && 'permanent' in error && error.permanent === true
  return permanent ? 'bounced' : 'deferred'
}

function failuresOf(error: unknown): readonly TlsFailure[] {
  const { deliveries = [] } = error as { deliveries?: Array<{ failures: TlsFailure[] }> }
  return deliveries.flatMap(({ failures }) => failures)
}

async function byCheck(domain: MailDomain, store: PolicyStore): Promise<Outcome> {
  const { resolver, connect, now } = stage.world.options()
  const write = () => undefined
  const timeouts = { fetch: PATIENCE, connection: PATIENCE, reply: PATIENCE }
  const context = {
    stdout: { write },
    stderr: { write },
    env: {},
    resolver,
    connect,
    now,
    timeouts,
  }
  const values = { connect: true, ca: join(stage.folder, 'ca.pem') }
  const run = await openRun(values, context, store)
  const report = await examine(domain.name, run, { onStep: () => undefined })
  const stored = report.held?.source === 'store'
  const { status } = stored && report.held !== null ? report.held : report.verdict
  const mode = stored ? report.held?.mode : report.verdict.mode
  return {
    outcome: predicted(status, report),
    failures: mode === 'enforce' || mode === 'testing' ? problemsOf(report) : [],
    policyFailure: stored ? reportedBy(report) : policyProblem(report),
  }
}

/** Of a domain with one MX host. */
function predicted(status: CheckReport['verdict']['status'], { mx, policy }: CheckReport) {
  // While a policy is known, a null MX may be forged
  if (mx.status === 'null-mx') return policy?.valid ? 'deferred' : 'bounced'
  if (mx.status === 'no-domain') return 'bounced'
  const [host] = mx.hosts
  if (status === 'refused') return 'refused'
  // A host that does not even greet is tried again later, whatever the policy says
  if (host === undefined || host.outcome === 'unknown') return 'deferred'
  return 'reached'
}

function problemsOf({ mx }: CheckReport): string[] {
  return mx.hosts.flatMap(({ host, problem, sessions }) => {
    const faults = problem === null ? (sessions ?? []).map((one) => one.problem) : [problem]
    return faults.flatMap((fault) => (fault === null ? [] : [`${host} ${named(fault)}`]))
  })
}

const named = ({ resultType, reason }: { resultType: string | null; reason: string | null }) =>
  [resultType, reason].filter(Boolean).join(' ')

function policyProblem({ record, policyHost }: CheckReport): string | undefined {
  if (record.resultType !== null) return named(record)
  if (record.status !== 'found') return undefined
  const problem = policyHost?.problem ?? policyHost?.addresses[0]?.problem
  return problem ? named(problem) : undefined
}

function reportedBy({ held }: CheckReport): string | undefined {
  return held?.problem ? named(held.problem) : undefined
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

const MODES = ['enforce', 'testing', 'none', undefined] as const

describe.each(MODES)('an MX host under mode %s', (mode) => {
  it.each(MX_FAULTS)('%s', async (_, fault) => {
    const domain = stage.domain(mode === undefined ? {} : { mode })
    domain.mx().fails(fault)
    const checked = await byCheck(domain, memoryStore())
    const sent = await byTransport(domain, memoryStore())
    // Without a policy a sender records what it meets in front of TLS only, and reports nothing
    const failures = mode === 'enforce' || mode === 'testing' ? sent.failures : []
    expect(checked).toEqual({ ...sent, failures })
  })
})

describe('nothing cached', () => {
  it.each(POLICY_FAULTS)('a policy host: %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(fault)
    expect(await byCheck(domain, memoryStore())).toEqual(await byTransport(domain, memoryStore()))
  })

  it.each(FAULTS.dns.map(({ name }): [string, DnsFault] => [name, name]))(
    'the DNS: %s',
    async (_, fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dns.fails(fault)
      const checked = await byCheck(domain, memoryStore())
      expect(checked).toEqual(await byTransport(domain, memoryStore()))
    },
  )
})

describe('the policy cached', () => {
  async function warm(domain: MailDomain): Promise<PolicyStore> {
    const store = memoryStore()
    expect((await byTransport(domain, store)).outcome).toBe('reached')
    return store
  }

  it.each(MX_FAULTS)('an MX host: %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    domain.mx().fails(fault)
    expect(await byCheck(domain, store)).toEqual(await byTransport(domain, store))
  })

  it.each(POLICY_FAULTS)('a new id, and a policy host: %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const store = await warm(domain)
    domain.policy({ mode: 'none' })
    domain.policyHost.fails(fault)
    domain.mx().fails('expired')
    const checked = await byCheck(domain, store)
    expect(checked.outcome).toBe('refused')
    expect(checked).toEqual(await byTransport(domain, store))
  })

  it.each(FAULTS.dns.map(({ name }): [string, DnsFault] => [name, name]))(
    'the DNS: %s',
    async (_, fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      const store = await warm(domain)
      domain.mx().fails('expired')
      domain.dns.fails(fault)
      expect(await byCheck(domain, store)).toEqual(await byTransport(domain, store))
    },
  )

  it('a record that is gone, a policy of mode none without a new id', async () => {
    for (const breaks of [
      (domain: MailDomain) => domain.policy(null),
      (domain: MailDomain) => domain.policy({ mode: 'none', ...(domain.id && { id: domain.id }) }),
    ]) {
      const domain = stage.domain({ mode: 'enforce' })
      const store = await warm(domain)
      breaks(domain)
      domain.mx().fails('self-signed')
      const checked = await byCheck(domain, store)
      expect(checked.outcome).toBe('refused')
      expect(checked).toEqual(await byTransport(domain, store))
    }
  })
})

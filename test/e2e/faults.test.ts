/**
 * Every fault of the world's table in every mode: the outcome, the failure, and what the MX host
 * received.
 */
import { describe, expect, test } from 'vitest'
import { DeliveryRefusedError } from '../../src/index.js'
import {
  FAULTS,
  type FaultDescription,
  type NamedMxFault,
  type NamedPolicyHostFault,
} from '../../src/testing/index.js'
import {
  deliver,
  errorOf,
  expectReachedWithoutLeak,
  failureTexts,
  messageTo,
  only,
  refusal,
  useWorld,
} from './support.js'

const stage = useWorld()

type Mode = 'enforce' | 'testing' | 'none' | undefined

/** Faults before TLS is active; a sender without a policy sees them too, but goes on. */
const BEFORE_TLS: ReadonlySet<NamedMxFault> = new Set([
  'no-starttls',
  'starttls-454',
  'starttls-502',
  'tls-1.1',
  'handshake-reset',
  'handshake-plaintext',
  'client-certificate',
  'response-injection',
  'response-fragment',
])

/** Faults that make the connection unusable: another one follows in plaintext. */
const NEW_CONNECTION: ReadonlySet<NamedMxFault> = new Set(
  [...BEFORE_TLS].filter((fault) => fault !== 'no-starttls'),
)

/** The recorded failure under this mode. */
function failureOf(fault: FaultDescription<NamedMxFault>, mode: Mode): string[] {
  const { name, resultType, reason } = fault
  if (resultType === undefined) return []
  if (mode !== 'enforce' && mode !== 'testing' && !BEFORE_TLS.has(name)) return []
  return [[resultType, reason].filter(Boolean).join(' ')]
}

/** A host that stalls needs a scripted clock: see stall.test.ts */
const MX_FAULTS = FAULTS.mx.filter(({ name }) => name !== 'handshake-stall')

const MODES: readonly Mode[] = ['enforce', 'testing', 'none', undefined]
const RULES = { enforce: '[STS-42]', testing: '[STS-43]', none: '[STS-44]' } as const

describe.concurrent.each(MODES)('an MX host under the mode %s', (mode) => {
  const rule = mode === undefined ? '[STS-24]' : RULES[mode]
  const options = mode === undefined ? {} : { mode }

  test.each(MX_FAULTS)(`${rule} $name`, async (fault) => {
    const domain = stage.domain(options)
    const mx = domain.mx()
    mx.fails(fault.name)
    const sender = stage.sender()
    const failures = failureOf(fault, mode).map((text) => `${mx.name} ${text}`)

    if (fault.outcome === 'deferred') {
      const error = await errorOf(sender.sendMail(messageTo(domain)))
      expect(error).not.toBeInstanceOf(DeliveryRefusedError)
      expect(error.permanent ?? false).toBe(false)
      expect(only(error.deliveries ?? [])).toMatchObject({ status: 'failed', failures: [] })
      expect(domain.inbox).toEqual([])
    } else if (fault.outcome === 'refused' && mode === 'enforce') {
      const error = await refusal(sender, domain)
      expect(failureTexts(error.failures)).toEqual(failures)
      expect(mx.connections).toHaveLength(1)
      expectReachedWithoutLeak(mx)
    } else {
      const delivery = await deliver(sender, domain)
      expect(delivery).toMatchObject({ status: 'delivered', mode: mode ?? 'none' })
      expect(failureTexts(delivery.failures)).toEqual(failures)
      expect(delivery.proved).toBe(mode === 'enforce' ? 'sts' : 'nothing')
      expect(domain.inbox).toHaveLength(1)
      // In TLS where possible; in plaintext on a connection without TLS
      const encrypted = !BEFORE_TLS.has(fault.name)
      expect(delivery.tls !== false).toBe(encrypted)
      expect(only(domain.inbox).tls !== false).toBe(encrypted)
      const sessions = mx.connections.map(({ mailFrom }) => mailFrom !== undefined)
      expect(sessions).toEqual(NEW_CONNECTION.has(fault.name) ? [false, true] : [true])
    }
  })
})

/** The record exists, and the file cannot be fetched: no policy, unless one is cached. */
describe.concurrent('a policy host that fails', () => {
  test.each(FAULTS.policyHost)(
    '[STS-24] $name, nothing cached: delivers as without a policy',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.policyHost.fails(fault.name)
      domain.mx().fails('wrong-name')

      const delivery = await deliver(patient(fault.name), domain)

      expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', proved: 'nothing' })
      expect(delivery).not.toHaveProperty('policyId')
      expect(domain.inbox).toHaveLength(1)
    },
  )

  test.each(FAULTS.policyHost)(
    '[STS-23] $name, for a new id: the cached policy refuses',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      const sender = patient(fault.name)
      await deliver(sender, domain)
      const { id } = domain
      domain.inbox.splice(0)

      domain.policy({ mode: 'none' })
      domain.policyHost.fails(fault.name)
      domain.mx().fails('wrong-name')
      const error = await refusal(sender, domain)

      expect(failureTexts(error.failures)).toEqual([
        `${domain.mx().name} certificate-host-mismatch`,
      ])
      expect(error).toMatchObject({ mode: 'enforce', policyId: id })
      expect(domain.mx().connections.map(({ mailFrom }) => mailFrom !== undefined)).toEqual([
        true,
        false,
      ])
    },
  )

  const patient = (fault: NamedPolicyHostFault) =>
    fault === 'drip' ? stage.sender({ fetchTimeout: 1000 }) : stage.sender()
})

describe.concurrent('a TXT record that fails', () => {
  const faults = FAULTS.dns.filter(({ plays }) => plays.includes('TXT'))
  const useless = faults.filter(({ name }) => !['split-strings', 'cname-chain'].includes(name))

  test.each(useless)(
    '[STS-24] $name, nothing cached: delivers as without a policy',
    async ({ name }) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dns.fails(name)
      domain.mx().fails('wrong-name')

      const delivery = await deliver(stage.sender(), domain)

      expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', proved: 'nothing' })
      expect(domain.inbox).toHaveLength(1)
    },
  )

  test.each(useless)('[STS-22] $name: the cached policy refuses', async ({ name }) => {
    const domain = stage.domain({ mode: 'enforce' })
    await deliver(stage.sender(), domain)
    domain.inbox.splice(0)

    domain.dns.fails(name)
    domain.mx().fails('wrong-name')
    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} certificate-host-mismatch`])
    expect(error).toMatchObject({ mode: 'enforce', policyId: domain.id })
  })

  test.each(faults.filter((fault) => !useless.includes(fault)))(
    '[STS-1] [STS-2] $name: the policy is found, and refuses',
    async ({ name }) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dns.fails(name)
      domain.mx().fails('wrong-name')

      const error = await refusal(stage.sender(), domain)

      expect(error).toMatchObject({ mode: 'enforce', policyId: domain.id })
      expectReachedWithoutLeak(domain.mx())
    },
  )
})

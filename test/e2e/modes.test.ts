/** The deliveries that each mode allows (RFC 8461 §5), and the operator's own demands. */
import { describe, expect, test } from 'vitest'
import type { MtaStsTransportOptions } from '../../src/nodemailer/index.js'
import type { NamedMxFault } from '../../src/testing/index.js'
import {
  deliver,
  expectNoLeak,
  expectReachedWithoutLeak,
  failureTexts,
  only,
  refusal,
  useWorld,
} from './support.js'

const stage = useWorld()

describe('testing', () => {
  test('[STS-43] retries a failed handshake once in plaintext on a new connection', async () => {
    const domain = stage.domain({ mode: 'testing' })
    const mx = domain.mx()
    mx.fails('handshake-reset')

    const delivery = await deliver(stage.sender(), domain)

    const failure = only(delivery.failures)
    expect(failure).toMatchObject({
      resultType: 'validation-failure',
      reason: 'handshake-failed',
      mxHost: mx.name,
      address: mx.ipv4,
    })
    expect(failure.cause).toBeInstanceOf(Error)
    expect(delivery).toMatchObject({ mode: 'testing', tls: false, mxHost: mx.name })
    const [first, second, ...others] = mx.connections
    expect(others).toEqual([])
    expect(first?.lines.filter(({ from }) => from === 'client').map(({ text }) => text)).toEqual([
      'EHLO sender.example',
      'STARTTLS',
    ])
    expect(second?.lines.map(({ text }) => text)).not.toContain('STARTTLS')
    expect(second?.mailFrom).toBeDefined()
    expect(domain.inbox).toHaveLength(1)
  })

  test('[STS-43] delivers to an MX host outside the policy, and records it', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.dns.fails('spoofed-mx')
    const attacker = stage.world.mx('mx.attacker.example')
    const before = attacker.inbox.length

    const delivery = await deliver(stage.sender(), domain)

    expect(failureTexts(delivery.failures)).toEqual([
      'mx.attacker.example validation-failure mx-mismatch',
    ])
    expect(attacker.inbox).toHaveLength(before + 1)
  })

  test('[STS-43] records two faults of one host', async () => {
    const domain = stage.domain({ mode: 'testing', patterns: ['mx.elsewhere.example'] })
    const mx = domain.mx()
    mx.fails('expired')

    const delivery = await deliver(stage.sender(), domain)

    expect(failureTexts(delivery.failures)).toEqual([
      `${mx.name} validation-failure mx-mismatch`,
      `${mx.name} certificate-expired`,
    ])
  })

  test('[STS-43] judges the second MX host as well when the first one refuses the message', async () => {
    const domain = stage.domain({ mode: 'testing', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('unreachable')
    domain.mx('mx2').fails('self-signed')

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery.mxHost).toBe(domain.mx('mx2').name)
    expect(failureTexts(delivery.failures)).toEqual([
      `${domain.mx('mx2').name} certificate-not-trusted self-signed`,
    ])
  })

  test('[STS-43] records nothing without a fault', async () => {
    const domain = stage.domain({ mode: 'testing' })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mode: 'testing', policyId: domain.id, failures: [] })
    expect(delivery.tls).toMatchObject({ version: 'TLSv1.3' })
  })
})

describe('none', () => {
  test('[STS-44] does not compare hosts with a policy of mode none', async () => {
    const domain = stage.domain({ mode: 'none', patterns: ['mx.elsewhere.example'] })
    domain.mx().fails('wrong-name')

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', failures: [] })
    expect(domain.inbox).toHaveLength(1)
  })
})

describe('minimumSecurity', () => {
  const PLAINTEXT_ONLY: Array<[NamedMxFault, string]> = [
    ['no-starttls', 'starttls-not-supported not-offered'],
    ['starttls-454', 'starttls-not-supported refused'],
    ['handshake-reset', 'validation-failure handshake-failed'],
    ['tls-1.1', 'validation-failure tls-version'],
  ]

  test.each(PLAINTEXT_ONLY)('encrypted, without a policy: refuses %s', async (fault, failure) => {
    const domain = stage.domain()
    domain.mx().fails(fault)

    const error = await refusal(stage.sender({ minimumSecurity: 'encrypted' }), domain)

    expect(error).toMatchObject({ mode: 'none', policyId: undefined })
    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} ${failure}`])
    expect(domain.mx().connections).toHaveLength(1)
    expectNoLeak(domain.mx())
  })

  test.each<NamedMxFault>(['wrong-name', 'expired', 'unknown-authority'])(
    'encrypted, without a policy: demands no proof of %s',
    async (fault) => {
      const domain = stage.domain()
      domain.mx().fails(fault)

      const delivery = await deliver(stage.sender({ minimumSecurity: 'encrypted' }), domain)

      expect(delivery).toMatchObject({ mode: 'none', proved: 'nothing', failures: [] })
      expect(delivery.tls).toMatchObject({ version: 'TLSv1.3' })
    },
  )

  test('[STS-43] encrypted, under testing: delivers despite the certificate', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('expired')

    const delivery = await deliver(stage.sender({ minimumSecurity: 'encrypted' }), domain)

    expect(failureTexts(delivery.failures)).toEqual([`${domain.mx().name} certificate-expired`])
    expect(only(domain.inbox).tls).not.toBe(false)
  })

  test('encrypted, under testing: refuses plaintext, as the operator demands TLS', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('handshake-reset')

    const error = await refusal(stage.sender({ minimumSecurity: 'encrypted' }), domain)

    expect(error.mode).toBe('testing')
    expect(domain.mx().connections).toHaveLength(1)
    expectNoLeak(domain.mx())
  })

  test.each<[NamedMxFault, string]>([
    ['wrong-name', 'certificate-host-mismatch'],
    ['expired', 'certificate-expired'],
    ['no-starttls', 'starttls-not-supported not-offered'],
  ])('authenticated, without a policy: refuses %s', async (fault, failure) => {
    const domain = stage.domain()
    domain.mx().fails(fault)

    const error = await refusal(stage.sender({ minimumSecurity: 'authenticated' }), domain)

    expect(error).toMatchObject({ mode: 'none', policyId: undefined })
    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} ${failure}`])
    expectReachedWithoutLeak(domain.mx())
  })

  test('authenticated, without a policy: delivers to a host that proves its name', async () => {
    const domain = stage.domain()

    const delivery = await deliver(stage.sender({ minimumSecurity: 'authenticated' }), domain)

    expect(delivery).toMatchObject({ mode: 'none', proved: 'sts', failures: [] })
  })

  test('encrypted, with two MX hosts: skips the one without TLS', async () => {
    const domain = stage.domain({ mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('no-starttls')

    const delivery = await deliver(stage.sender({ minimumSecurity: 'encrypted' }), domain)

    expect(delivery.mxHost).toBe(domain.mx('mx2').name)
    expectReachedWithoutLeak(domain.mx('mx1'))
  })
})

describe('a refusal', () => {
  /** Options of Nodemailer's SMTP transport that allow delivery without a proof. */
  const LOOSER: Array<Record<string, unknown>> = [
    { tls: { rejectUnauthorized: false } },
    { tls: { rejectUnauthorized: false, checkServerIdentity: () => undefined } },
    { rejectUnauthorized: false },
    { opportunisticTLS: true },
    { ignoreTLS: true },
    { requireTLS: false },
    { secure: false },
    { secured: true },
    { servername: 'wrong-name.example' },
    { host: 'wrong-name.example' },
  ]

  test.each(LOOSER)('[STS-49] is not overridden by the option %o, which is refused', (looser) => {
    const [name = ''] = Object.keys(looser)
    const options: MtaStsTransportOptions = { ...looser }
    expect(() => stage.sender(options)).toThrow(TypeError)
    expect(() => stage.sender(options)).toThrow(`"${name}"`)
  })

  test('[STS-49] is not overridden by the option minimumSecurity', async () => {
    const options = { minimumSecurity: 'opportunistic' } as const
    for (const fault of ['wrong-name', 'no-starttls', 'starttls-454'] as const) {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(fault)

      await refusal(stage.sender(options), domain)

      expectReachedWithoutLeak(domain.mx())
    }
  })

  test('[STS-49] is not overridden by a header of the message', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('self-signed')
    const looser: object = {
      tls: { rejectUnauthorized: false },
      envelope: {
        from: 'me@sender.example',
        to: [`you@${domain.name}`],
        requireTLS: false,
        ignoreTLS: true,
      },
      ignoreTLS: true,
    }

    await refusal(stage.sender(), domain, looser)

    expectReachedWithoutLeak(domain.mx())
  })

  test('[STS-49] is not overridden by a lower minimum', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')

    for (const minimumSecurity of ['opportunistic', 'encrypted'] as const) {
      await refusal(stage.sender({ minimumSecurity }), domain)
    }

    expectReachedWithoutLeak(domain.mx())
  })

  test('[STS-49] applies to every address of a host', async () => {
    const other = stage.world.mx(`other.${stage.unusedName()}`)
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    mx.fails('starttls-502')
    stage.world.dns.set(mx.name, 'A', [mx.ipv4, other.ipv4])

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures).sort()).toEqual([
      `${mx.name} certificate-host-mismatch`,
      `${mx.name} starttls-not-supported refused`,
    ])
    expect(error.failures.map(({ address }) => address).sort()).toEqual(
      [mx.ipv4, other.ipv4].sort(),
    )
    expectReachedWithoutLeak(mx)
    expectReachedWithoutLeak(other)
  })
})

/** The proof that an MX host must give under `enforce` (RFC 8461 §4); nothing leaks without it. */
import { describe, expect, test } from 'vitest'
import type { MailDomain, NamedMxFault } from '../../src/testing/index.js'
import {
  deliver,
  expectNoLeak,
  expectReachedWithoutLeak,
  failureTexts,
  last,
  only,
  refusal,
  useWorld,
} from './support.js'

const stage = useWorld()

/** Checks with a delivery without a policy that the host would accept the message. */
async function wouldTakeIt(domain: MailDomain): Promise<void> {
  await deliver(stage.sender({ overrides: { [domain.name]: 'off' } }), domain)
  expect(domain.mx().inbox).toHaveLength(1)
}

/** A domain in `enforce` whose only MX host has this fault is refused, and nothing leaks. */
async function expectRefused(fault: NamedMxFault, failure: string): Promise<MailDomain> {
  const domain = stage.domain({ mode: 'enforce' })
  const mx = domain.mx()
  mx.fails(fault)
  const error = await refusal(stage.sender(), domain)
  expect(failureTexts(error.failures)).toEqual([`${mx.name} ${failure}`])
  expect(only(error.failures).address).toBe(mx.ipv4)
  expect(error).toMatchObject({ mode: 'enforce', policyId: domain.id })
  expectReachedWithoutLeak(mx)
  await wouldTakeIt(domain)
  return domain
}

describe('the name of the MX host', () => {
  test('[STS-34] outside the policy prevents even the connection', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('spoofed-mx')
    const attacker = stage.world.mx('mx.attacker.example')

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([
      'mx.attacker.example validation-failure mx-mismatch',
    ])
    expect(error).toMatchObject({ mode: 'enforce', policyId: domain.id })
    expect(attacker.connections).toEqual([])
    // It has a valid certificate for its own name, and accepts everything
    await deliver(stage.sender({ overrides: { [domain.name]: 'off' } }), domain)
    expect(attacker.inbox).toHaveLength(1)
  })

  interface Match {
    pattern: string
    mx: string
    matches: boolean
  }

  /** `D` stands for the domain's own name. */
  test.each<Match>([
    { pattern: 'mx.D', mx: 'mx.D', matches: true },
    { pattern: 'MX.D', mx: 'mx.D', matches: true },
    { pattern: '*.D', mx: 'mx.D', matches: true },
    { pattern: '*.D', mx: 'a.mx.D', matches: false },
    { pattern: '*.mx.D', mx: 'mx.D', matches: false },
    { pattern: 'mx.D', mx: 'a.mx.D', matches: false },
    { pattern: 'mx.D', mx: 'evilmx.D', matches: false },
    { pattern: 'x.D', mx: 'mx.D', matches: false },
    { pattern: 'mx.D', mx: 'mx.D.attacker.example', matches: false },
  ])('[STS-34] mx: $pattern and the MX host $mx: $matches', async ({ pattern, mx, matches }) => {
    const name = stage.unusedName()
    const inDomain = (text: string) => text.replace('D', name)
    const domain = stage.world.domain(name, {
      mode: 'enforce',
      mx: [inDomain(mx)],
      patterns: [inDomain(pattern)],
    })
    if (matches) {
      const delivery = await deliver(stage.sender(), domain)
      expect(delivery).toMatchObject({ mxHost: inDomain(mx), proved: 'sts', failures: [] })
      expect(domain.inbox).toHaveLength(1)
      return
    }
    const error = await refusal(stage.sender(), domain)
    expect(failureTexts(error.failures)).toEqual([`${inDomain(mx)} validation-failure mx-mismatch`])
    expect(domain.mx().connections).toEqual([])
    await wouldTakeIt(domain)
  })

  test('[STS-34] in capitals names the same host', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const exchange = domain.mx().name.toUpperCase()
    stage.world.dns.set(domain.name, 'MX', [{ preference: 10, exchange }])

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: domain.mx().name, proved: 'sts' })
  })

  test('[STS-35] is compared with the policy, not the target of its CNAME', async () => {
    const fleet = stage.world.mx(`mx.${stage.unusedName()}`)
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx().name
    stage.world.dns.set(mx, 'CNAME', [fleet.name])
    fleet.certificate({ san: [`DNS:${mx}`] })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: mx, address: fleet.ipv4, proved: 'sts' })
    expect(only(fleet.connections).servername).toBe(mx)
    expect(fleet.inbox).toHaveLength(1)
  })

  test('[STS-35] is refused if the policy names only the target of its CNAME', async () => {
    const fleet = stage.world.mx(`mx.${stage.unusedName()}`)
    const domain = stage.domain({ mode: 'enforce', patterns: [fleet.name] })
    stage.world.dns.set(domain.mx().name, 'CNAME', [fleet.name])

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} validation-failure mx-mismatch`,
    ])
    expect(fleet.connections).toEqual([])
  })

  test('[STS-35] is not proved by a certificate for the target of its CNAME', async () => {
    const fleet = stage.world.mx(`mx.${stage.unusedName()}`)
    const domain = stage.domain({ mode: 'enforce' })
    stage.world.dns.set(domain.mx().name, 'CNAME', [fleet.name])

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} certificate-host-mismatch`])
    expectReachedWithoutLeak(fleet)
  })

  test('[STS-35] is the domain itself without an MX record', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: [] })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({
      mxHost: domain.name,
      address: domain.mx().ipv4,
      proved: 'sts',
    })
    expect(only(domain.mx().connections).servername).toBe(domain.name)
  })

  test('[STS-35] is the domain itself without an MX record, refused by a policy for other hosts', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: [], patterns: ['mx.elsewhere.example'] })

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([`${domain.name} validation-failure mx-mismatch`])
    expect(domain.mx().connections).toEqual([])
    await wouldTakeIt(domain)
  })
})

describe('the certificate', () => {
  test.each<[NamedMxFault, string]>([
    ['expired', 'certificate-expired'],
    ['not-yet-valid', 'validation-failure certificate-not-yet-valid'],
    ['self-signed', 'certificate-not-trusted self-signed'],
    ['unknown-authority', 'certificate-not-trusted unknown-authority'],
    ['missing-intermediate', 'certificate-not-trusted incomplete-chain'],
  ])('[STS-36] [STS-42] %s: refused before MAIL FROM', async (fault, failure) => {
    await expectRefused(fault, failure)
  })

  test.each<[NamedMxFault, string]>([
    ['wrong-name', 'certificate-host-mismatch'],
    ['cn-only', 'certificate-host-mismatch'],
    ['partial-wildcard', 'certificate-host-mismatch'],
  ])('[STS-37] [STS-42] %s: refused before MAIL FROM', async (fault, failure) => {
    await expectRefused(fault, failure)
  })

  /** `M` stands for the MX host, `D` for the domain, `A` for the address of the MX host. */
  test.each([
    { san: ['DNS:*.D'], proves: true },
    { san: ['DNS:other.example', 'DNS:M'], proves: true },
    { san: ['IP:A'], proves: false },
    { san: ['DNS:*.M'], proves: false },
    { san: ['DNS:D'], proves: false },
    { san: ['DNS:*.example'], proves: false },
    { san: ['DNS:*'], proves: false },
  ])('[STS-37] for $san: $proves', async ({ san, proves }) => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    const filled = san.map((name) =>
      name.replace('A', mx.ipv4).replace('M', mx.name).replace(/D$/, domain.name),
    )
    mx.certificate({ cn: mx.name, san: filled })
    if (proves) {
      expect(await deliver(stage.sender(), domain)).toMatchObject({ proved: 'sts', failures: [] })
      return
    }
    const error = await refusal(stage.sender(), domain)
    expect(failureTexts(error.failures)).toEqual([`${mx.name} certificate-host-mismatch`])
    expectReachedWithoutLeak(mx)
    await wouldTakeIt(domain)
  })

  test('[STS-36] of the policy host proves nothing for the MX host', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().certificate({ san: [`DNS:${domain.policyHost.name}`] })

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} certificate-host-mismatch`])
    expectReachedWithoutLeak(domain.mx())
  })
})

describe('STARTTLS', () => {
  test.each<[NamedMxFault, string]>([
    ['no-starttls', 'starttls-not-supported not-offered'],
    ['starttls-454', 'starttls-not-supported refused'],
    ['starttls-502', 'starttls-not-supported refused'],
    ['handshake-reset', 'validation-failure handshake-failed'],
  ])('[STS-38] [STS-42] %s: refused before MAIL FROM', async (fault, failure) => {
    const domain = await expectRefused(fault, failure)
    // It was not tried again in plaintext: that happened in the delivery without a policy
    const [first, ...rest] = domain.mx().connections
    expect(first?.mailFrom).toBeUndefined()
    expect(rest.filter(({ mailFrom }) => mailFrom !== undefined)).toHaveLength(1)
  })

  test('[STS-38] [STS-42] a stalled handshake: refused before MAIL FROM', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('handshake-stall')

    const error = await refusal(stage.sender({ connectionTimeout: 1000 }), domain)

    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} validation-failure handshake-timeout`,
    ])
    expect(domain.mx().connections).toHaveLength(1)
    expectNoLeak(domain.mx())
  })

  test('[STS-40] [STS-42] TLS 1.1: refused before MAIL FROM', async () => {
    await expectRefused('tls-1.1', 'validation-failure tls-version')
  })

  test.each([
    { mode: 'enforce' as const },
    { mode: 'testing' as const },
    { mode: 'none' as const },
    {},
  ])('[STS-39] SNI is the name of the MX host: $mode', async (options) => {
    const domain = stage.domain(options)

    await deliver(stage.sender(), domain)

    const connection = only(domain.mx().connections)
    expect(connection.servername).toBe(domain.mx().name)
    expect(connection.tls?.servername).toBe(domain.mx().name)
  })

  test('[STS-41] [SMTP-2] a reply in one packet with the 220 ends the connection: refused', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('response-injection')

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} starttls-not-supported early-data`,
    ])
    expectReachedWithoutLeak(domain.mx())
  })
})

describe('a domain without faults', () => {
  test('[STS-42] gets its message, over TLS from STARTTLS on', async () => {
    const domain = stage.domain({ mode: 'enforce' })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({
      status: 'delivered',
      mode: 'enforce',
      policyId: domain.id,
      proved: 'sts',
      failures: [],
    })
    const message = last(domain.inbox)
    expect(message.tls).toMatchObject({ servername: domain.mx().name })
    const { lines } = only(domain.mx().connections)
    const plain = lines.filter(({ from, tls }) => from === 'client' && !tls)
    expect(plain.map(({ text }) => text)).toEqual(['EHLO sender.example', 'STARTTLS'])
  })

  test('[STS-42] under enforce never gets a message on a session without proof', async () => {
    const domain = stage.domain()
    const mx = domain.mx()
    mx.fails('self-signed')
    const sender = stage.sender({ maxMessages: 100, negativeTtl: 0 })
    await deliver(sender, domain)
    expect(mx.inbox).toHaveLength(1)
    expect(only(mx.connections)).toMatchObject({ mailFrom: expect.any(String), closed: false })

    domain.policy({ mode: 'enforce' })
    const messages = domain.inbox.splice(0)
    const error = await refusal(sender, domain)

    expect(failureTexts(error.failures)).toEqual([`${mx.name} certificate-not-trusted self-signed`])
    expect(messages).toHaveLength(1)
    expect(mx.inbox).toHaveLength(1)
    expect(mx.connections.map(({ mailFrom }) => mailFrom !== undefined)).toEqual([true, false])
  })
})

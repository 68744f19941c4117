/** The order of MX hosts, the effect of their replies, and addresses that are never contacted. */
import { describe, expect, test } from 'vitest'
import { DeliveryRefusedError, RoutingError } from '../../src/index.js'
import type { MxFault, ReplyFault } from '../../src/testing/index.js'
import {
  deliver,
  errorOf,
  expectNoLeak,
  expectReachedWithoutLeak,
  failureTexts,
  messageTo,
  only,
  refusal,
  useWorld,
} from './support.js'

const stage = useWorld()

describe('the order of MX hosts', () => {
  test('[STS-45] follows the preferences, the next host only after a failure', async () => {
    const domain = stage.domain({
      mode: 'enforce',
      mx: [
        { host: 'third', preference: 30 },
        { host: 'first', preference: 5 },
        { host: 'second', preference: 10 },
      ],
    })
    domain.mx('first').fails('expired')
    domain.mx('second').fails('starttls-454')

    const delivery = await deliver(stage.sender(), domain)

    const [first, second, third] = ['first', 'second', 'third'].map((name) => domain.mx(name))
    expect(delivery).toMatchObject({ mxHost: third?.name, proved: 'sts', status: 'delivered' })
    expect(failureTexts(delivery.failures)).toEqual([
      `${first?.name} certificate-expired`,
      `${second?.name} starttls-not-supported refused`,
    ])
    for (const host of [first, second]) if (host) expectReachedWithoutLeak(host)
    const dialled = stage.world.dials.filter(({ host }) => host.endsWith(domain.name))
    expect(dialled.filter(({ purpose }) => purpose === 'smtp').map(({ host }) => host)).toEqual([
      first?.name,
      second?.name,
      third?.name,
    ])
  })

  test('[STS-45] leaves the second host alone while the first works', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery.mxHost).toBe(domain.mx('mx1').name)
    expect(domain.mx('mx2').connections).toEqual([])
  })

  test('[STS-45] skips a host outside the policy', async () => {
    const name = stage.unusedName()
    const domain = stage.world.domain(name, {
      mode: 'enforce',
      mx: ['mx1', 'mx2'],
      patterns: [`mx2.${name}`],
    })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: domain.mx('mx2').name, proved: 'sts' })
    expect(failureTexts(delivery.failures)).toEqual([
      `${domain.mx('mx1').name} validation-failure mx-mismatch`,
    ])
    expect(domain.mx('mx1').connections).toEqual([])
  })

  test('[STS-45] lists each failure in order when all fail', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3'] })
    domain.mx('mx1').fails('wrong-name')
    domain.mx('mx2').fails('no-starttls')
    domain.mx('mx3').fails('self-signed')

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx('mx1').name} certificate-host-mismatch`,
      `${domain.mx('mx2').name} starttls-not-supported not-offered`,
      `${domain.mx('mx3').name} certificate-not-trusted self-signed`,
    ])
    for (const host of ['mx1', 'mx2', 'mx3']) expectReachedWithoutLeak(domain.mx(host))
  })

  test('[STS-45] uses both hosts of an equal preference', async () => {
    const domain = stage.domain({
      mode: 'enforce',
      mx: [
        { host: 'a', preference: 10 },
        { host: 'b', preference: 10 },
      ],
    })
    // The chance that one of 40 fair coins never changes sides is 2^-39
    for (let sent = 0; sent < 40; sent++) {
      await deliver(stage.sender(), domain)
    }
    expect(domain.mx('a').inbox.length + domain.mx('b').inbox.length).toBe(40)
    expect(domain.mx('a').inbox.length).toBeGreaterThan(0)
    expect(domain.mx('b').inbox.length).toBeGreaterThan(0)
  })
})

/** A lost connection and a 4xx concern this host only; a 5xx is the domain's own answer. */
describe('replies to MAIL, RCPT and DATA', () => {
  const STEPS: ReadonlyArray<ReplyFault['at']> = ['mail', 'rcpt', 'data', 'message']

  test.each(STEPS)('[STS-45] 451 to %s: the next MX host gets the message', async (at) => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at, reply: '451 4.7.1 Come back later' })

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: domain.mx('mx2').name, failures: [], proved: 'sts' })
    expect(domain.mx('mx1').connections).toHaveLength(1)
    expect(domain.inbox).toHaveLength(1)
  })

  test.each(STEPS)('451 to %s at the only MX host: temporary', async (at) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at, reply: '451 4.7.1 Come back later' })

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error).not.toBeInstanceOf(DeliveryRefusedError)
    expect(error).toMatchObject({ permanent: false, responseCode: 451 })
    expect(only(error.deliveries ?? [])).toMatchObject({ status: 'failed', failures: [] })
    expect(domain.inbox).toEqual([])
  })

  test.each(STEPS)('550 to %s: permanent, and no other MX host is tried', async (at) => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at, reply: '550 5.7.1 Not here' })

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error).not.toBeInstanceOf(DeliveryRefusedError)
    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
    expect(only(error.deliveries ?? [])).toMatchObject({
      status: 'failed',
      mxHost: domain.mx('mx1').name,
    })
    expect(domain.mx('mx2').connections).toEqual([])
    expect(domain.inbox).toEqual([])
  })

  const LOST: Array<[string, MxFault]> = [
    ['a connection that is refused', 'unreachable'],
    ['a connection that ends after DATA', 'drops-after-data'],
    ['421 to MAIL', { at: 'mail', reply: '421 4.3.2 Shutting down' }],
    ['421 to RCPT', { at: 'rcpt', reply: '421 4.3.2 Shutting down' }],
    ['421 to DATA', { at: 'data', reply: '421 4.3.2 Shutting down' }],
    ['421 to the message', { at: 'message', reply: '421 4.3.2 Shutting down' }],
    ['421 to EHLO', { at: 'ehlo', reply: '421 4.3.2 Shutting down' }],
    ['421 for a greeting', { at: 'greeting', reply: '421 4.3.2 Shutting down' }],
    ['554 for a greeting', { at: 'greeting', reply: '554 5.3.2 No' }],
  ]

  test.each(LOST)('[STS-45] %s: the next MX host gets the message', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails(fault)

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: domain.mx('mx2').name, proved: 'sts' })
    expect(domain.inbox).toHaveLength(1)
    expect(only(domain.inbox).mx).toBe(domain.mx('mx2').name)
  })

  test('550 after a refused MX host: permanent, as the receiver has answered', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3'] })
    domain.mx('mx1').fails('expired')
    domain.mx('mx2').fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error).toMatchObject({ permanent: true, responseCode: 550 })
    expect(failureTexts(only(error.deliveries ?? []).failures)).toEqual([
      `${domain.mx('mx1').name} certificate-expired`,
    ])
    expect(domain.mx('mx3').connections).toEqual([])
  })

  test('[STS-47] 451 after a refused MX host: a temporary refusal', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('expired')
    domain.mx('mx2').fails({ at: 'mail', reply: '451 4.7.1 Later' })

    const error = await refusal(stage.sender(), domain)

    expect(failureTexts(error.failures)).toEqual([`${domain.mx('mx1').name} certificate-expired`])
    expect(error.cause).toMatchObject({ responseCode: 451 })
  })
})

describe('replies before MAIL FROM', () => {
  const REPLIES: Array<[string, MxFault]> = [
    ['502 to STARTTLS', 'starttls-502'],
    ['454 to STARTTLS', 'starttls-454'],
    ['500 to EHLO', { at: 'ehlo', reply: '500 5.5.1 What?' }],
    ['554 to EHLO', { at: 'ehlo', reply: '554 5.7.1 Go away' }],
  ]

  test.each(REPLIES)('[STS-47] are a temporary refusal: %s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails(fault)

    const error = await refusal(stage.sender(), domain)

    expect(only(error.failures)).toMatchObject({
      resultType: 'starttls-not-supported',
      mxHost: domain.mx().name,
    })
    expectReachedWithoutLeak(domain.mx())
  })

  const WITHOUT_TLS: ReplyFault[] = [
    { at: 'greeting', reply: '554 5.7.1 Go away' },
    { at: 'greeting', reply: '521 5.3.2 No mail here' },
    { at: 'greeting', reply: '421 4.3.2 Shutting down' },
    { at: 'ehlo', reply: '421 4.3.2 Shutting down' },
  ]

  test.each(WITHOUT_TLS)(
    '[STS-47] are temporary: $reply for $at may come from an attacker who strips TLS',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(fault)

      const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

      expect(error.permanent).toBe(false)
      expectReachedWithoutLeak(domain.mx())
    },
  )

  test('[STS-47] reject each recipient of a refusal temporarily as well', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('starttls-502')

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error.rejected).toEqual([`you@${domain.name}`])
    expect(error.rejectedErrors).toMatchObject([
      { recipient: `you@${domain.name}`, code: 'EMTASTS', permanent: false },
    ])
  })
})

describe('a policy that the domain has changed', () => {
  test('[STS-46] refuses under the old one, then delivers under the new one in the same sendMail', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    await deliver(sender, domain)
    const mx = stage.world.mx(`new.${domain.name}`)
    stage.world.dns.set(domain.name, 'MX', [{ preference: 10, exchange: mx.name }])
    domain.policy({ patterns: [mx.name] })

    const delivery = await deliver(sender, domain)

    expect(delivery).toMatchObject({
      status: 'delivered',
      mxHost: mx.name,
      proved: 'sts',
      policyId: domain.id,
    })
    expect(mx.inbox).toHaveLength(1)
    expect(domain.policyHost.gets).toHaveLength(2)
  })

  test('[STS-46] delivers without proof if the new one has mode none', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    await deliver(sender, domain)
    domain.mx().fails('no-starttls')
    domain.policy({ mode: 'none' })

    const delivery = await deliver(sender, domain)

    expect(delivery).toMatchObject({ mode: 'none', policyId: domain.id, tls: false })
    expect(domain.mx().connections.map(({ mailFrom }) => mailFrom !== undefined)).toEqual([
      true,
      false,
      true,
    ])
  })

  test('[STS-46] refuses under the old one if the new one cannot be fetched', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    await deliver(sender, domain)
    const { id } = domain
    domain.inbox.splice(0)
    domain.mx().fails('no-starttls')
    domain.policy({ mode: 'none' })
    domain.policyHost.fails('down')

    const error = await refusal(sender, domain)

    expect(error.policyId).toBe(id)
    expect(domain.mx().connections.at(-1)?.mailFrom).toBeUndefined()
  })

  test('[STS-46] refuses under the new one if that refuses too, without a further attempt', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    const sender = stage.sender({})
    await deliver(sender, domain)
    domain.inbox.splice(0)
    mx.fails('expired')
    domain.policy({ maxAge: 86_400 })

    const error = await refusal(sender, domain)

    expect(error.policyId).toBe(domain.id)
    expect(failureTexts(error.failures)).toContain(`${mx.name} certificate-expired`)
    // The previous message, and one under each of the policies
    expect(mx.connections.map(({ mailFrom }) => mailFrom !== undefined)).toEqual([
      true,
      false,
      false,
    ])
  })

  test('[STS-46] looks up TXT once more for the same id, without a fetch', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    await deliver(sender, domain)
    domain.inbox.splice(0)
    domain.mx().fails('expired')

    await refusal(sender, domain)

    const asked = stage.world.queries.filter(({ name }) => name === `_mta-sts.${domain.name}`)
    expect(asked).toHaveLength(2)
    expect(domain.policyHost.gets).toHaveLength(1)
    expect(domain.mx().connections).toHaveLength(2)
  })

  test('[STS-46] is not looked for without a refusal', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at: 'rcpt', reply: '451 4.7.1 Later' })

    await errorOf(stage.sender().sendMail(messageTo(domain)))

    const asked = stage.world.queries.filter(({ name }) => name === `_mta-sts.${domain.name}`)
    expect(asked).toHaveLength(1)
  })
})

describe('a domain without a usable host', () => {
  test('with a null MX fails permanently, without a connection', async () => {
    const domain = stage.domain()
    domain.dns.fails('null-mx')

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error).toBeInstanceOf(RoutingError)
    expect(error).toMatchObject({ code: 'ENULLMX', permanent: true, policyDomain: domain.name })
    expect(domain.mx().connections).toEqual([])
  })

  test.each(['servfail', 'timeout', 'refused'] as const)(
    'whose MX lookup fails (%s) fails temporarily, and is not a host itself',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dns.fails(fault, 'mx')
      stage.world.dns.set(domain.name, 'A', [domain.mx().ipv4])

      const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

      expect(error).toBeInstanceOf(RoutingError)
      expect(error).toMatchObject({ code: 'EDNS', permanent: false })
      expect(domain.mx().connections).toEqual([])
    },
  )

  test('that does not exist fails permanently', async () => {
    const name = stage.unusedName()

    const error = await errorOf(stage.sender().sendMail(messageTo(name)))

    expect(error).toBeInstanceOf(RoutingError)
    expect(error).toMatchObject({ code: 'EDNS', permanent: true, policyDomain: name })
  })

  test('[STS-47] that does not exist fails temporarily under a policy: DNS may be forged', async () => {
    const name = stage.unusedName()
    const policy = { version: 'STSv1', mode: 'enforce', mx: [name], maxAge: 86_400 } as const
    const sender = stage.sender({ overrides: { [name]: policy } })

    const error = await errorOf(sender.sendMail(messageTo(name)))

    expect(error).toMatchObject({ code: 'EDNS', permanent: false, policyDomain: name })
  })

  test.each(['servfail', 'nxdomain'] as const)(
    'whose MX hosts have no addresses (%s) fails temporarily',
    async (fault) => {
      const domain = stage.domain()
      domain.dns.fails(fault, 'mx-hosts')

      const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

      expect(error).toMatchObject({ code: 'EDNS', permanent: false })
      expect(domain.mx().connections).toEqual([])
    },
  )
})

describe('addresses', () => {
  test('of IPv6 only are delivered to', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('ipv6-only')

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ address: domain.mx().ipv6, proved: 'sts' })
  })

  test("that refuse the connection are followed by the host's next one", async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    stage.world.dns.set(mx.name, 'A', ['203.0.113.250', mx.ipv4])

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: mx.name, address: mx.ipv4, proved: 'sts' })
  })

  test("[STS-42] that prove nothing are followed by the host's next one", async () => {
    const other = stage.world.mx(`other.${stage.unusedName()}`)
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    // IPv6 is tried first (RFC 8305)
    stage.world.dns.set(mx.name, 'AAAA', [other.ipv6])

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ mxHost: mx.name, address: mx.ipv4, proved: 'sts' })
    expect(only(delivery.failures)).toMatchObject({
      resultType: 'certificate-host-mismatch',
      mxHost: mx.name,
      address: other.ipv6,
    })
    expectReachedWithoutLeak(other)
    expect(mx.inbox).toHaveLength(1)
  })

  const BLOCKED: Array<['A' | 'AAAA', string]> = [
    ['A', '127.0.0.1'],
    ['A', '10.0.0.1'],
    ['A', '169.254.169.254'],
    ['A', '0.0.0.0'],
    ['AAAA', '::1'],
    ['AAAA', '::ffff:127.0.0.1'],
    ['AAAA', '64:ff9b::a00:1'],
    ['AAAA', 'fd00::1'],
  ]

  test.each(BLOCKED)('that are %s %s of an MX host are not contacted', async (type, address) => {
    const domain = stage.domain()
    const mx = domain.mx()
    stage.world.dns.set(mx.name, 'A', [])
    stage.world.dns.set(mx.name, type, [address])

    const error = await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(error).toMatchObject({ permanent: false })
    expect(stage.world.dials.filter(({ host }) => host === mx.name)).toEqual([])
    expectNoLeak(mx)
  })

  test('that are blocked are recorded, and a good one of the same host is used', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    stage.world.dns.set(mx.name, 'A', ['127.0.0.1', mx.ipv4])

    const delivery = await deliver(stage.sender(), domain)

    expect(delivery).toMatchObject({ address: mx.ipv4, proved: 'sts' })
    expect(only(delivery.failures)).toMatchObject({
      reason: 'blocked-address',
      mxHost: mx.name,
      address: '127.0.0.1',
    })
    const dialled = stage.world.dials.filter(({ host }) => host === mx.name)
    expect(dialled.map((dial) => dial.address)).toEqual([mx.ipv4])
  })

  test('that are blocked are not contacted for a policy host either', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    stage.world.dns.set(domain.policyHost.name, 'A', ['127.0.0.1'])

    await deliver(stage.sender(), domain)

    const dialled = stage.world.dials.filter(({ host }) => host === domain.policyHost.name)
    expect(dialled).toEqual([])
  })

  test.each(['[127.0.0.1]', '[10.0.0.1]', '[IPv6:::1]', '[IPv6:::ffff:169.254.169.254]'])(
    'in the literal %s are not contacted',
    async (literal) => {
      stage.world.forget()

      const error = await errorOf(stage.sender().sendMail(messageTo(literal)))

      expect(error.code).toBeDefined()
      expect(stage.world.dials).toEqual([])
    },
  )
})

/** DANE (RFC 7672) in a mail world, alone and with MTA-STS, for whole messages. */
import { describe, expect, test } from 'vitest'
import { dane, dnssecResolver } from '../../src/dane/index.js'
import { MtaSts, RoutingError } from '../../src/index.js'
import type { MtaStsTransportOptions } from '../../src/nodemailer/index.js'
import { DANE_FAULTS, type DaneFaultDescription, type MailDomain } from '../../src/testing/index.js'
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

type DaneOptions = NonNullable<Parameters<typeof dane>[0]>

/** DANE with the resolver of the world and a short timeout. */
function worldDane(options: DaneOptions = {}) {
  const servers = [stage.world.dns.server]
  return dane({ resolver: dnssecResolver({ servers, timeout: 2000, tries: 1 }), ...options })
}

function sender(options: MtaStsTransportOptions = {}, daneOptions: DaneOptions = {}) {
  return stage.sender({ resolver: undefined, dane: worldDane(daneOptions), ...options })
}

/** A domain without a policy whose MX host proves itself by DANE only: its issuer is unknown. */
function daneDomain(...[options]: Parameters<MailDomain['dane']>): MailDomain {
  const domain = stage.domain()
  showUntrusted(domain)
  domain.dane(options)
  return domain
}

/** Gives the MX host a certificate of an unknown issuer for its name. */
function showUntrusted(domain: MailDomain): void {
  const mx = domain.mx()
  mx.certificate({ san: [`DNS:${mx.name}`], signedBy: 'stranger' })
}

const failuresOf = (fault: DaneFaultDescription, host: string) =>
  fault.resultType === undefined
    ? []
    : [[host, fault.resultType, fault.reason].filter(Boolean).join(' ')]

describe('DANE alone', () => {
  test('[DANE-6] a matching DANE-EE record authenticates a host with an unknown issuer', async () => {
    const domain = daneDomain()
    const delivery = await deliver(sender(), domain)
    expect(delivery).toMatchObject({ proved: 'dane', failures: [] })
    expect(domain.inbox).toHaveLength(1)
  })

  test('[DANE-6] a failed audit of a domain with a policy is not in the account of one without', async () => {
    const other = stage.domain({ mode: 'testing' })
    const mx = other.mx().name
    const domain = stage.domain({ mx: [mx] })
    other.mx().certificate({ san: ['DNS:other.example'] })
    for (const one of [other, domain]) one.dane()
    const transporter = sender({ maxMessages: 100 })
    expect((await deliver(transporter, other)).failures).toHaveLength(1)
    expect(await deliver(transporter, domain)).toMatchObject({ proved: 'dane', failures: [] })
    expect((await deliver(transporter, other)).failures).toHaveLength(1)
  })

  test.each([
    ['expired', { validity: 'past' }],
    ['for another host', { san: ['DNS:other.example'] }],
    ['self-signed', { signedBy: 'itself', cn: 'self' }],
  ] as const)(
    '[DANE-6] a DANE-EE record authenticates a certificate that is %s',
    async (_, spec) => {
      const domain = stage.domain()
      domain.mx().certificate(spec)
      domain.dane()
      expect(await deliver(sender(), domain)).toMatchObject({ proved: 'dane', failures: [] })
    },
  )

  test('[DANE-7] a DANE-TA record authenticates by a sent intermediate', async () => {
    const domain = stage.domain()
    domain.dane({ records: [{ usage: 2, of: 'intermediate' }] })
    expect(await deliver(sender(), domain)).toMatchObject({ proved: 'dane', failures: [] })
  })

  test('[DANE-7] a DANE-TA record refuses a certificate for another host', async () => {
    const domain = stage.domain()
    domain.mx().certificate({ san: ['DNS:other.example'] })
    domain.dane({ records: [{ usage: 2, of: 'intermediate' }] })
    const error = await refusal(sender(), domain)
    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} certificate-host-mismatch`])
    expectReachedWithoutLeak(domain.mx())
  })

  test.each(['no-starttls', 'tls-1.1', 'wrong-name'] as const)(
    'a refusal under DANE names DANE as the demand when the host fails with %s',
    async (fault) => {
      const domain = stage.domain()
      domain.dane({ records: [{ usage: 2, of: 'intermediate' }] })
      domain.mx().fails(fault)
      const { message } = await refusal(sender(), domain)
      expect(message).toContain('no host proved what DANE asks for')
    },
  )

  test('a refusal for want of REQUIRETLS names the sender as the demand, under DANE too', async () => {
    const domain = daneDomain()
    const { message } = await refusal(sender(), domain, { requireTLSExtensionEnabled: true })
    expect(message).toContain('what the sender asks for')
  })

  test('[DANE-7] the next-hop domain is a valid name of a DANE-TA certificate', async () => {
    const domain = stage.domain()
    domain.mx().certificate({ san: [`DNS:${domain.name}`] })
    domain.dane({ records: [{ usage: 2, of: 'intermediate' }] })
    expect(await deliver(sender(), domain)).toMatchObject({ proved: 'dane' })
  })

  test('[DANE-13] a root that is in the record need not be sent', async () => {
    const domain = stage.domain()
    domain.dane({ records: [{ usage: 2, selector: 0, matchingType: 0, of: 'root' }] })
    expect(await deliver(sender(), domain)).toMatchObject({ proved: 'dane' })
  })

  test('[DANE-11] of two digests only the stronger counts', async () => {
    const domain = daneDomain({ records: [{ matchingType: 2, of: 'other' }, {}] })
    const error = await refusal(sender(), domain)
    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} validation-failure tlsa-mismatch`,
    ])
  })

  test('[DANE-15] a rollover works with the records of the old key and the new one', async () => {
    const domain = daneDomain({ records: [{ of: 'other' }, {}] })
    expect(await deliver(sender(), domain)).toMatchObject({ proved: 'dane', failures: [] })
  })

  test('[DANE-8] SNI is the TLSA base domain', async () => {
    const plain = daneDomain()
    await deliver(sender(), plain)
    expect(only(plain.mx().connections).servername).toBe(plain.mx().name)
    const alias = daneDomain({ fails: 'alias' })
    await deliver(sender(), alias)
    expect(only(alias.mx().connections).servername).toBe(`alias-of-${alias.mx().name}`)
  })

  test.each(['no-starttls', 'starttls-454', 'handshake-reset', 'tls-1.1'] as const)(
    '[DANE-15] nothing is sent in plaintext to a host with TLSA records and %s',
    async (fault) => {
      const domain = daneDomain()
      domain.mx().fails(fault)
      const error = await refusal(sender(), domain)
      expect(error.permanent).toBe(false)
      expectReachedWithoutLeak(domain.mx())
    },
  )

  test.each(['no-starttls', 'handshake-reset'] as const)(
    '[DANE-5] nothing is sent in plaintext to a host with unusable TLSA records and %s',
    async (fault) => {
      const domain = daneDomain({ fails: 'pkix-records' })
      domain.mx().fails(fault)
      await refusal(sender(), domain)
      expectReachedWithoutLeak(domain.mx())
    },
  )

  test('[DANE-15] the next host is tried after a failure', async () => {
    const domain = stage.domain({ mx: ['a', 'b'] })
    const [first, second] = [domain.mx(0), domain.mx(1)]
    domain.dane({ fails: 'old-key', host: first.name })
    const delivery = await deliver(sender(), domain)
    expect(delivery).toMatchObject({ mxHost: second.name, proved: 'dane' })
    expect(failureTexts(delivery.failures)).toEqual([
      `${first.name} validation-failure tlsa-mismatch`,
    ])
    expectReachedWithoutLeak(first)
  })

  test('[DANE-3] a host whose TLSA lookup fails is not connected to, and the next one is', async () => {
    const domain = stage.domain({ mx: ['a', 'b'] })
    domain.dane({ fails: 'bogus-tlsa', host: domain.mx(0).name })
    const delivery = await deliver(sender(), domain)
    expect(delivery).toMatchObject({ mxHost: domain.mx(1).name, proved: 'dane' })
    expect(domain.mx(0).connections).toEqual([])
  })
})

const RULES: Partial<Record<DaneFaultDescription['name'], string>> = {
  'insecure-mx': 'DANE-12',
  'insecure-address': 'DANE-2',
  'opt-out': 'DANE-2',
  'insecure-tlsa': 'DANE-1',
  'pkix-records': 'DANE-5',
  'short-record': 'DANE-5',
  'old-key': 'DANE-15',
  'anchor-not-sent': 'DANE-7',
  alias: 'DANE-10',
  'insecure-alias': 'DANE-10',
  'insecure-alias-target': 'DANE-10',
}

describe('faults without a policy', () => {
  test.each(
    DANE_FAULTS.map((fault) => [RULES[fault.name] ?? 'DANE-3', fault.name, fault] as const),
  )('[%s] %s', async (_, name, fault) => {
    const domain = daneDomain({ fails: name })
    const mx = domain.mx()
    const expected = failuresOf(fault, mx.name)
    if (fault.outcome === 'refused') {
      const error = await refusal(sender(), domain)
      expect(failureTexts(error.failures)).toEqual(expected)
      expectNoLeak(mx)
      return
    }
    if (fault.outcome === 'deferred') {
      const error = await errorOf(sender().sendMail(messageTo(domain)))
      expect(error).toBeInstanceOf(RoutingError)
      expect(error.permanent).toBe(false)
      expect(mx.connections).toEqual([])
      return
    }
    const delivery = await deliver(sender(), domain)
    expect(failureTexts(delivery.failures)).toEqual(expected)
    expect(delivery.proved).toBe(fault.outcome === 'authenticated' ? 'dane' : 'nothing')
    // Opportunistic delivery goes on in plaintext; a demand for TLS does not
    mx.fails('no-starttls')
    const again = sender().sendMail(messageTo(domain))
    if (fault.outcome === 'opportunistic') expect(await again).toMatchObject({ rejected: [] })
    else expect(await errorOf(again)).toMatchObject({ code: 'EMTASTS', permanent: false })
  })
})

describe('DANE and MTA-STS', () => {
  const good = {} as const
  const bad = { fails: 'old-key' } as const

  test.each([
    ['enforce', good, 'trusted', ['sts', 'dane']],
    ['enforce', good, 'untrusted', 'refused'],
    ['enforce', bad, 'trusted', 'refused'],
    ['enforce', { fails: 'no-tlsa' }, 'trusted', ['sts']],
    ['enforce', { fails: 'pkix-records' }, 'trusted', ['sts']],
    ['enforce', { fails: 'pkix-records' }, 'untrusted', 'refused'],
    ['enforce', { fails: 'insecure-mx' }, 'trusted', ['sts']],
    ['enforce', { fails: 'bogus-tlsa' }, 'trusted', 'refused'],
    ['testing', good, 'trusted', ['dane']],
    ['testing', good, 'untrusted', ['dane']],
    ['testing', bad, 'trusted', 'refused'],
    ['testing', { fails: 'bogus-tlsa' }, 'trusted', 'refused'],
    ['testing', { fails: 'no-tlsa' }, 'untrusted', ['nothing']],
    ['none', good, 'untrusted', ['dane']],
    ['none', bad, 'trusted', 'refused'],
  ] as const)('[DANE-9] mode %s, DANE %j, a certificate that is %s: %s', async (...row) => {
    const [mode, setup, certificate, outcome] = row
    const domain = stage.domain({ mode })
    if (certificate === 'untrusted') showUntrusted(domain)
    domain.dane(setup)
    if (outcome === 'refused') {
      const error = await refusal(sender(), domain)
      expect(error.mode).toBe(mode)
      expectNoLeak(domain.mx())
      return
    }
    const delivery = await deliver(sender(), domain)
    expect(delivery.proofs ?? [delivery.proved]).toEqual(outcome)
    expect(domain.inbox).toHaveLength(1)
  })

  test('[DANE-9] under testing, a certificate that fails MTA-STS is recorded', async () => {
    const domain = stage.domain({ mode: 'testing' })
    showUntrusted(domain)
    domain.dane()
    const delivery = await deliver(sender(), domain)
    expect(failureTexts(delivery.failures)).toEqual([
      `${domain.mx().name} certificate-not-trusted unknown-authority`,
    ])
  })

  test('[DANE-9] TLSA records do not make a host outside the policy a candidate', async () => {
    const domain = stage.domain({ mode: 'enforce', patterns: ['mx.elsewhere.example'] })
    domain.dane()
    const error = await refusal(sender(), domain)
    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} validation-failure mx-mismatch`,
    ])
  })
})

describe('demands of a message and of an operator', () => {
  test('[DANE-9] REQUIRETLS is satisfied by DANE without a policy', async () => {
    const name = stage.unusedName()
    stage.world.mx(`mx.${name}`, { requireTls: true })
    const domain = stage.world.domain(name)
    domain.dane()
    const delivery = await deliver(sender(), domain, { requireTLSExtensionEnabled: true })
    expect(delivery.proved).toBe('dane')
    expect(only(domain.inbox).requireTls).toBe(true)
  })

  test('[DANE-9] TLS-Required: No disables DANE', async () => {
    const domain = daneDomain({ fails: 'old-key' })
    const delivery = await deliver(sender(), domain, { headers: { 'TLS-Required': 'No' } })
    expect(delivery.proved).toBe('nothing')
    const bogus = daneDomain({ fails: 'bogus-tlsa' })
    await deliver(sender(), bogus, { headers: { 'TLS-Required': 'No' } })
    expect(bogus.inbox).toHaveLength(1)
  })

  test('minimumSecurity authenticated is satisfied by DANE, and refuses without TLSA records', async () => {
    const options = { minimumSecurity: 'authenticated' } as const
    expect(await deliver(sender(options), daneDomain())).toMatchObject({ proved: 'dane' })
    await refusal(sender(options), daneDomain({ fails: 'no-tlsa' }))
  })

  test('minimumSecurity encrypted demands no less than DANE', async () => {
    const domain = daneDomain({ fails: 'old-key' })
    await refusal(sender({ minimumSecurity: 'encrypted' }), domain)
  })

  test('overrides off exempts a domain from DANE too', async () => {
    const domain = daneDomain({ fails: 'old-key' })
    const delivery = await deliver(sender({ overrides: { [domain.name]: 'off' } }), domain)
    expect(delivery.proved).toBe('nothing')
  })

  test('except exempts a domain from DANE, but not from its policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dane({ fails: 'old-key' })
    const except = (name: string) => name === domain.name
    expect(await deliver(sender({}, { except }), domain)).toMatchObject({ proved: 'sts' })
    domain.mx().fails('unknown-authority')
    await expect(sender({}, { except }).sendMail(messageTo(domain))).rejects.toMatchObject({
      code: 'EMTASTS',
    })
  })

  test.each(['no-tlsa', 'insecure-mx', 'insecure-address', 'pkix-records'] as const)(
    'require refuses a domain with %s: dane-required',
    async (fails) => {
      const domain = daneDomain({ fails })
      const error = await refusal(sender({}, { require: (name) => name === domain.name }), domain)
      expect(only(error.failures)).toMatchObject({ resultType: 'dane-required' })
      expect(domain.mx().connections).toEqual([])
    },
  )

  test('require is satisfied by DANE', async () => {
    const domain = daneDomain()
    expect(await deliver(sender({}, { require: () => true }), domain)).toMatchObject({
      proved: 'dane',
    })
  })

  test('a resolver beside dane is an error with advice', () => {
    const { resolver } = stage.world.options()
    expect(() => new MtaSts({ resolver, dane: worldDane() })).toThrow(/dane\(\{ resolver \}\)/)
  })
})

describe('a reused connection', () => {
  test('is used again under the same TLSA records', async () => {
    const domain = daneDomain()
    const pooled = sender({ maxMessages: 10 })
    for (let n = 0; n < 2; n++) await deliver(pooled, domain)
    expect(domain.mx().connections).toHaveLength(1)
  })

  test('[DANE-15] is replaced once the TLSA records name another key', async () => {
    const domain = daneDomain()
    const pooled = sender({ maxMessages: 10 })
    await deliver(pooled, domain)
    domain.dane({ fails: 'old-key' })
    await expect(pooled.sendMail(messageTo(domain))).rejects.toMatchObject({ code: 'EMTASTS' })
    expect(domain.inbox).toHaveLength(1)
  })

  test('[DANE-15] that proved nothing is replaced once there are TLSA records', async () => {
    const domain = stage.domain()
    const pooled = sender({ maxMessages: 10 })
    expect((await deliver(pooled, domain)).proved).toBe('nothing')
    domain.dane()
    expect((await deliver(pooled, domain)).proved).toBe('dane')
    expect(domain.mx().connections).toHaveLength(2)
  })
})

describe('the resolver', () => {
  test('[DANE-1] without AD in its answers enables nothing', async () => {
    const domain = daneDomain({ fails: 'old-key' })
    const resolver = dnssecResolver({ servers: [stage.world.dns.server], trustAd: false })
    expect(await deliver(sender({}, { resolver }), domain)).toMatchObject({ proved: 'nothing' })
  })

  test('[DANE-16] that does not validate causes one warning in the log', async () => {
    const warnings: string[] = []
    const ignore = () => undefined
    const warn = (_: object, message: string) => warnings.push(message)
    const logger = { debug: ignore, info: ignore, error: ignore, warn }
    stage.world.dns.validating = false
    try {
      const domain = stage.domain()
      const one = sender({ logger })
      for (let n = 0; n < 2; n++) await deliver(one, domain)
      await expect.poll(() => warnings).toEqual([expect.stringContaining('DANE is off')])
    } finally {
      stage.world.dns.validating = true
    }
  })

  test('gets only one extra question, the probe, without DNSSEC', async () => {
    const domain = stage.domain()
    const questions = async (one: ReturnType<typeof sender>) => {
      const from = stage.world.queries.length
      await deliver(one, domain)
      return stage.world.queries.slice(from).map(({ name, type }) => `${type} ${name}`)
    }
    const without = await questions(stage.sender({}))
    const withDane = await questions(sender())
    expect(withDane.filter((question) => question !== 'NS .').toSorted()).toEqual(
      without.toSorted(),
    )
  })
})

import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import { dane } from '../../src/dane/create.js'
import { defaultBlockedAddresses } from '../../src/net/blocked-addresses.js'
import type { TlsaRecord } from '../../src/tls/security.js'
import {
  bogus,
  EE,
  type Entry,
  fakeResolver,
  insecure,
  PKIX,
  secure,
  servfail,
} from './fake-resolver.js'

const DOMAIN = 'example.com'
const MX = 'mx.example.net'
const TLSA = `TLSA _25._tcp.${MX}`
const ADDRESS = '192.0.2.1'

const mxRecord = { exchange: MX, priority: 10 }

/** A domain whose MX records, addresses and TLSA records are all secure, with changes. */
async function lookUp(changes: Record<string, Entry>, options: Parameters<typeof dane>[0] = {}) {
  const resolver = fakeResolver({
    [`MX ${DOMAIN}`]: secure(mxRecord),
    [`A ${MX}`]: secure(ADDRESS),
    [`AAAA ${MX}`]: secure(),
    [TLSA]: secure(EE),
    ...changes,
  })
  const lookups = dane({ resolver, ...options })
  const mx = await lookups.mx(DOMAIN, 1000)
  const host = await lookups.host(MX, {
    domain: DOMAIN,
    mx,
    port: 25,
    dnsTimeout: 1000,
    blockedAddresses: defaultBlockedAddresses(),
  })
  const tlsaAsked = resolver.asked.filter((question) => question.startsWith('TLSA'))
  return { ...host, mx, asked: resolver.asked, tlsaAsked }
}

const daneFor = (base: string, names: string[]) => ({
  kind: 'dane',
  proof: { by: 'dane', tlsa: [EE], base, names },
})

describe('the MX records', () => {
  it.each([
    ['SERVFAIL', servfail, false],
    ['bogus', bogus, true],
  ])('[DANE-3] fail the lookup: %s', async (_, entry, isBogus) => {
    const { mx } = await lookUp({ [`MX ${DOMAIN}`]: entry })
    expect(mx).toMatchObject({ kind: 'failed', bogus: isBogus })
  })

  it('[DANE-3] fail the lookup without an answer in time', async () => {
    const resolver = fakeResolver({ [`MX ${DOMAIN}`]: 'never' })
    expect(await dane({ resolver }).mx(DOMAIN, 5)).toMatchObject({
      kind: 'failed',
      error: { code: 'ETIMEOUT' },
    })
  })

  it('[DANE-12] demand nothing if insecure, without a TLSA lookup', async () => {
    const { demand, addresses, tlsaAsked } = await lookUp({ [`MX ${DOMAIN}`]: insecure(mxRecord) })
    expect(demand).toEqual({ kind: 'none' })
    expect(addresses.addresses).toEqual([ADDRESS])
    expect(tlsaAsked).toEqual([])
  })

  it('[DANE-12] demand nothing of the domain as a host if their denial is insecure', async () => {
    const { demand, tlsaAsked } = await lookUp({ [`MX ${DOMAIN}`]: insecure() })
    expect(demand).toEqual({ kind: 'none' })
    expect(tlsaAsked).toEqual([])
  })

  it('[DANE-2] make the domain a normal host if their denial is secure', async () => {
    const { demand } = await lookUp({ [`MX ${DOMAIN}`]: secure() })
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN]))
  })

  it('[DANE-7] at the end of an alias of the domain make both names reference identifiers', async () => {
    const { demand } = await lookUp({
      [`MX ${DOMAIN}`]: { secure: true, records: [mxRecord], name: 'mail.example.org' },
    })
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN, 'mail.example.org']))
  })
})

describe('the addresses', () => {
  it('[DANE-2] cause the TLSA lookup if secure', async () => {
    const { demand, addresses, tlsaAsked } = await lookUp({})
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN]))
    expect(addresses).toMatchObject({ addresses: [ADDRESS] })
    expect(tlsaAsked).toEqual([TLSA])
  })

  it('[DANE-2] demand nothing if insecure, without a TLSA lookup', async () => {
    const { demand, tlsaAsked } = await lookUp({ [`A ${MX}`]: insecure(ADDRESS) })
    expect(demand).toEqual({ kind: 'none' })
    expect(tlsaAsked).toEqual([])
  })

  it('[DANE-2] demand nothing if one family is insecure', async () => {
    const { demand } = await lookUp({ [`AAAA ${MX}`]: insecure('2001:db8::1') })
    expect(demand).toEqual({ kind: 'none' })
  })

  it.each([
    ['SERVFAIL', servfail],
    ['bogus', bogus],
    ['no answer in time', 'never' as const],
  ])('[DANE-2] are sufficient from one family, the other with %s', async (_, entry) => {
    const resolver = fakeResolver({
      [`A ${MX}`]: entry,
      [`AAAA ${MX}`]: secure('2001:db8::1'),
      [TLSA]: secure(EE),
    })
    const host = await dane({ resolver }).host(MX, {
      domain: DOMAIN,
      mx: { kind: 'found', records: [mxRecord], secure: true, name: DOMAIN },
      port: 25,
      dnsTimeout: 20,
      blockedAddresses: new BlockList(),
    })
    expect(host.demand).toEqual(daneFor(MX, [MX, DOMAIN]))
    expect(host.addresses.addresses).toEqual(['2001:db8::1'])
  })

  it('[DANE-3] fail if both families do, without a TLSA lookup', async () => {
    const { addresses, demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: bogus,
      [`AAAA ${MX}`]: servfail,
    })
    expect(addresses).toMatchObject({ addresses: [], problem: 'dns-failure' })
    expect(demand).toEqual({ kind: 'none' })
    expect(tlsaAsked).toEqual([])
  })

  it('are left out if they must not be contacted, with and without DANE', async () => {
    const { addresses } = await lookUp({ [`A ${MX}`]: secure('127.0.0.1', ADDRESS) })
    expect(addresses).toMatchObject({ addresses: [ADDRESS], blocked: ['127.0.0.1'] })
  })
})

describe('an MX host that is an alias', () => {
  const END = 'mail.example.org'
  const at = (isSecure: boolean): Entry => ({ secure: isSecure, records: [ADDRESS], name: END })

  it('[DANE-10] of a secure chain: the TLSA records at its end are used first', async () => {
    const { demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: at(true),
      [`TLSA _25._tcp.${END}`]: secure(EE),
    })
    expect(demand).toEqual(daneFor(END, [END, DOMAIN]))
    expect(tlsaAsked).toEqual([`TLSA _25._tcp.${END}`])
  })

  it.each([
    ['has none', secure()],
    ['has insecure ones', insecure(EE)],
  ])('[DANE-10] whose end %s: the records at its own name are used', async (_, entry) => {
    const { demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: at(true),
      [`TLSA _25._tcp.${END}`]: entry,
    })
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN]))
    expect(tlsaAsked).toEqual([`TLSA _25._tcp.${END}`, TLSA])
  })

  it.each([
    ['SERVFAIL', servfail, 'tlsa-lookup-failed'],
    ['bogus', bogus, 'dnssec-bogus'],
  ])(
    '[DANE-10] whose end answers %s: skipped, whatever its own name has',
    async (_, entry, reason) => {
      const { demand, tlsaAsked } = await lookUp({
        [`A ${MX}`]: at(true),
        [`TLSA _25._tcp.${END}`]: entry,
      })
      expect(demand).toMatchObject({
        kind: 'skip',
        failure: { resultType: 'dnssec-invalid', reason },
      })
      expect(tlsaAsked).toEqual([`TLSA _25._tcp.${END}`])
    },
  )

  it('[DANE-10] whose end has only unusable records: TLS is required, and its own name is not looked up', async () => {
    const { demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: at(true),
      [`TLSA _25._tcp.${END}`]: secure(PKIX),
    })
    expect(demand).toMatchObject({ kind: 'tls-required', base: END })
    expect(tlsaAsked).toEqual([`TLSA _25._tcp.${END}`])
  })

  it('[DANE-10] that is secure itself, with an insecure end: only its own name is used', async () => {
    const { demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: at(false),
      [`CNAME ${MX}`]: secure(END),
      [`TLSA _25._tcp.${END}`]: secure(PKIX),
    })
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN]))
    expect(tlsaAsked).toEqual([TLSA])
  })

  it('[DANE-10] that is insecure: DANE demands nothing', async () => {
    const { demand, tlsaAsked } = await lookUp({
      [`A ${MX}`]: at(false),
      [`CNAME ${MX}`]: insecure(END),
    })
    expect(demand).toEqual({ kind: 'none' })
    expect(tlsaAsked).toEqual([])
  })

  it.each([
    ['SERVFAIL', servfail, 'tlsa-lookup-failed'],
    ['bogus', bogus, 'dnssec-bogus'],
  ])('[DANE-10] whose CNAME lookup is %s: skipped', async (_, entry, reason) => {
    const { demand } = await lookUp({ [`A ${MX}`]: at(false), [`CNAME ${MX}`]: entry })
    expect(demand).toMatchObject({ kind: 'skip', failure: { reason, mxHost: MX } })
  })
})

describe('the TLSA records', () => {
  it('[DANE-4] are the proof as far as they are usable', async () => {
    const { demand } = await lookUp({ [TLSA]: secure(PKIX, EE, { ...EE, matchingType: 9 }) })
    expect(demand).toEqual(daneFor(MX, [MX, DOMAIN]))
  })

  it.each([
    ['usage 0', { ...EE, usage: 0 }],
    ['usage 1', PKIX],
    ['three octets', { ...EE, data: new Uint8Array() }],
    ['an unknown selector', { ...EE, selector: 2 }],
    ['a digest that was cut', { ...EE, data: new Uint8Array(20) }],
  ])('[DANE-5] only %s: TLS is required, and the report says tlsa-invalid', async (_, record) => {
    const { demand } = await lookUp({ [TLSA]: secure(record) })
    expect(demand).toEqual({
      kind: 'tls-required',
      base: MX,
      tlsa: [record],
      failure: { resultType: 'tlsa-invalid', reason: 'tlsa-unusable', mxHost: MX },
    })
  })

  it.each([
    ['absent (secure)', secure()],
    ['absent, by opt-out (insecure)', insecure()],
    ['insecure', insecure(EE)],
  ])('[DANE-2] %s: DANE demands nothing', async (_, entry) => {
    const { demand } = await lookUp({ [TLSA]: entry })
    expect(demand).toEqual({ kind: 'none' })
  })

  it.each([
    ['SERVFAIL', servfail, 'tlsa-lookup-failed'],
    ['REFUSED', { code: 'EREFUSED' }, 'tlsa-lookup-failed'],
    ['bogus', bogus, 'dnssec-bogus'],
  ])('[DANE-3] %s: the host is skipped', async (_, entry, reason) => {
    const { demand } = await lookUp({ [TLSA]: entry })
    expect(demand).toMatchObject({
      kind: 'skip',
      failure: { resultType: 'dnssec-invalid', reason, mxHost: MX, cause: expect.any(Error) },
    })
  })

  it('[DANE-3] no answer in time: the host is skipped', async () => {
    const resolver = fakeResolver({ [`A ${MX}`]: secure(ADDRESS), [TLSA]: 'never' })
    const { demand } = await dane({ resolver }).host(MX, {
      domain: DOMAIN,
      mx: { kind: 'found', records: [mxRecord], secure: true, name: DOMAIN },
      port: 25,
      dnsTimeout: 20,
      blockedAddresses: new BlockList(),
    })
    expect(demand).toMatchObject({ kind: 'skip', failure: { reason: 'tlsa-lookup-failed' } })
  })

  it('are looked up at the port of the SMTP server', async () => {
    const resolver = fakeResolver({ [`A ${MX}`]: secure(ADDRESS) })
    await dane({ resolver }).host(MX, {
      domain: DOMAIN,
      mx: { kind: 'found', records: [mxRecord], secure: true, name: DOMAIN },
      port: 2525,
      dnsTimeout: 1000,
      blockedAddresses: new BlockList(),
    })
    expect(resolver.asked).toContain(`TLSA _2525._tcp.${MX}`)
  })
})

describe('the cost of DANE', () => {
  it('is nothing for a domain without DNSSEC', async () => {
    const { asked } = await lookUp({
      [`MX ${DOMAIN}`]: insecure(mxRecord),
      [`A ${MX}`]: insecure(ADDRESS),
      [`AAAA ${MX}`]: insecure(),
    })
    expect(asked.toSorted()).toEqual([`A ${MX}`, `AAAA ${MX}`, `MX ${DOMAIN}`])
  })

  it('is one lookup of each question for concurrent deliveries', async () => {
    const resolver = fakeResolver({ [`MX ${DOMAIN}`]: secure(mxRecord) })
    const lookups = dane({ resolver })
    await Promise.all(Array.from({ length: 50 }, () => lookups.mx(DOMAIN, 1000)))
    expect(resolver.asked).toEqual([`MX ${DOMAIN}`])
  })
})

describe('require', () => {
  const require = (domain: string) => domain === DOMAIN

  it('is satisfied by TLSA records', async () => {
    expect((await lookUp({}, { require })).demand).toEqual(daneFor(MX, [MX, DOMAIN]))
  })

  it.each<[string, Record<string, Entry>, string]>([
    ['insecure MX records', { [`MX ${DOMAIN}`]: insecure(mxRecord) }, 'dane-not-available'],
    ['insecure addresses', { [`A ${MX}`]: insecure(ADDRESS) }, 'dane-not-available'],
    ['no TLSA records', { [TLSA]: secure() }, 'dane-not-available'],
    ['no usable TLSA record', { [TLSA]: secure(PKIX) }, 'tlsa-unusable'],
  ])('with %s: the host is skipped, dane-required', async (_, changes, reason) => {
    const { demand } = await lookUp(changes, { require })
    expect(demand).toEqual({
      kind: 'skip',
      failure: { resultType: 'dane-required', reason, mxHost: MX },
    })
  })

  it('of another domain has no effect', async () => {
    const { demand } = await lookUp({ [TLSA]: secure() }, { require: () => false })
    expect(demand).toEqual({ kind: 'none' })
  })

  it('takes precedence over except', async () => {
    const both = dane({ resolver: fakeResolver({}), require, except: () => true })
    expect([both.required(DOMAIN), both.excepted(DOMAIN)]).toEqual([true, false])
    expect([both.required('x.example'), both.excepted('x.example')]).toEqual([false, true])
  })

  it('that throws counts as a demand; an exception that throws does not', () => {
    const broken = () => {
      throw new Error('broken')
    }
    expect(dane({ resolver: fakeResolver({}), require: broken }).required(DOMAIN)).toBe(true)
    expect(dane({ resolver: fakeResolver({}), except: broken }).excepted(DOMAIN)).toBe(false)
  })
})

describe('a resolver of the caller’s own', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no object', 'absent'],
    ['an answer of no kind', {}],
    ['records that are no list', { kind: 'found', secure: true, name: 'x', records: 'x' }],
    ['a list without records', { kind: 'found', secure: true, name: 'x', records: [] }],
    ['records that are none', { kind: 'found', secure: true, name: 'x', records: [null] }],
    ['records of no kind', { kind: 'found', secure: true, name: 'x', records: [{}] }],
    ['a denial that says nothing of DNSSEC', { kind: 'absent', nxdomain: false, name: 'x' }],
    ['a failure without an error', { kind: 'failed', bogus: false }],
  ])('[DANE-3] that answers with %s: each lookup failed', async (_, junk) => {
    const resolver = fakeResolver({})
    const mx = await dane({ resolver: { ...resolver, query: async () => junk as never } }).mx(
      DOMAIN,
      1000,
    )
    expect(mx).toMatchObject({ kind: 'failed', error: { code: 'EBADRESP' } })

    const good = fakeResolver({ [`A ${MX}`]: secure(ADDRESS), [`AAAA ${MX}`]: secure() })
    const query: typeof good.query = async (name, type) =>
      type === 'TLSA' ? (junk as never) : good.query(name, type)
    const host = await dane({ resolver: { ...good, query } }).host(MX, {
      domain: DOMAIN,
      mx: { kind: 'found', secure: true, name: DOMAIN, records: [mxRecord] },
      port: 25,
      dnsTimeout: 1000,
      blockedAddresses: defaultBlockedAddresses(),
    })
    expect(host.demand).toMatchObject({
      kind: 'skip',
      failure: { resultType: 'dnssec-invalid', reason: 'tlsa-lookup-failed' },
    })
  })

  it('that once does not answer is asked again by the next delivery', async () => {
    const good = fakeResolver({ [`MX ${DOMAIN}`]: secure(mxRecord) })
    let asked = 0
    const query: typeof good.query = (name, type) =>
      asked++ === 0 ? new Promise(() => undefined) : good.query(name, type)
    const lookups = dane({ resolver: { ...good, query } })
    expect(await lookups.mx(DOMAIN, 5)).toMatchObject({ kind: 'failed' })
    expect(await lookups.mx(DOMAIN, 1000)).toMatchObject({ kind: 'found', secure: true })
  })

  it('that rotates the records does not change the proof', async () => {
    const next: TlsaRecord = { ...EE, data: new Uint8Array(32).fill(2) }
    const demands = await Promise.all(
      [secure(EE, next), secure(next, EE)].map((entry) => lookUp({ [TLSA]: entry })),
    )
    expect(demands[1]?.demand).toEqual(demands[0]?.demand)
  })
})

describe('except', () => {
  it('disables DANE, and TLSA records are not looked up', async () => {
    const { demand, tlsaAsked, addresses } = await lookUp({}, { except: (name) => name === DOMAIN })
    expect(demand).toEqual({ kind: 'none' })
    expect(tlsaAsked).toEqual([])
    expect(addresses.addresses).toEqual([ADDRESS])
  })
})

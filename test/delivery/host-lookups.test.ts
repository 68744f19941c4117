import { BlockList } from 'node:net'
import { afterEach, expect, it, vi } from 'vitest'
import { dane } from '../../src/dane/create.js'
import type { SecureAnswer } from '../../src/dane/secure-answer.js'
import { HostLookups } from '../../src/delivery/host-lookups.js'
import type { MxRecord } from '../../src/dns/shared-lookups.js'
import { EE, type Entry, fakeResolver, secure, servfail } from '../dane/fake-resolver.js'

const MX = 'mx.example.net'
const TLSA = `TLSA _25._tcp.${MX}`

afterEach(() => {
  vi.restoreAllMocks()
})

/** Lookups with DANE, a way to look up one MX host, and the TLSA questions so far. */
function lookupsWith(tlsa: Entry) {
  const resolver = fakeResolver({ [`A ${MX}`]: secure('192.0.2.1'), [TLSA]: tlsa })
  const lookups = new HostLookups({
    resolver,
    dnsTimeout: 1000,
    blockedAddresses: new BlockList(),
    dane: dane({ resolver }),
  })
  const mx: SecureAnswer<MxRecord> = {
    kind: 'found',
    records: [],
    secure: true,
    name: 'example.com',
  }
  return {
    lookups,
    host: (domain = 'example.com') =>
      lookups.host(MX, { domain, mx: { ...mx, name: domain }, port: 25 }),
    questions: () => resolver.asked.filter((question) => question === TLSA).length,
  }
}

it('[DANE-2] concurrent deliveries share the TLSA lookup of an MX host for a second only', async () => {
  const { lookups, host, questions } = lookupsWith(secure(EE))
  const clock = vi.spyOn(performance, 'now').mockReturnValue(10_000)
  await lookups.during(async () => {
    await Promise.all([host(), host()])
    clock.mockReturnValue(10_999)
    await host()
    expect(questions()).toBe(1)
    clock.mockReturnValue(11_001)
    await host()
    expect(questions()).toBe(2)
  })
  await lookups.during(host)
  expect(questions()).toBe(3)
})

it('domains share the lookups of an MX host, each with its own names [DANE-2]', async () => {
  const { lookups, host, questions } = lookupsWith(secure(EE))
  await lookups.during(async () => {
    const found = await Promise.all([host(), host('example.org'), host('example.com')])
    const names = found.map(({ demand }) => demand.kind === 'dane' && demand.proof.names)
    expect(names).toEqual([
      [MX, 'example.com'],
      [MX, 'example.org'],
      [MX, 'example.com'],
    ])
    expect(questions()).toBe(1)
  })
})

it.each(['require', 'except'] as const)(
  'a domain under %s does not share the lookups of the others',
  async (option) => {
    const insecure: Entry = { secure: false, records: ['192.0.2.1'] }
    const resolver = fakeResolver({
      [`A ${MX}`]: option === 'require' ? insecure : secure('192.0.2.1'),
      [TLSA]: secure(EE),
    })
    const isSpecial = (domain: string) => domain === 'special.example'
    const lookups = new HostLookups({
      resolver,
      dnsTimeout: 1000,
      blockedAddresses: new BlockList(),
      dane: dane({ resolver, [option]: isSpecial }),
    })
    const mx: SecureAnswer<MxRecord> = { kind: 'found', records: [], secure: true, name: MX }
    await lookups.during(async () => {
      const kinds: string[] = []
      for (const domain of ['plain.example', 'special.example', 'plain.example']) {
        kinds.push((await lookups.host(MX, { domain, mx, port: 25 })).demand.kind)
      }
      const special = option === 'require' ? 'skip' : 'none'
      const others = option === 'require' ? 'none' : 'dane'
      expect(kinds).toEqual([others, special, others])
    })
  },
)

it('[DANE-3] the next delivery repeats a failed TLSA lookup', async () => {
  const { lookups, host, questions } = lookupsWith(servfail)
  await lookups.during(async () => {
    await host()
    await host()
  })
  expect(questions()).toBe(2)
})

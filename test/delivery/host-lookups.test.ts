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
    host: () => lookups.host(MX, { domain: 'example.com', mx, port: 25 }),
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

it('[DANE-3] the next delivery repeats a failed TLSA lookup', async () => {
  const { lookups, host, questions } = lookupsWith(servfail)
  await lookups.during(async () => {
    await host()
    await host()
  })
  expect(questions()).toBe(2)
})

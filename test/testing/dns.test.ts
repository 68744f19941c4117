import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMailWorld, type MailWorld, type SenderOptions } from '../../src/testing/index.js'
import { codeOf } from './support.js'

let world: MailWorld
let resolver: SenderOptions['resolver']
let count = 0
const fresh = () => `d${++count}.example`

beforeAll(async () => {
  world = await createMailWorld({ dnsTimeout: 100 })
  resolver = world.options().resolver
})
beforeEach(() => world.forget())
afterAll(() => world.close())

describe('a domain with a policy', () => {
  it('has a record, MX records and addresses', async () => {
    const name = fresh()
    const domain = world.domain(name, { mode: 'enforce', mx: ['mx1', 'mx2.fleet.example'] })
    expect(await resolver.resolveTxt(`_mta-sts.${name}`)).toEqual([[`v=STSv1; id=${domain.id};`]])
    const records = await resolver.resolveMx(name)
    expect(records.sort((a, b) => a.priority - b.priority)).toMatchObject([
      { priority: 10, exchange: `mx1.${name}` },
      { priority: 20, exchange: 'mx2.fleet.example' },
    ])
    expect(await resolver.resolve4(`mx1.${name}`)).toEqual([domain.mx().ipv4])
    expect(await resolver.resolve4(`mta-sts.${name}`)).toEqual([domain.policyHost.ipv4])
  })

  it('has no AAAA records: the names are there, the type is not', async () => {
    const name = fresh()
    world.domain(name, { mode: 'enforce' })
    expect(await codeOf(resolver.resolve6(`mx.${name}`))).toBe('ENODATA')
    expect(world.queries).toMatchObject([{ type: 'AAAA', outcome: 'nodata' }])
  })
})

it('a domain without a policy has no _mta-sts name, and has MX records', async () => {
  const name = fresh()
  world.domain(name)
  expect(await codeOf(resolver.resolveTxt(`_mta-sts.${name}`))).toBe('ENOTFOUND')
  expect(await resolver.resolveMx(name)).toMatchObject([{ priority: 10, exchange: `mx.${name}` }])
})

it('a domain without MX hosts is its own: no MX record, but an address', async () => {
  const name = fresh()
  const domain = world.domain(name, { mode: 'enforce', mx: [] })
  expect(await codeOf(resolver.resolveMx(name))).toBe('ENODATA')
  expect(await resolver.resolve4(name)).toEqual([domain.mx().ipv4])
  expect(domain.mx().name).toBe(name)
})

it('preferences are as given', async () => {
  const name = fresh()
  const mx = [
    { host: 'b', preference: 5 },
    { host: 'a', preference: 5 },
    { host: 'first', preference: 0 },
  ]
  const domain = world.domain(name, { mode: 'enforce', mx })
  expect((await resolver.resolveMx(name)).map(({ priority }) => priority).sort()).toEqual([0, 5, 5])
  expect(domain.mx(0).name).toBe(`first.${name}`)
  expect(domain.mx('a').name).toBe(`a.${name}`)
  expect(domain.mx(`b.${name}`).name).toBe(`b.${name}`)
  expect(() => domain.mx('c')).toThrow(/none of.*did you mean/)
})

it('names that are not there do not exist; names above one that is, do', async () => {
  const name = fresh()
  world.domain(`sub.${name}`, { mode: 'enforce' })
  expect(await codeOf(resolver.resolveTxt(`nothing.${name}`))).toBe('ENOTFOUND')
  expect(await codeOf(resolver.resolveTxt(name))).toBe('ENODATA')
})

it('internationalized names are A-labels', async () => {
  const domain = world.domain('bücher.example', { mode: 'enforce' })
  expect(domain.name).toBe('xn--bcher-kva.example')
  expect(await resolver.resolveTxt('_mta-sts.xn--bcher-kva.example')).toHaveLength(1)
})

it('what does not fit a datagram is answered over TCP', async () => {
  const name = fresh()
  world.dns.set(name, 'TXT', ['x'.repeat(600), 'y'.repeat(5000)])
  const records = await resolver.resolveTxt(name)
  expect(records.map((strings) => strings.join('').length).sort()).toEqual([5000, 600])
  expect(records.flat().every((text) => text.length <= 255)).toBe(true)
  expect(world.queries.map(({ over }) => over)).toEqual(['udp', 'tcp'])
})

it('a test sets records of its own, and takes them back', async () => {
  const name = fresh()
  const domain = world.domain(name, { mode: 'enforce' })
  world.dns.set(`mta-sts.${name}`, 'A', ['203.0.113.77', domain.policyHost.ipv4])
  expect(await resolver.resolve4(`mta-sts.${name}`)).toContain('203.0.113.77')
  world.dns.set(`mta-sts.${name}`, 'A', [])
  expect(await codeOf(resolver.resolve4(`mta-sts.${name}`))).toBe('ENOTFOUND')
  world.dns.unset(`mta-sts.${name}`, 'A')
  expect(await resolver.resolve4(`mta-sts.${name}`)).toEqual([domain.policyHost.ipv4])
  world.dns.set(`www.${name}`, 'CNAME', [`mx.${name}`])
  expect(await resolver.resolve4(`www.${name}`)).toEqual([domain.mx().ipv4])
})

it('the id goes with the policy, the record can be anything', async () => {
  const name = fresh()
  const domain = world.domain(name, { mode: 'enforce', id: 'first' })
  expect(await resolver.resolveTxt(`_mta-sts.${name}`)).toEqual([['v=STSv1; id=first;']])
  domain.policy({ mode: 'testing' })
  expect(domain.id).not.toBe('first')
  expect(await resolver.resolveTxt(`_mta-sts.${name}`)).toEqual([[`v=STSv1; id=${domain.id};`]])
  domain.record(['v=STSv1; id=a;', 'some other record'])
  expect(await resolver.resolveTxt(`_mta-sts.${name}`)).toHaveLength(2)
  domain.record(null)
  expect(await codeOf(resolver.resolveTxt(`_mta-sts.${name}`))).toBe('ENOTFOUND')
  expect(domain.policyFile).toContain('mode: testing')
  domain.policy(null)
  expect(domain.policyFile).toBeUndefined()
  expect(() => domain.policy({ maxAge: 1 })).toThrow(/mode/)
})

describe('faults', () => {
  const lookups = [
    ['nxdomain', 'ENOTFOUND'],
    ['servfail', 'ESERVFAIL'],
    ['refused', 'EREFUSED'],
    ['timeout', 'ETIMEOUT'],
  ] as const

  it.each(lookups)('%s: %s, at each place on its own', async (fault, code) => {
    const name = fresh()
    const domain = world.domain(name, { mode: 'enforce' })
    const ask = {
      record: () => resolver.resolveTxt(`_mta-sts.${name}`),
      mx: () => resolver.resolveMx(name),
      'policy-host': () => resolver.resolve4(`mta-sts.${name}`),
      'mx-hosts': () => resolver.resolve4(`mx.${name}`),
    }
    domain.dns.fails(fault)
    expect(await codeOf(ask.record())).toBe(code)
    expect(await codeOf(ask.mx())).toBeUndefined()
    domain.dns.works()
    for (const place of ['mx', 'policy-host', 'mx-hosts'] as const) {
      domain.dns.fails(fault, place)
      expect(await codeOf(ask[place]())).toBe(code)
      expect(await codeOf(ask.record())).toBeUndefined()
      domain.dns.works()
      expect(await codeOf(ask[place]())).toBeUndefined()
    }
    expect(world.queries.some(({ outcome }) => outcome === fault)).toBe(true)
  })

  it('two-records, malformed-record, split-strings', async () => {
    const name = fresh()
    const domain = world.domain(name, { mode: 'enforce', id: '1' })
    const ask = () => resolver.resolveTxt(`_mta-sts.${name}`)
    domain.dns.fails('two-records')
    expect((await ask()).flat()).toEqual([
      'v=STSv1; id=1;',
      expect.stringMatching(/^v=STSv1; id=\w+;$/),
    ])
    domain.dns.fails('malformed-record')
    expect(await ask()).toEqual([['v=STSv1; id=not_an-id!;']])
    domain.dns.fails('split-strings')
    const [strings] = await ask()
    expect(strings?.length).toBeGreaterThan(2)
    expect(strings?.join('')).toBe('v=STSv1; id=1;')
  })

  it('cname-chain, at each place', async () => {
    const name = fresh()
    const domain = world.domain(name, { mode: 'enforce', id: '1' })
    domain.dns.fails('cname-chain')
    expect(await resolver.resolveTxt(`_mta-sts.${name}`)).toEqual([['v=STSv1; id=1;']])
    const [target] = await resolver.resolveCname(`_mta-sts.${name}`)
    expect(target).toBe(`_mta-sts.${name}.alias-1.example`)
    expect(await resolver.resolveTxt(`_mta-sts.${name}.alias-2.example`)).toHaveLength(1)
    domain.dns.fails('cname-chain', 'mx')
    expect(await resolver.resolveMx(name)).toHaveLength(1)
    domain.dns.fails('cname-chain', 'policy-host')
    expect(await resolver.resolve4(`mta-sts.${name}`)).toEqual([domain.policyHost.ipv4])
    domain.dns.fails('cname-chain', 'mx-hosts')
    expect(await resolver.resolve4(`mx.${name}`)).toEqual([domain.mx().ipv4])
    // c-ares makes nothing of an answer with CNAMEs only; some versions say so, some are silent
    expect(await resolver.resolve6(`mx.${name}`).catch(() => [])).toEqual([])
    domain.dns.works()
    expect(await codeOf(resolver.resolveCname(`mx.${name}`))).toBe('ENODATA')
  })

  it('spoofed-mx: the MX host of an attacker, who has a good certificate', async () => {
    const name = fresh()
    world.domain(name, { mode: 'enforce' }).dns.fails('spoofed-mx')
    const [record] = await resolver.resolveMx(name)
    expect(record?.exchange).toBe('mx.attacker.example')
    expect(await resolver.resolve4('mx.attacker.example')).toEqual([
      world.mx('mx.attacker.example').ipv4,
    ])
  })

  it('null-mx', async () => {
    const name = fresh()
    world.domain(name, { mode: 'enforce' }).dns.fails('null-mx')
    expect(await resolver.resolveMx(name)).toMatchObject([{ priority: 0, exchange: '' }])
  })

  it('ipv6-only', async () => {
    const name = fresh()
    const domain = world.domain(name, { mode: 'enforce' })
    domain.dns.fails('ipv6-only')
    expect(await codeOf(resolver.resolve4(`mx.${name}`))).toBe('ENODATA')
    expect(await resolver.resolve6(`mx.${name}`)).toEqual([domain.mx().ipv6])
    expect(await codeOf(resolver.resolve4(`mta-sts.${name}`))).toBe('ENODATA')
    expect(await resolver.resolve6(`mta-sts.${name}`)).toEqual([domain.policyHost.ipv6])
    domain.dns.works()
    expect(await resolver.resolve4(`mx.${name}`)).toEqual([domain.mx().ipv4])
  })

  it('a fault of one domain leaves what it shares with another as it is', async () => {
    const [one, other] = [fresh(), fresh()]
    const mx = ['mx.shared.example']
    world.domain(one, { mode: 'enforce', mx }).dns.fails('servfail', 'mx-hosts')
    world.domain(other, { mode: 'enforce', mx }).dns.fails('nxdomain')
    expect(await codeOf(resolver.resolve4('mx.shared.example'))).toBe('ESERVFAIL')
  })
})

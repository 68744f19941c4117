import { BlockList } from 'node:net'
import { describe, expect, test } from 'vitest'
import { lookupAddresses } from '../../src/dns/addresses.js'
import type { Resolver } from '../../src/dns/resolver.js'
import { defaultBlockedAddresses, isBlocked } from '../../src/net/blocked-addresses.js'
import { dnsError, type Records, resolverOf } from '../tls/support.js'

const lookup = (records: Records, blockedAddresses = defaultBlockedAddresses()) =>
  lookupAddresses('mx.example.com', {
    resolver: resolverOf(records),
    dnsTimeout: 5000,
    blockedAddresses,
  })

const NXDOMAIN = dnsError('ENOTFOUND')
const NODATA = dnsError('ENODATA')
const SERVFAIL = dnsError('ESERVFAIL')

describe('the order of addresses', () => {
  test.each<[name: string, records: Records, expected: string[]]>([
    [
      'IPv6 and IPv4 in turn, IPv6 first',
      { aaaa: ['2001:db8::1', '2001:db8::2'], a: ['192.0.2.1', '192.0.2.2'] },
      ['2001:db8::1', '192.0.2.1', '2001:db8::2', '192.0.2.2'],
    ],
    [
      'more of IPv6',
      { aaaa: ['2001:db8::1', '2001:db8::2', '2001:db8::3'], a: ['192.0.2.1'] },
      ['2001:db8::1', '192.0.2.1', '2001:db8::2', '2001:db8::3'],
    ],
    [
      'more of IPv4',
      { aaaa: ['2001:db8::1'], a: ['192.0.2.2', '192.0.2.1', '192.0.2.3'] },
      ['2001:db8::1', '192.0.2.2', '192.0.2.1', '192.0.2.3'],
    ],
    ['IPv6 only', { aaaa: ['2001:db8::2', '2001:db8::1'] }, ['2001:db8::2', '2001:db8::1']],
    ['IPv4 only', { a: ['192.0.2.1'] }, ['192.0.2.1']],
  ])('is %s', async (_, records, addresses) => {
    expect(await lookup(records)).toEqual({ addresses, blocked: [] })
  })

  test('has both families of this host, once each', async () => {
    const asked: string[] = []
    const resolver: Resolver = {
      ...resolverOf({}),
      resolve4: async (host) => {
        asked.push(`A ${host}`)
        return ['192.0.2.1']
      },
      resolve6: async (host) => {
        asked.push(`AAAA ${host}`)
        return ['2001:db8::1']
      },
    }
    const blockedAddresses = defaultBlockedAddresses()
    await lookupAddresses('mx.example.com', { resolver, dnsTimeout: 5000, blockedAddresses })
    expect(asked.sort()).toEqual(['A mx.example.com', 'AAAA mx.example.com'])
  })

  test('is limited to the first sixteen of each family', async () => {
    const a = Array.from({ length: 5000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`)
    const { addresses } = await lookup({ a })
    expect(addresses).toEqual(a.slice(0, 16))
  })
})

describe('a failed lookup of one family keeps the other', () => {
  test.each([NXDOMAIN, NODATA, SERVFAIL, new Error('no code')])('after %s', async (failure) => {
    const ipv4 = await lookup({ a: ['192.0.2.1'], aaaa: failure })
    expect(ipv4).toEqual({ addresses: ['192.0.2.1'], blocked: [] })
    const ipv6 = await lookup({ a: failure, aaaa: ['2001:db8::1'] })
    expect(ipv6).toEqual({ addresses: ['2001:db8::1'], blocked: [] })
  })

  test('after no answer', async () => {
    const resolver: Resolver = {
      ...resolverOf({ a: ['192.0.2.1'] }),
      resolve6: () => new Promise(() => {}),
    }
    const blockedAddresses = defaultBlockedAddresses()
    const options = { resolver, dnsTimeout: 20, blockedAddresses }
    expect(await lookupAddresses('mx.example.com', options)).toEqual({
      addresses: ['192.0.2.1'],
      blocked: [],
    })
  })
})

describe('the reason for no addresses', () => {
  const nothing = { addresses: [], blocked: [] }

  test.each<[name: string, records: Records, expected: object]>([
    ['neither exists', { a: NXDOMAIN, aaaa: NXDOMAIN }, { problem: 'nxdomain' }],
    ['neither is there', { a: NODATA, aaaa: NODATA }, { problem: 'no-address' }],
    ['empty answers', { a: [], aaaa: [] }, { problem: 'no-address' }],
    [
      'one says that the name does not exist',
      { a: NXDOMAIN, aaaa: NODATA },
      { problem: 'nxdomain' },
    ],
    ['both fail', { a: SERVFAIL, aaaa: SERVFAIL }, { problem: 'dns-failure', cause: SERVFAIL }],
    ['IPv4 fails', { a: SERVFAIL, aaaa: NODATA }, { problem: 'dns-failure', cause: SERVFAIL }],
    ['IPv6 fails', { a: NODATA, aaaa: SERVFAIL }, { problem: 'dns-failure', cause: SERVFAIL }],
    [
      'one fails, one does not exist',
      { a: NXDOMAIN, aaaa: SERVFAIL },
      { problem: 'dns-failure', cause: SERVFAIL },
    ],
    [
      'what came is none',
      { a: ['mx', '', '1.2.3'], aaaa: ['192.0.2.1'] },
      { problem: 'no-address' },
    ],
    [
      'the resolver returned null',
      { a: [null as unknown as string], aaaa: NODATA },
      { problem: 'dns-failure', cause: new TypeError('The resolver returned something else') },
    ],
  ])('is %s', async (_, records, expected) => {
    expect(await lookup(records)).toEqual({ ...nothing, ...expected })
  })

  test('is that all are blocked', async () => {
    expect(await lookup({ a: ['127.0.0.1', '10.0.0.1'], aaaa: ['::1'] })).toEqual({
      addresses: [],
      blocked: ['::1', '127.0.0.1', '10.0.0.1'],
      problem: 'blocked-address',
    })
  })

  test('is absent if only some are blocked: the others remain in order', async () => {
    const records = { a: ['127.0.0.1', '192.0.2.1'], aaaa: ['2001:db8::1', '::ffff:10.0.0.1'] }
    expect(await lookup(records)).toEqual({
      addresses: ['2001:db8::1', '192.0.2.1'],
      blocked: ['127.0.0.1', '::ffff:10.0.0.1'],
    })
  })

  test('is not affected by addresses in the records of the other family', async () => {
    const records = { a: ['2001:db8::1', '192.0.2.1'], aaaa: ['192.0.2.2', '2001:db8::2'] }
    expect((await lookup(records)).addresses).toEqual(['2001:db8::2', '192.0.2.1'])
  })
})

/** An IPv4 address as two groups of an IPv6 address, `7f00:1`. */
function groups(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** The same with its bits turned over, as Teredo has the client's. */
function inverted(ipv4: string): string {
  const bytes = ipv4.split('.').map((byte) => 255 - Number(byte))
  return groups(bytes.join('.'))
}

/** Every way in which an IPv6 address embeds an IPv4 address. */
const CARRIERS: Array<[name: string, carry: (ipv4: string) => string]> = [
  ['mapped', (ipv4) => `::ffff:${ipv4}`],
  ['mapped, in groups', (ipv4) => `::ffff:${groups(ipv4)}`],
  ['mapped, at full length', (ipv4) => `0000:0000:0000:0000:0000:FFFF:${groups(ipv4)}`],
  ['compatible', (ipv4) => `::${ipv4}`],
  ['translated', (ipv4) => `::ffff:0:${ipv4}`],
  ['NAT64', (ipv4) => `64:ff9b::${ipv4}`],
  ['NAT64, in groups', (ipv4) => `64:ff9b::${groups(ipv4)}`],
  ['6to4', (ipv4) => `2002:${groups(ipv4)}::1`],
  ['6to4, a subnet', (ipv4) => `2002:${groups(ipv4)}:1:2:3:4:5`],
  ['ISATAP, local', (ipv4) => `2001:db8::5efe:${ipv4}`],
  ['ISATAP, global', (ipv4) => `2001:db8:1:2:200:5efe:${groups(ipv4)}`],
  ['Teredo server', (ipv4) => `2001:0:${groups(ipv4)}:0:0:${inverted('192.0.2.1')}`],
  ['Teredo client', (ipv4) => `2001:0:${groups('192.0.2.1')}:8000:f227:${inverted(ipv4)}`],
]

const BLOCKED_IPV4: Array<[network: string, first: string, last: string]> = [
  ['unspecified', '0.0.0.0', '0.255.255.255'],
  ['private, 10/8', '10.0.0.0', '10.255.255.255'],
  ['shared, 100.64/10', '100.64.0.0', '100.127.255.255'],
  ['loopback', '127.0.0.0', '127.255.255.255'],
  ['link-local', '169.254.0.0', '169.254.255.255'],
  ['private, 172.16/12', '172.16.0.0', '172.31.255.255'],
  ['IETF protocol assignments', '192.0.0.0', '192.0.0.255'],
  ['6to4 relays', '192.88.99.0', '192.88.99.255'],
  ['benchmarks', '198.18.0.0', '198.19.255.255'],
  ['private, 192.168/16', '192.168.0.0', '192.168.255.255'],
  ['multicast', '224.0.0.0', '239.255.255.255'],
  ['reserved, and broadcast', '240.0.0.0', '255.255.255.255'],
]

/** The neighbours of the above, and the documentation ranges. */
const ALLOWED_IPV4 = [
  '1.0.0.0',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '223.255.255.255',
  '191.255.255.255',
  '192.0.1.0',
  '192.88.98.255',
  '192.88.100.0',
  '198.17.255.255',
  '198.20.0.0',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
]

describe('blocked addresses', () => {
  const list = defaultBlockedAddresses()

  test.each(BLOCKED_IPV4)('include IPv4 %s: %s to %s', (_, first, last) => {
    expect([isBlocked(first, list), isBlocked(last, list)]).toEqual([true, true])
  })

  test.each(ALLOWED_IPV4)('exclude IPv4 %s', (address) => {
    expect(isBlocked(address, list)).toBe(false)
  })

  test.each([
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    'fc00::',
    'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    'fe80::',
    'fe80::1%eth0',
    'FEBF:FFFF::1',
    'fec0::1',
    '100::',
    '100::ffff:ffff:ffff:ffff',
    '2001:2::',
    '2001:2:0:ffff:ffff:ffff:ffff:ffff',
    '5f00::',
    '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    // NAT64 of a network's own: the IPv4 address may be at any of several places
    '64:ff9b:1::',
    '64:ff9b:1:7f00:0:100:808:808',
    '64:ff9b:1:ffff:ffff:ffff:ffff:ffff',
    'ff00::',
    'ff02::1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ])('include IPv6 %s', (address) => {
    expect(isBlocked(address, list)).toBe(true)
  })

  test.each([
    '2001:db8::1',
    '2001:DB8:0:0:0:0:7f00:1',
    '2001:db8:7f00:1::',
    '2001:1::7f00:1',
    '2003::7f00:1',
    '2606:4700::1111',
    '64:ff9a::7f00:1',
    '100:0:0:1::',
    '2001:2:1::',
    '5eff:ffff::1',
    '5f01::1',
    '2001:db8::100:5efe:7f00:1',
    '2001:db8::5eff:7f00:1',
    '1::',
    'fbff::1',
    '2001:db8::127.0.0.1',
  ])('exclude IPv6 %s', (address) => {
    expect(isBlocked(address, list)).toBe(false)
  })

  describe.each(CARRIERS)('blocked IPv4 inside IPv6, %s', (_, carry) => {
    test.each(BLOCKED_IPV4)('includes %s', (_network, first, last) => {
      expect([carry(first), carry(last)].filter((address) => !isBlocked(address, list))).toEqual([])
    })

    test('excludes the others', () => {
      expect(ALLOWED_IPV4.map(carry).filter((address) => isBlocked(address, list))).toEqual([])
    })
  })

  test.each(['', 'localhost', '127.1', '0x7f000001', '2130706433', '[::1]', '192.0.2.1:25', ':::'])(
    'includes %j, which is not an address',
    (address) => {
      expect(isBlocked(address, list)).toBe(true)
    },
  )

  test('is a new list in every call', () => {
    const mine = defaultBlockedAddresses()
    mine.addAddress('192.0.2.1')
    expect(isBlocked('192.0.2.1', mine)).toBe(true)
    expect(isBlocked('192.0.2.1', defaultBlockedAddresses())).toBe(false)
  })
})

describe("the operator's own list of blocked addresses", () => {
  test('replaces the default', async () => {
    const list = new BlockList()
    list.addAddress('192.0.2.1')
    const records = { a: ['192.0.2.1', '127.0.0.1', '10.0.0.1'], aaaa: ['::1'] }
    expect(await lookup(records, list)).toEqual({
      addresses: ['::1', '127.0.0.1', '10.0.0.1'],
      blocked: ['192.0.2.1'],
    })
  })

  test('blocks nothing when empty', async () => {
    const records = { a: ['127.0.0.1'], aaaa: ['::ffff:127.0.0.1'] }
    expect((await lookup(records, new BlockList())).blocked).toEqual([])
  })

  test.each(CARRIERS)('includes IPv4 inside IPv6, %s', (_, carry) => {
    const list = new BlockList()
    list.addSubnet('198.51.100.0', 24, 'ipv4')
    expect(isBlocked(carry('198.51.100.7'), list)).toBe(true)
    expect(isBlocked(carry('198.51.101.7'), list)).toBe(false)
  })

  test('includes IPv6', () => {
    const list = new BlockList()
    list.addSubnet('2001:db8:1::', 48, 'ipv6')
    expect(isBlocked('2001:db8:1::25', list)).toBe(true)
    expect(isBlocked('2001:db8:2::25', list)).toBe(false)
  })
})

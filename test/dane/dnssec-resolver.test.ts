import { afterEach, describe, expect, it } from 'vitest'
import { dnssecResolver } from '../../src/dane/dnssec-resolver.js'
import {
  AD,
  a,
  cname,
  extendedError,
  type NameServer,
  nameServer,
  reply,
  type Script,
  TC,
  tlsa,
} from './name-server.js'

const open: NameServer[] = []

async function serve(script: Script, host?: string): Promise<NameServer> {
  const server = await nameServer(script, host)
  open.push(server)
  return server
}

afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

const secureA: Script = ({ query }) =>
  reply(query, { flags: AD, answers: [a('mx.example', '192.0.2.1')] })

const refuse =
  (rcode: number): Script =>
  ({ query }) =>
    reply(query, { rcode })

const silent: Script = () => undefined

/** Long enough that it never decides a test. */
const AMPLE = 60_000

async function resolverFor(script: Script, options = {}) {
  const server = await serve(script)
  return { server, resolver: dnssecResolver({ servers: [server.address], ...options }) }
}

describe('the question', () => {
  it('[DANE-1] has RD and AD set, DO clear, and offers 1232 octets', async () => {
    const { server, resolver } = await resolverFor(secureA)
    await resolver.query('MX.Example.', 'A')
    const [asked] = server.asked
    expect(asked?.query).toMatchObject({
      flag_rd: true,
      flag_ad: true,
      flag_cd: false,
      questions: [{ name: 'mx.example', type: 'A' }],
      additionals: [{ type: 'OPT', udpPayloadSize: 1232, flag_do: false, ednsVersion: 0 }],
    })
  })

  it('has a new id and port each time', async () => {
    const { server, resolver } = await resolverFor(secureA)
    for (let n = 0; n < 8; n++) await resolver.query('mx.example', 'A')
    expect(new Set(server.asked.map(({ query }) => query.id)).size).toBeGreaterThan(4)
    expect(new Set(server.asked.map(({ from }) => from)).size).toBeGreaterThan(4)
  })

  it.each([
    '',
    'a..example',
    `${'a'.repeat(64)}.example`,
    'mx example',
    `${'a.'.repeat(130)}example`,
  ])('is not sent for %j, an invalid name', async (name) => {
    const { server, resolver } = await resolverFor(secureA)
    const answer = await resolver.query(name === '' ? '.x' : name, 'A')
    expect(answer).toMatchObject({ kind: 'failed', error: { code: 'EBADNAME' } })
    expect(server.asked).toHaveLength(0)
  })
})

describe('the AD bit', () => {
  it('[DANE-1] counts from a server on loopback', async () => {
    const { resolver } = await resolverFor(secureA)
    expect(await resolver.query('mx.example', 'A')).toEqual({
      kind: 'found',
      records: ['192.0.2.1'],
      secure: true,
      name: 'mx.example',
    })
  })

  it('[DANE-1] counts from IPv6 loopback', async () => {
    const server = await serve(secureA, '::1')
    const resolver = dnssecResolver({ servers: [server.address] })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ secure: true })
  })

  it('[DANE-1] does not count where trustAd is false', async () => {
    const { resolver } = await resolverFor(secureA, { trustAd: false })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ kind: 'found', secure: false })
  })

  it('[DANE-1] is missing from an answer that is not validated', async () => {
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, { answers: [a('mx.example', '192.0.2.1')] }),
    )
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ kind: 'found', secure: false })
  })

  it.each([
    [0, false],
    [3, true],
  ])('makes a denial with response code %i secure', async (rcode, nxdomain) => {
    const { resolver } = await resolverFor(({ query }) => reply(query, { rcode, flags: AD }))
    expect(await resolver.query('mx.example', 'TLSA')).toEqual({
      kind: 'absent',
      nxdomain,
      secure: true,
      name: 'mx.example',
    })
  })

  it('[DANE-1] of an untrusted server never counts beside a trusted one: it is not asked', async () => {
    const local = await serve(refuse(2))
    const resolver = dnssecResolver({ servers: [local.address, '192.0.2.53'], timeout: AMPLE })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({
      kind: 'failed',
      error: { code: 'ESERVFAIL' },
    })
  })
})

describe('the answer', () => {
  it('follows aliases to their end, and returns the name there', async () => {
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, {
        flags: AD,
        answers: [
          cname('MX.example', 'one.example'),
          cname('one.example', 'TWO.example'),
          a('two.example', '192.0.2.1'),
          a('other.example', '192.0.2.2'),
        ],
      }),
    )
    expect(await resolver.query('mx.example', 'A')).toEqual({
      kind: 'found',
      records: ['192.0.2.1'],
      secure: true,
      name: 'two.example',
    })
  })

  it('fails for a circle of aliases', async () => {
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, {
        answers: [cname('mx.example', 'b.example'), cname('b.example', 'mx.example')],
      }),
    )
    expect(await resolver.query('mx.example', 'A')).toMatchObject({
      kind: 'failed',
      error: { code: 'EBADRESP' },
    })
  })

  it('has MX, AAAA, CNAME, TLSA and TXT records in their shapes', async () => {
    const name = 'x.example'
    const common = { name, ttl: 1, class: 'IN' } as const
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, {
        answers: [
          { ...common, type: 'AAAA', data: '2001:db8::1' },
          { ...common, type: 'MX', data: { preference: 10, exchange: 'MX.Example' } },
          { ...common, type: 'MX', data: { preference: 0, exchange: '.' } },
          { ...common, type: 'TXT', data: [Buffer.from('v=1;'), Buffer.from('\xff', 'latin1')] },
          tlsa(name, [3, 1, 1], Buffer.alloc(32, 7)),
        ],
      }),
    )
    expect(await resolver.resolve6(name)).toEqual(['2001:db8::1'])
    expect(await resolver.resolveMx(name)).toEqual([
      { exchange: 'mx.example', priority: 10 },
      { exchange: '', priority: 0 },
    ])
    expect(await resolver.resolveTxt(name)).toEqual([['v=1;', '\xff']])
    expect(await resolver.query(name, 'TLSA')).toMatchObject({
      records: [{ usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(32).fill(7) }],
    })
  })

  it.each([
    [0, 'ENODATA'],
    [1, 'EFORMERR'],
    [2, 'ESERVFAIL'],
    [3, 'ENOTFOUND'],
    [4, 'ENOTIMP'],
    [5, 'EREFUSED'],
  ])('with response code %i and no records is node:dns error %s', async (rcode, code) => {
    const { resolver } = await resolverFor(refuse(rcode))
    const error = { code, hostname: 'mx.example', syscall: 'queryA' }
    await expect(resolver.resolve4('mx.example')).rejects.toMatchObject(error)
  })

  it('fails with ETIMEOUT after as many tries as configured, if it never comes', async () => {
    const { server, resolver } = await resolverFor(silent, { timeout: 20, tries: 3 })
    await expect(resolver.resolveMx('mx.example')).rejects.toMatchObject({ code: 'ETIMEOUT' })
    expect(server.asked).toHaveLength(3)
  })

  it('fails with ECONNREFUSED for a missing server', async () => {
    const server = await nameServer(silent)
    server.close()
    const resolver = dnssecResolver({ servers: [server.address], timeout: AMPLE })
    const answer = await resolver.query('mx.example', 'A')
    expect(answer).toMatchObject({ kind: 'failed', error: { code: 'ECONNREFUSED' } })
  })

  it.each([
    [6, true],
    [7, true],
    [9, true],
    [12, true],
    [22, false],
    [23, false],
  ])('with SERVFAIL and extended error %i: bogus is %s', async (code, bogus) => {
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, { rcode: 2, additionals: [extendedError(code, 'signature expired')] }),
    )
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ kind: 'failed', bogus })
  })

  it('with an extended response code is a failure', async () => {
    const { resolver } = await resolverFor(({ query }) => {
      const badVersion = { ...extendedError(0), extendedRcode: 1 }
      return reply(query, { flags: AD, additionals: [badVersion as never] })
    })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ kind: 'failed' })
  })
})

describe('several servers', () => {
  it.each([
    ['SERVFAIL', 2],
    ['REFUSED', 5],
    ['NOTIMP', 4],
  ])('are tried in turn after %s', async (_, rcode) => {
    const [first, second] = [await serve(refuse(rcode)), await serve(secureA)]
    const resolver = dnssecResolver({ servers: [first.address, second.address], timeout: AMPLE })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({ kind: 'found', secure: true })
    expect([first.asked.length, second.asked.length]).toEqual([1, 1])
  })

  it('are three at most, each asked once when all refuse', async () => {
    const servers = [2, 5, 2, 2].map((rcode) => serve(refuse(rcode)))
    const all = await Promise.all(servers)
    const resolver = dnssecResolver({ servers: all.map(({ address }) => address) })
    await expect(resolver.resolve4('mx.example')).rejects.toMatchObject({ code: 'ESERVFAIL' })
    expect(all.map(({ asked }) => asked.length)).toEqual([1, 1, 1, 0])
  })

  it('start with the one that answered last', async () => {
    const [first, second] = [await serve(silent), await serve(secureA)]
    const resolver = dnssecResolver({ servers: [first.address, second.address], timeout: 50 })
    for (let n = 0; n < 3; n++) await resolver.resolve4('mx.example')
    expect([first.asked.length, second.asked.length]).toEqual([1, 3])
  })

  it('are not asked after NXDOMAIN, which is an answer', async () => {
    const [first, second] = [await serve(refuse(3)), await serve(secureA)]
    const resolver = dnssecResolver({ servers: [first.address, second.address] })
    await expect(resolver.resolve4('mx.example')).rejects.toMatchObject({ code: 'ENOTFOUND' })
    expect(second.asked).toHaveLength(0)
  })
})

describe('a truncated answer', () => {
  it('is repeated over TCP, whose AD bit counts', async () => {
    const many = Array.from({ length: 1500 }, (_, n) =>
      a('mx.example', `192.0.${n >> 8}.${n & 255}`),
    )
    const { server, resolver } = await resolverFor(({ query, over }) =>
      over === 'udp' ? reply(query, { flags: TC }) : reply(query, { flags: AD, answers: many }),
    )
    const answer = await resolver.query('mx.example', 'A')
    expect(answer).toMatchObject({ kind: 'found', secure: true })
    expect(answer.kind === 'found' && answer.records).toHaveLength(1500)
    expect(server.asked.map(({ over }) => over)).toEqual(['udp', 'tcp'])
  })

  it.each([
    ['a part of the records', [a('mx.example', '192.0.2.1')]],
    ['none of the records', []],
  ])('[DANE-3] fails when TCP brings %s, truncated as well', async (_, answers) => {
    const { resolver } = await resolverFor(
      ({ query }) => reply(query, { flags: AD | TC, answers }),
      { tries: 1 },
    )
    expect(await resolver.query('mx.example', 'A')).toMatchObject({
      kind: 'failed',
      error: { code: 'EBADRESP' },
    })
  })

  it('fails when TCP brings an answer to another question', async () => {
    const { resolver } = await resolverFor(({ query, over }) =>
      over === 'udp'
        ? reply(query, { flags: TC })
        : reply(query, { questions: [{ type: 'A', name: 'other.example' }] }),
    )
    expect(await resolver.query('mx.example', 'A')).toMatchObject({
      kind: 'failed',
      error: { code: 'EBADRESP' },
    })
  })
})

describe('bad input', () => {
  /** A reply with the right id and question, followed by the test's own bytes. */
  function crafted(question: Buffer, answers: Buffer, count = 1): Buffer {
    const head = Buffer.from(question.subarray(0, 12))
    head.writeUInt16BE(0x8180, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(count, 6)
    head.writeUInt16BE(0, 8)
    head.writeUInt16BE(0, 10)
    // The question is followed by the OPT record of 11 octets
    return Buffer.concat([head, question.subarray(12, -11), answers])
  }

  const loop = Buffer.from([0xc0, 12 + 16])

  it.each<[string, Script]>([
    ['garbage', () => Buffer.from('not DNS at all')],
    ['an empty datagram', () => Buffer.alloc(0)],
    ['a query', ({ bytes }) => bytes],
    ['another id', ({ query }) => reply({ ...query, id: (query.id ?? 0) ^ 1 }, { flags: AD })],
    [
      'another name',
      ({ query }) => reply(query, { questions: [{ type: 'A', name: 'evil.example' }] }),
    ],
    [
      'another type',
      ({ query }) => reply(query, { questions: [{ type: 'MX', name: 'mx.example' }] }),
    ],
    [
      'another class',
      ({ query }) => reply(query, { questions: [{ type: 'A', name: 'mx.example', class: 'CH' }] }),
    ],
    ['no question', ({ query }) => reply(query, { questions: [] })],
    ['a name that points to itself', ({ bytes }) => crafted(bytes, Buffer.from([0xc0, 28]))],
    ['a name that points ahead', ({ bytes }) => crafted(bytes, Buffer.from([0xc0, 40, 0, 1]))],
    ['more records than bytes', ({ bytes }) => crafted(bytes, loop, 65_535)],
  ])('%s is ignored, and the genuine answer behind it is used', async (_, script) => {
    const { resolver } = await resolverFor((asked) => {
      const bad = script(asked)
      const good = secureA(asked)
      return [bad ?? [], good ?? []].flat()
    })
    expect(await resolver.query('mx.example', 'A')).toMatchObject({
      kind: 'found',
      records: ['192.0.2.1'],
    })
  })

  it('a TLSA record of three octets is a record without data', async () => {
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, { flags: AD, answers: [tlsa('x.example', [3, 1, 1], Buffer.alloc(0))] }),
    )
    expect(await resolver.query('x.example', 'TLSA')).toMatchObject({
      records: [{ usage: 3, selector: 1, matchingType: 1, data: new Uint8Array() }],
    })
  })

  it('an answer of 64 KiB is read within a second', async () => {
    const { resolver } = await resolverFor(({ bytes, query, over }) => {
      if (over === 'udp') return reply(query, { flags: TC })
      // Records of 16 octets, each with a pointer to the name of the question
      const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1])
      return crafted(bytes, Buffer.concat(Array(4000).fill(record)), 4000)
    })
    const begun = performance.now()
    const answer = await resolver.query('mx.example', 'A')
    expect(answer.kind === 'found' && answer.records).toHaveLength(4000)
    expect(performance.now() - begun).toBeLessThan(1000)
  })
})

describe('many questions at once', () => {
  it('2,000 questions at once are all answered', async () => {
    const { server, resolver } = await resolverFor(({ query }) =>
      reply(query, { flags: AD, answers: [a(query.questions?.[0]?.name ?? '', '192.0.2.1')] }),
    )
    const names = Array.from({ length: 2000 }, (_, n) => `mx${n}.example`)
    const answers = await Promise.all(names.map((name) => resolver.query(name, 'A')))
    expect(answers.filter(({ kind }) => kind !== 'found')).toEqual([])
    expect(server.asked.length).toBeGreaterThanOrEqual(2000)
  })
})

describe('the probe', () => {
  it("[DANE-16] asks for the root's NS records once, and accepts AD as a yes", async () => {
    const { server, resolver } = await resolverFor(({ query }) => reply(query, { flags: AD }))
    expect(await resolver.validates()).toBe(true)
    expect(await resolver.validates()).toBe(true)
    expect(server.asked.map(({ query }) => query.questions?.[0])).toMatchObject([
      { name: '.', type: 'NS' },
    ])
  })

  it('[DANE-16] accepts an answer without AD as a no', async () => {
    const { resolver } = await resolverFor(({ query }) => reply(query))
    expect(await resolver.validates()).toBe(false)
  })

  it('[DANE-16] is undecided without an answer, and asks again', async () => {
    let works = false
    const { resolver } = await resolverFor(({ query }) =>
      reply(query, works ? { flags: AD } : { rcode: 2 }),
    )
    expect(await resolver.validates()).toBeUndefined()
    works = true
    expect(await resolver.validates()).toBe(true)
  })
})

describe('options', () => {
  it.each([
    [{ servers: [] }, 'servers'],
    [{ servers: 'x' }, 'servers'],
    [{ servers: ['localhost'] }, 'servers'],
    [{ servers: ['127.0.0.1:0'] }, 'servers'],
    [{ servers: ['::1]:53'] }, 'servers'],
    [{ servers: [53] }, 'servers'],
    [{ trustAd: 'yes' }, 'trustAd'],
    [{ timeout: 0 }, 'timeout'],
    [{ tries: 1.5 }, 'tries'],
    [{ trustad: true }, 'trustad'],
  ])('%j is a TypeError that names %s', (options, field) => {
    expect(() => dnssecResolver(options as never)).toThrow(
      expect.objectContaining({ code: 'ECONFIG', message: expect.stringContaining(`"${field}"`) }),
    )
  })
})

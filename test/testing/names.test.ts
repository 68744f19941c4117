/** Names and values that are wrong: what a program without TypeScript is told of them. */
import { describe, expect, it } from 'vitest'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'

/** Called as from JavaScript. */
type Loose = Record<string, (...args: unknown[]) => unknown>

// biome-ignore lint/suspicious/noExplicitAny: what JavaScript can pass is what this is about
const loose = (value: any): Loose => value

const CASES: Array<[title: string, act: (world: MailWorld) => unknown, message: RegExp]> = [
  [
    'a fault of an MX host',
    (w) => loose(w.domain('b.example').mx()).fails?.('expird'),
    /"expird".*"expired"/,
  ],
  [
    'a fault of a policy host',
    (w) => loose(w.domain('b.example').policyHost).fails?.('dwon'),
    /"dwon".*"down"/,
  ],
  [
    'a fault of the DNS',
    (w) => loose(w.domain('b.example').dns).fails?.('nxdomian'),
    /"nxdomian".*"nxdomain"/,
  ],
  [
    'a place in the DNS',
    (w) => loose(w.domain('b.example').dns).fails?.('servfail', 'mxs'),
    /"mxs".*"mx"/,
  ],
  [
    'a fault at a place where it does not fit',
    (w) => loose(w.domain('b.example').dns).fails?.('null-mx', 'record'),
    /"null-mx" fits at mx/,
  ],
  [
    'a fault without a reply',
    (w) => loose(w.mx('mx.example')).fails?.({ at: 'rcpt' }),
    /"rcpt" needs a reply/,
  ],
  [
    'a stage',
    (w) => loose(w.mx('mx.example')).fails?.({ at: 'rctp', reply: '550 No' }),
    /at is "rctp".*"rcpt"/,
  ],
  [
    'a key of a rule',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'rcpt', replay: '550 No' }),
    /"replay".*"reply"/,
  ],
  [
    'an act',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'rcpt', act: 'dorp' }),
    /"dorp".*"drop"/,
  ],
  [
    'a reply at connect',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'connect', reply: '421 No' }),
    /connect/,
  ],
  [
    'a good reply',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'rcpt', reply: '250 OK' }),
    /4xx or 5xx.*"250 OK"/,
  ],
  [
    'a reply that is no string',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'rcpt', reply: 550 }),
    /reply.*550/,
  ],
  [
    'a probability',
    (w) => loose(w.mx('mx.example')).rule?.({ at: 'rcpt', act: 'drop', probability: 2 }),
    /probability.*2/,
  ],
  ['a count', (w) => loose(w.mx('mx.example')).fails?.('slow', { times: 0 }), /times.*0/],
  [
    'an option of a fault',
    (w) => loose(w.mx('mx.example')).fails?.('slow', { time: 1 }),
    /"time".*"times"/,
  ],
  ['a family', (w) => loose(w.mx('mx.example')).fails?.('slow', { family: 5 }), /family.*5/],
  [
    'a mode',
    (w) => loose(w).domain?.('b.example', { mode: 'strict' }),
    /mode is "strict".*"enforce"/,
  ],
  [
    'a mode of a change',
    (w) => loose(w.domain('b.example')).policy?.({ mode: 'enforced' }),
    /"enforced".*"enforce"/,
  ],
  [
    'an option of a domain',
    (w) => loose(w).domain?.('b.example', { mdoe: 'none' }),
    /"mdoe".*"mode"/,
  ],
  [
    'MX hosts that are no list',
    (w) => loose(w).domain?.('b.example', { mx: 'mx1' }),
    /mx.*list.*"mx1"/,
  ],
  [
    'an option of a host',
    (w) => loose(w).mx?.('mx.example', { requiretls: true }),
    /"requiretls".*"requireTls"/,
  ],
  [
    'an option of a smart host',
    (w) => loose(w).smartHost?.('s.example', { relay: true }),
    /"relay".*"relays"/,
  ],
  ['MX data', (w) => loose(w.dns).set?.('b.example', 'MX', ['mx']), /MX.*preference.*"mx"/],
  [
    'an address',
    (w) => loose(w.dns).set?.('b.example', 'A', ['mx.example']),
    /A must be an IPv4.*"mx.example"/,
  ],
  ['a type of record', (w) => loose(w.dns).set?.('b.example', 'TX', ['x']), /"TX".*"TXT"/],
  [
    'data that is no list',
    (w) => loose(w.dns).set?.('b.example', 'TXT', 'x'),
    /TXT must be a list.*"x"/,
  ],
  [
    'TLSA data',
    (w) =>
      loose(w.dns).set?.('b.example', 'TLSA', [
        { usage: 3, selector: 1, matchingType: 1, data: 'xyz' },
      ]),
    /hexadecimal.*"xyz"/,
  ],
  ['SRV data', (w) => loose(w.dns).set?.('b.example', 'SRV', [{ host: 'x' }]), /"host"/],
  [
    'san',
    (w) => loose(w.mx('mx.example')).certificate?.({ san: 'DNS:mx.example' }),
    /san must be a list.*"DNS:mx.example"/,
  ],
  [
    'an entry of san',
    (w) => loose(w.mx('mx.example')).certificate?.({ san: ['mx.example'] }),
    /'DNS:name'.*"mx.example"/,
  ],
  [
    'a key of a certificate',
    (w) => loose(w.mx('mx.example')).certificate?.({ sna: [] }),
    /"sna".*"san"/,
  ],
  [
    'a validity',
    (w) => loose(w.mx('mx.example')).certificate?.({ validity: 'expired' }),
    /"expired".*"past"/,
  ],
  ['a unit of time', (w) => loose(w.clock).advance?.({ weeks: 1 }), /"weeks".*"days"/],
  [
    'an option of TLS',
    (w) => loose(w.mx('mx.example')).tls?.({ maxVersion: 'TLSv1.4' }),
    /"TLSv1.4"/,
  ],
  ['a link', (w) => loose(w.mx('mx.example')).link?.({ latency: '5' }), /latency.*"5"/],
  ['chaos', (w) => loose(w).chaos?.({ drop: 0.5 }), /"drop".*"drops"/],
  ['limits', (w) => loose(w.mx('mx.example')).limits?.({ message: 1 }), /"message".*"messages"/],
  ['a status', (w) => loose(w.mx('mx.example')).bounces?.({ status: '511' }), /status.*"511"/],
  ['addresses', (w) => loose(w.mx('mx.example')).knows?.('b@b.example'), /knows\(\).*list/],
  [
    'a response',
    (w) => loose(w.domain('b.example').policyHost).fails?.({ stauts: 500 }),
    /"stauts".*"status"/,
  ],
]

describe('a TypeError says what was given, where, and the nearest name', () => {
  it.each(CASES)('%s', async (_, act, message) => {
    await using world = await createMailWorld()
    expect(() => act(world)).toThrow(TypeError)
    expect(() => act(world)).toThrow(message)
  })

  it('an option of the world', async () => {
    const { createMailWorld: make } = loose({ createMailWorld })
    await expect(make?.({ dnstimeout: 5 })).rejects.toThrow(/"dnstimeout".*"dnsTimeout"/)
  })

  it.each(['next', 'waitFor'] as const)('a filter of inbox.%s()', async (method) => {
    await using world = await createMailWorld()
    const inbox = loose(world.inbox)
    const filter = { sbuject: 'x' }
    const waiting = method === 'next' ? inbox.next?.(filter) : inbox.waitFor?.(1, filter)
    await expect(waiting).rejects.toThrow(/"sbuject".*"subject"/)
  })
})

it('nothing is made in a world that is closed', async () => {
  const world = await createMailWorld()
  await world.close()
  expect(() => world.domain('bob.example')).toThrow(/domain\(\): this mail world is closed/)
  expect(() => world.mx('mx.example')).toThrow(/closed/)
  expect(() => world.smartHost('smtp.example')).toThrow(/closed/)
  expect(() => world.nodemailer()).toThrow(/closed/)
  await expect(world.env()).rejects.toThrow(/closed/)
})

it('data of the wrong kind does not end the process', async () => {
  await using world = await createMailWorld()
  expect(() => loose(world.dns).set?.('bob.example', 'MX', ['mx'])).toThrow(TypeError)
  world.domain('bob.example')
  expect(await world.options().resolver.resolveMx('bob.example')).toHaveLength(1)
})

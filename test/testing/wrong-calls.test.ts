/** Calls of mta-sts/testing that would otherwise pass silently: values in place of options, wrong waits, closed worlds. */
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { expectMail } from '../../src/testing/node.js'
import { joinMailWorld } from '../../src/testing/remote.js'
import {
  domain,
  type Loose,
  on,
  smartHost,
  uniqueHost,
  useLooseWorld,
  type WrongCall,
} from './wrong-calls.js'

useLooseWorld()

/** Objects without fields of their own: as options they would pass as none. */
const ODD: ReadonlyArray<[kind: string, value: Loose]> = [
  ['a RegExp', /reset/],
  ['a Date', new Date()],
  ['a Map', new Map([['subject', 'Hi']])],
  ['a list', []],
  ['a number', 5],
  ['a string', 'x'],
  ['a function', () => undefined],
]
const TAKE_OPTIONS: ReadonlyArray<[call: string, act: (value: Loose) => unknown]> = [
  ['domain()', (value) => domain(value)],
  ['mx()', (value) => on.world().mx(uniqueHost(), value)],
  ['smartHost()', (value) => smartHost(value)],
  ['policy()', (value) => on.bob().policy(value)],
  ['dane()', (value) => on.bob().dane(value)],
  ['fails()', (value) => on.mx().fails('expired', value)],
  ['fails() of a policy host', (value) => on.policyHost().fails('404', value)],
  ['dns.fails()', (value) => on.dns().fails('servfail', 'mx', value)],
  ['greylists()', (value) => on.mx().greylists(value)],
  ['limits()', (value) => on.mx().limits(value)],
  ['bounces()', (value) => on.mx().bounces(value)],
  ['offers()', (value) => on.mx().offers(value)],
  ['tls()', (value) => on.mx().tls(value)],
  ['link()', (value) => on.mx().link(value)],
  ['certificate()', (value) => on.mx().certificate(value)],
  ['chaos()', (value) => on.world().chaos(value)],
  ['advance()', (value) => on.clock().advance(value)],
  ['dns.set()', (value) => on.zone().set('x.example', 'A', [], value)],
  ['toHaveReceived()', (value) => expectMail(on.bob()).toHaveReceived(value)],
  ['toHaveReceivedNothing()', (value) => expectMail(on.bob()).toHaveReceivedNothing(value)],
  ['toHaveRefused()', (value) => expectMail(on.bob()).toHaveRefused(value)],
]

describe.each(TAKE_OPTIONS)('%s refuses as options', (_, act) => {
  it.each(ODD)('%s', (_kind, value) => {
    expect(() => act(value)).toThrow(TypeError)
    expect(() => act(value)).toThrow(/must be (?:an object|a span of time)|has no option/)
  })
})

const WAITS: readonly WrongCall[] = [
  ['next("x")', () => on.inbox().next('x'), /next\(\) must be an object.*"x"/],
  ['subject: 5', () => on.inbox().next({ subject: 5 }), /subject must be a string or a RegExp.*5/],
  ['headers: 5', () => on.inbox().next({ headers: 5 }), /headers must be an object.*5/],
  [
    'timeout: "x"',
    () => on.inbox().next({}, { timeout: 'x' }),
    /timeout must be a span of time.*"x"/,
  ],
  ['timout', () => on.inbox().next({}, { timout: 5 }), /"timout".*"timeout"/],
  ['waitFor()', () => on.inbox().waitFor(), /the count must be a whole number.*undefined/],
  ['none(5)', () => on.inbox().none(5), /none\(\) must be an object.*5/],
  ['none({ withn })', () => on.inbox().none({ withn: 5 }), /"withn".*"within"/],
  [
    'env(host of another world)',
    async () => {
      await using other = await createMailWorld()
      await on.world().env(other.mx('foreign.example'))
    },
    /must be one of this world/,
  ],
  ['none({ fro })', () => on.inbox().none({ fro: 'x' }), /no option "fro"/],
  ['a filter of none', () => on.inbox().none({ filter: { fro: 'x' } }), /"fro".*"from"/],
  ['subjet', () => on.inbox().next({ subjet: 'x' }), /"subjet".*"subject"/],
  ['next(/x/)', () => on.inbox().next(/x/), /next\(\) must be an object.*\/x\//],
  ['next of a Map', () => on.inbox().next({ headers: new Map() }), /headers must be an object/],
  ['timeout: null', () => on.inbox().next({}, { timeout: null }), /timeout must be .*null/],
  ['timeout: -1', () => on.inbox().next({}, { timeout: -1 }), /timeout must be .*-1/, RangeError],
  [
    'within: NaN',
    () => on.inbox().none({ within: Number.NaN }),
    /within must be .*NaN/,
    RangeError,
  ],
  ['waitFor(1.5)', () => on.inbox().waitFor(1.5), /the count must be a whole number.*1\.5/],
  ['listen(2525)', () => on.mx().listen(2525), /listen\(\) takes no arguments.*2525/],
  ['expose(25)', () => on.world().expose(25), /expose\(\) takes no arguments.*25/],
  ['idle(5)', () => on.world().idle(5), /idle\(\) takes no arguments.*5/],
  ['env(name)', () => on.world().env('smtp.example'), /must be one of this world.*"smtp/],
  ['name: ""', () => createMailWorld({ name: '' }), /name must be a name without spaces.*""/],
  ['joinMailWorld(null)', () => joinMailWorld(null as Loose), /must be an object of env.*null/],
  ['createMailWorld(5)', () => (createMailWorld as Loose)(5), /must be an object, but it is 5/],
  [
    'strict: "x"',
    () => createMailWorld({ strict: 'x' } as Loose),
    /strict must be true or false.*"x"/,
  ],
]

it.each(WAITS)('%s', async (_, act, message, type = TypeError) => {
  await expect(act()).rejects.toThrow(type)
  await expect(act()).rejects.toThrow(message)
})

it.each([{}, { MTA_STS_WORLD: '' }, { MTA_STS_WORLD: 'x' }, { MTA_STS_WORLD: '{}' }])(
  'joinMailWorld(%o)',
  async (env) => {
    await expect(joinMailWorld(env)).rejects.toMatchObject({ code: 'ENOWORLD' })
  },
)

it('what is set in a world that is closed is an error', async () => {
  const closed = await createMailWorld()
  const bob = closed.domain('bob.example', { mode: 'enforce' })
  const mx = bob.mx()
  await closed.close()
  const acts: ReadonlyArray<() => unknown> = [
    () => mx.fails('expired'),
    () => mx.rule({ at: 'rcpt', act: 'drop' }),
    () => mx.knows([]),
    () => mx.certificate(),
    () => mx.tls(),
    () => mx.link({ latency: 1 }),
    () => mx.greylists(),
    () => mx.limits({ size: 1 }),
    () => mx.bounces(),
    () => mx.offers({ PIPELINING: false }),
    () => bob.policyHost.fails('404'),
    () => bob.policy({ mode: 'none' }),
    () => bob.record(null),
    () => bob.dane(),
    () => bob.dns.fails('servfail'),
    () => closed.dns.set('x.example', 'A', []),
    () => closed.dns.unset('x.example', 'A'),
    () => {
      closed.dns.validating = false
    },
    () => closed.chaos({ drops: 1 }),
    () => closed.domain('new.example'),
    () => closed.mx('mx.new.example'),
    () => closed.smartHost('smtp.new.example'),
    () => closed.nodemailer(),
    () => closed.reset(),
  ]
  for (const act of acts) expect(act).toThrow(/: this mail world is closed$/)
  await expect(mx.listen()).rejects.toThrow('listen(): this mail world is closed')
  await expect(closed.env()).rejects.toThrow('env(): this mail world is closed')
  await expect(closed.expose()).rejects.toThrow('expose(): this mail world is closed')
  expect(bob.inbox).toEqual([])
  expect(closed.explain()).toContain('no message arrived')
})

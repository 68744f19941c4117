/** Values of a wrong kind or range: each is a TypeError that names the field, what it got and what it takes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createMailWorld,
  type MailWorld,
  policyStoreConformance,
  reportStoreConformance,
} from '../../src/testing/index.js'
import { expectMail, useMailWorld } from '../../src/testing/node.js'
import { joinMailWorld } from '../../src/testing/remote.js'

/** Called as from JavaScript. */
// biome-ignore lint/suspicious/noExplicitAny: what JavaScript can pass is what this is about
type Loose = any

let world: MailWorld
let count = 0

beforeAll(async () => {
  world = await createMailWorld()
  world.domain('bob.example', { mode: 'enforce' })
})
afterAll(() => world.close())

const on = {
  world: () => world as Loose,
  bob: () => world.domain('bob.example') as Loose,
  mx: () => world.domain('bob.example').mx() as Loose,
  dns: () => world.domain('bob.example').dns as Loose,
  zone: () => world.dns as Loose,
  clock: () => world.clock as Loose,
  policyHost: () => world.domain('bob.example').policyHost as Loose,
  inbox: () => world.domain('bob.example').inbox as Loose,
}
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
  ['mx()', (value) => on.world().mx(`m${++count}.example`, value)],
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

const domain = (options: Loose) => on.world().domain(`d${++count}.example`, options)
const smartHost = (options: Loose) => on.world().smartHost(`s${++count}.example`, options)
const rule = (fields: Loose) => on.mx().rule({ at: 'rcpt', reply: '550 5.1.1 No', ...fields })

const then = (value: Loose, fields: Loose = {}) =>
  rule({ ...fields, ...Object.fromEntries([['then', value]]) })

const CALLS: ReadonlyArray<[call: string, act: () => unknown, message: RegExp]> = [
  ['domain()', () => on.world().domain(), /domain\(\): the name must be a domain name.*undefined/],
  ['domain(5)', () => on.world().domain(5), /must be a domain name, but it is 5/],
  ['domain with null', () => domain(null), /domain\(\) must be an object, but it is null/],
  ['maxAge: -1', () => domain({ maxAge: -1 }), /maxAge must be a whole number, 0 or more.*-1/],
  ['maxAge: NaN', () => domain({ maxAge: Number.NaN }), /maxAge must be a whole number/],
  ['patterns: [5]', () => domain({ patterns: [5] }), /patterns: an entry must be a string.*5/],
  ['id: "a b"', () => domain({ id: 'a b' }), /id must be 1 to 32 letters and digits.*"a b"/],
  ['id: 5', () => domain({ id: 5 }), /id must be 1 to 32 letters and digits.*5/],
  ['mx: [""]', () => domain({ mx: [''] }), /mx: an entry must be a name.*""/],
  ['mx: [{}]', () => domain({ mx: [{}] }), /mx: an entry needs one of host/],
  [
    'preference: "10"',
    () => domain({ mx: [{ host: 'mx', preference: '10' }] }),
    /preference.*"10"/,
  ],
  [
    'policy("enforce")',
    () => on.bob().policy('enforce'),
    /policy\(\) must be an object.*"enforce"/,
  ],
  ['record(5)', () => on.bob().record(5), /record\(\) must be a list.*5/],
  ['record([5])', () => on.bob().record([5]), /record\(\): an entry must be a string.*5/],
  ['domain.mx({})', () => on.bob().mx({}), /mx\(\) must be a name or a number.*\{\}/],
  ['dane("x")', () => on.bob().dane('x'), /dane\(\) must be an object.*"x"/],
  ['dane fails', () => on.bob().dane({ fails: 'no-tlas' }), /"no-tlas".*"no-tlsa"/],
  ['dane option', () => on.bob().dane({ record: [] }), /"record".*"records"/],
  ['dane records', () => on.bob().dane({ records: [{ usage: '3' }] }), /usage must be .*"3"/],
  ['dane records of', () => on.bob().dane({ records: [{ of: 'hots' }] }), /"hots".*"host"/],
  [
    'dane host',
    () => on.bob().dane({ host: 'mx.bob.exmaple' }),
    /"mx\.bob\.exmaple".*mx\.bob\.example/,
  ],
  [
    'requireTls: "yes"',
    () => on.world().mx('m.example', { requireTls: 'yes' }),
    /requireTls must be true or false/,
  ],
  ['mx() with a port', () => on.world().mx('m.example', { port: 2525 }), /no option "port"/],
  [
    'port: "587"',
    () => smartHost({ port: '587' }),
    /port must be a whole number, 1 to 65535.*"587"/,
  ],
  ['port: 70000', () => smartHost({ port: 70_000 }), /port must be .*70000/],
  ['auth: "me"', () => smartHost({ auth: 'me' }), /auth must be an object.*"me"/],
  ['auth with username', () => smartHost({ auth: { username: 'me' } }), /"username".*"user"/],
  [
    'auth without password',
    () => smartHost({ auth: { user: 'me' } }),
    /auth needs one of pass, accessToken/,
  ],
  ['relays: "x"', () => smartHost({ relays: 'x' }), /relays must be true or false.*"x"/],
  [
    'nodemailer(name)',
    () => on.world().nodemailer('smtp.example'),
    /must be one of this world.*"smtp\.example"/,
  ],
  ['nodemailer(domain)', () => on.world().nodemailer(on.bob()), /must be one of this world/],
  ['fails()', () => on.mx().fails(), /fails\(\): the fault is undefined/],
  ['fails with 5', () => on.mx().fails('expired', 5), /must be an object, but it is 5/],
  [
    'times: "2"',
    () => on.mx().fails('expired', { times: '2' }),
    /times must be a whole number.*"2"/,
  ],
  [
    'during: "5m"',
    () => on.mx().fails('expired', { during: '5m' }),
    /during must be a span of time.*"5m"/,
  ],
  ['during: {}', () => on.mx().fails('expired', { during: {} }), /during needs one of days/],
  [
    'minutes: "5"',
    () => on.mx().fails('expired', { during: { minutes: '5' } }),
    /minutes must be a number.*"5"/,
  ],
  [
    'status: "500"',
    () => on.policyHost().fails({ status: '500' }),
    /status must be .*200 to 599.*"500"/,
  ],
  [
    'a header that is none',
    () => on.policyHost().fails({ headers: { 'a b': 'x' } }),
    /headers must be/,
  ],
  ['a response of nothing', () => on.policyHost().fails({}), /needs one of status, headers, body/],
  ['dns.fails family', () => on.bob().dns.fails('servfail', { family: 4 }), /no option "family"/],
  ['reply: ""', () => rule({ reply: '' }), /reply must be a reply of 4xx or 5xx.*""/],
  [
    'a reply of two codes',
    () => rule({ reply: '451 x\r\n250 y' }),
    /reply must be a reply of 4xx or 5xx/,
  ],
  ['a reply and an act', () => rule({ act: 'drop' }), /act "drop" takes the place of a reply/],
  [
    'then without a reply',
    () => then('drop', { reply: undefined, delay: 5 }),
    /then "drop" is for after a reply/,
  ],
  ['then: 5', () => then(5), /then is 5.*"drop"/],
  ['then: {}', () => then({}), /then: at "rcpt" needs a reply/],
  [
    'then at a stage that is none',
    () => then({ at: 'rctp', act: 'drop' }),
    /then: at is "rctp".*"rcpt"/,
  ],
  [
    'to at mail',
    () => rule({ at: 'mail', to: 'b@b.example' }),
    /to is known from "rcpt" on, not at "mail"/,
  ],
  ['user at ehlo', () => rule({ at: 'ehlo', user: 'me' }), /user is known from "auth" on/],
  ['to: 5', () => rule({ to: 5 }), /to must be an address or a RegExp.*5/],
  ['delay: "5"', () => rule({ delay: '5' }), /delay must be a span of time.*"5"/],
  ['greylists(5)', () => on.mx().greylists(5), /greylists\(\) must be an object.*5/],
  ['greylists reply', () => on.mx().greylists({ reply: '250 OK' }), /reply must be .*"250 OK"/],
  ['knows([5])', () => on.mx().knows([5]), /knows\(\): an entry must be an address.*5/],
  ['limits({})', () => on.mx().limits({}), /limits\(\) needs one of connections/],
  [
    'messages: "5"',
    () => on.mx().limits({ messages: '5' }),
    /messages must be a whole number.*"5"/,
  ],
  [
    'a rate without per',
    () => on.mx().limits({ messages: { count: 1 } }),
    /per must be a span of time/,
  ],
  [
    'bounces status',
    () => on.mx().bounces({ status: '2.1.1' }),
    /status must be as in 5\.1\.1.*"2\.1\.1"/,
  ],
  [
    'offers(list)',
    () => on.mx().offers(['PIPELINING']),
    /offers\(\) must be an object of keywords/,
  ],
  [
    'offers without PIPELINNG',
    () => on.mx().offers({ PIPELINNG: false }),
    /"PIPELINNG".*"PIPELINING"/,
  ],
  ['offers SIZE', () => on.mx().offers({ SIZE: {} }), /SIZE must be true, false, or parameters/],
  ['ciphers', () => on.mx().tls({ ciphers: 'NOPE' }), /ciphers must be .*"NOPE"/],
  [
    'versions',
    () => on.mx().tls({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }),
    /"TLSv1\.3" is above "TLSv1\.2"/,
  ],
  ['loss: 2', () => on.mx().link({ loss: 2 }), /loss must be a number from 0 to 1.*2/],
  ['link({})', () => on.mx().link({}), /link\(\) needs one of latency/],
  ['certificate(null)', () => on.mx().certificate(null), /certificate\(\) must be an object.*null/],
  ['signedBy', () => on.mx().certificate({ signedBy: 'itslef' }), /"itslef".*"itself"/],
  [
    'chaos of 1.6',
    () => on.world().chaos({ replies: 0.8, drops: 0.8 }),
    /sum of replies and drops.*1\.6/,
  ],
  ['chaos replies: "1"', () => on.world().chaos({ replies: '1' }), /replies must be a number.*"1"/],
  ['advance("5")', () => on.world().clock.advance('5'), /advance\(\) must be a span of time.*"5"/],
  ['advance({})', () => on.world().clock.advance({}), /advance\(\) needs one of days/],
  [
    'dns.set("a b")',
    () => on.world().dns.set('a b', 'A', []),
    /the name must be a name of the DNS.*"a b"/,
  ],
  [
    'dns.set exchange',
    () => on.world().dns.set('x.example', 'MX', [{ preference: 1, exchange: 'a..b' }]),
    /exchange must be a name of the DNS/,
  ],
  [
    'dns.set of a long label',
    () => on.world().dns.set('x.example', 'CNAME', ['a'.repeat(64)]),
    /must be a name of the DNS/,
  ],
  [
    'dns.set of a long string',
    () => on.world().dns.set('x.example', 'TXT', [['a'.repeat(256)]]),
    /up to 255 bytes/,
  ],
  [
    'ttl: -1',
    () => on.world().dns.set('x.example', 'A', [], { ttl: -1 }),
    /ttl must be a whole number.*-1/,
  ],
  [
    'an option of dns.set',
    () => on.world().dns.set('x.example', 'A', [], { time: 1 }),
    /"time".*"times"/,
  ],
  ['expectMail("x")', () => expectMail('x').toHaveReceived(), /toHaveReceived.*"x"/],
  [
    'times of a matcher',
    () => expectMail(on.bob()).toHaveReceived({ times: '1' } as Loose),
    /times must be .*"1"/,
  ],
  [
    'strict: "no"',
    () => expectMail(on.bob()).toHaveReceived({ strict: 'no' } as Loose),
    /strict must be true or false/,
  ],
  [
    'times of nothing',
    () => expectMail(on.bob()).toHaveReceivedNothing({ times: 1 } as Loose),
    /no option "times"/,
  ],
  ['tims', () => expectMail(on.bob()).toHaveRefused({ tims: 1 } as Loose), /"tims".*"times"/],
  ['useMailWorld({ strct })', () => useMailWorld({ strct: true } as Loose), /"strct".*"strict"/],
  ['smartHost auth: []', () => smartHost({ auth: [] }), /auth must be a login or more.*\[\]/],
  ['an empty password', () => smartHost({ auth: { user: 'me', pass: '' } }), /pass must be .*""/],
  ['patterns: [""]', () => domain({ patterns: [''] }), /patterns: an entry must be .*""/],
  ['domain.mx("mx2")', () => on.bob().mx('mx2'), /"mx2".*did you mean "mx\.bob\.example"/],
  ['domain.mx(1)', () => on.bob().mx(1), /must be 0 to 0, but it is 1/],
  ['domain.mx(NaN)', () => on.bob().mx(Number.NaN), /must be 0 to 0, but it is NaN/],
  ['old-kye', () => on.bob().dane({ fails: 'old-kye' }), /"old-kye".*"old-key"/],
  [
    'a host of dane without fails',
    () => on.bob().dane({ host: 'mx.bob.example' }),
    /host is where fails is played: it needs fails/,
  ],
  [
    'records of dane beside a fault that has some',
    () => on.bob().dane({ fails: 'old-key', records: [{ usage: 2 }] }),
    /"old-key" has records of its own/,
  ],
  [
    'records of dane with of and data',
    () => on.bob().dane({ records: [{ of: 'host', data: new Uint8Array(1) }] }),
    /takes of or data, not both/,
  ],
  ['during: 5', () => on.mx().fails('expired', { during: 5 }), /must be a span of time.*5/],
  [
    'during: { days: 0 }',
    () => on.mx().fails('expired', { during: { days: 0 } }),
    /during must be longer than zero/,
  ],
  [
    'during of NaN',
    () => on.mx().fails('expired', { during: { days: Number.NaN } }),
    /during must be .*"days":"NaN"/,
  ],
  [
    'during: minute',
    () => on.mx().fails('expired', { during: { minute: 5 } }),
    /"minute".*"minutes"/,
  ],
  [
    'a fault of STARTTLS with TLS from the first byte on',
    () => smartHost({ port: 465 }).fails('starttls-454'),
    /met at STARTTLS, which a host with TLS from the first byte/,
  ],
  [
    'a rule of STARTTLS with TLS from the first byte on',
    () => smartHost({ secure: true }).rule({ at: 'starttls', reply: '454 4.7.0 No' }),
    /a stage that a host with TLS from the first byte/,
  ],
  [
    'a rule of logins at a host without logins',
    () => rule({ at: 'auth', reply: '535 5.7.8 No' }),
    /at "auth" is for hosts with logins/,
  ],
  [
    'a fault of logins at a host without logins',
    () => on.mx().fails({ at: 'auth', reply: '535 5.7.8 No' }),
    /at "auth" is for hosts with logins/,
  ],
  ['a user at a host without logins', () => rule({ user: 'me' }), /user is for hosts with logins/],
  [
    'a delay at connect',
    () => on.mx().rule({ at: 'connect', delay: 5 }),
    /"connect" has no reply and no delay.*"greeting"/,
  ],
  ['to without a domain', () => rule({ to: 'bob' }), /to must be an address or a RegExp.*"bob"/],
  ['to with a name', () => rule({ to: 'Bob <b@bob.example>' }), /to must be an address/],
  ['from: "@"', () => rule({ from: '@' }), /from must be an address.*"@"/],
  ['knows([""])', () => on.mx().knows(['']), /an entry must be an address.*""/],
  ['knows(["bob"])', () => on.mx().knows(['bob']), /an entry must be an address.*"bob"/],
  ['greylists minute', () => on.mx().greylists({ for: { minute: 5 } }), /"minute".*"minutes"/],
  ['greylists for: 5', () => on.mx().greylists({ for: 5 }), /for must be a span of time.*5/],
  ['limits message', () => on.mx().limits({ message: 1 }), /"message".*"messages"/],
  [
    'a rate per: 60',
    () => on.mx().limits({ messages: { count: 1, per: 60 } }),
    /per must be a span of time.*60/,
  ],
  ['bounces 9.9', () => on.mx().bounces({ status: '9.9' }), /status must be as in 5\.1\.1.*"9\.9"/],
  [
    'bounces with a list',
    () => on.mx().bounces({ status: ['5.1.1'] }),
    /status must be as in 5\.1\.1/,
  ],
  ['offers({ sise: 1 })', () => on.mx().offers({ sise: 1 }), /"SISE".*"SIZE"/],
  ['offers({})', () => on.mx().offers({}), /offers\(\) must be an object of keywords.*\{\}/],
  ['offers SIZE: -1', () => on.mx().offers({ SIZE: -1 }), /SIZE must be .*whole number.*-1/],
  ['offers SIZE: "x"', () => on.mx().offers({ SIZE: 'x' }), /SIZE must be .*whole number.*"x"/],
  ['offers AUTH: []', () => on.mx().offers({ AUTH: [] }), /AUTH must be .*parameters.*\[\]/],
  [
    'offers with a line break',
    () => on.mx().offers({ 'X-A': 'b\r\n250 c' }),
    /X-A must be true, false, or parameters/,
  ],
  ['ciphers: ""', () => on.mx().tls({ ciphers: '' }), /ciphers must be .*""/],
  ['clientCertificate', () => on.mx().tls({ clientCertificate: 'reqire' }), /"reqire".*"require"/],
  ['latncy', () => on.mx().link({ latncy: 1 }), /"latncy".*"latency"/],
  ['latency: Infinity', () => on.mx().link({ latency: Number.NaN }), /latency must be .*NaN/],
  ['san of a string', () => on.mx().certificate({ san: 'DNS:a.example' }), /san must be a list/],
  [
    'san of two names in one',
    () => on.mx().certificate({ san: ['DNS:a.example, DNS:b.example'] }),
    /san takes 'DNS:name'/,
  ],
  [
    'san of no ASCII',
    () => on.mx().certificate({ san: ['DNS:ü.example'] }),
    /san takes 'DNS:name'/,
  ],
  ['sans', () => on.mx().certificate({ sans: [] }), /"sans".*"san"/],
  ['cn: ""', () => on.mx().certificate({ cn: '' }), /cn must be .*""/],
  ['headers of a Map', () => on.policyHost().fails({ headers: new Map() }), /headers must be/],
  ['headers: []', () => on.policyHost().fails({ headers: [] }), /headers must be .*\[\]/],
  ['sed', () => on.world().chaos({ sed: 1, drops: 1 }), /"sed".*"seed"/],
  ['advance(5)', () => on.clock().advance(5), /advance\(\) must be a span of time.*5/],
  ['advance({ days: "1" })', () => on.clock().advance({ days: '1' }), /days must be a number.*"1"/],
  [
    'dns.fails with options twice',
    () => on.dns().fails('servfail', { times: 1 }, { times: 2 }),
    /behind the options it takes no arguments/,
  ],
  ['dns.works("mx")', () => on.dns().works('mx'), /dns\.works\(\) takes no arguments.*"mx"/],
  ['works("expired")', () => on.mx().works('expired'), /works\(\) takes no arguments.*"expired"/],
  ['reset("bob.example")', () => on.world().reset('bob.example'), /reset\(\) takes no arguments/],
  ['forget("bob.example")', () => on.world().forget('x'), /forget\(\) takes no arguments.*"x"/],
  ['verify({})', () => on.world().verify({}), /verify\(\) takes no arguments.*\{\}/],
  ['a type of dns.set', () => on.zone().set('x.example', 'MXX', []), /"MXX".*"MX"/],
  ['dns.set MX of names', () => on.zone().set('x.example', 'MX', ['mx']), /object such as.*"mx"/],
  [
    'dns.set MX priority',
    () => on.zone().set('x.example', 'MX', [{ priority: 1, exchange: 'a.example' }]),
    /"priority".*"preference"/,
  ],
  [
    'dns.set A of a list',
    () => on.zone().set('x.example', 'A', [['192.0.2.1']]),
    /must be an IPv4 address.*\[/,
  ],
  [
    'dns.set AAAA of an IPv4 address',
    () => on.zone().set('x.example', 'AAAA', ['192.0.2.1']),
    /must be an IPv6 address.*192/,
  ],
  ['dns.set CNAME of null', () => on.zone().set('x.example', 'CNAME', [null]), /name of the DNS/],
  ['dns.set PTR of ""', () => on.zone().set('x.example', 'PTR', ['']), /name of the DNS.*""/],
  ['dns.set TXT of 5', () => on.zone().set('x.example', 'TXT', [5]), /must be a string.*5/],
  ['dns.set TXT of []', () => on.zone().set('x.example', 'TXT', [[]]), /must be a string.*\[\]/],
  [
    'dns.set SRV port',
    () =>
      on
        .zone()
        .set('x.example', 'SRV', [{ priority: 0, weight: 0, port: '587', target: 'a.example' }]),
    /port must be a whole number.*"587"/,
  ],
  [
    'dns.set TLSA data',
    () =>
      on.zone().set('x.example', 'TLSA', [{ usage: 3, selector: 1, matchingType: 1, data: 'xy' }]),
    /data must be hexadecimal digits or bytes.*"xy"/,
  ],
  ['dns.set of no list', () => on.zone().set('x.example', 'A', '192.0.2.1'), /must be a list/],
  ['ttl of 2^31', () => on.zone().set('x.example', 'A', [], { ttl: 2 ** 31 }), /ttl must be/],
  [
    'dns.validatin',
    () => {
      on.zone().validatin = true
    },
    /validatin/,
  ],
  ['form', () => expectMail(on.bob()).toHaveReceived({ form: 'x' } as Loose), /"form".*"from"/],
  [
    'to of a matcher without a domain',
    () => expectMail(on.bob()).toHaveReceivedNothing({ to: 'bob' }),
    /to must be an address.*"bob"/,
  ],
  [
    'subject: "" of a matcher',
    () => expectMail(on.bob()).toHaveReceived({ subject: '' }),
    /subject must be a string or a RegExp, and not empty.*""/,
  ],
  [
    'policyStoreConformance of a store',
    () => (policyStoreConformance as Loose)({ store: {} }),
    /policyStoreConformance\(\): the argument must be a function/,
  ],
  [
    'reportStoreConformance()',
    () => (reportStoreConformance as Loose)(),
    /reportStoreConformance\(\): the argument must be a function.*undefined/,
  ],
]

it.each(CALLS)('%s', (_, act, message) => {
  expect(act).toThrow(TypeError)
  expect(act).toThrow(message)
})

describe.each(TAKE_OPTIONS)('%s refuses as options', (_, act) => {
  it.each(ODD)('%s', (_kind, value) => {
    expect(() => act(value)).toThrow(TypeError)
    expect(() => act(value)).toThrow(/must be (?:an object|a span of time)|has no option/)
  })
})

const WAITS: ReadonlyArray<[call: string, act: () => Promise<unknown>, message: RegExp]> = [
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
      await world.env(other.mx('foreign.example'))
    },
    /must be one of this world/,
  ],
  ['none({ fro })', () => on.inbox().none({ fro: 'x' }), /no option "fro"/],
  ['a filter of none', () => on.inbox().none({ filter: { fro: 'x' } }), /"fro".*"from"/],
  ['subjet', () => on.inbox().next({ subjet: 'x' }), /"subjet".*"subject"/],
  ['next(/x/)', () => on.inbox().next(/x/), /next\(\) must be an object.*\/x\//],
  ['next of a Map', () => on.inbox().next({ headers: new Map() }), /headers must be an object/],
  ['timeout: null', () => on.inbox().next({}, { timeout: null }), /timeout must be .*null/],
  ['timeout: -1', () => on.inbox().next({}, { timeout: -1 }), /timeout must be .*-1/],
  ['within: NaN', () => on.inbox().none({ within: Number.NaN }), /within must be .*NaN/],
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

it.each(WAITS)('%s', async (_, act, message) => {
  await expect(act()).rejects.toThrow(TypeError)
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

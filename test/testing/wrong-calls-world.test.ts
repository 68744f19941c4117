/** Wrong options of worlds, domains, DNS and matchers: each is a TypeError that names the field, its value and the accepted ones. */
import { policyStoreConformance, reportStoreConformance } from '../../src/testing/index.js'
import { expectMail, useMailWorld } from '../../src/testing/node.js'
import { domain, type Loose, on, refuses, useLooseWorld } from './wrong-calls.js'

useLooseWorld()

refuses([
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
    'nodemailer(name)',
    () => on.world().nodemailer('smtp.example'),
    /must be one of this world.*"smtp\.example"/,
  ],
  ['nodemailer(domain)', () => on.world().nodemailer(on.bob()), /must be one of this world/],
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
  ['patterns: [""]', () => domain({ patterns: [''] }), /patterns: an entry must be .*""/],
  [
    'domain.mx("mx2")',
    () => on.bob().mx('mx2'),
    /"mx2".*did you mean "mx\.bob\.example"/,
    RangeError,
  ],
  ['domain.mx(1)', () => on.bob().mx(1), /must be 0 to 0, but it is 1/, RangeError],
  ['domain.mx(NaN)', () => on.bob().mx(Number.NaN), /must be 0 to 0, but it is NaN/, RangeError],
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
])

import { promises as dns } from 'node:dns'
import { BlockList } from 'node:net'
import { inspect } from 'node:util'
import nodemailer from 'nodemailer'
import { describe, expect, test } from 'vitest'
import { dane, verifyPeer } from '../src/dane/index.js'
import { MtaStsError, PolicySyntaxError, RecordSyntaxError } from '../src/errors.js'
import type { Logger } from '../src/logger.js'
import { MtaSts } from '../src/mta-sts.js'
import { isBlocked } from '../src/net/blocked-addresses.js'
import { connectDirectly } from '../src/net/connect.js'
import { mtaStsTransport, withMtaSts } from '../src/nodemailer/index.js'
import { number } from '../src/option-checks.js'
import { guarded, type MtaStsOptions, resolveOptions } from '../src/options.js'
import { matchesMx } from '../src/policy/mx-pattern.js'
import { formatPolicy, type Policy, parsePolicy } from '../src/policy/policy-file.js'
import { formatRecord, parseRecord, selectRecord } from '../src/policy/record.js'
import { redisStore } from '../src/redis.js'
import { sqliteStore } from '../src/sqlite.js'
import { verifiedTls } from '../src/tls/options.js'
import { failedHandshake } from '../src/tls/verdict.js'
import {
  assess,
  formatReport,
  memoryReportStore,
  parseTlsRptRecord,
  readReports,
  selectTlsRptRecord,
} from '../src/tlsrpt/index.js'
import { resolveReporterOptions } from '../src/tlsrpt/options.js'
import { errorOf, handshake, issue, resolverOf, Servers, socketOf } from './tls/support.js'

const policy: Policy = {
  version: 'STSv1',
  mode: 'enforce',
  mx: ['mx.example.com'],
  maxAge: 86_400,
}

/** Returns the error for options of any shape: they come from configuration files. */
function errorFor(options: Record<string, unknown>): unknown {
  try {
    resolveOptions(options as MtaStsOptions)
    return undefined
  } catch (error) {
    return error
  }
}

const DURATIONS = [
  'fetchTimeout',
  'dnsTimeout',
  'recheckInterval',
  'negativeTtl',
  'fetchBackoff',
  'refreshInterval',
]
const AT_LEAST_ONE = ['maxPolicies', 'maxNegatives', 'fetchTimeout', 'dnsTimeout', 'port']
const NUMBERS = [...new Set([...DURATIONS, ...AT_LEAST_ONE])]

describe('the defaults', () => {
  test('are the documented ones', () => {
    expect(resolveOptions({})).toMatchObject({
      store: undefined,
      maxPolicies: 100_000,
      maxNegatives: 100_000,
      fetchTimeout: 30_000,
      dnsTimeout: 5000,
      recheckInterval: 300_000,
      negativeTtl: 300_000,
      fetchBackoff: 300_000,
      refreshInterval: 86_400_000,
      overrides: new Map(),
      minimumSecurity: 'opportunistic',
      port: 25,
      connect: connectDirectly,
      logger: undefined,
      now: Date.now,
    })
  })

  test('apply to undefined as well', () => {
    const names = Object.keys(resolveOptions({})).map((name) => (name === 'roots' ? 'ca' : name))
    const {
      resolver: _,
      roots: __,
      ...settings
    } = resolveOptions(Object.fromEntries(names.map((name) => [name, undefined])))
    const { resolver: ___, roots: ____, ...defaults } = resolveOptions({})
    expect(settings).toEqual(defaults)
  })

  test('block addresses of internal networks, but not of documentation', () => {
    const { blockedAddresses } = resolveOptions({})
    expect(isBlocked('127.0.0.1', blockedAddresses)).toBe(true)
    expect(isBlocked('192.0.2.1', blockedAddresses)).toBe(false)
  })
})

describe('accepted options', () => {
  test('are numbers, functions, lists', () => {
    const given = {
      ...Object.fromEntries(NUMBERS.map((name, i) => [name, i + 1])),
      blockedAddresses: new BlockList(),
      minimumSecurity: 'encrypted',
      connect: connectDirectly,
      now: () => 42,
    } as const
    expect(resolveOptions(given)).toMatchObject(given)
    expect(resolveOptions(given).blockedAddresses).toBe(given.blockedAddresses)
    expect(resolveOptions(given).connect).toBe(given.connect)
  })

  test.each(['recheckInterval', 'negativeTtl', 'fetchBackoff', 'refreshInterval'])(
    'include 0 for %s',
    (field) => {
      expect(resolveOptions({ [field]: 0 })).toMatchObject({ [field]: 0 })
    },
  )

  test('include a resolver, which is used', async () => {
    const { resolver } = resolveOptions({ resolver: resolverOf({ a: ['192.0.2.1'] }) })
    expect(await resolver.resolve4('any.example')).toEqual(['192.0.2.1'])
    expect(errorFor({ resolver: new dns.Resolver() })).toBeUndefined()
    expect(errorFor({ resolver: dns })).toBeUndefined()
  })

  test('include a logger, which gets each call; false is no logger', () => {
    const lines: unknown[][] = []
    const at =
      (level: string) =>
      (...args: unknown[]) =>
        void lines.push([level, ...args])
    const logger: Logger = {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
    }
    const settings = resolveOptions({ logger })
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      settings.logger?.[level]({ tnx: level }, 'text %s', 1)
    }
    expect(lines).toEqual(
      ['debug', 'info', 'warn', 'error'].map((level) => [level, { tnx: level }, 'text %s', 1]),
    )
    expect(resolveOptions({ logger: false }).logger).toBeUndefined()
  })

  test('include a store', () => {
    const store = { get: () => {}, set: () => {}, delete: () => {} }
    expect(errorFor({ store })).toBeUndefined()
  })

  test('include overrides, by the A-labels of their domains', () => {
    const { overrides } = resolveOptions({
      overrides: { 'Off.Example.': 'off', 'müller.example': policy },
    })
    expect([...overrides]).toEqual([
      ['off.example', 'off'],
      ['xn--mller-kva.example', policy],
    ])
  })

  test('include ca: other roots are not trusted', async () => {
    const servers = new Servers()
    const root = await issue({ subject: 'CN=Root', authority: {} })
    const other = await issue({ subject: 'CN=Other', authority: {} })
    const leaf = await issue({ issuer: root, san: ['mx.example.com'] })
    const port = await servers.tls({ key: leaf.key, cert: leaf.pem })
    const shake = (ca: string) =>
      handshake(port, verifiedTls('mx.example.com', resolveOptions({ ca }).roots))
    const socket = socketOf(await shake(root.pem))
    expect(socket.authorized).toBe(true)
    socket.destroy()
    expect(failedHandshake(errorOf(await shake(other.pem)))).toMatchObject({
      resultType: 'certificate-not-trusted',
    })
    await servers.close()
  })
})

describe('an option of the wrong type is a TypeError with the code ECONFIG that names it', () => {
  const notNumbers = ['25', '', null, true, [25], {}, 25n, () => 25]
  const outOfBounds = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]
  const method = () => {}

  const wrong: Array<[field: string, values: unknown[]]> = [
    ...NUMBERS.map((field): [string, unknown[]] => [field, [...notNumbers, ...outOfBounds]]),
    ...AT_LEAST_ONE.map((field): [string, unknown[]] => [field, [0, -0]]),
    ['port', [65_536, 1e9]],
    [
      'resolver',
      [null, 'system', 53, [], {}, true, method, { resolveTxt: method }, Promise.resolve()],
    ],
    ['store', [null, 'redis://', 1, true, {}, { get: method, set: method }, new Map().get]],
    ['ca', [null, '', 'x', 1, true, {}, [], [null], ['x'], Buffer.alloc(0), [[]], new Date()]],
    ['blockedAddresses', [null, ['127.0.0.1'], '127.0.0.0/8', {}, true, { check: () => false }]],
    ['overrides', [null, 'off', 1, true, () => 'off']],
    ['minimumSecurity', [null, '', 'none', 'Encrypted', 'dane', true, 1, ['encrypted']]],
    ['connect', [null, 'tcp', {}, true, 25, { connect: method }]],
    ['logger', [null, true, 'console', 1, {}, { info: method }, method]],
    ['now', [null, 0, Date.now(), new Date(), 'now', {}]],
  ]

  test.each(wrong)('is refused: %s', (field, values) => {
    for (const value of values) {
      const error = errorFor({ [field]: value })
      expect(error, String(value)).toBeInstanceOf(TypeError)
      expect(error).toMatchObject({
        code: 'ECONFIG',
        message: expect.stringContaining(`"${field}"`),
      })
    }
  })

  test.each(['resolver', 'store', 'ca', 'overrides', 'connect', 'now', 'port'])(
    'is refused: false for %s',
    (field) => {
      const error = errorFor({ [field]: false })
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toMatchObject({
        code: 'ECONFIG',
        message: expect.stringContaining(`"${field}"`),
      })
    },
  )

  test.each<unknown>([null, 'example.com', 25, true, undefined])(
    'is refused as options: %j',
    (options) => {
      expect(() => resolveOptions(options as MtaStsOptions)).toThrow(TypeError)
      expect(() => resolveOptions(options as MtaStsOptions)).toThrow('"options" must be an object')
    },
  )

  test.each<[domain: string, override: unknown]>([
    ['', 'off'],
    ['.', 'off'],
    ['a..b', 'off'],
    ['*.example.com', 'off'],
    ['192.0.2.1', 'off'],
    ['[192.0.2.1]', 'off'],
    ['user@example.com', 'off'],
    ['example.com', 'on'],
    ['example.com', 'OFF'],
    ['example.com', true],
    ['example.com', false],
    ['example.com', null],
    ['example.com', undefined],
    ['example.com', {}],
    ['example.com', { ...policy, version: 'STSv2' }],
    ['example.com', { ...policy, mode: 'strict' }],
    ['example.com', { ...policy, mx: [] }],
    ['example.com', { ...policy, mx: undefined }],
    ['example.com', { ...policy, mx: ['not a host'] }],
    ['example.com', { ...policy, mx: 'mx.example.com' }],
    ['example.com', { ...policy, maxAge: -1 }],
    ['example.com', { ...policy, maxAge: '86400' }],
  ])('is refused in overrides: %j: %j', (domain, override) => {
    const error = errorFor({ overrides: { [domain]: override } })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({
      code: 'ECONFIG',
      message: expect.stringContaining('overrides'),
    })
  })

  test('is refused with the name of the override', () => {
    const overrides = { 'good.example': 'off', 'bad.example': { ...policy, mode: 'strict' } }
    expect(errorFor({ overrides })).toMatchObject({
      message: expect.stringContaining('bad.example'),
    })
  })

  test('is refused with the accepted and the given value, a long one truncated', () => {
    expect(errorFor({ port: '25' })).toMatchObject({
      message: 'The option "port" must be a whole number, 1 to 65535, but it is "25"',
    })
    expect(errorFor({ minimumSecurity: 'x'.repeat(5000) })).toMatchObject({
      message: expect.stringMatching(/^.{1,250}$/),
    })
    expect(errorFor({ minimumSecurity: 'a\u0000\nb' })).toMatchObject({
      message: expect.stringContaining('"a\\u0000\\nb"'),
    })
  })

  test('is refused by the constructor, before anything else happens', () => {
    const dials: unknown[] = []
    const connect = (target: unknown) => {
      dials.push(target)
      throw new Error('not to be called')
    }
    expect(() => new MtaSts({ connect, port: 0 })).toThrow(TypeError)
    expect(() => new MtaSts({ connect, ca: 'none' })).toThrow(/"ca" .* is not PEM/)
    expect(dials).toEqual([])
  })
})

describe('an unknown option is a TypeError with the nearest known name', () => {
  test.each([
    ['negativeTTL', 'negativeTtl'],
    ['minimumSecurty', 'minimumSecurity'],
    ['minSecurity', 'minimumSecurity'],
    ['reportonly', 'reportOnly'],
    ['cache', 'ca'],
    ['Store', 'store'],
    ['overides', 'overrides'],
    ['resovler', 'resolver'],
  ])('%s: %s', (given, known) => {
    const error = errorFor({ [given]: 1 })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({
      code: 'ECONFIG',
      message: `The option "${given}" of new MtaSts() is unknown; did you mean "${known}"?`,
    })
  })

  test('or with all known names if none is near', () => {
    expect(errorFor({ hallelujah: 1 })).toMatchObject({
      message: expect.stringMatching(/"hallelujah" .*known are .*negativeTtl.*dane/),
    })
    expect(errorFor({ 'a\u202eb\u0007': 1 })).toMatchObject({
      message: expect.stringMatching(/^[ -~]*$/),
    })
    expect(errorFor({ tls: {} })).toMatchObject({ message: expect.stringContaining('use "ca"') })
    expect(errorFor({ sts: {} })).toMatchObject({
      message: expect.stringContaining('mtaStsTransport'),
    })
  })

  test('unless it is undefined; one object may serve a transport too', () => {
    expect(errorFor({ negativeTTL: undefined })).toBeUndefined()
    expect(errorFor({ name: 'mail.sender.example' })).toBeUndefined()
  })
})

describe('messages name the field, what it takes and what it got', () => {
  const method = () => {}
  const three = { resolveTxt: method, resolveMx: method, resolve4: method }

  test.each<[options: Record<string, unknown>, message: string]>([
    [
      { ca: 5 },
      'The option "ca" must be certificates in PEM form, as a string, a Buffer or an array of these, but it is 5',
    ],
    [
      { ca: [new Date()] },
      'The option "ca" must be certificates in PEM form, as a string, a Buffer or an array of these, but it is an array',
    ],
    [
      { resolver: three },
      'The option "resolver" must be an object with the methods resolveTxt, resolveMx, resolve4, resolve6 (it lacks resolve6), but it is of type object',
    ],
    [
      { overrides: { 'a.example': 'none' } },
      'The option "overrides" must have \'off\' or a policy for a.example, but it is "none"',
    ],
    [
      { overrides: { a: 'none' } },
      'The option "overrides" must have \'off\' or a policy for a, but it is "none"',
    ],
    [
      { store: new Map() },
      'The option "store" must be a policy store: sqliteStore(), redisStore() or an object of your own whose get, set and delete return promises; without a store, policies are cached in memory, but it is a Map',
    ],
    [{ requireStore: true }, 'The option "requireStore" needs the option "store"'],
    [{ requireStore: 'yes' }, 'The option "requireStore" must be true or false, but it is "yes"'],
    [
      { logger: method },
      'The option "logger" must be an object with the methods debug, info, warn, error, but it is a function',
    ],
  ])('%o', (options, message) => {
    expect(errorFor(options)).toMatchObject({ code: 'ECONFIG', message })
  })

  test('accept a subclass of Map with its own methods as a store', () => {
    class Kept extends Map {
      override get = (): undefined => undefined
    }
    expect(errorFor({ store: new Kept() })).toBeUndefined()
    expect(errorFor({ store: new WeakMap() })).toBeInstanceOf(TypeError)
    expect(errorFor({ store: new URLSearchParams() })).toBeInstanceOf(TypeError)
  })

  test.each<[call: () => unknown, message: string]>([
    [
      () => loose(matchesMx)('mx.example.com', 'mx.example.com'),
      'matchesMx(): the argument "patterns" must be an array of mx patterns, such as a policy\'s mx, but it is "mx.example.com"',
    ],
    [
      () => loose(matchesMx)(undefined, []),
      'matchesMx(): the argument "host" must be a host name, but it is undefined',
    ],
    [
      () => loose(parsePolicy)(),
      'parsePolicy(): the argument "body" must be the text of a policy file, as a string or its bytes, but it is undefined',
    ],
    [
      () => loose(parsePolicy)({}),
      'parsePolicy(): the argument "body" must be the text of a policy file, as a string or its bytes, but it is of type object',
    ],
    [
      () => loose(parseRecord)(null),
      'parseRecord(): the argument "txt" must be the text of a TXT record, but it is null',
    ],
    [
      () => loose(dane)({ requires: method }),
      'The option "requires" of dane() is unknown; did you mean "require"?',
    ],
    [
      () => loose(sqliteStore)(':memory:', { busyTimout: 5 }),
      'The option "busyTimout" of sqliteStore() is unknown; did you mean "busyTimeout"?',
    ],
    [
      () => loose(redisStore)({}, { perfix: 'x:' }),
      'The option "perfix" of redisStore() is unknown; did you mean "prefix"?',
    ],
    [
      () => loose(resolveReporterOptions)({ contactinfo: 'a@b.example' }),
      'The option "contactinfo" of new TlsReporter() is unknown; did you mean "contactInfo"?',
    ],
  ])('%s', (call, message) => {
    expect(call).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ECONFIG', message }))
  })
})

describe('arguments of functions and options inside of options are checked too', () => {
  const BODY = 'version: STSv1\nmode: none\nmax_age: 60\n'
  const sts = new MtaSts()
  const attempt = async () => undefined
  const reports = [{ reportId: '1' }]

  test.each(
    readable<() => unknown>([
      [
        () => new MtaSts(loosely({ overrides: new Map([['a.example', 'off']]) })),
        'The option "overrides" must be an object with a key for each Policy Domain, but it is a Map',
      ],
      [
        () => new MtaSts(loosely({ overrides: ['a.example'] })),
        'The option "overrides" must be an object with a key for each Policy Domain, but it is an array',
      ],
      [
        () => new MtaSts(loosely({ overrides: { 'a.example': { ...policy, max_age: 5 } } })),
        'The option "max_age" of the policy for a.example is unknown; did you mean "maxAge"?',
      ],
      [
        () => new MtaSts(loosely({ host: 'smtp.example.com' })),
        'The option "host" of new MtaSts() is unknown: it belongs to withMtaSts(), the transport for a smart host',
      ],
      [
        () => loose(mtaStsTransport)({ name: 'my host' }),
        'The option "name" must be a host name or an address literal, for EHLO, but it is "my host"',
      ],
      [
        () => loose(mtaStsTransport)({ name: 'https://mail.sender.example' }),
        'The option "name" must be a host name or an address literal, for EHLO, but it is "https://mail.sender.example"',
      ],
      [
        () => loose(mtaStsTransport)({ debug: 'yes' }),
        'The option "debug" must be true or false, but it is "yes"',
      ],
      [
        () => loose(mtaStsTransport)({ transactionLog: 1 }),
        'The option "transactionLog" must be true or false, but it is 1',
      ],
      [
        () => loose(withMtaSts)({ sendmail: true }),
        'withMtaSts(): the argument "transport" must be an smtp: URL, options of an SMTP transport, or a transporter made of them, but its transport is Sendmail, which makes no SMTP connections of its own',
      ],
      [
        () => loose(withMtaSts)({ host: 5 }),
        'The option "host" must be a host name or an address, but it is 5',
      ],
      [
        () => withMtaSts(loosely(withMtaSts({ host: 'smtp.example.com' }))),
        'withMtaSts() was given a transport that is held to its policy already',
      ],
      [
        () => loose(matchesMx)('mx.example.com', [5]),
        'matchesMx(): the argument "patterns" must be an array of mx patterns, such as a policy\'s mx, but it is an array',
      ],
      [
        () => loose(selectRecord)('v=STSv1; id=1;'),
        'selectRecord(): the argument "rrset" must be the TXT records as resolveTxt() returns them, but it is "v=STSv1; id=1;"',
      ],
      [
        () => loose(selectTlsRptRecord)(['v=TLSRPTv1; rua=mailto:a@b.example']),
        'selectTlsRptRecord(): the argument "rrset" must be the TXT records as resolveTxt() returns them, but it is an array',
      ],
      [
        () => loose(parseTlsRptRecord)(),
        'parseTlsRptRecord(): the argument "txt" must be the text of a TXT record, but it is undefined',
      ],
      [
        () => loose(formatPolicy)(BODY),
        `formatPolicy(): the argument "policy" must be a policy, but it is ${JSON.stringify(BODY)}`,
      ],
      [
        () => loose(formatRecord)(),
        'formatRecord(): the argument "record" must be a record, but it is undefined',
      ],
      [
        () => loose(readReports)(),
        'readReports(): the argument "bytes" must be the bytes of a file, or its text, but it is undefined',
      ],
      [
        () => loose(readReports)('{}', { maxsize: 5 }),
        'The option "maxsize" of readReports() is unknown; did you mean "maxSize"?',
      ],
      [
        () => loose(assess)(reports[0]),
        'assess(): the argument "reports" must be an array of reports, as readReports() returns it, but it is of type object',
      ],
      [
        () => loose(assess)([], { day: 30 }),
        'The option "day" of assess() is unknown; did you mean "days"?',
      ],
      [
        () => loose(formatReport)({}),
        'formatReport(): the argument "report" must be a report, but it is of type object',
      ],
      [
        () => loose(memoryReportStore)({ maxdomains: 5 }),
        'The option "maxdomains" of memoryReportStore() is unknown; did you mean "maxDomains"?',
      ],
      [
        () => loose(redisStore)({ sendCommand: attempt }, { prefix: 5 }),
        'The option "prefix" must be text, but it is 5',
      ],
      [
        () => loose(sqliteStore)({ path: 'mta-sts.db' }),
        'sqliteStore(): the argument "path" must be the path of a file, but it is of type object',
      ],
      [
        () => loose(verifyPeer)(),
        'verifyPeer(): the argument "socket" must be a tls.TLSSocket, but it is undefined',
      ],
    ]),
  )('%s', (message, call) => {
    expect(call).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ECONFIG', message }))
  })

  test.each(
    readable<(sts: MtaSts) => Promise<unknown>>([
      [
        (sts) => loose(sts.deliver.bind(sts))('a.example') as Promise<unknown>,
        'deliver(): the argument "attempt" must be a function, but it is undefined',
      ],
      [
        (sts) => sts.deliver('a.example', attempt, loosely({ sginal: 1 })),
        'The option "sginal" of deliver() is unknown; did you mean "signal"?',
      ],
      [
        (sts) => sts.deliver('a.example', attempt, loosely({ route: 'smarthost' })),
        'The option "route" must be one of mx, smart-host, but it is "smarthost"',
      ],
      [
        (sts) => sts.plan('a.example', loosely({ demand: 'none' })),
        'The option "demand" must be one of policy, require, optional, but it is "none"',
      ],
      [
        (sts) => sts.open('a.example', loosely({ tls: { rejectUnauthorized: false } })),
        'The option "tls" of open() is unknown: the policy decides what TLS must prove',
      ],
      [
        (sts) => sts.open('a.example', { name: 'my host' }),
        'The option "name" must be a host name or an address literal, for EHLO, but it is "my host"',
      ],
      [
        (sts) => sts.open('a.example', loosely({ connectTimeout: 5 })),
        'The option "connectTimeout" of open() is unknown; did you mean "connectionTimeout"?',
      ],
    ]),
  )('%s', async (message, call) => {
    await expect(call(sts)).rejects.toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ECONFIG', message }),
    )
  })

  test.each([mtaStsTransport, withMtaSts])('createTransport(%o), not called', async (transport) => {
    const transporter = nodemailer.createTransport(loosely(transport))
    const message = { from: 'a@sender.example', to: 'b@a.example', text: 'Hello' }
    const { name } = transport
    await expect(transporter.sendMail(message)).rejects.toMatchObject({
      name: 'TypeError',
      code: 'ECONFIG',
      message: expect.stringMatching(`^The transport is the function ${name} itself: .*${name}\\(`),
    })
  })

  test('a domain that is no text is named by its type', async () => {
    const message = "A value of type undefined is not a domain name: check the recipient's address"
    await expect(loose(sts.getPolicy.bind(sts))()).rejects.toMatchObject({
      code: 'EDOMAIN',
      message,
    })
  })

  test('no error shows a cause that there is not', () => {
    const errors = [
      errorFor({ port: 0 }),
      errorFor({ ca: 5 }),
      errorFor({ overrides: { a: 'none' } }),
      new MtaStsError('Text', 'EDNS', { cause: undefined }),
      new RecordSyntaxError('Text'),
      new PolicySyntaxError('Text', 0),
    ]
    for (const error of errors) expect(inspect(error)).not.toContain('[cause]')
  })
})

/** Cases with the message in front, which becomes the title. */
function readable<C>(cases: readonly [call: C, message: string][]): [message: string, call: C][] {
  return cases.map(([call, message]) => [message, call])
}

/** Calls a function as JavaScript does, with arguments of any type. */
function loose(call: (...args: never[]) => unknown): (...args: unknown[]) => unknown {
  return (...args) => Reflect.apply(call, undefined, args)
}

/** Passes a value for one of another type, as JavaScript lets everybody do. */
function loosely<T>(value: unknown): T {
  return value as T
}

// A timer of Node counts to 2147483647 ms; one that is set to more fires after 1 ms
describe('durations of more than 24 days', () => {
  test.each(['fetchTimeout', 'dnsTimeout'])(
    "%s: refused by name, or limited to a timer's maximum",
    (field) => {
      const taken: unknown[] = []
      const errors: unknown[] = []
      try {
        taken.push(Reflect.get(resolveOptions({ [field]: 2 ** 32 }), field))
      } catch (error) {
        errors.push(error)
      }
      for (const error of errors) expect(error).toMatchObject({ code: 'ECONFIG' })
      for (const value of taken) expect(value).toBeLessThanOrEqual(2 ** 31 - 1)
      expect(taken.length + errors.length).toBe(1)
    },
  )
})

describe('number', () => {
  test('accepts whole numbers within the bounds, both ends included', () => {
    const bounds = { default: 5, min: 1, max: 10 }
    const of = (n?: number) => number(n === undefined ? {} : { n }, 'n', bounds)
    expect([of(), of(1), of(10)]).toEqual([5, 1, 10])
    expect(() => of(0)).toThrow('"n" must be a whole number, 1 to 10, but it is 0')
    expect(() => of(11)).toThrow('1 to 10')
    expect(() => number({ n: -1 }, 'n', { default: 0, min: 0 })).toThrow('0 or more')
  })
})

test('[STS-54] a clock that throws is replaced by the machine clock', () => {
  const now = () => {
    throw new Error('no clock')
  }
  const before = Date.now()
  expect(guarded(resolveOptions({ now })).now()).toBeGreaterThanOrEqual(before)
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, undefined])(
  "[STS-54] a clock that answers %s is replaced by the machine's",
  (time) => {
    const before = Date.now()
    const shown = guarded(resolveOptions({ now: () => time as number })).now()
    expect(shown).toBeGreaterThanOrEqual(before)
    expect(shown).toBeLessThanOrEqual(Date.now())
  },
)

import { promises as dns } from 'node:dns'
import { BlockList } from 'node:net'
import { describe, expect, test } from 'vitest'
import { dane } from '../src/dane/index.js'
import type { Logger } from '../src/logger.js'
import { MtaSts } from '../src/mta-sts.js'
import { isBlocked } from '../src/net/blocked-addresses.js'
import { connectDirectly } from '../src/net/connect.js'
import { number } from '../src/option-checks.js'
import { guarded, type MtaStsOptions, resolveOptions } from '../src/options.js'
import { matchesMx } from '../src/policy/mx-pattern.js'
import { type Policy, parsePolicy } from '../src/policy/policy-file.js'
import { parseRecord } from '../src/policy/record.js'
import { redisStore } from '../src/redis.js'
import { sqliteStore } from '../src/sqlite.js'
import { verifiedTls } from '../src/tls/options.js'
import { failedHandshake } from '../src/tls/verdict.js'
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

/** Calls a function as JavaScript does, with arguments of any type. */
function loose(call: (...args: never[]) => unknown): (...args: unknown[]) => unknown {
  return (...args) => Reflect.apply(call, undefined, args)
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

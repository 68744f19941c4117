/** Options of any shape: they come from configuration files. Nothing is connected to before they are right. */
import { BlockList } from 'node:net'
import nodemailer from 'nodemailer'
import { describe, expect, test } from 'vitest'
import {
  type MtaStsTransportOptions,
  mtaStsTransport,
  withMtaSts,
} from '../../src/nodemailer/index.js'
import { useWorld } from '../e2e/support.js'

const stage = useWorld()

/** What a transport with these options beside the good ones throws. */
function errorFor(options: Record<string, unknown>): unknown {
  try {
    mtaStsTransport({ ...stage.world.options(), ...options } as MtaStsTransportOptions)
    return undefined
  } catch (error) {
    return error
  }
}

const WRONG: Record<string, readonly unknown[]> = {
  ca: ['garbage', '', 5, null, [], ['garbage'], '-----BEGIN CERTIFICATE-----\nx\n'],
  minimumSecurity: ['foo', '', 1, null, 'Encrypted'],
  resolver: [{}, null, 'dns', { resolveTxt: async () => [] }],
  store: [{}, null, 'memory', { get: async () => undefined }],
  blockedAddresses: [[], ['127.0.0.1'], '127.0.0.0/8', null],
  overrides: [
    null,
    'off',
    { 'not a domain': 'off' },
    { 'bob.example': 'on' },
    { 'bob.example': { mode: 'enforce' } },
    { 'bob.example': { version: 'STSv1', mode: 'enforce', mx: [], maxAge: 60 } },
  ],
  connect: ['net', 5, null, {}],
  now: [0, 'now', null],
  sts: [{}, 42, 'sts', null],
  name: ['', 5, null, 'my host', 'b\u{fc}cher.example'],
  localAddress: ['eth0', '', 5],
  port: ['25', 0, 65_536, 25.5],
  fetchTimeout: ['1', 0, -1, Number.NaN, Number.POSITIVE_INFINITY],
  dnsTimeout: ['1', 0],
  connectionTimeout: ['1', 0, -1, 1.5],
  greetingTimeout: ['1', 0],
  socketTimeout: ['1', 0, Number.NaN],
  recheckInterval: [-1, '1'],
  negativeTtl: [-1, 1.5],
  fetchBackoff: [-1],
  refreshInterval: [-1],
  maxPolicies: [0],
  maxNegatives: [0],
  maxConnections: [0, '5'],
  maxConnectionsPerHost: [0],
  maxMessages: [0],
  idleTimeout: [0, '1'],
}

const CASES = Object.entries(WRONG).flatMap(([field, values]) =>
  values.map((value) => ({ field, value })),
)

describe('options that are wrong', () => {
  test.each(CASES)('$field: $value', ({ field, value }) => {
    stage.world.forget()

    const error = errorFor({ [field]: value })

    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({
      code: 'ECONFIG',
      message: expect.stringContaining(`"${field}"`),
    })
    expect(stage.world.log).toEqual([])
  })

  test.each([null, 'enforce', 5])('all of them: %s', (options) => {
    expect(() => mtaStsTransport(options as unknown as MtaStsTransportOptions)).toThrow(TypeError)
  })

  test('the text of a wrong value is cut', () => {
    const error = errorFor({ minimumSecurity: 'x'.repeat(10_000) })
    expect(error instanceof Error && error.message.length).toBeLessThan(400)
  })
})

describe('options of Nodemailer’s own transports', () => {
  test.each([
    ['host', 'smtp.example.com', 'withMtaSts()'],
    ['auth', { user: 'a', pass: 'b' }, 'withMtaSts()'],
    ['service', 'gmail', 'withMtaSts()'],
    ['pool', true, '"maxConnections"'],
    ['dkim', {}, 'createTransport()'],
    ['tls', { rejectUnauthorized: false }, 'use "ca"'],
    ['secure', false, '"minimumSecurity"'],
    ['ignoreTLS', true, '"minimumSecurity"'],
    ['requireTLS', true, '"minimumSecurity"'],
    ['proxy', 'socks5://proxy.example', '"connect"'],
  ])('%s is refused with the place that it belongs to', (field, value, place) => {
    const error = errorFor({ [field]: value })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({
      code: 'ECONFIG',
      message: expect.stringContaining(`"${field}" of mtaStsTransport() is unknown: `),
    })
    expect(error).toMatchObject({ message: expect.stringContaining(place) })
  })

  test.each([
    ['maxConnection', 'maxConnections'],
    ['negativeTTL', 'negativeTtl'],
    ['conectionTimeout', 'connectionTimeout'],
  ])('%s is refused with the nearest option, %s', (given, known) => {
    expect(errorFor({ [given]: 5 })).toMatchObject({
      code: 'ECONFIG',
      message: `The option "${given}" of mtaStsTransport() is unknown; did you mean "${known}"?`,
    })
  })

  test.each(['tls', 'host', 'negativeTTL', 'pool'])(
    'withMtaSts() refuses %s in its second argument',
    (field) => {
      const options: object = { [field]: {} }
      expect(() => withMtaSts({ host: 'smtp.example.com' }, options)).toThrow(
        expect.objectContaining({
          name: 'TypeError',
          code: 'ECONFIG',
          message: expect.stringContaining(`"${field}" of withMtaSts() is unknown`),
        }),
      )
    },
  )

  test('withMtaSts() refuses a transport that is not SMTP, and says what it takes', () => {
    const options: object = { sendmail: true }
    expect(() => withMtaSts(options)).toThrow(
      /withMtaSts\(\): the argument "transport" must be an smtp: URL, .* but its transport is Sendmail/,
    )
  })

  test('createTransport(mtaStsTransport) without the call: sending fails with the right use', async () => {
    const given: object = mtaStsTransport
    const sender = nodemailer.createTransport(given as ReturnType<typeof mtaStsTransport>)
    await expect(sender.sendMail({ from: 'a@a.example', to: 'b@b.example' })).rejects.toMatchObject(
      {
        name: 'TypeError',
        code: 'ECONFIG',
        message: expect.stringContaining('createTransport(mtaStsTransport(options))'),
      },
    )
  })
})

describe('"sts" beside other options', () => {
  const core: Record<string, unknown> = {
    store: { get: () => {}, set: () => {}, delete: () => {} },
    negativeTtl: 5,
    minimumSecurity: 'encrypted',
    reportOnly: true,
    maxPolicies: 5,
    overrides: {},
  }

  test.each(Object.keys(core))('%s is refused', (field) => {
    const options = { sts: stage.sts(), [field]: core[field] }
    const must = `The option "${field}" of mtaStsTransport() cannot be given beside "sts"`
    expect(() => mtaStsTransport(options)).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ECONFIG',
        message: expect.stringContaining(must),
      }),
    )
  })

  test('withMtaSts() refuses what belongs to the shared object', () => {
    const options = { sts: stage.sts(), negativeTtl: 5 }
    expect(() => withMtaSts({ host: 'smtp.example.com' }, options)).toThrow(
      /"negativeTtl" of withMtaSts\(\) cannot be given beside "sts"/,
    )
  })

  test('surroundings that serve the object and its transports alike are taken', () => {
    const options = { ...stage.world.options(), sts: stage.sts() }
    expect(() => mtaStsTransport(options)).not.toThrow()
    expect(() => withMtaSts({ host: 'smtp.example.com' }, options)).not.toThrow()
  })

  test('options of the transport itself are taken', () => {
    const { name } = stage.world.options()
    const own = { name, logger: false, maxConnections: 2, socketTimeout: 5000, store: undefined }
    expect(() => mtaStsTransport({ sts: stage.sts(), ...own })).not.toThrow()
  })
})

describe('options that are right', () => {
  const RIGHT: MtaStsTransportOptions[] = [
    {},
    { name: 'mail.sender.example', localAddress: '192.0.2.1', logger: false },
    { minimumSecurity: 'encrypted', blockedAddresses: new BlockList() },
    { overrides: { 'bob.example': 'off', 'bücher.example': 'off' } },
    { recheckInterval: 0, negativeTtl: 0, fetchBackoff: 0, refreshInterval: 0 },
    { ca: undefined, store: undefined, sts: undefined, port: undefined },
  ]

  test.each(RIGHT)('%o', (options) => {
    expect(errorFor({ ...options })).toBeUndefined()
  })

  test('no options at all', () => {
    const transport = mtaStsTransport()
    expect(transport.name).toBe('MTA-STS')
    transport.close?.()
  })
})

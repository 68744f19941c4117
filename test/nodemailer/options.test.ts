/** Options of any shape: they come from configuration files. Nothing is connected to before they are right. */
import { BlockList } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type MtaStsTransportOptions, mtaStsTransport } from '../../src/nodemailer/index.js'
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
  name: ['', 5, null],
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

/** The control flow of RFC 8461 §5.1 around an attempt: the effect of each kind of error. */
import { describe, expect, test } from 'vitest'
import {
  type Candidate,
  DeliveryRefusedError,
  MtaSts,
  type MtaStsOptions,
  type Policy,
  type Resolver,
  TlsFailureError,
} from '../../src/index.js'
import { errorOf, failureTexts } from '../e2e/support.js'

const DOMAIN = 'bob.example'

function codeError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

const absent = () => Promise.reject(codeError('ENODATA'))

/** A DNS in which the domain has these MX hosts, each with its own address. */
function resolverOf(hosts: Record<string, number>): Resolver {
  const names = Object.keys(hosts)
  return {
    resolveTxt: absent,
    resolveMx: async () =>
      Object.entries(hosts).map(([exchange, priority]) => ({ exchange, priority })),
    resolve4: async (name) => [`192.0.2.${names.indexOf(name) + 1}`],
    resolve6: absent,
  }
}

const policy = (mode: Policy['mode'], mx = ['*.bob.example']): Policy => ({
  version: 'STSv1',
  mode,
  mx,
  maxAge: 86_400,
})

interface Scene extends MtaStsOptions {
  mode?: Policy['mode']
  hosts?: Record<string, number>
}

const THREE = { 'a.bob.example': 10, 'b.bob.example': 20, 'c.bob.example': 30 }

/** Runs a delivery whose attempts fail as specified by host; others succeed. */
async function run(
  failing: Record<string, unknown>,
  { mode, hosts = THREE, ...options }: Scene = {},
) {
  const overrides = mode === undefined ? {} : { [DOMAIN]: policy(mode) }
  await using sts = new MtaSts({ resolver: resolverOf(hosts), overrides, ...options })
  const tried: string[] = []
  const attempt = async ({ mxHost }: Candidate) => {
    tried.push(mxHost.slice(0, 1))
    const error = failing[mxHost.slice(0, 1)]
    if (error) throw error
    return `taken by ${mxHost}`
  }
  const outcome = await sts.deliver(DOMAIN, attempt).then(
    (value): { value?: string; error?: unknown } => ({ value }),
    (error: unknown) => ({ error }),
  )
  return { ...outcome, tried: tried.join('') }
}

const reply = (command: string, responseCode: number, permanent?: boolean) =>
  Object.assign(new Error(`${command} ${responseCode}`), {
    command,
    responseCode,
    ...(permanent === undefined ? {} : { permanent }),
  })

const unproved = new TlsFailureError({ resultType: 'certificate-expired' })

describe('the next candidate', () => {
  test('[STS-45] is tried after a failure, in the order of preference', async () => {
    const outcome = await run({ a: unproved, b: codeError('ECONNRESET') }, { mode: 'enforce' })
    expect(outcome).toEqual({ value: 'taken by c.bob.example', tried: 'abc' })
  })

  test('[STS-45] is not tried after a success', async () => {
    expect(await run({})).toEqual({ value: 'taken by a.bob.example', tried: 'a' })
  })

  const GO_ON: Array<[string, unknown]> = [
    ['a lost connection', codeError('ECONNRESET')],
    ['451 to MAIL FROM', reply('MAIL FROM', 451)],
    ['421 to anything', reply('CONN', 421, false)],
    ['permanent: false, whatever the code', reply('RCPT TO', 550, false)],
    ['no error at all', 'a string'],
    ['undefined', { toString: () => 'undefined' }],
  ]

  test.each(GO_ON)('is tried after %s', async (_, error) => {
    expect(await run({ a: error }, { mode: 'enforce' })).toMatchObject({ tried: 'ab' })
  })

  const FINAL: Array<[string, unknown]> = [
    ['550 to RCPT TO', reply('RCPT TO', 550)],
    ['550 to RCPT TO, permanent', reply('RCPT TO', 550, true)],
    ['554 to DATA', reply('DATA', 554, true)],
    ['an error that says so itself', Object.assign(new Error('no'), { permanent: true })],
  ]

  test.each(FINAL)('is not tried after %s', async (_, error) => {
    for (const mode of ['enforce', 'testing', 'none'] as const) {
      expect(await run({ a: error }, { mode })).toEqual({ error, tried: 'a' })
    }
  })

  test('is tried once, however often the DNS lists it', async () => {
    const hosts = { 'a.bob.example': 10, 'A.bob.example': 20, 'a.bob.example.': 30 }
    const failed = codeError('ECONNRESET')
    expect(await run({ a: failed }, { hosts })).toEqual({ error: failed, tried: 'a' })
  })

  test('is missing: the last error is thrown', async () => {
    const error = reply('MAIL FROM', 452)
    expect(await run({ a: codeError('ECONNRESET'), b: codeError('EPIPE'), c: error })).toEqual({
      error,
      tried: 'abc',
    })
  })
})

describe('a refusal', () => {
  const STRIPPED: Array<[string, unknown]> = [
    ['502 to STARTTLS', reply('STARTTLS', 502, true)],
    ['454 to STARTTLS', reply('STARTTLS', 454)],
    ['a certificate error', codeError('CERT_HAS_EXPIRED')],
    ['a name error', codeError('ERR_TLS_CERT_ALTNAME_INVALID')],
    ['TlsFailureError', unproved],
  ]

  test.each(STRIPPED)('[STS-47] is temporary, whatever the error says: %s', async (_, error) => {
    const outcome = await run({ a: error, b: error, c: error }, { mode: 'enforce' })

    expect(outcome.tried).toBe('abc')
    expect(outcome.error).toBeInstanceOf(DeliveryRefusedError)
    expect(outcome.error).toMatchObject({ permanent: false, code: 'EMTASTS', mode: 'enforce' })
  })

  const BEFORE_MAIL = ['CONN', 'EHLO', 'HELO', 'STARTTLS']

  test.each(BEFORE_MAIL)('[STS-47] is temporary after a 5xx to %s', async (command) => {
    const error = reply(command, 554, true)
    const outcome = await run({ a: error }, { mode: 'enforce' })
    expect(outcome).toEqual({ value: 'taken by b.bob.example', tried: 'ab' })
  })

  test('[STS-45] lists the failure of each host, in order', async () => {
    const outcome = await run(
      {
        a: new TlsFailureError({ resultType: 'certificate-expired', mxHost: 'a.bob.example' }),
        b: codeError('ECONNRESET'),
        c: reply('STARTTLS', 454),
      },
      { mode: 'enforce' },
    )

    const { error } = outcome
    expect(error instanceof DeliveryRefusedError && failureTexts(error.failures)).toEqual([
      'a.bob.example certificate-expired',
      'c.bob.example starttls-not-supported refused',
    ])
  })

  test('[STS-34] needs no attempt if no host is in the policy', async () => {
    const overrides = { [DOMAIN]: policy('enforce', ['mx.elsewhere.example']) }
    const outcome = await run({}, { overrides })

    expect(outcome.tried).toBe('')
    expect(outcome.error).toMatchObject({ code: 'EMTASTS', permanent: false })
  })

  test('does not happen for TLS errors without a policy', async () => {
    const error = codeError('CERT_HAS_EXPIRED')
    const outcome = await run({ a: error, b: error, c: error })
    expect(outcome).toEqual({ error, tried: 'abc' })
  })

  test("[STS-49] takes precedence over another host's other error", async () => {
    const outcome = await run(
      { a: unproved, b: reply('MAIL FROM', 451), c: codeError('ECONNRESET') },
      { mode: 'enforce' },
    )
    expect(outcome.error).toBeInstanceOf(DeliveryRefusedError)
  })
})

describe('the context of an attempt', () => {
  test('ends the delivery with the error of stop, without further candidates', async () => {
    await using sts = new MtaSts({ resolver: resolverOf(THREE) })
    const mine = new Error('mine')
    let tried = 0

    const error = await errorOf(
      sts.deliver(DOMAIN, async (_, context) => {
        tried++
        return context.stop(mine)
      }),
    )

    expect(error).toBe(mine)
    expect(tried).toBe(1)
  })

  test('has the plan, and the failures so far', async () => {
    const overrides = { [DOMAIN]: policy('enforce', ['b.bob.example', 'c.bob.example']) }
    await using sts = new MtaSts({ resolver: resolverOf(THREE), overrides })
    const seen: string[][] = []

    await sts.deliver(DOMAIN, async ({ mxHost }, context) => {
      expect(context.plan.policyDomain).toBe(DOMAIN)
      seen.push(failureTexts(context.failures))
      if (mxHost === 'b.bob.example') throw unproved
    })

    expect(seen).toEqual([
      ['a.bob.example validation-failure mx-mismatch'],
      ['a.bob.example validation-failure mx-mismatch', 'b.bob.example certificate-expired'],
    ])
  })

  test("passes the attempt's result through, even undefined", async () => {
    await using sts = new MtaSts({ resolver: resolverOf(THREE) })
    let tried = 0
    const value = await sts.deliver(DOMAIN, async () => {
      tried++
    })
    expect(value).toBeUndefined()
    expect(tried).toBe(1)
  })
})

describe('equal preferences', () => {
  test('[STS-45] are shuffled in each plan, after lower ones', async () => {
    const hosts = { 'a.bob.example': 10, 'b.bob.example': 10, 'c.bob.example': 5 }
    await using sts = new MtaSts({ resolver: resolverOf(hosts) })
    const orders = new Set<string>()
    for (let i = 0; i < 64; i++) {
      const { candidates } = await sts.plan(DOMAIN)
      orders.add(candidates.map(({ mxHost }) => mxHost.slice(0, 1)).join(''))
    }
    // The chance that one of the two never comes up is 2^-63
    expect([...orders].sort()).toEqual(['cab', 'cba'])
  })
})

describe('the required proof', () => {
  const OPPORTUNISTIC = { level: 'opportunistic' }
  const ENCRYPTED = { level: 'encrypted' }
  const AUTHENTICATED = { level: 'authenticated', proofs: [{ by: 'sts' }] }
  const audit = { by: 'sts' }

  test.each([
    ['enforce', 'opportunistic', AUTHENTICATED],
    ['enforce', 'encrypted', AUTHENTICATED],
    ['enforce', 'authenticated', AUTHENTICATED],
    ['testing', 'opportunistic', { ...OPPORTUNISTIC, audit }],
    ['testing', 'encrypted', { ...ENCRYPTED, audit }],
    ['testing', 'authenticated', AUTHENTICATED],
    ['none', 'opportunistic', OPPORTUNISTIC],
    ['none', 'encrypted', ENCRYPTED],
    ['none', 'authenticated', AUTHENTICATED],
    [undefined, 'opportunistic', OPPORTUNISTIC],
    [undefined, 'encrypted', ENCRYPTED],
    [undefined, 'authenticated', AUTHENTICATED],
  ] as const)('[STS-42] for mode %s, minimum %s', async (mode, minimumSecurity, security) => {
    const overrides = mode === undefined ? {} : { [DOMAIN]: policy(mode) }
    await using sts = new MtaSts({ resolver: resolverOf(THREE), overrides, minimumSecurity })

    const { candidates } = await sts.plan(DOMAIN)

    expect(candidates.map((candidate) => candidate.security)).toEqual([
      security,
      security,
      security,
    ])
    const verified = security.level === 'authenticated'
    expect(candidates.map(({ tls }) => tls.rejectUnauthorized)).toEqual(new Array(3).fill(verified))
    expect(candidates.map(({ tls }) => tls.servername)).toEqual(Object.keys(THREE))
    expect(candidates.map(({ tls }) => tls.session)).toEqual(new Array(3).fill(undefined))
  })
})

describe('unusable MX records', () => {
  test.each(['', '.', '192.0.2.1', 'mx..example', 'mx_\u0000.example', '-mx.example'])(
    'with an invalid host (%j) beside a valid one are skipped without a lookup',
    async (exchange) => {
      const asked: string[] = []
      const base = resolverOf({})
      const resolver: Resolver = {
        ...base,
        resolveMx: async () => [
          { exchange, priority: 1 },
          { exchange: 'b.bob.example', priority: 2 },
        ],
        resolve4: async (name) => {
          asked.push(name)
          return ['192.0.2.1']
        },
      }
      expect(await run({}, { resolver })).toEqual({
        value: 'taken by b.bob.example',
        tried: 'b',
      })
      expect(asked).toEqual(['b.bob.example'])
    },
  )

  test('beyond the maximum number are not tried', async () => {
    const hosts = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`a${index}.bob.example`, index]),
    )
    const outcome = await run({ a: codeError('ECONNRESET') }, { hosts })
    expect(outcome.tried.length).toBeGreaterThanOrEqual(5)
    expect(outcome.tried.length).toBeLessThanOrEqual(100)
  })
})

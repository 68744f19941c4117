import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from 'vitest'
import { dane } from '../../src/dane/create.js'
import type { DaneProof } from '../../src/dane/dane.js'
import { fakeResolver } from './fake-resolver.js'
import { pemOf, recordsOf, vectors, withPeer } from './support.js'

const published: unknown[] = []
const listener = (event: unknown) => published.push(event)

function listen(): void {
  published.length = 0
  subscribe('mta-sts:dane', listener)
}

afterEach(() => {
  unsubscribe('mta-sts:dane', listener)
})

function recordingLogger() {
  const warnings: string[] = []
  return { warnings, warn: (_: object, message: string) => warnings.push(message) }
}

describe('the probe', () => {
  it('[DANE-16] warns once, in the log and on the channel, when the resolver gives no AD', async () => {
    listen()
    const logger = recordingLogger()
    const off = dane({ resolver: fakeResolver({}, false) })
    expect(await Promise.all([off.probe(logger), off.probe(logger)])).toEqual([false, false])
    expect(await off.probe(logger)).toBe(false)
    expect(logger.warnings).toEqual([expect.stringContaining('DANE is off')])
    expect(published).toEqual([{ problem: 'resolver-does-not-validate' }])
  })

  it('[DANE-16] does not warn when the resolver validates', async () => {
    listen()
    const logger = recordingLogger()
    expect(await dane({ resolver: fakeResolver({}) }).probe(logger)).toBe(true)
    expect([logger.warnings, published]).toEqual([[], []])
  })

  it('[DANE-16] waits for an answer before it warns', async () => {
    listen()
    const logger = recordingLogger()
    const answers = [undefined, false]
    const resolver = { ...fakeResolver({}), validates: async () => answers.shift() }
    const off = dane({ resolver })
    await off.probe(logger)
    expect(logger.warnings).toEqual([])
    await off.probe(logger)
    expect(logger.warnings).toHaveLength(1)
    expect(published).toHaveLength(1)
  })

  it('[DANE-16] ignores errors of the logger and the resolver', async () => {
    const warn = () => {
      throw new Error('broken')
    }
    expect(await dane({ resolver: fakeResolver({}, false) }).probe({ warn })).toBe(false)
    const validates = () => Promise.reject(new Error('broken'))
    const broken = dane({ resolver: { ...fakeResolver({}), validates } })
    expect(await broken.probe()).toBe(false)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
      false,
    ],
    ['answers without a promise', () => true as never, true],
    ['answers nothing', () => undefined as never, false],
  ])('[DANE-16] survives a resolver that %s at once', async (_, validates, outcome) => {
    const resolver = { ...fakeResolver({}), validates }
    expect(await dane({ resolver }).probe()).toBe(outcome)
  })
})

describe('the judgement of a handshake', () => {
  const lookups = dane({ resolver: fakeResolver({}) })

  function judged(id: string) {
    const vector = vectors.cases.find((each) => each.id === id)
    if (vector === undefined) throw new RangeError(id)
    const [base = ''] = vector.names
    const proof: DaneProof = { by: 'dane', tlsa: recordsOf(vector), base, names: vector.names }
    const server = { chain: vector.chain.map(pemOf), key: vectors.keys[vector.key] ?? '' }
    return withPeer(server, (socket) => lookups.judge(socket, proof, vectors.now))
  }

  it.each([
    ['ee-302-match', undefined],
    ['ee-300-mismatch', { resultType: 'validation-failure', reason: 'tlsa-mismatch' }],
    ['ta-201-root-not-sent', { resultType: 'certificate-not-trusted', reason: 'tlsa-mismatch' }],
    ['ta-200-wrong-name', { resultType: 'certificate-host-mismatch' }],
    ['ta-leaf-expired', { resultType: 'certificate-expired' }],
    ['ta-name-excluded', { resultType: 'certificate-not-trusted', reason: 'name-constraints' }],
    ['unusable-pkix-ee', { resultType: 'tlsa-invalid', reason: 'tlsa-unusable' }],
  ])('[DANE-15] %s: %o', async (id, failure) => {
    expect(await judged(id)).toEqual(failure)
  })
})

describe('options', () => {
  it.each([
    [{ resolver: {} }, 'resolver'],
    [{ resolver: 'system' }, 'resolver'],
    [{ require: ['example.com'] }, 'require'],
    [{ except: 'example.com' }, 'except'],
    [{ requires: () => true }, 'requires'],
    [null, 'options'],
  ])('refuse %j with a TypeError that names the option', (options, field) => {
    expect(() => dane(options as never)).toThrow(
      expect.objectContaining({ code: 'ECONFIG', message: expect.stringContaining(`"${field}"`) }),
    )
  })
})

/** The operator's overrides, which take precedence over the domain's policy. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { MtaSts } from '../../src/mta-sts.js'
import { type MtaStsOptions, resolveOptions } from '../../src/options.js'
import type { Policy } from '../../src/policy/policy-file.js'
import { memoryStore } from '../../src/policy/stores/memory.js'
import type { MailDomain } from '../../src/testing/index.js'
import {
  announcing,
  DAY,
  emptyResolver,
  ManualClock,
  noConnect,
  type ScriptedResolver,
  SMALL,
  Stage,
  said,
  scriptedResolver,
  storedPolicy,
  turns,
  watchedStore,
} from './scripted-network.js'

const PINNED: Policy = {
  version: 'STSv1',
  mode: 'enforce',
  mx: ['mx.bob.example', '*.backup.example'],
  maxAge: 86_400,
}

/** An object that may use the network only as a test expects. */
function open(
  overrides: MtaStsOptions['overrides'],
  more: MtaStsOptions = {},
): { sts: MtaSts; resolver: ScriptedResolver; clock: ManualClock } {
  const clock = new ManualClock()
  const resolver = emptyResolver()
  const sts = new MtaSts({
    ...SMALL,
    resolver,
    connect: noConnect,
    now: clock.now,
    refreshInterval: 0,
    overrides,
    ...more,
  })
  return { sts, resolver, clock }
}

describe('[STS-50] off', () => {
  it('exempts a domain without any lookup', async () => {
    const { sts, resolver } = open({ 'bob.example': 'off' })
    expect(await sts.getPolicy('bob.example')).toEqual({ status: 'none', reason: 'override' })
    expect(resolver.asked).toEqual([])
  })

  it('exempts a domain that enforces, without any lookup, also in a delivery', async () => {
    await using stage = await Stage.open()
    const bob = stage.domain('bob.example', { mode: 'enforce', patterns: ['elsewhere.example'] })
    await using held = new MtaSts(stage.options())
    expect(await held.plan('bob.example')).toMatchObject({ candidates: [], refused: [{}] })
    await using exempt = new MtaSts(stage.options({ overrides: { 'bob.example': 'off' } }))
    stage.world.forget()
    expect(await exempt.plan('bob.example')).toMatchObject({
      lookup: { status: 'none', reason: 'override' },
      candidates: [{ mxHost: 'mx.bob.example', security: { level: 'opportunistic' } }],
      refused: [],
    })
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
  })
})

describe('[STS-50] a pinned policy', () => {
  it('applies without any lookup', async () => {
    const { sts, resolver, clock } = open({ 'bob.example': PINNED })
    const lookup = await sts.getPolicy('bob.example')
    expect(lookup).toMatchObject({ status: 'found', policy: PINNED, id: 'override' })
    // Longer than its maxAge, which has no effect here
    clock.advance(400 * DAY)
    expect(said(await sts.getPolicy('bob.example'))).toBe('enforce override')
    await turns()
    expect(resolver.asked).toEqual([])
  })

  it('is enforced: an MX host outside it is refused', async () => {
    await using stage = await Stage.open()
    const bob = stage.domain('bob.example', { mode: 'none', mx: ['mx', 'mx.elsewhere.example'] })
    await using sts = new MtaSts(stage.options({ overrides: { 'bob.example': PINNED } }))
    expect(await sts.plan('bob.example')).toMatchObject({
      candidates: [
        { mxHost: 'mx.bob.example', security: { level: 'authenticated', proofs: [{ by: 'sts' }] } },
      ],
      refused: [
        { resultType: 'validation-failure', reason: 'mx-mismatch', mxHost: 'mx.elsewhere.example' },
      ],
    })
    expect(stage.traffic(bob)).toEqual({ txt: 0, gets: 0 })
  })

  it('is copied: what becomes of the given object has no effect', async () => {
    const given = { ...PINNED, mx: [...PINNED.mx] }
    const { sts } = open({ 'bob.example': given })
    given.mode = 'none'
    given.mx.push('evil.example')
    expect(await sts.getPolicy('bob.example')).toMatchObject({ policy: PINNED })
  })

  it.each(['testing', 'none'] as const)('may be of mode %s', async (mode) => {
    const { sts } = open({ 'bob.example': { ...PINNED, mode } })
    expect(said(await sts.getPolicy('bob.example'))).toBe(`${mode} override`)
  })
})

describe('[STS-50] names', () => {
  it.each(['sub.bob.example', 'example', 'xbob.example', 'bob.example.org'])(
    'match exactly: %s is not bob.example',
    async (domain) => {
      const { sts, resolver } = open({ 'bob.example': 'off' })
      expect(said(await sts.getPolicy(domain))).toBe('no-record')
      expect(resolver.asked).toEqual([`TXT _mta-sts.${domain}`])
    },
  )

  it.each([
    ['bob.example', 'BOB.Example'],
    ['Bob.EXAMPLE', 'bob.example'],
    ['bob.example.', 'bob.example'],
    ['bob.example', 'bob.example.'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['BÜCHER.example', 'bücher.EXAMPLE'],
    ['xn--bcher-kva.example', 'XN--BCHER-KVA.EXAMPLE.'],
  ])('are compared as A-labels in lower case: %s for %s', async (key, domain) => {
    const { sts, resolver } = open({ [key]: 'off' })
    expect(said(await sts.getPolicy(domain))).toBe('override')
    expect(resolver.asked).toEqual([])
  })

  it('do not include inherited ones: __proto__, constructor', async () => {
    const { sts, resolver } = open({ 'bob.example': 'off' })
    for (const domain of ['constructor', '__proto__', 'tostring']) {
      expect(said(await sts.getPolicy(domain))).toBe('no-record')
    }
    expect(resolver.asked).toHaveLength(3)
  })
})

describe('[STS-50] precedence over cached policies', () => {
  const clock = new ManualClock()
  const store = () => {
    const kept = watchedStore({ now: clock.now })
    return kept.inner.set('bob.example', storedPolicy(clock.now())).then(() => kept)
  }

  it('wins over the policy of the store', async () => {
    const kept = await store()
    const { sts, resolver } = open({ 'bob.example': 'off' }, { store: kept, now: clock.now })
    expect(said(await sts.getPolicy('bob.example'))).toBe('override')
    expect(kept.calls).toEqual([])
    expect(resolver.asked).toEqual([])
  })

  it.each([
    ['off', 'off' as const, 'override'],
    ['a pinned policy', { ...PINNED, mx: ['pinned.example'] }, 'enforce override'],
  ])('wins after a refresh of the policy of the store: %s', async (_, override, expected) => {
    const kept = await store()
    const { sts } = open({ 'bob.example': override }, { store: kept, now: clock.now })
    await sts.refresh()
    await turns()
    expect(said(await sts.getPolicy('bob.example'))).toBe(expected)
    expect(said(await sts.getPolicy('BOB.example'))).toBe(expected)
  })

  it.each([
    ['off', 'off' as const, 'override'],
    ['a pinned policy', PINNED, 'enforce override'],
  ])(
    'wins after a refresh that fetched the policy of the store again: %s',
    async (_, override, expected) => {
      await using stage = await Stage.open()
      stage.domain('bob.example', { mode: 'testing' })
      const kept = memoryStore({ now: stage.clock.now })
      await using before = new MtaSts(stage.options({ store: kept }))
      expect((await before.getPolicy('bob.example')).status).toBe('found')
      const overrides = { 'bob.example': override }
      await using sts = new MtaSts(stage.options({ store: kept, overrides }))
      await sts.refresh()
      expect(said(await sts.getPolicy('bob.example'))).toBe(expected)
      expect((await sts.plan('bob.example')).lookup).toEqual(await sts.getPolicy('BOB.example'))
    },
  )

  it('stops a refresh of the domain', async () => {
    const kept = await store()
    const resolver = scriptedResolver(() => announcing('stored1'))
    const { sts } = open({ 'bob.example': 'off' }, { store: kept, resolver, now: clock.now })
    await sts.refresh()
    await turns()
    expect(resolver.asked).toEqual([])
  })
})

describe('[STS-50] invalid overrides', () => {
  const wrong: Array<[string, unknown, RegExp]> = [
    ['null', null, /"overrides" must be an object/],
    ['text', 'bob.example', /"overrides" must be an object/],
    ['a key that is no domain', { 'not a domain': 'off' }, /"overrides".*"not a domain"/s],
    ['a key that is empty', { '': 'off' }, /"overrides"/],
    ['a wildcard', { '*.bob.example': 'off' }, /"overrides".*\*\.bob\.example/s],
    ['an address', { '192.0.2.1': 'off' }, /"overrides".*192\.0\.2\.1/s],
    ['an address literal', { '[192.0.2.1]': 'off' }, /"overrides".*\[192\.0\.2\.1\]/s],
    ['a mailbox', { 'bob@bob.example': 'off' }, /"overrides".*bob@bob\.example/s],
    ['another word', { 'bob.example': 'none' }, /"overrides".*bob\.example/s],
    ['false', { 'bob.example': false }, /"overrides".*bob\.example/s],
    ['undefined', { 'bob.example': undefined }, /"overrides".*bob\.example/s],
    ['no policy', { 'bob.example': {} }, /"overrides".*bob\.example/s],
    ['an unknown mode', { 'bob.example': { ...PINNED, mode: 'strict' } }, /mode.*strict/],
    ['no mx', { 'bob.example': { ...PINNED, mx: [] } }, /"overrides".*mx/s],
    ['mx that is text', { 'bob.example': { ...PINNED, mx: 'mx.bob.example' } }, /"overrides"/],
    ['an mx in upper case', { 'bob.example': { ...PINNED, mx: ['MX.bob.example'] } }, /MX\.bob/],
    ['no maxAge', { 'bob.example': { ...PINNED, maxAge: undefined } }, /"overrides".*max_age/s],
    ['a list', [['bob.example', 'off']], /"overrides"/],
  ]

  it.each(wrong)('%s: a TypeError that names it', (_, overrides, message) => {
    const options = { overrides } as unknown as MtaStsOptions
    expect(() => new MtaSts(options)).toThrow(TypeError)
    expect(() => resolveOptions(options)).toThrow(message)
  })
})

describe('[STS-50] absent overrides', () => {
  let stage: Stage
  let bob: MailDomain
  beforeAll(async () => {
    stage = await Stage.open()
  })
  afterAll(() => stage.close())
  beforeEach(() => {
    bob = stage.world.domain('bob.example')
  })

  it.each([[undefined], [{}]])('%j: the domain is looked up', async (overrides) => {
    bob.policy({ mode: 'enforce', id: 'n1' })
    await using sts = new MtaSts(stage.options({ overrides, store: memoryStore() }))
    expect(said(await sts.getPolicy('bob.example'))).toBe('enforce n1')
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Resolver } from '../../src/dns/resolver.js'
import { RecordSyntaxError } from '../../src/errors.js'
import { lookupRecord } from '../../src/policy/record-lookup.js'
import { createMailWorld, type MailWorld } from '../../src/testing/index.js'
import { dnsError, resolverOf } from '../tls/support.js'

let world: MailWorld

beforeAll(async () => {
  world = await createMailWorld({ dnsTimeout: 5000 })
})
afterAll(() => world.close())

const look = (domain: string, dnsTimeout = 10_000) =>
  lookupRecord(domain, { resolver: world.options().resolver, dnsTimeout })

/** The names looked up since, each once, with their types. */
function asked(): string[] {
  return [...new Set(world.queries.map(({ name, type }) => `${name} ${type}`))]
}

describe('the name of the record', () => {
  test('[STS-1] is _mta-sts. and the Policy Domain, and no other name is looked up', async () => {
    const { id } = world.domain('at.example', { mode: 'enforce' })
    world.forget()
    expect(await look('at.example')).toEqual({ kind: 'found', id })
    expect(asked()).toEqual(['_mta-sts.at.example TXT'])
    expect([...world.dials, ...world.gets]).toEqual([])
  })

  test('[STS-1] uses the A-labels of a U-label domain', async () => {
    const { id, name } = world.domain('müller.example', { mode: 'enforce' })
    world.forget()
    expect(await look(name)).toEqual({ kind: 'found', id })
    expect(asked()).toEqual(['_mta-sts.xn--mller-kva.example TXT'])
  })

  test('[STS-1] is followed through one or several CNAMEs', async () => {
    const domain = world.domain('alias.example', { mode: 'enforce' })
    domain.dns.fails('cname-chain')
    expect(await look('alias.example')).toEqual({ kind: 'found', id: domain.id })

    world.dns.set('_mta-sts.hosted.example', 'CNAME', ['_mta-sts.alias.example'])
    expect(await look('hosted.example')).toEqual({ kind: 'found', id: domain.id })
  })

  test('[STS-1] has no record where a CNAME leads nowhere', async () => {
    world.dns.set('_mta-sts.dangling.example', 'CNAME', ['nowhere.example'])
    expect(await look('dangling.example')).toEqual({ kind: 'gone' })
  })

  test('[STS-8] is never at the parent, whatever that has', async () => {
    world.domain('parent.example', { mode: 'enforce' })
    world.domain('child.parent.example')
    world.forget()
    expect(await look('child.parent.example')).toEqual({ kind: 'gone' })
    expect(await look('a.b.parent.example')).toEqual({ kind: 'gone' })
    expect(asked()).toEqual([
      '_mta-sts.child.parent.example TXT',
      '_mta-sts.a.b.parent.example TXT',
    ])
  })

  test('[STS-8] is never the domain itself', async () => {
    world.dns.set('apex.example', 'TXT', ['v=STSv1; id=1;'])
    expect(await look('apex.example')).toEqual({ kind: 'gone' })
  })
})

describe('the answer', () => {
  const dnsFailure = (code: string) => ({
    kind: 'failed',
    failure: { resultType: 'sts-policy-fetch-error', reason: 'dns-failure', cause: { code } },
  })

  test.each([
    ['nxdomain', { kind: 'gone' }],
    ['servfail', dnsFailure('ESERVFAIL')],
    ['refused', dnsFailure('EREFUSED')],
    ['timeout', dnsFailure('ETIMEOUT')],
    [
      'two-records',
      {
        kind: 'invalid',
        failure: { resultType: 'sts-policy-invalid', reason: 'several-records' },
      },
    ],
    [
      'malformed-record',
      {
        kind: 'invalid',
        failure: {
          resultType: 'sts-policy-invalid',
          reason: 'malformed-record',
          cause: expect.any(RecordSyntaxError),
        },
      },
    ],
    ['split-strings', { kind: 'found', id: 'a1' }],
  ] as const)('is classified: %s', async (fault, expected) => {
    const domain = world.domain(`${fault}.fault.example`, { mode: 'enforce', id: 'a1' })
    domain.dns.fails(fault)
    expect(await look(domain.name, fault === 'timeout' ? 50 : 10_000)).toMatchObject(expected)
  })

  test('without a record of the type is "gone"', async () => {
    world.dns.set('_mta-sts.nodata.example', 'A', ['192.0.2.1'])
    world.forget()
    expect(await look('nodata.example')).toEqual({ kind: 'gone' })
    expect(world.queries.map(({ outcome }) => outcome)).toContain('nodata')
  })

  test('ignores other records beside it [STS-3]', async () => {
    const { id } = world.domain('beside.example', { mode: 'enforce', id: 'b2' })
    const other = ['v=spf1 -all', 'V=STSv1; id=x;', 'v=STSv10; id=x;', ' v=STSv1; id=x;']
    world.dns.set('_mta-sts.beside.example', 'TXT', [...other, `v=STSv1; id=${id};`, 'v=STSv1'])
    expect(await look('beside.example')).toEqual({ kind: 'found', id: 'b2' })

    world.dns.set('_mta-sts.beside.example', 'TXT', other)
    expect(await look('beside.example')).toEqual({ kind: 'gone' })
  })

  test('with two equal records has two records [STS-4]', async () => {
    world.dns.set('_mta-sts.twice.example', 'TXT', ['v=STSv1; id=1;', 'v=STSv1; id=1;'])
    expect(await look('twice.example')).toMatchObject({ kind: 'invalid' })
  })

  test('with a malformed and a valid record has no record [STS-4]', async () => {
    world.dns.set('_mta-sts.beside-bad.example', 'TXT', ['v=STSv1; id=1;', 'v=STSv1; id=;'])
    expect(await look('beside-bad.example')).toEqual({
      kind: 'invalid',
      failure: { resultType: 'sts-policy-invalid', reason: 'several-records' },
    })
  })

  test('too long for UDP comes over TCP', async () => {
    const { id } = world.domain('long.example', { mode: 'enforce', id: 'c3' })
    const fillers = Array.from({ length: 30 }, (_, i) => `filler ${i} ${'x'.repeat(200)}`)
    world.dns.set('_mta-sts.long.example', 'TXT', [...fillers, `v=STSv1; id=${id};`])
    world.forget()
    expect(await look('long.example')).toEqual({ kind: 'found', id: 'c3' })
    expect(world.queries.map(({ over }) => over)).toContain('tcp')
  })

  test('is escaped in the failure', async () => {
    world.dns.set('_mta-sts.escape.example', 'TXT', ['v=STSv1; id=\u001b[31m\n;'])
    const found = await look('escape.example')
    const failure = found.kind === 'invalid' ? found.failure : undefined
    expect(failure?.cause).toMatchObject({ code: 'ERECORDSYNTAX' })
    const message = failure?.cause instanceof Error ? failure.cause.message : ''
    expect(message).toContain('\\u{1b}[31m\\u{a}')
  })
})

describe('the time limit', () => {
  test('ends the wait for a resolver that never answers after dnsTimeout', async () => {
    const resolver: Resolver = { ...resolverOf({}), resolveTxt: () => new Promise(() => {}) }
    const found = await lookupRecord('silent.example', { resolver, dnsTimeout: 20 })
    expect(found).toMatchObject({
      kind: 'failed',
      failure: { reason: 'dns-failure', cause: { code: 'ETIMEOUT' } },
    })
  })
})

describe('resolvers of other kinds', () => {
  const lookUp = (resolver: Resolver) =>
    lookupRecord('any.example', { resolver, dnsTimeout: 10_000 })

  test.each<[code: string, kind: string]>([
    ['ENOTFOUND', 'gone'],
    ['ENODATA', 'gone'],
    ['ESERVFAIL', 'failed'],
    ['ECONNREFUSED', 'failed'],
    ['EWHATEVER', 'failed'],
  ])('%s is %s', async (code, kind) => {
    expect(await lookUp(resolverOf({ txt: dnsError(code) }))).toMatchObject({ kind })
  })

  test('[STS-1] get the name without a final dot, once', async () => {
    const names: string[] = []
    const resolver: Resolver = {
      ...resolverOf({}),
      resolveTxt: async (name) => {
        names.push(name)
        return [['v=STSv1; ', 'id=1;']]
      },
    }
    expect(await lookUp(resolver)).toEqual({ kind: 'found', id: '1' })
    expect(names).toEqual(['_mta-sts.any.example'])
  })

  test.each<unknown>([
    undefined,
    'v=STSv1; id=1;',
    ['v=STSv1; id=1;'],
    [undefined],
    [null, ['v=STSv1; id=1;']],
    [{ data: 'v=STSv1; id=1;' }],
    [42],
  ])('fail the lookup with an answer of another shape than node:dns: %j', async (answer) => {
    const resolver: Resolver = {
      ...resolverOf({}),
      resolveTxt: () => Promise.resolve(answer as string[][]),
    }
    expect(await lookUp(resolver)).toMatchObject({
      kind: 'failed',
      failure: { resultType: 'sts-policy-fetch-error', reason: 'dns-failure' },
    })
  })
})

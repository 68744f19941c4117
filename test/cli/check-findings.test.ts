/** What `mta-sts check` makes of policy hosts, of the DNS, and of modes: every fault there is. */
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../../src/testing/index.js'
import { adviceCodes, useWorld } from './support.js'

const stage = useWorld()

describe('the policy host', () => {
  it.each(FAULTS.policyHost)('$name: $resultType', async ({ name, resultType }) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(name)
    const { exit, policyHost, verdict } = await stage.checkWithin(3000, domain)
    expect(exit).toBe(1)
    expect(policyHost?.addresses[0]?.problem?.resultType).toBe(resultType)
    expect(verdict).toMatchObject({ status: 'unprotected', mode: null })
    expect(verdict.text).toContain(resultType)
  })

  it('shows the certificate that a failing handshake would hide', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.certificate({ san: ['DNS:www.shop.example', 'DNS:*.shop.example'] })
    const { policyHost } = await stage.check(domain)
    expect(policyHost?.addresses[0]).toMatchObject({
      certificate: { names: ['www.shop.example', '*.shop.example'] },
      problem: { detail: 'it names www.shop.example, *.shop.example' },
      status: null,
    })
    expect(domain.policyHost.gets).toEqual([])
  })

  it.each([
    ['html', { status: 200, type: 'text/html' }],
    ['redirect', { status: 301, type: null }],
    ['404', { status: 404, type: 'text/plain' }],
  ] as const)('shows status and type (%s)', async (name, facts) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(name)
    const { policyHost, policy } = await stage.check(domain)
    expect(policyHost?.addresses[0]).toMatchObject(facts)
    expect(policy).toBeNull()
  })

  it('lists addresses that may not be contacted', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    stage.world.dns.set(domain.policyHost.name, 'A', ['127.0.0.1', '10.0.0.1'])
    const { exit, policyHost } = await stage.check(domain)
    expect(exit).toBe(1)
    expect(policyHost).toMatchObject({
      addresses: [],
      blocked: ['127.0.0.1', '10.0.0.1'],
      problem: { resultType: 'sts-policy-fetch-error', reason: 'blocked-address' },
    })
  })

  it('does not blame a host for a route that this machine has not', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { ipv6, name } = domain.policyHost
    stage.world.dns.set(name, 'AAAA', [ipv6])
    const { connect, now, resolver } = stage.world.options()
    const context = {
      env: {},
      resolver,
      now,
      connect: (target: Parameters<typeof connect>[0]) => {
        const socket = connect(target)
        const unreachable = Object.assign(new Error('connect'), { code: 'ENETUNREACH' })
        return target.address.includes(':') ? socket.destroy(unreachable) : socket
      },
    }
    const { status, stdout } = await stage.cli(['check', '--json', domain.name], context)
    expect(status).toBe(0)
    const [report] = JSON.parse(stdout).domains
    expect(report.policyHost.addresses.map((one: { noRoute: boolean }) => one.noRoute)).toEqual([
      true,
      false,
    ])
    expect(adviceCodes(report)).toEqual([])
  })
})

describe('the DNS', () => {
  it.each([
    ['nxdomain', 1, 'unprotected', 'none'],
    ['servfail', 3, 'unknown', 'unknown'],
    ['timeout', 3, 'unknown', 'unknown'],
    ['refused', 3, 'unknown', 'unknown'],
    ['two-records', 1, 'unprotected', 'several'],
    ['malformed-record', 1, 'unprotected', 'malformed'],
    ['split-strings', 0, 'fine', 'found'],
    ['cname-chain', 0, 'fine', 'found'],
    ['ipv6-only', 0, 'fine', 'found'],
    ['spoofed-mx', 1, 'refused', 'found'],
    ['null-mx', 0, 'fine', 'found'],
  ] as const)('%s: exit status %i', async (fault, exit, verdict, record) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails(fault)
    const report = await stage.check(domain)
    expect(report.exit).toBe(exit)
    expect(report.verdict.status).toBe(verdict)
    expect(report.record.status).toBe(record)
  })

  it.each(['mx', 'policy-host', 'mx-hosts'] as const)(
    'could not find out where lookups fail at %s',
    async (where) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.dns.fails('servfail', where)
      const { exit, verdict } = await stage.check(domain)
      expect(exit).toBe(3)
      expect(verdict.status).toBe('unknown')
    },
  )

  it('reports a domain that is its own MX host', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: [] })
    const { exit, mx } = await stage.check(domain, '--connect')
    expect(exit).toBe(0)
    expect(mx).toMatchObject({ status: 'implicit', hosts: [{ host: domain.name }] })
  })

  it.each(['nxdomain', 'no address'])('reports an MX host with %s', async (what) => {
    const domain = stage.domain({ mode: 'enforce' })
    if (what === 'nxdomain') domain.dns.fails('nxdomain', 'mx-hosts')
    else stage.world.dns.set(domain.mx().name, 'A', [])
    const { exit, mx, verdict } = await stage.check(domain)
    expect(exit).toBe(1)
    expect(mx.hosts[0]?.outcome).toBe('refused')
    expect(verdict.text).toContain('no MX host can be reached')
  })

  it('reports a domain that does not exist', async () => {
    const { exit, mx, verdict } = await stage.check('not-there.example')
    expect(exit).toBe(1)
    expect(mx.status).toBe('no-domain')
    expect(verdict).toMatchObject({ status: 'refused' })
  })

  it('asks each question once', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    stage.world.forget()
    await stage.check(domain, '--connect')
    const asked = stage.world.queries.map(({ name, type }) => `${type} ${name}`)
    expect(asked.length).toBe(new Set(asked).size)
  })
})

describe('modes', () => {
  it.each([
    ['testing', 'unprotected', ['mode-testing']],
    ['none', 'unprotected', ['mode-none']],
    ['enforce', 'fine', []],
  ] as const)('%s: %s', async (mode, status, advice) => {
    const domain = stage.domain({ mode })
    const report = await stage.check(domain, '--connect')
    expect(report.verdict).toMatchObject({ mode, status })
    expect(report.exit).toBe(status === 'fine' ? 0 : 1)
    expect(adviceCodes(report)).toEqual(advice)
  })

  it('says what enforce would refuse under testing', async () => {
    const domain = stage.domain({ mode: 'testing', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('wrong-name')
    const { verdict } = await stage.check(domain, '--connect')
    expect(verdict.text).toBe(
      `testing: mail would be delivered whatever fails; enforce would refuse mx1.${domain.name}: certificate-host-mismatch, it names wrong-name.example`,
    )
  })
})

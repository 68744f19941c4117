/** What `mta-sts check --connect` makes of MX hosts: every fault that the mail world can play. */
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../../src/testing/index.js'
import { useWorld } from './support.js'

const stage = useWorld()

describe('MX hosts, with --connect', () => {
  it.each(FAULTS.mx.filter(({ outcome }) => outcome === 'refused'))(
    '$name: refused, $resultType',
    async ({ name, resultType }) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(name)
      const { exit, mx, verdict } = await stage.checkWithin(3000, domain, '--connect')
      expect(exit).toBe(1)
      expect(mx.hosts[0]?.outcome).toBe('refused')
      expect(mx.hosts[0]?.sessions?.[0]?.problem?.resultType).toBe(resultType)
      expect(verdict).toMatchObject({ status: 'refused', exitStatus: 1, mode: 'enforce' })
      expect(verdict.text).toContain(resultType)
    },
  )

  it.each(['slow', 'drops-after-data'] as const)(
    'are proved despite the fault %s',
    async (name) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(name)
      const { exit, mx } = await stage.check(domain, '--connect')
      expect(exit).toBe(0)
      expect(mx.hosts[0]?.outcome).toBe('proved')
    },
  )

  it('do not pass plaintext off as TLS (response-injection)', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('response-injection')
    const { mx } = await stage.check(domain, '--connect')
    expect(['proved', 'refused']).toContain(mx.hosts[0]?.outcome)
  })

  it.each([
    ['cannot be connected to', 'unreachable', /connection refused/],
    ['greets with 554', { at: 'greeting', reply: '554 5.7.1 Go away' }, /554 5\.7\.1 Go away/],
    ['turns EHLO away', { at: 'ehlo', reply: '421 4.3.2 Later' }, /421 4\.3\.2 Later/],
  ] as const)('could not find out about one that %s', async (_, fault, error) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails(fault)
    const { exit, mx, verdict } = await stage.check(domain, '--connect')
    expect(exit).toBe(3)
    expect(mx.hosts[0]).toMatchObject({ outcome: 'unknown' })
    expect(mx.hosts[0]?.sessions?.[0]?.error).toMatch(error)
    expect(verdict.text).toContain(`could not find out about mx.${domain.name}`)
  })

  it('are sent nothing but EHLO, STARTTLS and QUIT', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3', 'mx4'] })
    domain.mx('mx2').fails('no-starttls')
    domain.mx('mx3').fails('expired')
    domain.mx('mx4').fails('starttls-454')
    await stage.check(domain, '--connect', '--name', 'probe.sender.example')
    const said = (host: string) =>
      domain
        .mx(host)
        .connections.flatMap(({ lines }) => lines.filter(({ from }) => from === 'client'))
        .map(({ text }) => text)
    const ehlo = 'EHLO probe.sender.example'
    expect(said('mx1')).toEqual([ehlo, 'STARTTLS', ehlo, 'QUIT'])
    expect(said('mx2')).toEqual([ehlo])
    expect(said('mx3')).toEqual([ehlo, 'STARTTLS'])
    expect(said('mx4')).toEqual([ehlo, 'STARTTLS'])
  })

  it('are not connected to without --connect', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { exit, mx, verdict } = await stage.check(domain)
    expect(exit).toBe(0)
    expect(mx.hosts[0]).toMatchObject({ outcome: 'not-tried', sessions: null, inPolicy: true })
    expect(verdict.text).toBe(`enforce: not tried: ${domain.mx().name} (--connect tries)`)
    expect(domain.mx().connections).toEqual([])
  })

  it('are proved with one good address of two', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { name, ipv4 } = domain.mx()
    stage.world.dns.set(name, 'A', [ipv4, '203.0.113.250'])
    const { exit, mx } = await stage.check(domain, '--connect')
    expect(exit).toBe(0)
    expect(mx.hosts[0]?.sessions?.map(({ error }) => error)).toEqual([null, 'connection refused'])
  })

  it('are judged without a policy, too', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const { mx } = await stage.check(domain, '--connect')
    expect(mx.hosts[0]).toMatchObject({ inPolicy: null, outcome: 'refused' })
  })
})

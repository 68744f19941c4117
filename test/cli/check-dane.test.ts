/** `mta-sts check --dane`: DNSSEC and TLSA records, beside a policy and without one. */
import { describe, expect, it } from 'vitest'
import type { CheckOutput, CheckReport } from '../../src/cli/check/findings.js'
import { dnssecResolver } from '../../src/dane/index.js'
import type { DomainOptions, MailDomain } from '../../src/testing/index.js'
import { adviceCodes, useWorld } from './support.js'

const stage = useWorld()

async function look(domain: MailDomain, ...argv: string[]) {
  const resolver = dnssecResolver({ servers: [stage.world.dns.server] })
  const options = { dnssecResolver: resolver }
  const json = ['check', '--json', '--connect', '--dane', domain.name, ...argv]
  const { status, stdout } = await stage.cli(json, options)
  const text = await stage.cli(['check', '--connect', '--dane', domain.name], options)
  const report: CheckReport = JSON.parse(stdout).domains[0]
  return { report, host: report.mx.hosts[0], status, text: text.stdout.replace(/\s+/g, ' ') }
}

/** A domain whose MX host asks for reports on DANE. */
function daneDomain(options?: DomainOptions, dane?: Parameters<MailDomain['dane']>[0]): MailDomain {
  const domain = stage.domain(options)
  const reports = ['v=TLSRPTv1; rua=mailto:dane@example.net']
  stage.world.dns.set(`_smtp._tls.${domain.mx().name}`, 'TXT', reports)
  domain.dane(dane)
  return domain
}

const ENFORCE = { mode: 'enforce' } as const

describe('DANE beside a policy of mode enforce', () => {
  it('[DANE-1] is fine where a TLSA record matches', async () => {
    const { report, host, status, text } = await look(daneDomain(ENFORCE))
    expect(status).toBe(0)
    expect(host?.dane).toMatchObject({ signed: true, records: 1, problem: null, outcome: 'proved' })
    expect(host?.dane?.tlsrpt?.rua).toEqual(['mailto:dane@example.net'])
    expect(host?.sessions?.[0]).toMatchObject({ tlsaMatches: true, daneProblem: null })
    expect(text).toContain('DANE: 1 TLSA record, one of which matches')
    expect(adviceCodes(report)).toEqual([])
  })

  it('[DANE-1] refuses a host that no TLSA record matches, and says what to publish', async () => {
    const domain = daneDomain(ENFORCE, { fails: 'old-key' })
    const { report, status, text } = await look(domain)
    expect(status).toBe(1)
    expect(report.verdict).toMatchObject({ status: 'refused' })
    expect(report.verdict.text).toContain('tlsa-mismatch')
    expect(text).toContain('DANE: 1 TLSA record, which does not match')
    expect(adviceCodes(report)).toEqual(['mx-dane-mismatch'])
    expect(report.advice[0]?.text).toContain(`_25._tcp.${domain.mx().name}`)
    domain.dane()
    expect(adviceCodes((await look(domain)).report)).toEqual([])
  })

  it('refuses a host whose TLSA records cannot be looked up, as the transport does', async () => {
    const { report, host, status } = await look(daneDomain(ENFORCE, { fails: 'bogus-tlsa' }))
    expect(status).toBe(1)
    expect(host).toMatchObject({ outcome: 'refused', dane: { outcome: 'refused' } })
    expect(report.verdict.text).toContain('dnssec-invalid (dnssec-bogus)')
  })

  it('advises TLSA records for a signed domain without them, and nothing for others', async () => {
    const signed = daneDomain(ENFORCE, { fails: 'no-tlsa' })
    expect(adviceCodes((await look(signed)).report)).toEqual(['mx-dane-missing'])
    signed.dane()
    expect(adviceCodes((await look(signed)).report)).toEqual([])
    const { report, text } = await look(stage.domain(ENFORCE))
    expect(text).toContain('DANE: the MX records are not signed')
    expect(adviceCodes(report)).toEqual([])
  })

  it('advises a TLSRPT record at the TLSA base domain where there is none', async () => {
    const domain = stage.domain(ENFORCE)
    domain.dane()
    const { report } = await look(domain)
    expect(adviceCodes(report)).toEqual(['mx-dane-tlsrpt-missing'])
    const name = `_smtp._tls.${domain.mx().name}`
    expect(report.advice.find(({ code }) => code === 'mx-dane-tlsrpt-missing')?.host).toBe(name)
    stage.world.dns.set(name, 'TXT', ['v=TLSRPTv1; rua=mailto:a@b.example'])
    expect(adviceCodes((await look(domain)).report)).toEqual([])
  })

  it('asks an alias for the certificate of the TLSA base domain (RFC 7672 §8.1)', async () => {
    const domain = daneDomain(ENFORCE, { fails: 'alias' })
    const { host } = await look(domain)
    expect(host?.sessions?.[0]?.tlsaMatches).toBe(true)
    const { name, connections } = domain.mx()
    expect(new Set(connections.map(({ servername }) => servername))).toEqual(
      new Set([`alias-of-${name}`]),
    )
  })

  it.each([
    ['pkix-records', 'mx-dane-unusable'],
    ['bogus-tlsa', 'mx-dane-lookup'],
    ['tlsa-servfail', 'mx-dane-lookup'],
  ] as const)('advises what ends the fault %s: %s', async (fails, code) => {
    const domain = daneDomain(ENFORCE, { fails })
    expect(adviceCodes((await look(domain)).report)).toEqual([code])
    domain.dane()
    expect(adviceCodes((await look(domain)).report)).toEqual([])
  })

  it('is not looked up without --dane', async () => {
    const { mx } = await stage.check(stage.domain(ENFORCE))
    expect(mx.hosts[0]?.dane).toBeNull()
  })

  it('warns of a resolver that does not validate', async () => {
    const domain = daneDomain(ENFORCE)
    const resolver = dnssecResolver({ servers: [stage.world.dns.server] })
    stage.world.dns.validating = false
    const { stderr } = await stage.cli(['check', '--dane', domain.name], {
      dnssecResolver: resolver,
    })
    stage.world.dns.validating = true
    expect(stderr).toMatch(/^mta-sts: --dane: the name server does not validate/)
  })
})

describe('DANE without a policy', () => {
  it('is fine where a TLSA record matches, whoever signed the certificate', async () => {
    const domain = daneDomain()
    const mx = domain.mx()
    mx.certificate({ san: [`DNS:${mx.name}`], signedBy: 'itself' })
    domain.dane()
    const { report, status } = await look(domain)
    expect(status).toBe(0)
    expect(report.verdict).toMatchObject({ status: 'fine', mode: null })
    expect(report.verdict.text).toBe(
      `no policy; DANE: senders with DANE deliver to ${mx.name}; senders without DANE deliver without protection`,
    )
    expect(adviceCodes(report)).toContain('no-policy-beside-dane')
    domain.policy({ mode: 'enforce' })
    mx.certificate()
    domain.dane()
    expect(adviceCodes((await look(domain)).report)).toEqual([])
  })

  it('refuses a host that no TLSA record matches', async () => {
    const domain = daneDomain(undefined, { fails: 'old-key' })
    const { report, status } = await look(domain)
    expect(status).toBe(1)
    expect(report.verdict.status).toBe('refused')
    expect(report.verdict.text).toContain(
      `no policy; DANE: senders with DANE refuse ${domain.mx().name}: validation-failure (tlsa-mismatch)`,
    )
  })

  it('says that TLS authenticates nobody where no TLSA record is usable', async () => {
    const domain = daneDomain(undefined, { fails: 'pkix-records' })
    const { report, status } = await look(domain)
    expect(status).toBe(1)
    expect(report.verdict.status).toBe('unprotected')
    expect(report.verdict.text).toContain('over TLS that authenticates nobody')
  })

  it.each(['testing', 'none'] as const)('decides under mode %s', async (mode) => {
    const good = await look(daneDomain({ mode }))
    expect(good.status).toBe(0)
    expect(good.report.verdict.text).toMatch(new RegExp(`^${mode}.*; DANE: senders with DANE`))
    const bad = await look(daneDomain({ mode }, { fails: 'old-key' }))
    expect(bad.report.verdict).toMatchObject({ status: 'refused', mode })
  })
})

describe('domains that lead to one MX host', () => {
  /** Both of them, in this order, in one run. */
  async function lookAtBoth(first: string, second: string) {
    const resolver = dnssecResolver({ servers: [stage.world.dns.server] })
    const argv = ['check', '--json', '--connect', '--dane', '--concurrency', '1', first, second]
    const { stdout } = await stage.cli(argv, { dnssecResolver: resolver })
    const { domains }: CheckOutput = JSON.parse(stdout)
    return new Map(domains.map((report) => [report.domain, report.mx.hosts[0]]))
  }

  it.each([
    ['the signed one first', true],
    ['the signed one last', false],
  ])('[DANE-1] judges each by what DANE demands for it: %s', async (_, isFirst) => {
    const signed = daneDomain(ENFORCE, { fails: 'old-key' })
    const unsigned = stage.domain({ ...ENFORCE, mx: [signed.mx().name] })
    const names: [string, string] = [signed.name, unsigned.name]
    const hosts = await lookAtBoth(...(isFirst ? names : (names.reverse() as typeof names)))
    expect(hosts.get(signed.name)).toMatchObject({
      outcome: 'refused',
      sessions: [{ tlsaMatches: false, daneProblem: { reason: 'tlsa-mismatch' } }],
    })
    expect(hosts.get(unsigned.name)).toMatchObject({
      outcome: 'proved',
      sessions: [{ tlsaMatches: null, problem: null, daneProblem: null }],
    })
  })

  it('[DANE-1] does not hold a host without TLSA records to those of another at its address', async () => {
    const [demanded, free] = [daneDomain(), daneDomain(undefined, { fails: 'no-tlsa' })]
    for (const one of [demanded, free]) one.mx().fails('no-starttls')
    stage.world.dns.set(free.mx().name, 'A', [demanded.mx().ipv4])
    const hosts = await lookAtBoth(demanded.name, free.name)
    expect(hosts.get(demanded.name)?.sessions?.[0]?.daneProblem).not.toBeNull()
    expect(hosts.get(free.name)).toMatchObject({
      dane: { outcome: null },
      sessions: [{ daneProblem: null }],
    })
  })
})

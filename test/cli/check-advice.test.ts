/** The advice of `mta-sts check`: each of the usual mistakes, and nothing where there is none. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { latestTimeOf } from '../../src/cli/check/id-time.js'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import type { MailDomain } from '../../src/testing/index.js'
import { adviceCodes, hasSqlite, useWorld } from './support.js'

const stage = useWorld()

async function adviceOn(domain: MailDomain, ...argv: string[]) {
  const report = await stage.check(domain, ...argv)
  return { codes: adviceCodes(report), texts: report.advice.map(({ text }) => text) }
}

describe('advice', () => {
  it('has none for a domain that is as it should be', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    expect((await adviceOn(domain, '--connect')).codes).toEqual([])
  })

  it.each([
    ['wrong-name', 'names mta-sts.'],
    ['cn-only', 'a common name does not count'],
    ['expired', 'one that is current'],
    ['self-signed', 'of a public authority'],
  ] as const)('the certificate of the policy host: %s', async (fault, todo) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(fault)
    const { codes, texts } = await adviceOn(domain)
    expect(codes).toEqual(['policy-host-certificate'])
    expect(texts[0]).toContain(todo)
  })

  it('certificates that end soon', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const now = () => Date.now() + 20 * 86_400_000
    const argv = ['check', '--json', '--connect', domain.name]
    const { status, stdout } = await stage.cli(argv, { now })
    expect(status).toBe(0)
    const [report] = JSON.parse(stdout).domains
    expect(adviceCodes(report)).toEqual([
      'policy-host-certificate-expires',
      'mx-certificate-expires',
    ])
    expect(report.advice[0].text).toContain('expires in 9 days')
  })

  it('the id that was not changed: the file is younger than the id', async () => {
    const domain = stage.domain({ mode: 'enforce', id: '20250801T120000Z' })
    const serve = (lastModified: string) =>
      domain.policyHost.fails({
        headers: { 'content-type': 'text/plain', 'last-modified': lastModified },
      })
    serve('Fri, 05 Sep 2025 10:00:00 GMT')
    const { codes, texts } = await adviceOn(domain)
    expect(codes).toEqual(['id-not-changed'])
    expect(texts[0]).toContain('of 2025-09-05, later than the id 20250801T120000Z')
    serve('Fri, 01 Aug 2025 23:00:00 GMT')
    expect((await adviceOn(domain)).codes).toEqual([])
  })

  it('the id that was not changed: a sender holds another policy under it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const path = join(stage.folder, 'held.sqlite')
    const look = () => stage.cli(['check', domain.name, '--store', `sqlite:${path}`])
    if (!hasSqlite()) {
      expect(await look()).toMatchObject({ status: 3 })
      return
    }
    const store = sqliteStore(path)
    const [fetchedAt, usedAt] = [Date.now(), Date.now()]
    const body = 'version: STSv1\nmode: testing\nmx: mx.old.example\nmax_age: 86400\n'
    const held = { body, fetchedAt, usedAt, expiresAt: fetchedAt + 86_400_000 }
    await store.set(domain.name, { id: domain.id ?? '', ...held })
    const changed = await look()
    expect(changed.status).toBe(0)
    expect(changed.stdout).toContain(`but its id is still ${domain.id}`)
    domain.policy({ id: 'another1' })
    expect((await look()).stdout).not.toContain('its id is still')
    await store.close?.()
  })

  it('max_age under a day', async () => {
    const short = await adviceOn(stage.domain({ mode: 'enforce', maxAge: 86_399 }))
    expect(short.codes).toEqual(['max-age-short'])
    expect(short.texts[0]).toContain('86399 seconds (23 hours)')
    expect((await adviceOn(stage.domain({ mode: 'enforce', maxAge: 86_400 }))).codes).toEqual([])
  })

  it('an mx list that misses an MX record', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'backup'] })
    domain.policy({ patterns: [`mx1.${domain.name}`] })
    const { codes, texts } = await adviceOn(domain)
    expect(codes).toEqual(['mx-not-in-policy'])
    expect(texts[0]).toContain(`"mx: mx2.${domain.name}", "mx: backup.${domain.name}"`)
  })

  it('a backup MX host without STARTTLS', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx', 'backup'] })
    domain.mx('backup').fails('no-starttls')
    const { codes, texts } = await adviceOn(domain, '--connect')
    expect(codes).toEqual(['mx-without-starttls'])
    expect(texts[0]).toContain(`The backup MX host backup.${domain.name} does not do STARTTLS`)
  })

  it('TLSRPT missing, or of no use', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const set = (texts: string[]) => {
      stage.world.dns.set(`_smtp._tls.${domain.name}`, 'TXT', texts)
    }
    set([])
    expect((await adviceOn(domain)).codes).toEqual(['tlsrpt-missing'])
    set(['v=TLSRPTv1; rua=ftp://example.com'])
    expect((await adviceOn(domain)).codes).toEqual(['tlsrpt-invalid'])
    set(['v=TLSRPTv1; rua=mailto:a@b.example', 'v=TLSRPTv1; rua=mailto:c@d.example'])
    expect((await adviceOn(domain)).codes).toEqual(['tlsrpt-invalid'])
  })

  it('a redirect, and addresses that differ', async () => {
    const redirecting = stage.domain({ mode: 'enforce' })
    redirecting.policyHost.fails('redirect')
    expect((await adviceOn(redirecting)).codes).toEqual(['policy-host-redirect'])
    const domain = stage.domain({ mode: 'enforce' })
    const { name, ipv4 } = domain.policyHost
    stage.world.dns.set(name, 'A', ['203.0.113.251', ipv4])
    const report = await stage.check(domain)
    expect(report.exit).toBe(0)
    expect(adviceCodes(report)).toEqual(['policy-host-addresses-differ'])
    expect(report.advice[0]?.text).toContain('not at 203.0.113.251')
  })

  it('no record: to publish one, with or without a policy file', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.record(null)
    expect((await adviceOn(domain)).codes).toEqual(['record-missing'])
    expect((await adviceOn(stage.domain())).codes).toEqual(['no-policy'])
  })

  it('has none for a domain that takes no mail', async () => {
    const domain = stage.domain()
    domain.dns.fails('null-mx')
    expect((await adviceOn(domain)).codes).toEqual([])
  })
})

describe('the time that an id stands for', () => {
  const NOW = Date.UTC(2026, 10, 22)
  const DAYS = 86_400_000

  it.each([
    ['20260801', Date.UTC(2026, 7, 1)],
    ['2026080103', Date.UTC(2026, 7, 1)],
    ['20260801T120000Z', Date.UTC(2026, 7, 1)],
    ['1785542400', Date.UTC(2026, 7, 1)],
    ['1785542400000', Date.UTC(2026, 7, 1)],
  ])('%s', (id, time) => {
    expect(latestTimeOf(id, NOW)).toBe(time + 2 * DAYS)
  })

  it.each(['1', 'abc', '20261399', '19990101', '20990101', '99999999999'])('%s: none', (id) => {
    expect(latestTimeOf(id, NOW)).toBeUndefined()
  })
})

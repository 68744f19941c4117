/** The second verdict of `mta-sts check`: what senders do that have a policy of the domain cached. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { examine } from '../../src/cli/check/examine.js'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { openRun } from '../../src/cli/check/open-run.js'
import type { PolicyStore, StoredPolicy } from '../../src/policy/store.js'
import type { MailDomain } from '../../src/testing/index.js'
import { useWorld } from './support.js'

const stage = useWorld()
const DAY = 86_400_000
const WEEK = 7 * DAY

const dayOf = (milliseconds: number) =>
  new Date(stage.world.clock.now() + milliseconds).toISOString().slice(0, 10)

describe('senders with a cached policy, without a store', () => {
  it.each<[string, (domain: MailDomain) => void, string]>([
    ['the record is gone', (domain) => domain.record(null), 'no policy: mail would be'],
    ['two records', (domain) => domain.dns.fails('two-records'), 'the TXT record cannot be used'],
    ['a malformed record', (domain) => domain.dns.fails('malformed-record'), 'cannot be used'],
    ['a record that cannot be looked up', (domain) => domain.dns.fails('servfail'), 'is not known'],
  ])('%s: the policy of now, for its max_age', async (_, breaks, verdict) => {
    const domain = stage.domain({ mode: 'enforce', maxAge: 604_800 })
    breaks(domain)
    domain.mx().fails('expired')
    const report = await stage.check(domain, '--connect')
    expect(report.verdict.text).toContain(verdict)
    expect(report.cached).toMatchObject({ source: 'policy', mode: 'enforce', status: 'refused' })
    expect(report.cached?.text).toContain(`apply it until ${dayOf(WEEK)}; enforce: mail would not`)
    expect(report.cached?.text).toContain(`refuses ${domain.mx().name}: certificate-expired`)
    expect(report.exit).toBe(1)
  })

  it.each(['404', 'down', 'expired'] as const)(
    'the policy host: %s: an earlier policy, for a year at most',
    async (fault) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.policyHost.fails(fault)
      const { cached } = await stage.check(domain)
      expect(cached).toMatchObject({ source: 'unknown', mode: null, status: 'unknown' })
      expect(cached?.text).toContain(`${dayOf(31_557_600_000)} at the latest`)
    },
  )

  it('says that the id decides under mode none', async () => {
    const domain = stage.domain({ mode: 'none' })
    const { cached } = await stage.check(domain)
    expect(cached?.text).toContain(`fetch this one if its id, ${domain.id}, is new to them`)
  })

  it('says nothing where all senders do the same', async () => {
    for (const mode of ['enforce', 'testing'] as const) {
      expect((await stage.check(stage.domain({ mode }))).cached).toBeNull()
    }
    expect((await stage.check('nothing-there.example')).cached).toBeNull()
  })

  it('advises how to withdraw a policy, and when mail may go to a new MX host', async () => {
    const gone = stage.domain({ mode: 'enforce' })
    gone.record(null)
    const advice = (await stage.check(gone)).advice.map(({ text }) => text).join('\n')
    expect(advice).toContain(`apply it until ${dayOf(WEEK)}`)
    expect(advice).toContain('with a new id, and a policy of mode none until then')
    const moving = stage.domain({ mode: 'enforce', mx: ['old', 'new'] })
    moving.policy({ patterns: [`old.${moving.name}`] })
    const [first] = (await stage.check(moving)).advice
    expect(first?.text).toContain(`may need until ${dayOf(WEEK)}`)
  })
})

describe('a sender with the policy of a store', () => {
  it('is not known where the store fails; the rest of the report is as usual', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const store: PolicyStore = {
      get: async () => {
        throw new Error('disk I/O error')
      },
      set: async () => undefined,
      delete: async () => undefined,
    }
    const { verdict, cached } = await lookWith(domain, {}, store)
    expect(verdict).toMatchObject({ status: 'fine', exitStatus: 0 })
    expect(cached).toMatchObject({ status: 'unknown', exitStatus: 3, source: 'unknown' })
    expect(cached?.text).toContain('the store does not answer (disk I/O error)')
  })

  async function lookWith(
    domain: MailDomain,
    entry: Partial<StoredPolicy>,
    failing?: PolicyStore,
  ): Promise<CheckReport> {
    const now = stage.world.clock.now()
    const stored = {
      ...{ id: 'held1', fetchedAt: now - DAY, usedAt: now, expiresAt: now - DAY + WEEK },
      body: `version: STSv1\nmode: enforce\nmx: ${domain.mx().name}\nmax_age: 604800\n`,
      ...entry,
    }
    const store: PolicyStore = {
      get: async (name) => (name === domain.name ? stored : undefined),
      set: async () => undefined,
      delete: async () => undefined,
    }
    const { resolver, connect, now: clock } = stage.world.options()
    const write = () => undefined
    const context = { stdout: { write }, stderr: { write }, env: {}, resolver, connect, now: clock }
    const run = await openRun(
      { connect: true, ca: join(stage.folder, 'ca.pem') },
      context,
      failing ?? store,
    )
    return examine(domain.name, run, { onStep: () => undefined })
  }

  it('refuses an MX host outside the policy after the record is gone', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const { verdict, cached } = await lookWith(domain, {})
    expect(verdict.status).toBe('unprotected')
    expect(cached).toMatchObject({
      source: 'store',
      id: 'held1',
      mode: 'enforce',
      status: 'refused',
      exitStatus: 1,
      problem: { resultType: 'sts-policy-fetch-error', reason: 'record-gone' },
    })
    expect(cached?.text).toContain(`applies it until ${dayOf(WEEK - DAY)}`)
  })

  it('refuses an MX host that only the new policy names, while the id is the old one', async () => {
    const domain = stage.domain({ mode: 'enforce', id: 'held1' })
    const body = 'version: STSv1\nmode: enforce\nmx: mx.old.example\nmax_age: 604800\n'
    const { verdict, cached, advice } = await lookWith(domain, { body })
    expect(verdict.status).toBe('fine')
    expect(cached).toMatchObject({ status: 'refused' })
    expect(cached?.text).toContain('validation-failure (mx-mismatch)')
    expect(advice.map(({ code }) => code)).toContain('id-not-changed')
  })

  it('follows a policy with a new id', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { cached } = await lookWith(domain, {
      body: 'version: STSv1\nmode: none\nmax_age: 604800\n',
    })
    expect(cached).toMatchObject({ source: 'store', status: 'fine' })
    expect(cached?.text).toContain('fetches this one at its next look at the record')
  })

  it('ignores a policy that has expired', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { cached } = await lookWith(domain, { fetchedAt: stage.world.clock.now() - 2 * WEEK })
    expect(cached).toBeNull()
  })
})

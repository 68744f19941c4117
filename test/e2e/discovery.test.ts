/** Policy discovery through the transport (RFC 8461 §3): names, number and time of lookups. */
import { describe, expect, test, vi } from 'vitest'
import type { Resolver } from '../../src/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import {
  deliver,
  EVENTUALLY,
  errorOf,
  expectNoLeak,
  expectReachedWithoutLeak,
  failureTexts,
  messageTo,
  only,
  refusal,
  SENDER,
  useWorld,
} from './support.js'

const stage = useWorld()

function txtQueries(domain: MailDomain | string): number {
  const name = typeof domain === 'string' ? domain : domain.name
  return stage.world.queries.filter((query) => query.name === `_mta-sts.${name}`).length
}

describe('the domain of a policy lookup', () => {
  test('[STS-8] ignores the policy of the parent domain', async () => {
    const parent = stage.domain({ mode: 'enforce' })
    const child = stage.world.domain(`child.${parent.name}`)
    child.mx().fails('self-signed')

    const delivery = await deliver(stage.sender(), child)

    expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', proved: 'nothing' })
    expect(child.inbox).toHaveLength(1)
    expect(txtQueries(child)).toBe(1)
    expect(txtQueries(parent)).toBe(0)
    expect(parent.policyHost.gets).toEqual([])
    expect(child.policyHost.gets).toEqual([])
  })

  test('[STS-8] ignores the policy of the child domain', async () => {
    const parent = stage.domain()
    const child = stage.world.domain(`child.${parent.name}`, { mode: 'enforce' })
    parent.mx().fails('self-signed')

    await deliver(stage.sender(), child)
    await deliver(stage.sender(), parent)

    expect(parent.inbox).toHaveLength(1)
    expect(txtQueries(parent)).toBe(1)
  })

  // Nodemailer 8 leaves IPv6 literals out, before a transport sees them
  test.each(process.env.NODEMAILER === '8' ? ['IPv4'] : ['IPv4', 'IPv6'])(
    '[STS-9] is not looked up for an %s address literal',
    async (family) => {
      const domain = stage.domain({ mode: 'enforce' })
      const mx = domain.mx()
      mx.fails('self-signed')
      const address = family === 'IPv4' ? mx.ipv4 : mx.ipv6
      const to = family === 'IPv4' ? `you@[${address}]` : `you@[IPv6:${address}]`
      const queries = stage.world.queries.length
      const gets = stage.world.gets.length

      const { deliveries, accepted } = await stage
        .sender()
        .sendMail({ from: SENDER, to, text: 'Hi' })

      expect(only(deliveries)).toMatchObject({ status: 'delivered', mode: 'none', address })
      expect(accepted).toHaveLength(1)
      expect(stage.world.queries.slice(queries)).toEqual([])
      expect(stage.world.gets.slice(gets)).toEqual([])
      expect(mx.inbox).toHaveLength(1)
      // A host name could be sent as SNI; an address cannot (RFC 6066 §3)
      expect(only(mx.connections).servername).toBeUndefined()
    },
  )

  test('[STS-9] is absent for an address literal, which is refused where a proof is required', async () => {
    const mx = stage.domain().mx()
    mx.certificate({ san: [`IP:${mx.ipv4}`, `DNS:${mx.name}`] })
    const sender = stage.sender({ minimumSecurity: 'authenticated' })

    const error = await errorOf(
      sender.sendMail({ from: SENDER, to: `you@[${mx.ipv4}]`, text: 'Hi' }),
    )

    expect(error).toMatchObject({ code: 'EMTASTS', permanent: false, mode: 'none' })
    expectReachedWithoutLeak(mx)
  })

  test('[STS-1] is the same for a U-label and its A-label', async () => {
    const name = `xn--bcher-kva.${stage.unusedName()}`
    const domain = stage.world.domain(name, { mode: 'enforce' })
    domain.mx().fails('wrong-name')
    const written = `YOU@${name.replace('xn--bcher-kva', 'BÜCHER')}`

    const error = await errorOf(
      stage
        .sender()
        .sendMail({ from: SENDER, envelope: { from: SENDER, to: [written] }, text: '' }),
    )

    expect(error).toMatchObject({ code: 'EMTASTS', policyDomain: name })
    expect(txtQueries(domain)).toBeGreaterThan(0)
    expectReachedWithoutLeak(domain.mx())
  })
})

describe('the number of lookups', () => {
  test('[STS-31] is one TXT lookup and one GET for concurrent messages to one unknown domain', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})

    const sent = Array.from({ length: 20 }, () => deliver(sender, domain))
    const deliveries = await Promise.all(sent)

    expect(deliveries.map(({ proved }) => proved)).toEqual(new Array(20).fill('sts'))
    expect(domain.inbox).toHaveLength(20)
    expect(txtQueries(domain)).toBe(1)
    expect(domain.policyHost.gets).toHaveLength(1)
  })

  test('[STS-31] is one GET even if all of them are refused and look again', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('starttls-502')
    const sender = stage.sender({})

    const sent = Array.from({ length: 10 }, () => errorOf(sender.sendMail(messageTo(domain))))
    const errors = await Promise.all(sent)

    expect(errors.map(({ code }) => code)).toEqual(new Array(10).fill('EMTASTS'))
    expect(domain.policyHost.gets).toHaveLength(1)
    expectReachedWithoutLeak(domain.mx())
  })

  test('[STS-31] is one for a domain without a policy, however many messages come', async () => {
    const domain = stage.domain()
    const sender = stage.sender({})

    await Promise.all(Array.from({ length: 5 }, () => deliver(sender, domain)))
    await deliver(sender, domain)

    expect(domain.inbox).toHaveLength(6)
    expect(txtQueries(domain)).toBe(1)
  })
})

describe('the time of lookups', () => {
  /** Answers TXT questions only when the test says so; all others are the world's. */
  function heldBack(): Resolver & { asked: number; answer: () => void } {
    const { resolver } = stage.world.options()
    const waiting: Array<() => void> = []
    const state = { asked: 0, held: false }
    return {
      resolveMx: (name) => resolver.resolveMx(name),
      resolve4: (name) => resolver.resolve4(name),
      resolve6: (name) => resolver.resolve6(name),
      async resolveTxt(name) {
        state.asked++
        if (state.asked > 1) await new Promise<void>((resolve) => waiting.push(resolve))
        return resolver.resolveTxt(name)
      },
      get asked() {
        return state.asked
      },
      answer: () => {
        for (const go of waiting.splice(0)) go()
      },
    }
  }

  test('[STS-29] is in the background for a cached policy due for a recheck', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const resolver = heldBack()
    const sender = stage.sender({ resolver, recheckInterval: 0, dnsTimeout: 60_000 })
    await deliver(sender, domain)

    // The lookup in the background is never answered: a delivery that waited for it would not end
    const delivery = await deliver(sender, domain)

    expect(resolver.asked).toBe(2)
    expect(delivery).toMatchObject({ proved: 'sts', policyId: domain.id })
    expect(domain.inbox).toHaveLength(2)
    expect(domain.policyHost.gets).toHaveLength(1)
    resolver.answer()
  })

  test('[STS-29] is not yet reached for a recently checked policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    await deliver(stage.sender(), domain)
    const before = txtQueries(domain)

    await deliver(stage.sender(), domain)

    expect(txtQueries(domain)).toBe(before)
    expect(domain.policyHost.gets).toHaveLength(1)
  })

  test('[STS-30] comes with a new id, and mode none replaces enforce', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ recheckInterval: 0 })
    await deliver(sender, domain)

    domain.policy({ mode: 'none' })
    await deliver(sender, domain)
    await vi.waitUntil(() => domain.policyHost.gets.length === 2, EVENTUALLY)
    domain.mx().fails('self-signed')
    const delivery = await vi.waitFor(async () => {
      const latest = await deliver(sender, domain)
      expect(latest).toMatchObject({ mode: 'none', policyId: domain.id })
      return latest
    }, EVENTUALLY)

    expect(delivery).toMatchObject({ status: 'delivered', proved: 'nothing' })
    expect(domain.policyHost.gets).toHaveLength(2)
  })

  test('[STS-30] comes with a stricter policy, found in the background, which then refuses', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('self-signed')
    const sender = stage.sender({ recheckInterval: 0 })
    await deliver(sender, domain)

    domain.policy({ mode: 'enforce' })
    const error = await vi.waitFor(() => errorOf(sender.sendMail(messageTo(domain))), EVENTUALLY)

    expect(error).toMatchObject({ code: 'EMTASTS', mode: 'enforce', policyId: domain.id })
    expect(domain.mx().connections.at(-1)?.mailFrom).toBeUndefined()
  })

  test('[STS-30] does not come with the same id, whatever the file contains now', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ recheckInterval: 0 })
    await deliver(sender, domain)
    const { id } = domain
    if (id === undefined) throw new Error('The domain has a policy')

    domain.policy({ mode: 'none', id })
    await deliver(sender, domain)
    await vi.waitUntil(() => txtQueries(domain) === 2, EVENTUALLY)
    await deliver(sender, domain)
    domain.mx().fails('wrong-name')
    domain.inbox.splice(0)
    await refusal(sender, domain)

    expect(domain.policyHost.gets).toHaveLength(1)
  })

  test('[STS-25] comes after the expiry, even if the TXT record still has the id', async () => {
    const domain = stage.domain({ mode: 'enforce', maxAge: 86_400 })
    const sender = stage.sender({})
    await deliver(sender, domain)

    stage.world.clock.advance({ days: 1, seconds: 1 })
    domain.policyHost.fails('down')
    domain.mx().fails('wrong-name')
    const delivery = await deliver(sender, domain)

    expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', proved: 'nothing' })
  })

  test('[STS-11] has a new TLS session for each GET, none resumed', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({})
    await deliver(sender, domain)
    domain.policy({ mode: 'enforce' })
    domain.mx().fails('wrong-name')
    domain.inbox.splice(0)
    await refusal(sender, domain)

    expect(domain.policyHost.gets.map(({ resumed }) => resumed)).toEqual([false, false])
  })
})

describe("the operator's overrides", () => {
  test('[STS-50] exempt a domain, without a policy lookup', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')
    const capitals = domain.name.toUpperCase()

    const delivery = await deliver(stage.sender({ overrides: { [capitals]: 'off' } }), domain)

    expect(delivery).toMatchObject({ status: 'delivered', mode: 'none', proved: 'nothing' })
    expect(txtQueries(domain)).toBe(0)
    expect(domain.policyHost.gets).toEqual([])
  })

  test('[STS-50] exempt the domain only, not its subdomains', async () => {
    const parent = stage.unusedName()
    const domain = stage.world.domain(`child.${parent}`, { mode: 'enforce' })
    domain.mx().fails('expired')

    await refusal(stage.sender({ overrides: { [parent]: 'off' } }), domain)

    expectReachedWithoutLeak(domain.mx())
  })

  test('[STS-50] pin a policy for a domain without one, which refuses and never expires', async () => {
    const domain = stage.domain()
    domain.mx().fails('expired')
    const pinned = {
      version: 'STSv1',
      mode: 'enforce',
      mx: [domain.mx().name],
      maxAge: 60,
    } as const
    const sender = stage.sender({ overrides: { [domain.name]: pinned } })

    stage.world.clock.advance({ days: 400 })
    const error = await refusal(sender, domain)

    expect(error).toMatchObject({ mode: 'enforce', policyId: 'override' })
    expect(failureTexts(error.failures)).toEqual([`${domain.mx().name} certificate-expired`])
    expect(txtQueries(domain)).toBe(0)
    expectReachedWithoutLeak(domain.mx())
  })

  test("[STS-50] pin a policy that wins over the domain's own", async () => {
    const domain = stage.domain({ mode: 'none' })
    const pinned = {
      version: 'STSv1',
      mode: 'enforce',
      mx: ['mx.elsewhere.example'],
      maxAge: 86_400,
    } as const

    const error = await refusal(stage.sender({ overrides: { [domain.name]: pinned } }), domain)

    expect(failureTexts(error.failures)).toEqual([
      `${domain.mx().name} validation-failure mx-mismatch`,
    ])
    expectNoLeak(domain.mx())
    expect(domain.mx().connections).toEqual([])
    expect(txtQueries(domain)).toBe(0)
  })
})

/** What a message itself asks of TLS: REQUIRETLS and `TLS-Required: No` (RFC 8689). */
import type { Transporter } from 'nodemailer'
import { describe, expect, it } from 'vitest'
import type { SentInfo } from '../../src/nodemailer/index.js'
import type { MailDomain, MxFault } from '../../src/testing/index.js'
import {
  deliver,
  errorOf,
  expectNoLeak,
  failureTexts,
  messageTo,
  only,
  refusal,
  useWorld,
} from '../e2e/support.js'

const stage = useWorld()
const REQUIRE = { requireTLSExtensionEnabled: true }
const OPTIONAL = { headers: { 'TLS-Required': 'No' } }

/** A domain whose MX host offers REQUIRETLS inside TLS. */
function offering(mode?: 'enforce' | 'testing' | 'none'): MailDomain {
  const name = stage.unusedName()
  stage.world.mx(`mx.${name}`, { requireTls: true })
  return stage.world.domain(name, mode ? { mode } : {})
}

describe('REQUIRETLS', () => {
  it.each(['enforce', 'testing'] as const)(
    'goes to an MX host that a policy (%s) names and that proves to be it [RTLS-1]',
    async (mode) => {
      const domain = offering(mode)
      const delivery = await deliver(stage.sender(), domain, REQUIRE)
      expect(delivery).toMatchObject({ status: 'delivered', proved: 'sts' })
      const said = only(domain.mx().connections).lines.map(({ text }) => text)
      expect(said.find((line) => line.startsWith('MAIL FROM'))).toMatch(/ REQUIRETLS\b/)
    },
  )

  it('is asked for in the envelope of a message, too, as Nodemailer takes it [RTLS-1]', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const to = `you@${domain.name}`
    const envelope = { from: 'me@sender.example', to, ...REQUIRE }
    const { failures } = await refusal(stage.sender(), domain, { envelope })
    expect(only(failures)).toMatchObject({ reason: 'requiretls-not-offered' })
    expectNoLeak(domain.mx())
  })

  it.each(['none', undefined] as const)(
    'is refused without a policy (mode %s): no host is asked [RTLS-1]',
    async (mode) => {
      const domain = offering(mode)
      const { failures } = await refusal(stage.sender(), domain, REQUIRE)
      expect(only(failures)).toMatchObject({ reason: 'requiretls-without-policy' })
      expect(domain.mx().connections).toEqual([])
    },
  )

  it('is refused by an MX host that does not offer it; the next may [RTLS-1]', async () => {
    const name = stage.unusedName()
    stage.world.mx(`mx2.${name}`, { requireTls: true })
    const domain = stage.world.domain(name, { mode: 'enforce', mx: ['mx1', 'mx2'] })
    const delivery = await deliver(stage.sender(), domain, REQUIRE)
    expect(delivery.mxHost).toBe(`mx2.${name}`)
    expect(failureTexts(delivery.failures)).toEqual([
      `mx1.${name} validation-failure requiretls-not-offered`,
    ])
    expectNoLeak(domain.mx('mx1'))
  })

  it.each<[MxFault, string]>([
    ['wrong-name', 'certificate-host-mismatch'],
    ['expired', 'certificate-expired'],
    ['self-signed', 'certificate-not-trusted'],
    ['no-starttls', 'starttls-not-supported'],
  ])(
    'is refused under mode testing too, where the host fails with %s [RTLS-1]',
    async (fault, resultType) => {
      const domain = offering('testing')
      domain.mx().fails(fault)
      const { failures } = await refusal(stage.sender(), domain, REQUIRE)
      expect(failures.map((failure) => failure.resultType)).toContain(resultType)
      expectNoLeak(domain.mx())
    },
  )

  it('is refused under mode testing where the policy does not name the host [RTLS-1]', async () => {
    const name = stage.unusedName()
    const mx = stage.world.mx(`mx.${name}`, { requireTls: true })
    const domain = stage.world.domain(name, { mode: 'testing', patterns: ['other.example'] })
    const { failures } = await refusal(stage.sender(), domain, REQUIRE)
    expect(only(failures)).toMatchObject({ reason: 'mx-mismatch' })
    expect(mx.connections).toEqual([])
  })

  it('is refused for an address literal, which has no policy [RTLS-1]', async () => {
    const domain = offering()
    const to = `you@[${domain.mx().ipv4}]`
    const error = await errorOf(stage.sender().sendMail({ ...messageTo(domain), to, ...REQUIRE }))
    expect(error.code).toBe('EMTASTS')
    expect(domain.mx().connections).toEqual([])
  })

  it('wins over the header that asks for the opposite [RTLS-2]', async () => {
    const domain = offering('enforce')
    domain.mx().fails('expired')
    await refusal(stage.sender(), domain, { ...REQUIRE, ...OPTIONAL })
    expectNoLeak(domain.mx())
  })
})

describe('TLS-Required: No', () => {
  async function goesThrough(sender: Transporter<SentInfo>, domain: MailDomain) {
    const delivery = await deliver(sender, domain, OPTIONAL)
    expect(delivery).toMatchObject({ status: 'delivered', mode: 'enforce', proved: 'nothing' })
    return failureTexts(delivery.failures)
  }

  it.each<[MxFault, string]>([
    ['wrong-name', 'certificate-host-mismatch'],
    ['expired', 'certificate-expired'],
    ['self-signed', 'certificate-not-trusted self-signed'],
    ['no-starttls', 'starttls-not-supported not-offered'],
    ['starttls-454', 'starttls-not-supported refused'],
  ])(
    'lets a message pass despite %s, and the failure is recorded [RTLS-2]',
    async (fault, expected) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(fault)
      const host = domain.mx().name
      expect(await goesThrough(stage.sender(), domain)).toEqual([`${host} ${expected}`])
      // The same host, and a message that does not ask for it
      await errorOf(stage.sender().sendMail(messageTo(domain)))
      expect(domain.inbox).toHaveLength(1)
    },
  )

  it('lets a message pass to a host that the policy does not name, and puts it down [RTLS-2]', async () => {
    const domain = stage.domain({ mode: 'enforce', patterns: ['other.example'] })
    const host = domain.mx().name
    expect(await goesThrough(stage.sender(), domain)).toEqual([
      `${host} validation-failure mx-mismatch`,
    ])
  })

  it('in any case and with white space; any other value asks for nothing [RTLS-2]', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails('expired')
    const headers = (value: string) => ({ headers: { 'tls-required': value } })
    await deliver(stage.sender(), domain, headers(' nO '))
    for (const value of ['Yes', 'None', 'No, thanks']) {
      const error = await errorOf(
        stage.sender().sendMail({ ...messageTo(domain), ...headers(value) }),
      )
      expect(error.code).toBe('EMTASTS')
    }
    expect(domain.inbox).toHaveLength(1)
  })
})

describe('REQUIRETLS of an own sender', () => {
  const required = { demand: 'require' } as const
  const message = 'Subject: Hello\r\n\r\nHello!\r\n'

  /** A domain whose first MX host does not offer REQUIRETLS. */
  function secondOffers(): MailDomain {
    const name = stage.unusedName()
    stage.world.mx(`mx2.${name}`, { requireTls: true })
    return stage.world.domain(name, { mode: 'enforce', mx: ['mx1', 'mx2'] })
  }

  function envelope(domain: MailDomain) {
    return { from: 'me@sender.example', to: [`you@${domain.name}`] }
  }

  function expectSentToSecond(domain: MailDomain): void {
    expectNoLeak(domain.mx('mx1'))
    const lines = only(domain.mx('mx2').connections).lines.map(({ text }) => text)
    expect(lines.find((line) => line.startsWith('MAIL FROM'))).toMatch(/ REQUIRETLS\b/)
  }

  it('is sent with each message of a delivery that demands it, whatever the envelope says [RTLS-1]', async () => {
    const domain = secondOffers()
    await stage.sts().deliver(
      domain.name,
      async (_, context) => {
        const connection = await context.open()
        await connection.send(envelope(domain), message)
        await connection.quit()
      },
      required,
    )
    expectSentToSecond(domain)
  })

  it('is sent on a connection of open() that was demanded with it, to a host that offers it [RTLS-1]', async () => {
    const domain = secondOffers()
    const connection = await stage.sts().open(domain.name, required)
    await connection.send(envelope(domain), message)
    await connection.quit()
    expectSentToSecond(domain)
  })

  it('is not sent with the next message on the same connection that does not demand it [RTLS-1]', async () => {
    const domain = offering('enforce')
    const sts = stage.sts()
    const connection = await sts.open(domain.name, required)
    await connection.send(envelope(domain), message)
    await sts.deliver(domain.name, async (_, context) => {
      context.use(connection)
      await connection.send(envelope(domain), message)
    })
    await connection.quit()
    const lines = only(domain.mx().connections).lines.map(({ text }) => text)
    const mails = lines.filter((line) => line.startsWith('MAIL FROM'))
    expect(mails.map((line) => line.includes('REQUIRETLS'))).toEqual([true, false])
  })
})

/** `plan` and `deliver` of MtaSts with the caller's own sender, over real sockets. */
import { describe, expect, test } from 'vitest'
import { DeliveryRefusedError, RoutingError } from '../../src/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import { errorOf, expectReachedWithoutLeak, failureTexts, only, useWorld } from '../e2e/support.js'
import { ownAttempt } from './own-sender.js'

const stage = useWorld()

function send(domain: MailDomain, sts = stage.sts()): Promise<string> {
  return sts.deliver(domain.name, ownAttempt(sts, `you@${domain.name}`))
}

describe('plan', () => {
  test('[STS-45] returns the candidates in order, each with its required proof and its connection data', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })

    const plan = await stage.sts().plan(domain.name)

    expect(plan).toMatchObject({
      policyDomain: domain.name,
      lookup: { status: 'found', id: domain.id, policy: { mode: 'enforce' } },
      refused: [],
    })
    expect(
      plan.candidates.map(({ mxHost, preference, addresses, port, security }) => ({
        mxHost,
        preference,
        addresses,
        port,
        security,
      })),
    ).toEqual(
      [domain.mx(0), domain.mx(1)].map((mx, index) => ({
        mxHost: mx.name,
        preference: (index + 1) * 10,
        addresses: [mx.ipv4],
        port: 25,
        security: { level: 'authenticated', proofs: [{ by: 'sts' }] },
      })),
    )
    expect(plan.candidates.map(({ tls }) => tls)).toMatchObject([
      { servername: domain.mx(0).name, rejectUnauthorized: true },
      { servername: domain.mx(1).name, rejectUnauthorized: true },
    ])
  })

  test('[STS-34] returns a host outside the policy as refused', async () => {
    const name = stage.unusedName()
    const domain = stage.world.domain(name, {
      mode: 'enforce',
      mx: ['mx1', 'mx2'],
      patterns: [`mx2.${name}`],
    })

    const plan = await stage.sts().plan(name)

    expect(plan.candidates.map(({ mxHost }) => mxHost)).toEqual([domain.mx('mx2').name])
    expect(failureTexts(plan.refused)).toEqual([`mx1.${name} validation-failure mx-mismatch`])
  })

  test.each([
    ['testing', { level: 'opportunistic', audit: { by: 'sts' } }],
    ['none', { level: 'opportunistic' }],
    [undefined, { level: 'opportunistic' }],
  ] as const)('[STS-43] [STS-44] demands no proof under mode %s', async (mode, security) => {
    const domain = stage.domain({
      ...(mode === undefined ? {} : { mode }),
      patterns: ['mx.elsewhere.example'],
    })

    const plan = await stage.sts().plan(domain.name)

    expect(only(plan.candidates)).toMatchObject({ mxHost: domain.mx().name, security })
    expect(plan.refused).toEqual([])
  })

  test('connects only to the policy host', async () => {
    const domain = stage.domain({ mode: 'enforce' })

    await stage.sts().plan(domain.name)

    expect(domain.mx().connections).toEqual([])
    const dialled = stage.world.dials.filter(({ host }) => host.endsWith(domain.name))
    expect(dialled.map(({ purpose }) => purpose)).toEqual(['policy'])
  })

  test('refuses an invalid domain with a clear error before any query', async () => {
    stage.world.forget()
    for (const domain of ['', 'not a domain', 'you@bob.example', '192.0.2.1', '-x.example']) {
      const error = await errorOf(stage.sts().plan(domain))
      expect(error).toMatchObject({ code: 'EDOMAIN', message: expect.stringContaining(domain) })
    }
    expect(stage.world.log).toEqual([])
  })
})

describe("deliver, with the caller's own attempt", () => {
  test('[STS-42] delivers to a host that proves its name', async () => {
    const domain = stage.domain({ mode: 'enforce' })

    const reply = await send(domain)

    expect(reply).toMatch(/^250 /)
    expect(only(domain.inbox)).toMatchObject({
      envelope: { from: 'own@sender.example', to: [`you@${domain.name}`] },
      tls: { servername: domain.mx().name },
    })
  })

  test.each([
    ['wrong-name', 'certificate-host-mismatch'],
    ['cn-only', 'certificate-host-mismatch'],
    ['expired', 'certificate-expired'],
    ['self-signed', 'certificate-not-trusted self-signed'],
    ['starttls-454', 'starttls-not-supported refused'],
    ['starttls-502', 'starttls-not-supported refused'],
    ['no-starttls', 'starttls-not-supported'],
  ] as const)(
    '[STS-42] [STS-47] refuses temporarily without sending anything: %s',
    async (fault, failure) => {
      const domain = stage.domain({ mode: 'enforce' })
      domain.mx().fails(fault)

      const error = await errorOf(send(domain))

      expect(error).toBeInstanceOf(DeliveryRefusedError)
      expect(error).toMatchObject({
        code: 'EMTASTS',
        permanent: false,
        policyDomain: domain.name,
        mode: 'enforce',
        policyId: domain.id,
      })
      expect(error instanceof DeliveryRefusedError && failureTexts(error.failures)).toEqual([
        `${domain.mx().name} ${failure}`,
      ])
      expectReachedWithoutLeak(domain.mx())
    },
  )

  test('[STS-43] delivers under testing, with the failure', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('wrong-name')
    const sts = stage.sts()
    const attempt = ownAttempt(sts, `you@${domain.name}`)

    const failures = await sts.deliver(domain.name, async (candidate, context) => {
      await attempt(candidate, context)
      return context.failures
    })

    expect(failureTexts(failures)).toEqual([`${domain.mx().name} certificate-host-mismatch`])
    expect(domain.inbox).toHaveLength(1)
  })

  test('[STS-45] tries the next candidate after a refused one, and after an unreachable one', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3'] })
    domain.mx('mx1').fails('self-signed')
    domain.mx('mx2').fails('unreachable')

    await send(domain)

    expectReachedWithoutLeak(domain.mx('mx1'))
    expect(only(domain.inbox).mx).toBe(domain.mx('mx3').name)
  })

  test('ends with a 550 to RCPT, without another candidate', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })

    const error = await errorOf(send(domain))

    expect(error).toMatchObject({ command: 'RCPT', responseCode: 550 })
    expect(domain.mx('mx2').connections).toEqual([])
  })

  test('[STS-46] finds a changed policy before it refuses', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sts = stage.sts()
    await send(domain, sts)
    const mx = stage.world.mx(`new.${domain.name}`)
    stage.world.dns.set(domain.name, 'MX', [{ preference: 10, exchange: mx.name }])
    domain.policy({ patterns: [mx.name] })

    await send(domain, sts)

    expect(mx.inbox).toHaveLength(1)
    expect(domain.policyHost.gets).toHaveLength(2)
  })

  test('never calls the attempt for a domain without hosts', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('null-mx')
    let called = 0

    const error = await errorOf(
      stage.sts().deliver(domain.name, async () => {
        called++
      }),
    )

    expect(error).toBeInstanceOf(RoutingError)
    expect(called).toBe(0)
  })
})

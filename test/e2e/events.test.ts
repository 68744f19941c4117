/** The events on `node:diagnostics_channel`, exactly as in src/events.ts. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { EventMap, EventName } from '../../src/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import { deliver, errorOf, failureTexts, messageTo, only, refusal, useWorld } from './support.js'

const stage = useWorld()

/** Collects the events of a channel about this domain until the test is over. */
function eventsOf<K extends EventName & `mta-sts:${'session' | 'delivery'}`>(
  name: K,
  domain: MailDomain,
): Array<EventMap[K]> {
  const events: Array<EventMap[K]> = []
  const listener = (message: unknown) => {
    const event = message as EventMap[K]
    if (event.policy.domain === domain.name) events.push(event)
  }
  subscribe(name, listener)
  onTestFinished(() => {
    unsubscribe(name, listener)
  })
  return events
}

/** The policy in the terms of RFC 8460 §4.4. */
function applied(domain: MailDomain, mode: 'enforce' | 'testing') {
  return {
    type: 'sts',
    domain: domain.name,
    mode,
    id: domain.id,
    mxHosts: [domain.mx().name],
    body: domain.policyFile,
  }
}

const NO_POLICY = { type: 'no-policy-found', mode: 'none', mxHosts: [] }

describe('mta-sts:session', () => {
  test('publishes a session that met the policy: hosts, addresses and policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const events = eventsOf('mta-sts:session', domain)

    await deliver(stage.sender(), domain)

    expect(events).toEqual([
      {
        policy: applied(domain, 'enforce'),
        mxHost: domain.mx().name,
        address: domain.mx().ipv4,
        localAddress: '127.0.0.1',
        helo: domain.mx().name,
      },
    ])
  })

  test('[STS-42] publishes a session that failed, with its failure', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    mx.fails('expired')
    const events = eventsOf('mta-sts:session', domain)

    await refusal(stage.sender(), domain)

    const { failure, ...event } = only(events)
    expect(event).toMatchObject({
      policy: applied(domain, 'enforce'),
      mxHost: mx.name,
      address: mx.ipv4,
      localAddress: '127.0.0.1',
    })
    expect(failure).toMatchObject({
      resultType: 'certificate-expired',
      mxHost: mx.name,
      address: mx.ipv4,
    })
    expect(failure?.cause).toBeInstanceOf(Error)
  })

  test('[STS-43] publishes a failure under testing, and the message is delivered', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('wrong-name')
    const events = eventsOf('mta-sts:session', domain)

    await deliver(stage.sender(), domain)

    expect(only(events)).toMatchObject({
      policy: applied(domain, 'testing'),
      failure: { resultType: 'certificate-host-mismatch', mxHost: domain.mx().name },
      helo: domain.mx().name,
    })
  })

  test('[STS-43] publishes no session for the plaintext after a failed handshake', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('handshake-reset')
    const events = eventsOf('mta-sts:session', domain)

    await deliver(stage.sender(), domain)

    expect(domain.mx().connections).toHaveLength(2)
    expect(only(events).failure).toMatchObject({ reason: 'handshake-failed' })
  })

  test('[STS-34] publishes the absence of one for an MX host outside the policy', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('spoofed-mx')
    const events = eventsOf('mta-sts:session', domain)

    await refusal(stage.sender(), domain)

    const event = only(events)
    expect(event.policy).toEqual(applied(domain, 'enforce'))
    expect(event.mxHost).toBe('mx.attacker.example')
    expect(event).not.toHaveProperty('address')
    expect(event.failure).toMatchObject({ reason: 'mx-mismatch', mxHost: 'mx.attacker.example' })
  })

  test('publishes a session without a policy', async () => {
    const domain = stage.domain()
    domain.mx().fails('wrong-name')
    const events = eventsOf('mta-sts:session', domain)

    await deliver(stage.sender(), domain)

    const event = only(events)
    expect(event.policy).toEqual({ ...NO_POLICY, domain: domain.name })
    expect(event).not.toHaveProperty('failure')
  })

  test('publishes one for each host and address that was contacted, in order', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3'] })
    domain.mx('mx1').fails('unreachable')
    domain.mx('mx2').fails('starttls-502')
    const events = eventsOf('mta-sts:session', domain)

    await deliver(stage.sender(), domain)

    expect(events.map(({ mxHost, failure }) => [mxHost, failure?.resultType])).toEqual([
      [domain.mx('mx2').name, 'starttls-not-supported'],
      [domain.mx('mx3').name, undefined],
    ])
  })
})

describe('mta-sts:delivery', () => {
  test('publishes a delivery', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const events = eventsOf('mta-sts:delivery', domain)

    await deliver(stage.sender(), domain)

    expect(events).toEqual([
      {
        policy: applied(domain, 'enforce'),
        outcome: 'delivered',
        mxHost: domain.mx().name,
        failures: [],
      },
    ])
  })

  test('publishes a delivery to the second host, with the failure of the first', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('expired')
    const events = eventsOf('mta-sts:delivery', domain)

    await deliver(stage.sender(), domain)

    const event = only(events)
    expect(event).toMatchObject({ outcome: 'delivered', mxHost: domain.mx('mx2').name })
    expect(failureTexts(event.failures)).toEqual([`${domain.mx('mx1').name} certificate-expired`])
  })

  test('[STS-43] publishes a delivery under testing, with the tolerated failures', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('expired')
    const events = eventsOf('mta-sts:delivery', domain)

    await deliver(stage.sender(), domain)

    expect(only(events)).toMatchObject({ outcome: 'delivered', policy: { mode: 'testing' } })
    expect(failureTexts(only(events).failures)).toEqual([`${domain.mx().name} certificate-expired`])
  })

  test('publishes a refusal with the failures of the error', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    domain.mx('mx1').fails('expired')
    domain.mx('mx2').fails('starttls-502')
    const events = eventsOf('mta-sts:delivery', domain)

    const error = await refusal(stage.sender(), domain)

    const event = only(events)
    expect(event.outcome).toBe('refused')
    expect(error.failures).toHaveLength(2)
    expect(failureTexts(event.failures)).toEqual(failureTexts(error.failures))
  })

  test('publishes a refusal without a host to try, with its failures', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('spoofed-mx')
    const events = eventsOf('mta-sts:delivery', domain)

    const error = await refusal(stage.sender(), domain)

    expect(only(events)).toMatchObject({ outcome: 'refused' })
    expect(failureTexts(only(events).failures)).toEqual(failureTexts(error.failures))
  })

  test('publishes a failure for a reason other than security', async () => {
    const domain = stage.domain()
    domain.mx().fails({ at: 'rcpt', reply: '550 5.1.1 Nobody' })
    const events = eventsOf('mta-sts:delivery', domain)

    await errorOf(stage.sender().sendMail(messageTo(domain)))

    expect(events).toEqual([
      {
        policy: { ...NO_POLICY, domain: domain.name },
        outcome: 'failed',
        mxHost: domain.mx().name,
        failures: [],
      },
    ])
  })

  test('publishes one for each domain of a message', async () => {
    const good = stage.domain({ mode: 'enforce' })
    const bad = stage.domain({ mode: 'enforce' })
    bad.mx().fails('no-starttls')
    const events = [good, bad].map((domain) => eventsOf('mta-sts:delivery', domain))

    await stage.sender().sendMail(messageTo(good, bad))

    expect(events.map((list) => only(list).outcome)).toEqual(['delivered', 'refused'])
  })

  test('a subscriber that throws affects no delivery', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const unlucky = () => {
      throw new Error('another listener')
    }
    const swallow: NodeJS.UncaughtExceptionListener = () => undefined
    // diagnostics_channel passes the error of a subscriber to the process, on the next tick
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException').on('uncaughtException', swallow)
    subscribe('mta-sts:session', unlucky)
    onTestFinished(() => {
      unsubscribe('mta-sts:session', unlucky)
      process.off('uncaughtException', swallow)
      for (const other of others) process.on('uncaughtException', other)
    })

    expect(await deliver(stage.sender(), domain)).toMatchObject({ status: 'delivered' })
  })
})

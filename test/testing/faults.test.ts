/**
 * Every row of the table of faults, played to the real sender: what the table says becomes of the
 * message, and is put down, is what becomes of it.
 */
import { describe, expect, it } from 'vitest'
import { DeliveryRefusedError, type MtaSts, type TlsFailure } from '../../src/index.js'
import type { DomainDelivery, MtaStsTransportOptions } from '../../src/nodemailer/index.js'
import {
  FAULTS,
  type FaultDescription,
  type MailDomain,
  type MxConnection,
  type Outcome,
  type ReplyFault,
} from '../../src/testing/index.js'
import { errorOf, expectReachedWithoutLeak, messageTo, only, useWorld } from '../e2e/support.js'

const stage = useWorld()

/** Of faults that never come to an end, how long they are waited for. */
const PATIENCE: Readonly<Record<string, { connectionTimeout?: number; fetchTimeout?: number }>> = {
  'handshake-stall': { connectionTimeout: 1000 },
  drip: { fetchTimeout: 3000 },
}

/** Sends a message, with a cache of its own unless `sts` brings one; tells what became of it. */
async function send(
  domain: MailDomain,
  options: MtaStsTransportOptions = {},
): Promise<{ outcome: Outcome; delivery: DomainDelivery }> {
  const arrived = domain.inbox.length
  try {
    const { deliveries } = await stage.sender(options).sendMail(messageTo(domain))
    expect(domain.inbox).toHaveLength(arrived + 1)
    return { outcome: 'delivered', delivery: only(deliveries) }
  } catch (thrown) {
    const error = await errorOf(Promise.reject(thrown))
    const delivery = only(error.deliveries ?? [])
    expect(domain.inbox).toHaveLength(arrived)
    if (error instanceof DeliveryRefusedError) return { outcome: 'refused', delivery }
    return { outcome: error.permanent === true ? 'bounced' : 'deferred', delivery }
  }
}

function patient({ name }: FaultDescription): MtaSts {
  const { fetchTimeout } = PATIENCE[name] ?? {}
  return stage.sts({ fetchTimeout })
}

/** A row for each fault, with a title of its own. */
function titled<Fault extends FaultDescription>(
  faults: readonly Fault[],
  title: (fault: Fault) => string,
): Array<[string, Fault]> {
  return faults.map((fault) => [title(fault), fault])
}

const byVerdict = ({ name, verdict }: FaultDescription) => `${name}: ${verdict}`
const byCache = ({ name }: FaultDescription) => `${name}, while a policy is cached: it applies`

/** What the table says is put down: one failure, or none. */
function expectedFailures({ resultType, reason }: FaultDescription): unknown[] {
  return resultType === undefined ? [] : [{ resultType, reason }]
}

/** What was put down. */
function told(failures: ReadonlyArray<TlsFailure | undefined>): unknown[] {
  return failures.flatMap((one) => (one ? { resultType: one.resultType, reason: one.reason } : []))
}

/** Whether TLS was on at each EHLO of a connection: what was said before it counts for nothing. */
function greetedInTls({ lines }: MxConnection): boolean[] {
  return lines.filter(({ text }) => text.startsWith('EHLO')).map(({ tls }) => tls)
}

/** Has the sender learn the domain's policy. */
async function cached(domain: MailDomain, sts: MtaSts): Promise<{ id: string }> {
  const lookup = await sts.getPolicy(domain.name)
  if (lookup.status === 'found') return lookup
  throw new Error(`There should be a policy to learn: ${lookup.reason}`)
}

const ATTACKER = 'mx.attacker.example'

/** What an MX host can reply, and what comes of it. */
const REPLIES: Array<[at: ReplyFault['at'], reply: string, outcome: Outcome]> = [
  // What comes before MAIL FROM may come from somebody in between: it is never final
  ['greeting', '421 4.3.2 Not now', 'deferred'],
  ['greeting', '554 5.3.2 No SMTP service here', 'deferred'],
  ['ehlo', '451 4.3.2 Not now', 'deferred'],
  // It leads to HELO, after which there is no STARTTLS
  ['ehlo', '550 5.7.1 Not you', 'refused'],
  ['mail', '451 4.7.1 Come back later', 'deferred'],
  ['mail', '550 5.7.1 Not from you', 'bounced'],
  ['rcpt', '450 4.2.1 Greylisted', 'deferred'],
  ['rcpt', '550 5.1.1 No such user', 'bounced'],
  ['data', '451 4.3.0 Not now', 'deferred'],
  ['data', '554 5.5.1 No valid recipients', 'bounced'],
  ['message', '452 4.3.1 Disk full', 'deferred'],
  ['message', '554 5.7.1 Spam', 'bounced'],
]

describe('an MX host', () => {
  it.concurrent.each(titled(FAULTS.mx, byVerdict))('%s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    mx.fails(fault.name)

    const { outcome, delivery } = await send(domain, PATIENCE[fault.name])

    expect(outcome).toBe(fault.outcome)
    expect(told(delivery.failures)).toEqual(expectedFailures(fault))
    expect(delivery).toMatchObject({ mode: 'enforce', policyId: domain.id, mxHost: mx.name })
    if (outcome === 'refused') expectReachedWithoutLeak(mx)
    if (outcome === 'delivered') {
      expect(delivery.proved).toBe('sts')
      expect(greetedInTls(only(mx.connections))).toEqual([false, true])
    }
  })

  it.concurrent.each(REPLIES)('at the %s, %s: %s', async (at, reply, outcome) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.mx().fails({ at, reply })

    const played = await send(domain)

    expect(played.outcome).toBe(outcome)
    const failure = { resultType: 'starttls-not-supported', reason: 'not-offered' }
    expect(told(played.delivery.failures)).toEqual(outcome === 'refused' ? [failure] : [])
    const { lines } = only(domain.mx().connections)
    expect(lines.map(({ text }) => text)).toContain(reply)
    if (outcome === 'refused') expectReachedWithoutLeak(domain.mx())
  })
})

describe('a policy host', () => {
  it.concurrent.each(titled(FAULTS.policyHost, byVerdict))('%s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails(fault.name)
    const sts = patient(fault)

    const lookup = await sts.getPolicy(domain.name)
    expect(lookup.status).toBe('none')
    expect(told([lookup.failure])).toEqual(expectedFailures(fault))

    // As if there were none: the certificate is not looked at either
    domain.mx().fails('wrong-name')
    const { outcome, delivery } = await send(domain, { sts })
    expect(outcome).toBe(fault.outcome)
    expect(delivery).toMatchObject({ mode: 'none', proved: 'nothing', failures: [] })
  })

  it.concurrent.each(titled(FAULTS.policyHost, byCache))('%s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    const sts = patient(fault)
    const { id } = await cached(domain, sts)

    domain.policy({ mode: 'none' })
    domain.policyHost.fails(fault.name)
    domain.mx().fails('wrong-name')
    const { outcome, delivery } = await send(domain, { sts })

    expect(outcome).toBe('refused')
    expect(delivery).toMatchObject({ mode: 'enforce', policyId: id })
    expectReachedWithoutLeak(domain.mx())
    // The refusal made the sender look for a new policy
    const { failure } = await sts.getPolicy(domain.name)
    expect(told([failure])).toEqual(expectedFailures(fault))
  })
})

describe('DNS', () => {
  const useless = FAULTS.dns.filter(({ verdict }) => verdict.startsWith('a cached policy'))
  const others = FAULTS.dns.filter((fault) => !useless.includes(fault))

  it.concurrent.each(titled(useless, byVerdict))('%s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails(fault.name)
    const sts = stage.sts()

    const lookup = await sts.getPolicy(domain.name)
    expect(lookup.status).toBe('none')
    expect(told([lookup.failure])).toEqual(expectedFailures(fault))

    domain.mx().fails('wrong-name')
    const { outcome, delivery } = await send(domain, { sts })
    expect(outcome).toBe(fault.outcome)
    expect(delivery).toMatchObject({ mode: 'none', proved: 'nothing', failures: [] })
    expect(domain.policyHost.gets).toEqual([])
  })

  it.concurrent.each(titled(useless, byCache))('%s', async (_, { name }) => {
    const domain = stage.domain({ mode: 'enforce' })
    const sts = stage.sts()
    const { id } = await cached(domain, sts)

    domain.dns.fails(name)
    domain.mx().fails('wrong-name')
    const { outcome, delivery } = await send(domain, { sts })

    expect(outcome).toBe('refused')
    expect(delivery).toMatchObject({ mode: 'enforce', policyId: id })
    expectReachedWithoutLeak(domain.mx())
  })

  it.concurrent.each(titled(others, byVerdict))('%s', async (_, fault) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails(fault.name)
    const sts = stage.sts()

    const { outcome, delivery } = await send(domain, { sts })

    expect(outcome).toBe(fault.outcome)
    expect(told(delivery.failures)).toEqual(expectedFailures(fault))
    // The policy is found in spite of it
    expect(await sts.getPolicy(domain.name)).toMatchObject({ status: 'found', id: domain.id })
    if (outcome === 'delivered') expect(delivery.proved).toBe('sts')
    else expect(domain.mx().connections).toEqual([])
  })

  it.concurrent('ipv6-only: nothing else is dialled', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('ipv6-only')
    const { delivery } = await send(domain)
    expect(delivery.address).toBe(domain.mx().ipv6)
    const { ipv4 } = domain.policyHost
    expect(stage.world.dials.filter(({ address }) => address === ipv4)).toEqual([])
  })

  it.concurrent('spoofed-mx: the attacker is not even connected to', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails('spoofed-mx')
    const { delivery } = await send(domain)
    expect(delivery.failures).toMatchObject([{ mxHost: ATTACKER }])
    expect(stage.world.dials.filter(({ host }) => host === ATTACKER)).toEqual([])
  })

  it.concurrent.each([
    ['enforce', false],
    [undefined, true],
  ] as const)('null-mx in mode %s: is permanent: %s', async (mode, permanent) => {
    const domain = stage.domain(mode === undefined ? {} : { mode })
    domain.dns.fails('null-mx')
    const { delivery } = await send(domain)
    expect(delivery.error).toMatchObject({ code: 'ENULLMX', permanent })
  })
})

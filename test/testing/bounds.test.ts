/** Faults that end by themselves, and faults that are in force together. */
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createMailWorld } from '../../src/testing/index.js'
import { errorOf, messageTo, only } from '../e2e/support.js'
import { useHosts } from './hosts.js'
import { codeOf, dial, session } from './support.js'

const stage = useHosts()
const { envelope, fresh } = stage

describe('fails() with bounds', () => {
  it('is over after so many times, and what was there before is back', async () => {
    const domain = fresh()
    const { mx } = { mx: domain.mx() }
    using outage = mx.fails('unreachable', { times: 2 })
    const codes: Array<string | undefined> = []
    for (let n = 0; n < 3; n++) codes.push(await codeOf(once(dial(stage.world, mx, 25), 'connect')))
    expect(codes).toEqual(['ECONNREFUSED', 'ECONNREFUSED', undefined])
    expect(outage).toMatchObject({ met: 2, over: true })

    mx.fails('wrong-name')
    mx.fails('expired', { times: 1 })
    expect(await codeOf(session(stage.world, mx))).toBe('ESOCKET')
    expect(mx.connections.slice(-1)).toMatchObject([{ fault: 'expired' }])
    await codeOf(session(stage.world, mx))
    expect(mx.connections.slice(-1)).toMatchObject([{ fault: 'wrong-name' }])
  })

  it('the transport delivers once the outage has been met often enough', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const outage = domain.mx().fails('expired', { times: 2 })
    for (let n = 0; n < 2; n++) {
      expect(await errorOf(stage.sender().sendMail(messageTo(domain)))).toMatchObject({
        code: 'EMTASTS',
      })
    }
    await stage.sender().sendMail(messageTo(domain))
    expect(domain.inbox).toHaveLength(1)
    expect(outage.met).toBe(2)
  })

  it('is over when its time has passed, in world time', async () => {
    await using other = await createMailWorld()
    const mx = other.domain('bob.example').mx()
    const outage = mx.fails('unreachable', { during: { minutes: 5 } })
    expect(await codeOf(once(dial(other, mx, 25), 'connect'))).toBe('ECONNREFUSED')
    other.clock.advance({ minutes: 4 })
    expect(outage.over).toBe(false)
    other.clock.advance({ minutes: 1 })
    expect(outage.over).toBe(true)
    await once(dial(other, mx, 25), 'connect')
  })

  it('concerns one family of addresses: the transport delivers by the other', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const mx = domain.mx()
    const outage = mx.fails('unreachable', { family: 6 })
    const { resolver } = stage.world.options()
    expect(await resolver.resolve6(mx.name)).toEqual([mx.ipv6])
    await stage.sender().sendMail(messageTo(domain))
    expect(only(domain.inbox).address).toBe(mx.ipv4)
    outage.stop()
    expect(await codeOf(resolver.resolve6(mx.name))).toBe('ENODATA')
  })

  it('using ends it with the block', async () => {
    const domain = fresh()
    {
      using _outage = domain.mx().fails('unreachable')
      expect(await codeOf(once(dial(stage.world, domain.mx(), 25), 'connect'))).toBe('ECONNREFUSED')
    }
    expect(await codeOf(once(dial(stage.world, domain.mx(), 25), 'connect'))).toBeUndefined()
  })

  it('of a policy host, and of the DNS', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails('500', { times: 1 })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'none' })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    const fault = domain.dns.fails('nxdomain', { times: 1 })
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'none' })
    expect(fault.over).toBe(true)
    expect(await stage.sts().getPolicy(domain.name)).toMatchObject({ status: 'found' })
    const elsewhere = domain.dns.fails('servfail', 'mx', { times: 1 })
    expect(await codeOf(stage.world.options().resolver.resolveMx(domain.name))).toBe('ESERVFAIL')
    expect(elsewhere.met).toBeGreaterThan(0)
  })
})

describe('faults together', () => {
  it('a slow host with a reply of its own is both', async () => {
    const domain = fresh()
    const slow = domain.mx().fails('slow')
    const refusal = domain.mx().fails({ at: 'mail', reply: '451 4.3.0 Later' })
    const before = performance.now()
    expect(await envelope(domain, 'a@s.example')).toEqual(['451 4.3.0 Later'])
    expect(performance.now() - before).toBeGreaterThan(2 * 140)
    expect([slow.met, refusal.met]).toEqual([1, 1])
    expect(domain.mx().connections).toMatchObject([{ faults: [{ at: 'mail' }, 'slow'] }])
  })

  it('one that would hide the new one ends', async () => {
    const domain = fresh()
    const first = domain.mx().fails('unreachable')
    const second = domain.mx().fails('starttls-454')
    const third = domain.mx().fails('wrong-name')
    expect([first.over, second.over, third.over]).toEqual([true, true, false])
    expect(await codeOf(session(stage.world, domain.mx()))).toBe('ESOCKET')
    domain.mx().works()
    expect(third.over).toBe(true)
  })

  it('refusals of different recipients add up', async () => {
    const domain = fresh()
    domain.mx().fails({ at: 'rcpt', to: 'a@x.example', reply: '550 5.1.1 No A' })
    domain.mx().fails({ at: 'rcpt', to: 'b@x.example', reply: '452 4.2.2 No B' })
    const replies = await envelope(
      domain,
      's@s.example',
      'a@x.example',
      'b@x.example',
      'c@x.example',
    )
    expect(replies.slice(1).map((reply) => reply.slice(0, 3))).toEqual(['550', '452', '250'])
  })
})

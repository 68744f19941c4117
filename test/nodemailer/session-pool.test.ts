/** Which session carries which message, and what becomes of sessions that end. */
import { describe, expect, it } from 'vitest'
import { deliver, messageTo, only, useWorld } from '../e2e/support.js'

const stage = useWorld()
const POOLED = { maxMessages: 100 }

function mailFroms(lines: ReadonlyArray<{ from: string; text: string }>): number {
  return lines.filter(({ from, text }) => from === 'client' && /^MAIL FROM/i.test(text)).length
}

describe('the session pool', () => {
  it('sends messages to one MX host over one connection', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender(POOLED)
    for (let i = 0; i < 5; i++) await deliver(sender, domain)
    expect(domain.inbox).toHaveLength(5)
    expect(mailFroms(only(domain.mx().connections).lines)).toBe(5)
  })

  it('shares the connections of an MX fleet between domains', async () => {
    const [a, b] = [stage.unusedName(), stage.unusedName()]
    const fleet = `mx.${stage.unusedName()}`
    for (const name of [a, b]) stage.world.domain(name, { mode: 'enforce', mx: [fleet] })
    const sender = stage.sender(POOLED)
    await deliver(sender, a)
    await deliver(sender, b)
    expect(mailFroms(only(stage.world.mx(fleet).connections).lines)).toBe(2)
  })

  it('never sends what needs proof over a connection that proved nothing, policy or not [STS-42]', async () => {
    const domain = stage.domain()
    domain.mx().fails('self-signed')
    const sender = stage.sender({ ...POOLED, negativeTtl: 0 })
    const before = await deliver(sender, domain)
    expect(before).toMatchObject({ status: 'delivered', proved: 'nothing' })
    // The connection is open still, and now there is a policy
    domain.policy({ mode: 'enforce' })
    await expect(sender.sendMail(messageTo(domain))).rejects.toMatchObject({ code: 'EMTASTS' })
    expect(domain.inbox).toHaveLength(1)
    const [first, second] = domain.mx().connections
    expect(mailFroms(first?.lines ?? [])).toBe(1)
    expect(second?.mailFrom).toBeUndefined()
  })

  it('sends what needs no proof over a connection that proved more', async () => {
    const fleet = `mx.${stage.unusedName()}`
    const [strict, lax] = [stage.unusedName(), stage.unusedName()]
    stage.world.domain(strict, { mode: 'enforce', mx: [fleet] })
    stage.world.domain(lax, { mx: [fleet] })
    const sender = stage.sender(POOLED)
    await deliver(sender, strict)
    expect(await deliver(sender, lax)).toMatchObject({ proved: 'sts' })
    expect(stage.world.mx(fleet).connections).toHaveLength(1)
  })

  it('reports what was found wrong with a connection for each message it carries [STS-43]', async () => {
    const domain = stage.domain({ mode: 'testing' })
    domain.mx().fails('expired')
    const sender = stage.sender(POOLED)
    for (let i = 0; i < 2; i++) {
      const { failures } = await deliver(sender, domain)
      expect(only(failures)).toMatchObject({ resultType: 'certificate-expired' })
    }
    expect(domain.mx().connections).toHaveLength(1)
  })

  it('opens another connection after maxMessages', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ maxMessages: 2 })
    for (let i = 0; i < 5; i++) await deliver(sender, domain)
    expect(domain.mx().connections.map(({ lines }) => mailFroms(lines))).toEqual([2, 2, 1])
  })

  it('keeps to maxConnectionsPerHost, and sends everything all the same', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ ...POOLED, maxConnectionsPerHost: 2 })
    await Promise.all(Array.from({ length: 20 }, () => deliver(sender, domain)))
    expect(domain.inbox).toHaveLength(20)
    expect(domain.mx().connections).toHaveLength(2)
  })

  it('keeps to maxConnections: what is idle elsewhere gives way', async () => {
    const domains = Array.from({ length: 4 }, () => stage.domain({ mode: 'enforce' }))
    const sender = stage.sender({ ...POOLED, maxConnections: 1 })
    await Promise.all(
      domains.flatMap((domain) => [deliver(sender, domain), deliver(sender, domain)]),
    )
    const connections = domains.flatMap((domain) => domain.mx().connections)
    expect(domains.map(({ inbox }) => inbox.length)).toEqual([2, 2, 2, 2])
    expect(connections.filter(({ closed }) => !closed).length).toBeLessThanOrEqual(1)
  })

  it('closes a connection that has been idle, with QUIT', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender({ ...POOLED, idleTimeout: 20 })
    await deliver(sender, domain)
    const connection = only(domain.mx().connections)
    await expect.poll(() => connection.closed).toBe(true)
    expect(connection.lines.map(({ text }) => text)).toContain('QUIT')
  })

  it('sends a message once, on another connection, when the peer has closed the one kept', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender(POOLED)
    await deliver(sender, domain)
    // The same reply at MAIL as from a server that is about to go away (RFC 5321 §3.8)
    domain.mx().fails({ at: 'mail', reply: '421 4.4.2 Timeout' })
    await deliver(sender, domain).catch(() => {})
    domain.mx().works()
    await deliver(sender, domain)
    const delivered = domain.inbox.length
    expect(delivered).toBeGreaterThanOrEqual(2)
    expect(
      new Set(domain.inbox.map(({ raw }) => /^Message-ID: (.*)$/im.exec(String(raw))?.[1])).size,
    ).toBe(delivered)
  })

  it('ends connections with close(), those in use too with force', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const sender = stage.sender(POOLED)
    await deliver(sender, domain)
    domain.mx().fails('slow')
    const underWay = deliver(sender, stage.domain())
    sender.close({ force: true })
    await underWay.catch(() => {})
    await expect.poll(() => domain.mx().connections.every(({ closed }) => closed)).toBe(true)
    await expect(sender.sendMail(messageTo(domain))).rejects.toMatchObject({ code: 'ECONNECTION' })
  })
})

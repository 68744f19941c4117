/**
 * 20,000 messages through hosts with a fault in one reply of twenty: none is lost, none doubled.
 */
import { expect, it } from 'vitest'
import { SENDER, useWorld } from '../e2e/support.js'

const stage = useWorld()

const MESSAGES = 20_000
const DOMAINS = 10
const AT_ONCE = 50

it('every message that is retried until it is accepted arrives once', async () => {
  const domains = Array.from({ length: DOMAINS }, () => stage.domain({ mode: 'enforce' }))
  for (const domain of domains) {
    const mx = domain.mx()
    mx.rule({ at: 'mail', reply: '451 4.3.0 Later', probability: 0.01 })
    mx.rule({ at: 'rcpt', reply: '421 4.3.2 Going down', probability: 0.01 })
    mx.rule({ at: 'data', reply: '451 4.3.0 Later', probability: 0.01 })
    mx.rule({ at: 'mail', act: 'drop', probability: 0.01 })
    mx.rule({ at: 'connect', act: 'drop', probability: 0.01 })
  }
  const sender = stage.sender({ maxMessages: 20, maxConnections: 20 })
  const arrived = new Map<string, number>()
  let tries = 0

  const send = async (index: number) => {
    const domain = domains[index % DOMAINS]
    if (!domain) throw new Error('There is a domain for each message')
    const to = `m${index}@${domain.name}`
    for (;;) {
      tries++
      const error = await sender.sendMail({ from: SENDER, to, text: 'Hello' }).then(
        () => undefined,
        (thrown: { permanent?: boolean }) => thrown,
      )
      if (!error) return
      expect(error.permanent ?? false).toBe(false)
    }
  }
  for (let first = 0; first < MESSAGES; first += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => send(first + index)))
    for (const { envelope } of stage.world.inbox) {
      for (const to of envelope.to) arrived.set(to, (arrived.get(to) ?? 0) + 1)
    }
    stage.world.forget()
  }

  expect(arrived.size).toBe(MESSAGES)
  expect([...arrived.values()].filter((times) => times !== 1)).toEqual([])
  expect(tries).toBeGreaterThan(MESSAGES)
}, 900_000)

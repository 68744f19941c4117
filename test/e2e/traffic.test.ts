/** Traffic: many domains, few MX hosts, random faults, and an outcome for every recipient. */
import { describe, expect, it } from 'vitest'
import type { SentInfo } from '../../src/nodemailer/index.js'
import type { MxFault } from '../../src/testing/index.js'
import { SENDER, useWorld } from './support.js'

const stage = useWorld()

const FAULTS: MxFault[] = [
  'no-starttls',
  'starttls-454',
  'wrong-name',
  'expired',
  'handshake-reset',
  'unreachable',
  'drops-after-data',
  { at: 'greeting', reply: '421 4.3.2 Too busy' },
  { at: 'mail', reply: '451 4.3.0 Try again later' },
  { at: 'rcpt', reply: '550 5.1.1 Nobody' },
  { at: 'message', reply: '554 5.7.1 No' },
]

/** Numbers that are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('two hundred domains over three MX hosts', () => {
  it('get every message once, with a fault in every twentieth', async () => {
    const random = numbers(20_261_122)
    const hosts = ['a', 'b', 'c'].map((label) => stage.world.mx(`${label}.fleet.example`))
    const names = Array.from({ length: 200 }, (_, i) => {
      const name = stage.unusedName()
      const mx = [hosts[i % 3], hosts[(i + 1) % 3]].flatMap((host) => host?.name ?? [])
      const mode = (['enforce', 'testing', undefined] as const)[i % 3]
      stage.world.domain(name, mode ? { mode, mx } : { mx })
      return name
    })
    const sender = stage.sender({ maxMessages: 20, connectionTimeout: 5000 })

    const outcomes = new Map<string, 'accepted' | 'rejected'>()
    const account = ({ accepted = [], rejected = [] }: Partial<SentInfo>) => {
      for (const recipient of accepted) outcomes.set(recipient, 'accepted')
      for (const recipient of rejected) outcomes.set(recipient, 'rejected')
    }
    const recipients: string[] = []
    for (let message = 0; message < 200; message += 10) {
      const faulty = hosts[Math.floor(random() * hosts.length)]
      if (message % 20 === 0)
        faulty?.fails(FAULTS[Math.floor(random() * FAULTS.length)] ?? 'expired')
      const sending = Array.from({ length: 10 }, async (_, i) => {
        // Each goes to its own domain and to one more
        const domains = [names[message + i], names[(message + i + 100) % 200]]
        const to = domains.map((domain) => `m${message + i}@${domain}`)
        recipients.push(...to)
        await sender.sendMail({ from: SENDER, to, text: 'Hello!' }).then(account, account)
      })
      await Promise.all(sending)
      faulty?.works()
    }

    expect([...outcomes.keys()].sort()).toEqual(recipients.sort())
    const arrivals = stage.world.inbox.flatMap(({ envelope }) => envelope.to)
    const accepted = recipients.filter((recipient) => outcomes.get(recipient) === 'accepted')
    expect(arrivals.sort()).toEqual(accepted.sort())
    // Neither everything failed, nor nothing
    expect(accepted.length).toBeGreaterThan(recipients.length * 0.8)
    expect(accepted.length).toBeLessThan(recipients.length)
  }, 120_000)
})

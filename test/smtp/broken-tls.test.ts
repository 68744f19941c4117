/** Hosts whose TLS does not work: it is tried repeatedly only where a proof is required. */
import { describe, expect, test } from 'vitest'
import { deliver, errorOf, messageTo, useWorld } from '../e2e/support.js'

const stage = useWorld()

function startTlsSaid(lines: ReadonlyArray<{ from: string; text: string }>): boolean {
  return lines.some(({ from, text }) => from === 'client' && text === 'STARTTLS')
}

describe('an MX host whose handshake breaks', () => {
  test('gets no third STARTTLS without a policy', async () => {
    const domain = stage.domain()
    domain.mx().fails('handshake-reset')
    const sender = stage.sender({})
    for (let message = 0; message < 3; message++) await deliver(sender, domain)

    const asked = domain.mx().connections.map(({ lines }) => startTlsSaid(lines))
    // Two messages with a second connection each, in plaintext; the third needs none
    expect(asked).toEqual([true, false, true, false, false])
    expect(domain.inbox).toHaveLength(3)
  })

  test('is counted afresh after TLS worked once', async () => {
    const domain = stage.domain()
    const sender = stage.sender({})
    domain.mx().fails('handshake-reset')
    await deliver(sender, domain)
    domain.mx().works()
    expect(await deliver(sender, domain)).toMatchObject({ tls: { version: 'TLSv1.3' } })
    domain.mx().fails('handshake-reset')
    await deliver(sender, domain)
    domain.mx().works()
    expect(await deliver(sender, domain)).toMatchObject({ tls: { version: 'TLSv1.3' } })
  })

  test.each(['enforce', 'testing'] as const)(
    '[STS-42] [STS-43] always gets STARTTLS once a policy of mode %s is known',
    async (mode) => {
      const domain = stage.domain()
      domain.mx().fails('handshake-reset')
      const sender = stage.sender({ negativeTtl: 0 })
      for (let message = 0; message < 3; message++) await deliver(sender, domain)

      domain.policy({ mode })
      const before = domain.mx().connections.length
      if (mode === 'testing') await deliver(sender, domain)
      else
        expect(await errorOf(sender.sendMail(messageTo(domain)))).toMatchObject({ code: 'EMTASTS' })

      const [first] = domain.mx().connections.slice(before)
      expect(startTlsSaid(first?.lines ?? [])).toBe(true)
      expect(domain.inbox).toHaveLength(mode === 'testing' ? 4 : 3)
    },
  )
})

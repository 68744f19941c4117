/** `context.use`: a connection that a sender of one's own has kept from an earlier message. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { MtaSts, type SmtpConnection } from '../../src/index.js'
import type { MailDomain } from '../../src/testing/index.js'
import { errorOf, useWorld } from '../e2e/support.js'

const stage = useWorld()
const NAME = { name: 'mail.sender.example' }
let sts: MtaSts
let bob: MailDomain

beforeEach(() => {
  const { name: _, ...options } = stage.world.options()
  sts = new MtaSts(options)
  bob = stage.world.domain(stage.unusedName())
})

afterEach(() => {
  vi.useRealTimers()
  return sts.close()
})

/** Delivers one message to bob on a kept connection, without another one. */
function deliverOn(kept: SmtpConnection): Promise<unknown> {
  return sts.deliver(bob.name, async (_, context) => {
    context.use(kept)
    const envelope = { from: 'me@sender.example', to: [`b@${bob.name}`] }
    return kept.send(envelope, 'Subject: Hi\r\n\r\nHello!\r\n')
  })
}

async function learn(): Promise<void> {
  bob.policy({ mode: 'enforce' })
  expect(await sts.lookAgain(bob.name)).toMatchObject({ policy: { mode: 'enforce' } })
}

test.each([
  ['plaintext', false],
  ['TLS that nobody judged', true],
])(
  '[STS-42] [STS-51] refuses a kept connection with %s once the policy is enforce',
  async (_, offered) => {
    bob.mx().offers({ STARTTLS: offered })
    const kept = await sts.open(bob.name, NAME)
    await learn()

    expect(await errorOf(deliverOn(kept))).toMatchObject({ code: 'ECONNECTION' })
    expect(stage.world.inbox).toHaveLength(0)
    kept.close()
  },
)

test('[STS-34] [STS-42] refuses a kept connection to a host that the policy does not name', async () => {
  const eve = stage.world.domain(stage.unusedName(), { mode: 'enforce' })
  bob.policy({ mode: 'enforce' })
  const kept = await sts.open(eve.name, NAME)
  expect(kept.proved).toEqual(['sts'])

  expect(await errorOf(deliverOn(kept))).toMatchObject({ code: 'ECONNECTION' })
  expect(stage.world.inbox).toHaveLength(0)
  kept.close()
})

test('takes a kept connection that has proved what the policy demands', async () => {
  bob.policy({ mode: 'enforce' })
  const kept = await sts.open(bob.name, NAME)

  await deliverOn(kept)
  await deliverOn(kept)

  expect(bob.inbox).toHaveLength(2)
  expect(bob.mx().connections).toHaveLength(1)
  await kept.quit()
})

test('[STS-42] refuses a kept connection whose certificate has expired since the handshake', async () => {
  bob.policy({ mode: 'enforce' })
  const kept = await sts.open(bob.name, NAME)
  expect(kept.proved).toEqual(['sts'])
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * 365 * 86_400_000 })

  const attempt = sts.deliver(bob.name, async (_, context) => context.use(kept))
  expect(await errorOf(attempt)).toMatchObject({ code: 'ECONNECTION' })
  const sending = kept.send({ from: 'me@sender.example', to: [`b@${bob.name}`] }, 'Hello!')
  expect(await errorOf(sending)).toMatchObject({ code: 'ECONNECTION', permanent: false })
  expect(kept.proved).toEqual([])
  expect(bob.inbox).toHaveLength(0)
  kept.close()
})

test('[STS-44] takes a kept plaintext connection while there is no policy', async () => {
  bob.mx().offers({ STARTTLS: false })
  const kept = await sts.open(bob.name, NAME)

  await deliverOn(kept)

  expect(bob.inbox).toHaveLength(1)
  await kept.quit()
})

/** An MX host that never answers the ClientHello, under each mode; the clock is scripted. */
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  expectReachedWithoutLeak,
  failureTexts,
  messageTo,
  only,
  refusal,
  useWorld,
} from './support.js'

const stage = useWorld()

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.useRealTimers()
})

/** Bytes of a ClientHello; EHLO and STARTTLS are shorter than this together. */
const CLIENT_HELLO = 150

/** A sender, and a function that ends the time for its handshake once it has begun. */
function stalledSender() {
  const { connect } = stage.world.options()
  const sockets: Socket[] = []
  const sender = stage.sender({
    async connect(target) {
      const socket = await connect(target)
      if (target.purpose === 'smtp') sockets.push(socket)
      return socket
    },
  })
  const letTheHandshakeTimeOut = async () => {
    while (!sockets.some(({ bytesWritten }) => bytesWritten > CLIENT_HELLO)) await setImmediate()
    vi.advanceTimersByTime(30_000)
  }
  return { sender, letTheHandshakeTimeOut }
}

test('[STS-42] refuses an MX host that stalls in the handshake under enforce', async () => {
  const domain = stage.domain({ mode: 'enforce' })
  domain.mx().fails('handshake-stall')

  const { sender, letTheHandshakeTimeOut } = stalledSender()

  const refused = refusal(sender, domain)
  await letTheHandshakeTimeOut()

  expect(failureTexts((await refused).failures)).toEqual([
    `${domain.mx().name} validation-failure handshake-timeout`,
  ])
  expectReachedWithoutLeak(domain.mx())
})

test.each([
  ['[STS-43]', 'testing'],
  ['[STS-44]', 'none'],
] as const)('%s delivers in plaintext after a stalled handshake under mode %s', async (_, mode) => {
  const domain = stage.domain({ mode })
  domain.mx().fails('handshake-stall')

  const { sender, letTheHandshakeTimeOut } = stalledSender()

  const delivered = sender.sendMail(messageTo(domain))
  await letTheHandshakeTimeOut()

  const delivery = only((await delivered).deliveries)
  expect(delivery).toMatchObject({ status: 'delivered', tls: false, proved: 'nothing' })
  expect(failureTexts(delivery.failures)).toEqual([
    `${domain.mx().name} validation-failure handshake-timeout`,
  ])
  expect(only(domain.inbox).tls).toBe(false)
})

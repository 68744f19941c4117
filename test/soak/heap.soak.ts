/** Leftovers of many messages: memory, sockets, listeners. `npm run test:soak` */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { messageTo, useWorld } from '../e2e/support.js'

const stage = useWorld()

/** The heap in use after garbage collection, in bytes. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

it('the heap after 20,000 messages is within a tenth of that after 2,000', async () => {
  const domains = Array.from({ length: 10 }, () => stage.domain({ mode: 'enforce' }))
  const sender = stage.sender({ maxMessages: 10 })
  const send = async (count: number) => {
    for (let sent = 0; sent < count; sent += 50) {
      const batch = Array.from({ length: 50 }, (_, i) => {
        const domain = domains[i % domains.length]
        return domain ? sender.sendMail(messageTo(domain)) : undefined
      })
      await Promise.all(batch)
      stage.world.forget()
    }
  }
  await send(2_000)
  const before = heapUsed()
  const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  await send(18_000)
  const after = heapUsed()
  expect(after).toBeLessThan(before * 1.1)
  expect(
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length,
  ).toBeLessThanOrEqual(sockets + 10)
}, 600_000)

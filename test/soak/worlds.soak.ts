/** What 500 mail worlds in a row leave behind. `npm run test:soak` */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import nodemailer from 'nodemailer'
import { expect, it } from 'vitest'
import { mtaStsTransport } from '../../src/nodemailer/index.js'
import { createMailWorld } from '../../src/testing/index.js'

const message = { from: 'me@shop.example', to: 'b@bob.example', subject: 'Hi', text: 'Hello' }

/** Makes a world, delivers a message under a policy, from another port too, and closes it. */
async function useOne(): Promise<void> {
  await using world = await createMailWorld()
  const bob = world.domain('bob.example', { mode: 'enforce' })
  const direct = nodemailer.createTransport(mtaStsTransport(world.options()))
  const submitting = nodemailer.createTransport(world.nodemailer())
  await direct.sendMail(message)
  await submitting.sendMail(message)
  await world.env()
  await bob.inbox.waitFor(2)
  direct.close()
}

/** The heap in use after garbage collection, in bytes. */
async function heapUsed(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  // Sockets are let go when their close callbacks have run
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collect()
  }
  return process.memoryUsage().heapUsed
}

it('500 worlds in a row leave no handle, no socket and no heap behind', async () => {
  for (let n = 0; n < 100; n++) await useOne()
  const heap = await heapUsed()
  const handles = process.getActiveResourcesInfo().length
  for (let n = 0; n < 500; n++) await useOne()
  await expect.poll(() => process.getActiveResourcesInfo().length).toBeLessThanOrEqual(handles)
  // A world that is kept is far larger than 8 KB: its certificates alone are
  expect(await heapUsed()).toBeLessThan(heap + 500 * 8192)
}, 600_000)

/** Two hosts with different clocks, on one store: the real order of their fetches counts. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { MtaSts } from '../../../src/mta-sts.js'
import { memoryStore } from '../../../src/policy/stores/memory.js'
import { createMailWorld, type MailWorld } from '../../../src/testing/index.js'

const MINUTE = 60_000
let world: MailWorld

beforeAll(async () => {
  world = await createMailWorld()
})
afterAll(() => world.close())

it('[STS-53] an older `none` of a host whose clock is ten minutes fast does not replace a newer `enforce`', async () => {
  const store = memoryStore()
  const options = { ...world.options(), store, refreshInterval: 0 }
  const fast = new MtaSts({ ...options, now: () => Date.now() + 10 * MINUTE })
  const right = new MtaSts(options)
  const domain = world.domain('bob.example', { mode: 'none' })
  await fast.getPolicy('bob.example')
  await right.getPolicy('bob.example')
  expect((await store.get('bob.example'))?.body).toContain('mode: none')
  domain.policy({ mode: 'enforce' })
  const lookup = await right.lookAgain('bob.example')
  expect(lookup).toMatchObject({ status: 'found', policy: { mode: 'enforce' } })
  expect((await store.get('bob.example'))?.body).toContain('mode: enforce')
  await fast.close()
  await right.close()
})

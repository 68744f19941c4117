import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../../src/policy/stores/memory.js'
import { conformance } from './conformance.js'
import { entry, lockOf, mustLock } from './helpers.js'

conformance('memoryStore', () => {
  const store = memoryStore()
  return { store, other: store }
})

describe('memoryStore', () => {
  it('shares nothing with another one', async () => {
    await memoryStore().set('example.com', entry())
    expect(await memoryStore().get('example.com')).toBeUndefined()
  })

  it('uses the given clock', async () => {
    let now = 0
    const store = memoryStore({ now: () => now })
    await mustLock(store, 'refresh', 1_000)
    now = 999
    expect(await lockOf(store, 'refresh', 1_000)).toBeUndefined()
    now = 1_000
    await mustLock(store, 'refresh', 1_000)
  })

  it('keeps expired entries, for the cache to judge', async () => {
    const store = memoryStore()
    const expired = entry({ fetchedAt: 0, expiresAt: 1 })
    await store.set('example.com', expired)
    expect(await store.get('example.com')).toEqual(expired)
  })
})

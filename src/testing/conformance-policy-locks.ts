/**
 * Rules of a policy store: its locks.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PolicyStore } from '../policy/store.js'
import { HOUR } from './conformance-cases.js'
import type { PolicyRules } from './conformance-policy-entry.js'

export const LOCKS: PolicyRules = {
  async 'a lock is held by one caller at a time, and free again when released'(stores) {
    const { store, other } = stores
    if (!store.lock || !other.lock) return
    const release = await store.lock('refresh', HOUR)
    assert.ok(release, 'a free lock was not given')
    assert.equal(await other.lock('refresh', HOUR), undefined)
    assert.equal(await store.lock('refresh', HOUR), undefined)
    assert.ok(await store.lock('another', HOUR), 'a lock goes by its name')
    await release()
    const again = await other.lock('refresh', HOUR)
    assert.ok(again)
    // Released twice: that is no lock of its own any more
    await release()
    assert.equal(await store.lock('refresh', HOUR), undefined)
  },

  async 'of many callers at once, one gets the lock'({ store, other }) {
    if (!store.lock) return
    const asked = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? store : other).lock?.('refresh', HOUR),
    )
    const got = (await Promise.all(asked)).filter((release) => release !== undefined)
    assert.equal(got.length, 1)
  },

  async 'a lock is free when its time is over, and its late owner does not release the next one'(
    stores,
  ) {
    const { store, other } = stores
    if (!store.lock) return
    const late = await store.lock('refresh', 20)
    assert.ok(late)
    await untilLocked(other, 'refresh')
    await late()
    assert.equal(await store.lock('refresh', HOUR), undefined)
  },
}

async function untilLocked(store: PolicyStore, name: string): Promise<void> {
  const end = performance.now() + 5000
  for (;;) {
    if ((await store.lock?.(name, HOUR)) !== undefined) return
    assert.ok(performance.now() < end, 'a lock of 20 ms was held for 5 s')
    await sleep(1)
  }
}

/** A cache bounded in entries and in bytes. */
import { describe, expect, it } from 'vitest'
import { BoundedCache } from '../../src/policy/bounded-cache.js'

function cacheOf(bounds: { max?: number; maxBytes?: number }) {
  const evicted: string[] = []
  const cache = new BoundedCache<{ size: number }>(
    { max: bounds.max ?? 100, maxBytes: bounds.maxBytes ?? 1000 },
    ({ size }) => size,
    (_, key) => evicted.push(key),
  )
  const keys = () => [...cache.entries()].map(([key]) => key)
  return { cache, evicted, keys }
}

describe('BoundedCache', () => {
  it('[STS-57] evicts the least recently used entries when one more has no room in bytes', () => {
    const { cache, evicted, keys } = cacheOf({ maxBytes: 100 })
    for (const key of ['a', 'b', 'c']) cache.set(key, { size: 30 })
    cache.get('a')
    cache.set('d', { size: 50 })
    expect(evicted).toEqual(['b', 'c'])
    expect(keys()).toEqual(['d', 'a'])
    cache.set('e', { size: 20 })
    expect(keys()).toEqual(['e', 'd', 'a'])
  })

  it('[STS-57] gives the room of removed and replaced entries back', () => {
    const { cache, evicted, keys } = cacheOf({ maxBytes: 100 })
    cache.set('a', { size: 90 })
    cache.set('a', { size: 10 })
    cache.set('b', { size: 90 })
    expect(cache.delete('b')).toBe(true)
    expect(cache.delete('b')).toBe(false)
    cache.set('c', { size: 90 })
    expect(evicted).toEqual([])
    expect(keys()).toEqual(['c', 'a'])
    cache.set('d', { size: 1 })
    expect(evicted).toEqual(['a'])
  })

  it('[STS-57] caches one entry that is larger than all the room, alone', () => {
    const { cache, evicted, keys } = cacheOf({ maxBytes: 100 })
    cache.set('a', { size: 10 })
    cache.set('b', { size: 5000 })
    expect(keys()).toEqual(['b'])
    cache.set('c', { size: 10 })
    expect(keys()).toEqual(['c'])
    expect(evicted).toEqual(['a', 'b'])
  })

  it('evicts the least recently used entry above the number; a peek is no use', () => {
    const { cache, evicted, keys } = cacheOf({ max: 2 })
    cache.set('a', { size: 1 })
    cache.set('b', { size: 1 })
    expect(cache.peek('a')).toBeDefined()
    cache.set('c', { size: 1 })
    expect(evicted).toEqual(['a'])
    expect(cache.get('b')).toBeDefined()
    cache.set('d', { size: 1 })
    expect(keys()).toEqual(['d', 'b'])
  })

  it('keeps order and room through removals at both ends and in the middle', () => {
    const { cache, keys } = cacheOf({})
    for (const key of ['a', 'b', 'c', 'd', 'e']) cache.set(key, { size: 1 })
    for (const key of ['e', 'a', 'c']) cache.delete(key)
    expect(keys()).toEqual(['d', 'b'])
    cache.get('b')
    cache.get('d')
    cache.get('d')
    expect(keys()).toEqual(['d', 'b'])
    for (const key of ['d', 'b']) cache.delete(key)
    cache.set('f', { size: 1 })
    expect(keys()).toEqual(['f'])
  })
})

/**
 * A cache bounded in entries and in bytes. It allocates nothing before it is filled.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

export interface CacheBounds {
  /** Maximum number of entries */
  max: number
  maxBytes: number
}

/** Evicts the least recently used entry. */
export class BoundedCache<V extends object> {
  readonly #entries: LRUCache<string, V>
  readonly #max: number

  /**
   * @param sizeOf returns the size of an entry in bytes, roughly; at least 1
   * @param onEvicted called with each entry that there is no room for
   */
  constructor(
    { max, maxBytes }: CacheBounds,
    sizeOf: (value: V, key: string) => number,
    onEvicted?: (value: V, key: string) => void,
  ) {
    this.#max = max
    // The `max` of lru-cache would allocate room for all entries at once
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      // One entry is always cached, however large
      sizeCalculation: (value, key) => Math.min(maxBytes, sizeOf(value, key)),
      ...(onEvicted && {
        dispose: (value, key, reason) => {
          if (reason === 'evict') onEvicted(value, key)
        },
      }),
    })
  }

  /** Returns an entry. Counts as a use. */
  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** Returns an entry. Does not count as a use. */
  peek(key: string): V | undefined {
    return this.#entries.peek(key)
  }

  set(key: string, value: V): void {
    this.#entries.set(key, value)
    while (this.#entries.size > this.#max) this.#entries.pop()
  }

  delete(key: string): boolean {
    return this.#entries.delete(key)
  }

  /** Iterates over the entries, the last used first. */
  entries(): IterableIterator<[string, V]> {
    return this.#entries.entries() as IterableIterator<[string, V]>
  }
}

/**
 * A cache with a bound in entries and one in bytes, which takes no room before it is filled.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

export interface CacheBounds {
  /** Entries */
  max: number
  maxBytes: number
}

/** Evicts what was used least recently. */
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
    // Without the `max` of lru-cache, which makes room for all of the entries at once
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      // One entry is always kept, however large
      sizeCalculation: (value, key) => Math.min(maxBytes, sizeOf(value, key)),
      ...(onEvicted && {
        dispose: (value, key, reason) => {
          if (reason === 'evict') onEvicted(value, key)
        },
      }),
    })
  }

  /** Counts as a use. */
  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** Does not count as a use. */
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

  /** The keys, those used last first. */
  keys(): IterableIterator<string> {
    return this.#entries.keys()
  }

  /** The entries, those used last first. */
  entries(): IterableIterator<[string, V]> {
    return this.#entries.entries() as IterableIterator<[string, V]>
  }
}

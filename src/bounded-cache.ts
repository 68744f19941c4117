/**
 * A cache bounded in entries and in bytes. It allocates nothing before it is filled.
 *
 * @module
 */

export interface CacheBounds {
  /** Maximum number of entries */
  max: number
  maxBytes: number
}

/**
 * An entry of a {@link BoundedCache}, linked to the entries that were used before and after it. Each
 * entry belongs to one cache, under one key.
 */
export class CacheEntry {
  key = ''
  bytes = 0
  older: this | undefined = undefined
  newer: this | undefined = undefined
}

/** Evicts the least recently used entry. */
export class BoundedCache<V extends CacheEntry> {
  readonly #entries = new Map<string, V>()
  readonly #bounds: CacheBounds
  readonly #sizeOf: (entry: V, key: string) => number
  readonly #onEvicted: ((entry: V, key: string) => void) | undefined
  #bytes = 0
  #oldest: V | undefined
  #newest: V | undefined

  /**
   * @param sizeOf returns the size of an entry in bytes, roughly; at least 1
   * @param onEvicted called with each entry that there is no room for
   */
  constructor(
    bounds: CacheBounds,
    sizeOf: (entry: V, key: string) => number,
    onEvicted?: (entry: V, key: string) => void,
  ) {
    this.#bounds = bounds
    this.#sizeOf = sizeOf
    this.#onEvicted = onEvicted
  }

  /** Returns an entry. Counts as a use. */
  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined && entry !== this.#newest) {
      this.#unlink(entry)
      this.#link(entry)
    }
    return entry
  }

  /** Returns an entry. Does not count as a use. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** Caches an entry in place of the one with the same key. The newest one is never evicted. */
  set(key: string, entry: V): void {
    this.delete(key)
    const { max, maxBytes } = this.#bounds
    entry.key = key
    entry.bytes = Math.min(maxBytes, this.#sizeOf(entry, key))
    this.#entries.set(key, entry)
    this.#bytes += entry.bytes
    this.#link(entry)
    while (this.#bytes > maxBytes || this.#entries.size > max) {
      const oldest = this.#oldest
      if (oldest === undefined || oldest === this.#newest) return
      this.#remove(oldest)
      this.#onEvicted?.(oldest, oldest.key)
    }
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    this.#remove(entry)
    return true
  }

  /** Iterates over the entries, the last used first. */
  *entries(): Generator<[string, V]> {
    for (let entry = this.#newest; entry !== undefined; ) {
      const { older } = entry
      yield [entry.key, entry]
      entry = older
    }
  }

  #remove(entry: V): void {
    this.#entries.delete(entry.key)
    this.#bytes -= entry.bytes
    this.#unlink(entry)
  }

  /** Makes an entry the newest. */
  #link(entry: V): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  #unlink(entry: V): void {
    const { older, newer } = entry
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    entry.older = undefined
    entry.newer = undefined
  }
}

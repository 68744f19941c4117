/**
 * Finds packages that are installed beside this one. The published program is CommonJS and writes
 * `require` out, so that whoever bundles it sees the package; this is for the sources.
 *
 * @module
 */
import { createRequire } from 'node:module'

export function requireInstalled(): NodeJS.Require {
  return createRequire(import.meta.url)
}

type LruCache = typeof import('lru-cache')

/** Loads the class of lru-cache when the first cache is made: an import of this package needs none. */
export function lruCache(): LruCache['LRUCache'] {
  const installed: LruCache =
    typeof require === 'function' ? require('lru-cache') : requireInstalled()('lru-cache')
  return installed.LRUCache
}

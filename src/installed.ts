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

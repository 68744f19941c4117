/**
 * A policy store in one SQLite file, for the processes of one machine. It needs Node 22.13 or later.
 *
 * ```ts
 * import { MtaSts } from 'mta-sts'
 * import { sqliteStore } from 'mta-sts/sqlite'
 *
 * const sts = new MtaSts({ store: sqliteStore('mta-sts.db') })
 * ```
 *
 * Policies survive the end of the process in it, also by `kill -9`.
 *
 * Guide: [Operating it](../docs/operating.md).
 *
 * @module mta-sts/sqlite
 */
export { type SqliteStoreOptions, sqliteStore } from './policy/stores/sqlite.js'

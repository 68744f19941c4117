/**
 * A policy store in one SQLite file, for one or many processes on one machine.
 *
 * @module mta-sts/sqlite
 */
export { type SqliteStoreOptions, sqliteStore } from './policy/stores/sqlite.js'

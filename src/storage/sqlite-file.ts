/**
 * Opens a SQLite file that several processes share: checks its format, creates tables, sets WAL
 * mode, and proves that it is writable.
 *
 * Opening never waits for another process. Where one has locked the file, {@link openDatabase}
 * fails with SQLite's "busy", and the caller tries again later without blocking the event loop.
 *
 * @module
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { MtaStsError } from '../errors.js'
import { textOfThrown } from '../text.js'

// The used part of node:sqlite, which the types of Node 20 lack
export type SqlValue = string | number | null | Uint8Array
export interface StatementSync {
  run(...params: SqlValue[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  get(...params: SqlValue[]): unknown
  all(...params: SqlValue[]): unknown[]
}
export interface DatabaseSync {
  exec(sql: string): void
  prepare(sql: string): StatementSync
  close(): void
}
interface SqliteModule {
  DatabaseSync: new (path: string) => DatabaseSync
}

/** The format of a file: one for policies, one for reports. */
export interface FileFormat<Statements> {
  /** Stored at offset 68 of the file, where `file` and other programs look for it */
  applicationId: number
  version: number
  /** Creates the tables of a new file */
  schema: string
  /** Creates what later versions have added, IF NOT EXISTS; earlier versions work without it */
  additions?: string
  /** Changes a file of an older version to the present tables, in the transaction of opening */
  upgrade?(database: DatabaseSync, version: number): void
  prepare(database: DatabaseSync): Statements
}

/** An open file, with the identity that tells whether the path still leads to it. */
export interface OpenDatabase<Statements> {
  database: DatabaseSync
  statements: Statements
  identity: FileIdentity | undefined
}

/** Device and inode. */
export interface FileIdentity {
  dev: bigint
  ino: bigint
}

/**
 * Opens the file, and creates it with mode 0600 if it does not exist.
 *
 * @throws MtaStsError `ENOSQLITE`, `ESTOREFORMAT` or `ESTOREOPEN`; see `sqliteStore`
 */
export function openDatabase<S>(path: string, format: FileFormat<S>): OpenDatabase<S> {
  const { DatabaseSync } = loadSqlite()
  let database: DatabaseSync | undefined
  try {
    createPrivately(path)
    database = new DatabaseSync(path)
    database.exec('PRAGMA busy_timeout = 0')
    setUp(database, format, path)
    switchToWal(database, path)
    flushEveryCommit(database)
    const statements = format.prepare(database)
    proveWritable(database, format.version)
    return { database, statements, identity: identityOf(path) }
  } catch (error) {
    database?.close()
    throw openError(error, path)
  }
}

/** Returns the identity of the file at the path; undefined if there is no file. */
export function identityOf(path: string): FileIdentity | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats && { dev: stats.dev, ino: stats.ino }
}

/** Whether an error, or its cause, is SQLite's: another process holds the lock. */
export function isBusy(error: unknown): boolean {
  return resultCode(error instanceof MtaStsError ? error.cause : error) === SQLITE_BUSY
}

export function isRow(row: unknown): row is Record<string, unknown> {
  return typeof row === 'object' && row !== null
}

/** Returns a column as text; undefined if there is no row, or no such column. */
export function textOf(row: unknown, column: string): string | undefined {
  return isRow(row) && row[column] !== undefined ? String(row[column]) : undefined
}

function loadSqlite(): SqliteModule {
  // Not an import: this works in ESM and CommonJS, bundlers ignore it, and a Node without the
  // module gets an error with the versions that have it
  const sqlite: object | undefined = process.getBuiltinModule('node:sqlite')
  if (isSqlite(sqlite)) return sqlite
  throw new MtaStsError(
    `A store in a SQLite file needs the node:sqlite module, which Node has from 22.13 on; this is Node ${process.versions.node}. ` +
      'Upgrade Node (>= 22.13), or use a store in Redis or one of your own.',
    'ENOSQLITE',
  )
}

function isSqlite(module: object | undefined): module is SqliteModule {
  return module !== undefined && 'DatabaseSync' in module
}

/**
 * Creates the file with mode 0600; SQLite would use 0644. A store decides what senders demand of MX
 * hosts, and lists mail domains: only its owner may read it. SQLite gives `-wal` and `-shm` the
 * same mode.
 */
function createPrivately(path: string): void {
  if (path === '' || path === ':memory:') return
  try {
    // Safe to close: this process cannot have another connection to a new file
    closeSync(openSync(path, 'ax', 0o600))
  } catch {
    // It exists, or cannot be created: SQLite's own error says which
  }
}

type AnyFormat = Omit<FileFormat<unknown>, 'prepare'>

function setUp(database: DatabaseSync, format: AnyFormat, path: string): void {
  // Read before anything is locked or written: a file of another application is not changed. Read
  // in a transaction, or it would see half of another process's setup
  database.exec('BEGIN')
  identify(database, format, path)
  database.exec('COMMIT')
  // Read again under the lock, where no other process can interfere
  database.exec('BEGIN IMMEDIATE')
  const { applicationId, version, schema, additions = '', upgrade } = format
  const found = identify(database, format, path)
  if (found === 'empty') database.exec(schema)
  else if (found < version) upgrade?.(database, found)
  database.exec(additions)
  if (found !== version) {
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}`)
  }
  database.exec('COMMIT')
}

/**
 * Throws for a read-only file, on which SQLite opens and even begins transactions without an error.
 */
function proveWritable(database: DatabaseSync, version: number): void {
  database.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${version}; COMMIT`)
}

function flushEveryCommit(database: DatabaseSync): void {
  // In WAL mode, NORMAL survives the end of the process, but a power cut may lose what was
  // acknowledged since the last checkpoint. FULL flushes the WAL at every commit and survives both;
  // writes are few, and those of one turn of the event loop share a flush.
  database.exec('PRAGMA synchronous = FULL')
}

function switchToWal(database: DatabaseSync, path: string): void {
  const mode = textOf(database.prepare('PRAGMA journal_mode = WAL').get(), 'journal_mode')
  if (mode === 'wal') return
  throw cannotOpen(path, `journal mode ${mode}, not WAL`, 'Put it into a file on a local disk')
}

/**
 * Returns the version of a file of this format. Throws unless the file is empty or writable by this
 * version.
 */
function identify(database: DatabaseSync, format: AnyFormat, path: string): 'empty' | number {
  const read = (sql: string) => Number(textOf(database.prepare(sql).get(), 'value'))
  const application = read('SELECT application_id AS value FROM pragma_application_id')
  const version = read('SELECT user_version AS value FROM pragma_user_version')
  const objects = read('SELECT count(*) AS value FROM sqlite_schema')
  if (application === 0 && version === 0 && objects === 0) return 'empty'
  const ours = application === format.applicationId && version > 0
  if (ours && version <= format.version) return version
  if (ours) {
    throw formatError(
      path,
      `was written by a newer version of mta-sts (schema ${version}, this version knows ${format.version}). Upgrade mta-sts, or name another file`,
    )
  }
  const id = `application_id ${application}, user_version ${version}`
  throw formatError(path, `is a SQLite database of another application (${id}). Name another file`)
}

/** SQLite's primary result codes, https://www.sqlite.org/rescode.html */
const SQLITE_ERROR = 1
const SQLITE_BUSY = 5
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

/** Returns the primary result code of an error from node:sqlite: the low byte of `errcode`. */
function resultCode(error: unknown): number | undefined {
  const has = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
  return has ? Number(error.errcode) & 0xff : undefined
}

function formatError(path: string, why: string, cause?: unknown): MtaStsError {
  const message = `The store ${path} ${why}. Nothing was changed.`
  return new MtaStsError(message, 'ESTOREFORMAT', { cause })
}

function openError(error: unknown, path: string): MtaStsError {
  if (error instanceof MtaStsError) return error
  const why = textOfThrown(error)
  switch (resultCode(error)) {
    case SQLITE_NOTADB:
      return formatError(path, `is not a SQLite database (${why}). Name another file`, error)
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:
      return formatError(path, `is damaged (${why}). Move it away or name another file`, error)
    case SQLITE_BUSY:
      return cannotOpen(path, why, 'Another process has locked it for too long', error)
    default:
      return cannotOpen(
        path,
        why,
        'It must be a file, in a directory that exists, both writable by this process, on a disk that is not full',
        error,
      )
  }
}

function cannotOpen(path: string, why: string, hint: string, cause?: unknown): MtaStsError {
  const message = `The store ${path} cannot be opened for writing (${why}). ${hint}.`
  return new MtaStsError(message, 'ESTOREOPEN', { cause })
}

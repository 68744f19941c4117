/**
 * Opening a SQLite file that several processes share: whose file it is, its tables, WAL mode, and
 * the proof that it can be written to.
 *
 * Opening never waits for another process. Where one holds the file, {@link openDatabase} fails
 * with SQLite's "busy", and the caller tries again later without blocking the event loop.
 *
 * @module
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { MtaStsError } from '../errors.js'
import { textOfThrown } from '../text.js'

// What is used of node:sqlite; the types of Node 20 do not know it
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

/** What a file holds. Policies and reports have a format each. */
export interface FileFormat<Statements> {
  /** At offset 68 of the file; `file` and other programs see by it whose the file is */
  applicationId: number
  version: number
  /** Makes the tables of a new file */
  schema: string
  /** Makes what later versions have added, IF NOT EXISTS; earlier versions can do without */
  additions?: string
  /** Changes a file of an older version, in the transaction of opening, to the present tables */
  upgrade?(database: DatabaseSync, version: number): void
  prepare(database: DatabaseSync): Statements
}

/** An open file, with what tells whether the path still leads to it. */
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
 * Opens the file, and creates it with mode 0600 where it does not exist.
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

/** The file that the path leads to now; undefined where there is none. */
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

/** A column as text; undefined where there is no row, or no such column. */
export function textOf(row: unknown, column: string): string | undefined {
  return isRow(row) && row[column] !== undefined ? String(row[column]) : undefined
}

function loadSqlite(): SqliteModule {
  // Not an import: this works from ESM and CommonJS alike, bundlers leave it alone, and a Node
  // without the module gets an error that says which Node has it
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
 * SQLite creates files with mode 0644. A store decides what senders demand of MX hosts, and lists
 * whom mail is sent to: it is its owner's alone. SQLite gives `-wal` and `-shm` the mode of the file.
 */
function createPrivately(path: string): void {
  if (path === '' || path === ':memory:') return
  try {
    // Closed at once: no other connection of this process can have a file open that did not exist
    closeSync(openSync(path, 'ax', 0o600))
  } catch {
    // It exists, or cannot be created: SQLite's own error says which
  }
}

type AnyFormat = Omit<FileFormat<unknown>, 'prepare'>

function setUp(database: DatabaseSync, format: AnyFormat, path: string): void {
  // Read before anything is locked or written: a file of another application is left as it is.
  // In a transaction, or it would see half of what another process is setting up
  database.exec('BEGIN')
  identify(database, format, path)
  database.exec('COMMIT')
  // Read again under the lock, where no other process can come between
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

/** On a file that can only be read, SQLite opens, and even begins a transaction, without an error. */
function proveWritable(database: DatabaseSync, version: number): void {
  database.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${version}; COMMIT`)
}

function flushEveryCommit(database: DatabaseSync): void {
  // In WAL mode, NORMAL survives the death of the process, but a power cut may take back what was
  // acknowledged since the last checkpoint. FULL flushes the WAL at every commit and survives both;
  // writes are few, and those of one turn of the event loop share a flush.
  database.exec('PRAGMA synchronous = FULL')
}

function switchToWal(database: DatabaseSync, path: string): void {
  const mode = textOf(database.prepare('PRAGMA journal_mode = WAL').get(), 'journal_mode')
  if (mode === 'wal') return
  throw cannotOpen(path, `journal mode ${mode}, not WAL`, 'Put it into a file on a local disk')
}

/** The version of a file of ours. Throws unless the file is empty or ours to write to. */
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

/** The primary result code of an error from node:sqlite: the low byte of `errcode`. */
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
      return cannotOpen(path, why, 'Another process holds it for too long', error)
    default:
      return cannotOpen(
        path,
        why,
        'It must be a file, in a directory that exists, both writable by this process',
        error,
      )
  }
}

function cannotOpen(path: string, why: string, hint: string, cause?: unknown): MtaStsError {
  const message = `The store ${path} cannot be opened for writing (${why}). ${hint}.`
  return new MtaStsError(message, 'ESTOREOPEN', { cause })
}

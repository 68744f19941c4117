/**
 * A policy store in one SQLite file, for one or many processes on one machine.
 *
 * It uses the SQLite that Node brings along, which answers synchronously. So that a delivery never
 * waits for somebody else's write or for more than one disk flush: writes that are asked for in the
 * same turn of the event loop share a transaction, and a lock that another process holds is waited
 * for with a timer, not inside SQLite.
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { MtaStsError } from '../../errors.js'
import { textOfThrown } from '../../text.js'
import type { PolicyStore } from '../store.js'
import {
  CLOCK_TOLERANCE,
  decodeEntry,
  decodePages,
  encodeEntry,
  PAGE_SIZE,
  type StoreClockOptions,
} from './entry-json.js'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions extends StoreClockOptions {
  /** How long an operation waits for other processes, in milliseconds; default 5_000 */
  busyTimeout?: number | undefined
}

/**
 * A policy store in a SQLite file, which is created where there is none. Needs Node 22.13 or newer.
 *
 * What was acknowledged survives `kill -9`, a crash of the machine and a power cut. Put the file on
 * a local disk: SQLite's WAL mode needs shared memory. `-wal` and `-shm` files appear beside it.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where SQLite failed, with its error as `cause`;
 * `ESTOREVALUE` where an entry is not a stored policy.
 *
 * @throws MtaStsError `ENOSQLITE`: this Node has no `node:sqlite`. `ESTOREFORMAT`: the file is not
 *   a SQLite database, is damaged, belongs to another application or to a newer version of this
 *   package; it is left as it is. `ESTOREOPEN`: it cannot be opened for writing.
 *
 * @example
 * const sts = new MtaSts({ store: sqliteStore('/var/lib/mailer/mta-sts.db') })
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): PolicyStore {
  const { now = Date.now, busyTimeout = 5_000 } = options
  const { database, statements } = openDatabase(path, busyTimeout, POLICY_FILE)
  const { select, upsert, remove, page, takeLock, dropLock, purge, purgeLocks } = statements

  const file = new SharedFile({
    database,
    path,
    busyTimeout,
    afterWrites() {
      // Bounded, so that a thousand policies that expire in one night do not stop a delivery
      purge.run(now(), PURGE_LIMIT)
      purgeLocks.run(now(), PURGE_LIMIT)
    },
  })

  async function* pages() {
    let last = ''
    let rows: [string, string][]
    do {
      // By key, a page at a time: an open cursor would keep SQLite from ever emptying the WAL
      rows = await file.read(() => page.all(last, PAGE_SIZE).map(toPair))
      yield rows
      last = rows.at(-1)?.[0] ?? last
    } while (rows.length === PAGE_SIZE)
  }

  return {
    async get(policyDomain) {
      const text = await file.read(() => textOf(select.get(policyDomain), 'entry'))
      return text === undefined ? undefined : decodeEntry(policyDomain, text)
    },

    async set(policyDomain, entry) {
      const text = encodeEntry(policyDomain, entry)
      const { fetchedAt, expiresAt } = entry
      await file.write(() => upsert.run(policyDomain, fetchedAt, expiresAt, text, now()))
    },

    async delete(policyDomain) {
      await file.write(() => remove.run(policyDomain))
    },

    list: () => decodePages(pages()),

    async lock(name, ttl) {
      const owner = randomUUID()
      const taken = await file.write(() => takeLock.run(name, owner, now() + ttl, now()).changes)
      if (Number(taken) === 0) return undefined
      return async () => {
        await file.write(() => dropLock.run(name, owner))
      }
    },

    close: () => file.close(),
  }
}

// ---- node:sqlite -------------------------------------------------------------------------------

// What is used of node:sqlite; the types of Node 20 do not know it
export interface StatementSync {
  run(...params: (string | number)[]): { changes: number | bigint }
  get(...params: (string | number)[]): unknown
  all(...params: (string | number)[]): unknown[]
}
export interface DatabaseSync {
  exec(sql: string): void
  prepare(sql: string): StatementSync
  close(): void
}
interface SqliteModule {
  DatabaseSync: new (path: string) => DatabaseSync
}

function loadSqlite(): SqliteModule {
  // Not an import: this works from ESM and CommonJS alike, bundlers leave it alone, and a Node
  // without the module can say so in words
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

/** Another process holds the lock: said by SQLite itself, or the cause of an error of ours. */
function isBusy(error: unknown): boolean {
  return resultCode(error instanceof MtaStsError ? error.cause : error) === SQLITE_BUSY
}

function textOf(row: unknown, column: string): string | undefined {
  return isRow(row) && row[column] !== undefined ? String(row[column]) : undefined
}

export function isRow(row: unknown): row is Record<string, unknown> {
  return typeof row === 'object' && row !== null
}

function toPair(row: unknown): [policyDomain: string, text: string] {
  return [textOf(row, 'policy_domain') ?? '', textOf(row, 'entry') ?? '']
}

// ---- the file ----------------------------------------------------------------------------------

/** What a file holds. The report store of `mta-sts/tlsrpt` has a format of its own. */
export interface FileFormat<Statements> {
  /** At offset 68 of the file; `file` and other programs see by it whose the file is */
  applicationId: number
  version: number
  /** Makes the tables of a new file */
  schema: string
  prepare(database: DatabaseSync): Statements
}

// The times are copies of what `entry` says, for SQL to compare; REAL is a JavaScript number exactly
const SCHEMA = `
  CREATE TABLE policy (
    policy_domain TEXT PRIMARY KEY NOT NULL,
    fetched_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    entry TEXT NOT NULL
  ) STRICT;
  CREATE INDEX policy_expires_at ON policy (expires_at);
  CREATE TABLE lock (
    name TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    expires_at REAL NOT NULL
  ) STRICT;
`

/** Expired rows deleted with one transaction; each transaction adds GROUP_LIMIT at most. */
const PURGE_LIMIT = 128
const GROUP_LIMIT = 128

function prepareStatements(database: DatabaseSync) {
  return {
    select: database.prepare('SELECT entry FROM policy WHERE policy_domain = ?'),
    // As mayReplace() has it: unless what is kept is newer, and its date believable
    upsert: database.prepare(`
      INSERT INTO policy (policy_domain, fetched_at, expires_at, entry) VALUES (?, ?, ?, ?)
      ON CONFLICT (policy_domain) DO UPDATE SET
        fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, entry = excluded.entry
      WHERE excluded.fetched_at >= policy.fetched_at
        OR policy.fetched_at > ? + ${CLOCK_TOLERANCE}`),
    remove: database.prepare('DELETE FROM policy WHERE policy_domain = ?'),
    page: database.prepare(`
      SELECT policy_domain, entry FROM policy WHERE policy_domain > ?
      ORDER BY policy_domain LIMIT ?`),
    purge: database.prepare(`
      DELETE FROM policy WHERE rowid IN
        (SELECT rowid FROM policy WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`),
    takeLock: database.prepare(`
      INSERT INTO lock (name, owner, expires_at) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
      WHERE lock.expires_at <= ?`),
    dropLock: database.prepare('DELETE FROM lock WHERE name = ? AND owner = ?'),
    purgeLocks: database.prepare(`
      DELETE FROM lock WHERE name IN (SELECT name FROM lock WHERE expires_at <= ? LIMIT ?)`),
  }
}

const POLICY_FILE = {
  /** 'MSTS' */
  applicationId: 0x4d535453,
  version: 1,
  schema: SCHEMA,
  prepare: prepareStatements,
}

/** Throws as {@link sqliteStore} does. */
export function openDatabase<S>(path: string, busyTimeout: number, format: FileFormat<S>) {
  const { DatabaseSync } = loadSqlite()
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path)
    // While opening, SQLite itself waits for other processes: there is nothing to deliver yet
    database.exec(`PRAGMA busy_timeout = ${Math.ceil(busyTimeout)}`)
    setUp(database, format, path)
    switchToWal(database, path, busyTimeout)
    flushEveryCommit(database)
    const statements = format.prepare(database)
    database.exec('PRAGMA busy_timeout = 0')
    return { database, statements }
  } catch (error) {
    database?.close()
    throw openError(error, path)
  }
}

type AnyFormat = Pick<FileFormat<unknown>, 'applicationId' | 'version' | 'schema'>

function setUp(database: DatabaseSync, format: AnyFormat, path: string): void {
  // Whose it is, is looked at before anything is locked or written, and again where nobody can come
  // between. In a transaction, or it would see half of what another process just sets up
  database.exec('BEGIN')
  identify(database, format, path)
  database.exec('COMMIT')
  database.exec('BEGIN IMMEDIATE')
  if (identify(database, format, path) === 'empty') {
    const { applicationId, version, schema } = format
    database.exec(schema)
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}`)
  }
  database.exec('COMMIT')
}

function flushEveryCommit(database: DatabaseSync): void {
  // In WAL mode, NORMAL survives the death of the process, but a power cut may take back what was
  // acknowledged since the last checkpoint. FULL flushes the WAL at every commit and survives both;
  // policies are written seldom, and the writes of one turn share a flush.
  database.exec('PRAGMA synchronous = FULL')
}

/** A step that SQLite's own busy_timeout leaves out: where two switch at once, one just fails. */
function switchToWal(database: DatabaseSync, path: string, busyTimeout: number): void {
  const deadline = performance.now() + busyTimeout
  for (;;) {
    try {
      const mode = textOf(database.prepare('PRAGMA journal_mode = WAL').get(), 'journal_mode')
      if (mode === 'wal') return
      throw cannotOpen(path, `journal mode ${mode}, not WAL`, 'Put it into a file on a local disk')
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
  }
}

/** Whose the file is, going by what SQLite reads in it. Throws unless it is ours to write to. */
function identify(database: DatabaseSync, format: AnyFormat, path: string): 'empty' | 'ours' {
  const read = (sql: string) => Number(textOf(database.prepare(sql).get(), 'value'))
  const application = read('SELECT application_id AS value FROM pragma_application_id')
  const version = read('SELECT user_version AS value FROM pragma_user_version')
  const objects = read('SELECT count(*) AS value FROM sqlite_schema')
  if (application === format.applicationId && version === format.version) return 'ours'
  if (application === 0 && version === 0 && objects === 0) return 'empty'
  if (application === format.applicationId && version > format.version) {
    throw formatError(
      path,
      `was written by a newer version of mta-sts (schema ${version}, this version knows ${format.version}). Upgrade mta-sts, or name another file`,
    )
  }
  const id = `application_id ${application}, user_version ${version}`
  throw formatError(path, `is a SQLite database of another application (${id}). Name another file`)
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

// ---- reading and writing beside other processes ------------------------------------------------

interface SharedFileOptions {
  database: DatabaseSync
  path: string
  busyTimeout: number
  /** Work that every transaction does after its writes */
  afterWrites: () => void
}

interface Write {
  run(): void
  resolve(): void
  reject(error: unknown): void
}

/** One connection to a file that other processes write to as well. */
export class SharedFile {
  readonly #options: SharedFileOptions
  readonly #queue: Write[] = []
  #flushing: Promise<void> | undefined
  #closed = false

  constructor(options: SharedFileOptions) {
    this.#options = options
  }

  async read<T>(run: () => T): Promise<T> {
    this.#mustBeOpen()
    return this.#patiently(run)
  }

  /** Resolves when the transaction that `run` was part of is on disk. */
  async write<T>(run: () => T): Promise<T> {
    this.#mustBeOpen()
    return new Promise<T>((resolve, reject) => {
      let result: { value: T } | undefined
      this.#queue.push({
        run: () => {
          result = { value: run() }
        },
        resolve: () => result && resolve(result.value),
        reject,
      })
      this.#flushing ??= this.#flush()
    })
  }

  /** Lets what is in the queue be written, then closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#flushing
    this.#options.database.close()
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      // What this turn of the event loop still asks for comes along
      await nextTurn()
      await this.#commit(this.#queue.splice(0, GROUP_LIMIT))
    }
    this.#flushing = undefined
  }

  async #commit(group: readonly Write[]): Promise<void> {
    try {
      await this.#patiently(() => this.#transact(group))
      for (const write of group) write.resolve()
    } catch (error) {
      if (group.length === 1 || isBusy(error)) {
        for (const write of group) write.reject(error)
        return
      }
      // One write that SQLite does not take must not take the others with it
      for (const write of group) await this.#commit([write])
    }
  }

  #transact(group: readonly Write[]): void {
    const { database, afterWrites } = this.#options
    database.exec('BEGIN IMMEDIATE')
    try {
      for (const write of group) write.run()
      afterWrites()
      database.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      throw error
    }
  }

  #rollBack(): void {
    try {
      this.#options.database.exec('ROLLBACK')
    } catch {
      // A full disk and the like have rolled back already; the first error is the one that says why
    }
  }

  /**
   * Waits for other processes between tries and not within: inside SQLite the wait would stop the
   * event loop, and every delivery with it.
   */
  async #patiently<T>(run: () => T): Promise<T> {
    const { path, busyTimeout } = this.#options
    const deadline = performance.now() + busyTimeout
    for (;;) {
      try {
        return run()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw operationError(error, path)
      }
      // Random, so that two who wait do not meet again and again
      await sleep(1 + Math.random() * 10)
    }
  }

  #mustBeOpen(): void {
    if (!this.#closed) return
    throw new MtaStsError(`The store ${this.#options.path} has been closed.`, 'ESTORE')
  }
}

function operationError(error: unknown, path: string): MtaStsError {
  const hint = isBusy(error)
    ? 'Another process holds it for too long.'
    : 'Check the disk and who else writes there.'
  const message = `The store ${path} failed: ${textOfThrown(error)}. ${hint}`
  return new MtaStsError(message, 'ESTORE', { cause: error })
}

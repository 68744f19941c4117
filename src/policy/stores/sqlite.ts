/**
 * A policy store in one SQLite file, for one or many processes on one machine.
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import { argumentError, checkKnown } from '../../option-checks.js'
import { type DatabaseSync, isRow, type SqlValue, textOf } from '../../storage/sqlite-file.js'
import { GROUP_LIMIT, SharedFile } from '../../storage/sqlite-writes.js'
import type { PolicyStore } from '../store.js'
import {
  checkEntry,
  decodeEntry,
  decodePages,
  encodeEntry,
  PAGE_SIZE,
  REMOVAL_LIFE,
  readableEntry,
  replacementFor,
  type StoreClockOptions,
} from './entry-json.js'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions extends StoreClockOptions {
  /** Time for which an operation waits for other processes, in milliseconds; default 5_000 */
  busyTimeout?: number | undefined
}

/**
 * Opens a policy store in a SQLite file, which is created with mode 0600 if it does not exist.
 * Needs Node 22.13 or newer.
 *
 * Acknowledged writes survive `kill -9`, a crash of the machine and a power cut. Put the file on a
 * local disk: SQLite's WAL mode needs shared memory. `-wal` and `-shm` files appear beside it.
 *
 * If another process has locked the file, the first operation opens it instead, and waits for
 * `busyTimeout`. A file that is deleted or replaced while it is open is opened again.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where SQLite failed, with its error as `cause`;
 * `ESTOREVALUE` where an entry is not a stored policy.
 *
 * @throws MtaStsError `ENOSQLITE`: this Node has no `node:sqlite`. `ESTOREFORMAT`: the file is not
 * a SQLite database, is damaged, belongs to another application or to a newer version of this
 * package; it is not changed. `ESTOREOPEN`: it cannot be opened for writing.
 *
 * @example
 * const sts = new MtaSts({ store: sqliteStore('/var/lib/mailer/mta-sts.db') })
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): PolicyStore {
  if (typeof path !== 'string') {
    throw argumentError(['sqliteStore()', 'path'], 'must be the path of a file', path)
  }
  checkKnown(options, ['now', 'busyTimeout'], { call: 'sqliteStore()' })
  const { now = Date.now, busyTimeout = 5_000 } = options
  const file = new SharedFile<Statements>({
    path,
    busyTimeout,
    format: POLICY_FILE,
    afterWrites: (statements) => purge(statements, now()),
  })

  return {
    async get(policyDomain) {
      const text = await file.read(({ select }) => textOf(select.get(policyDomain), 'entry'))
      return text === undefined ? undefined : decodeEntry(policyDomain, text)
    },

    async set(policyDomain, entry, before) {
      const checked = checkEntry(entry, policyDomain)
      return file.write(({ select, selectRemoval, upsert }) => {
        const kept = readableEntry(textOf(select.get(policyDomain), 'entry'))
        const removedAt = numberOf(selectRemoval.get(policyDomain), 'removed_at')
        const replacement = replacementFor(checked, { kept, removedAt, before, now: now() })
        if (replacement === undefined) return false
        const { fetchedAt, expiresAt } = replacement
        upsert.run(policyDomain, fetchedAt, expiresAt, encodeEntry(policyDomain, replacement))
        return true
      })
    },

    async delete(policyDomain) {
      await file.write(({ remove, recordRemoval }) => {
        remove.run(policyDomain)
        recordRemoval.run(policyDomain, now())
      })
    },

    removedAt: (policyDomain) =>
      file.read(({ selectRemoval }) => numberOf(selectRemoval.get(policyDomain), 'removed_at')),

    list: () =>
      decodePages(pagesOf(({ name }) => file.read(({ page }) => page.all(name, PAGE_SIZE)))),

    // A policy that is renewed meanwhile moves behind `time`, and is not repeated
    due: (time) =>
      decodePages(
        pagesOf(({ due, name }) =>
          file.read(({ duePage }) => duePage.all(time, due, name, PAGE_SIZE)),
        ),
      ),

    async lock(name, ttl) {
      let owner = ''
      const taken = await file.write(({ takeLock }) => {
        const takenAt = now()
        owner = `${randomUUID()}@${takenAt}`
        return takeLock.run(name, owner, takenAt + ttl, takenAt, takenAt).changes
      })
      if (Number(taken) === 0) return undefined
      return async () => {
        await file.write(({ dropLock }) => dropLock.run(name, owner))
      }
    },

    close: () => file.close(),
  }
}

/** The last row of a page. */
interface Position {
  due: number
  name: Uint8Array
}

/**
 * Reads by key, a page at a time: an open cursor would keep SQLite from ever emptying the WAL.
 * Names are compared as bytes: a name that is not UTF-8 has no string that sorts behind it.
 */
async function* pagesOf(read: (last: Position) => Promise<unknown[]>) {
  let last: Position = { due: Number.NEGATIVE_INFINITY, name: new Uint8Array() }
  let rows: unknown[]
  do {
    rows = await read(last)
    yield rows.map((row): [string, string] => [
      Buffer.from(nameOf(row)).toString(),
      textOf(row, 'entry') ?? '',
    ])
    const row = rows.at(-1)
    last = { due: numberOf(row, 'due_at') ?? 0, name: nameOf(row) }
  } while (rows.length === PAGE_SIZE)
}

function nameOf(row: unknown): Uint8Array {
  const value = isRow(row) ? row.name : undefined
  return value instanceof Uint8Array ? value : new Uint8Array()
}

function numberOf(row: unknown, column: string): number | undefined {
  const value = isRow(row) ? row[column] : undefined
  return typeof value === 'number' ? value : undefined
}

/**
 * Time for which expired entries are kept. They only take room, and a process whose clock is fast
 * must not delete the policies of all others.
 */
const GRACE = 90 * 86_400_000

/** Rows deleted in one transaction: many that expire at once must not delay a delivery. */
const PURGE_LIMIT = GROUP_LIMIT

function purge({ purgePolicies, purgeRemovals, purgeLocks }: Statements, now: number): void {
  purgePolicies.run(now - GRACE, PURGE_LIMIT)
  purgeRemovals.run(now - REMOVAL_LIFE - GRACE, PURGE_LIMIT)
  purgeLocks.run(now - GRACE, PURGE_LIMIT)
}

// The times are copies from `entry`, for SQL to compare; REAL holds a JavaScript number exactly
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

/** `renewalDueAt` of store.ts in SQL. */
const DUE_AT = 'fetched_at + min((expires_at - fetched_at) / 2, 86400000.0)'

const ADDITIONS = `
  CREATE INDEX IF NOT EXISTS policy_due_at ON policy (${DUE_AT}, policy_domain);
  CREATE INDEX IF NOT EXISTS lock_expires_at ON lock (expires_at);
  CREATE TABLE IF NOT EXISTS removal (
    policy_domain TEXT PRIMARY KEY NOT NULL,
    removed_at REAL NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS removal_removed_at ON removal (removed_at);
`

const NAME = 'CAST(policy_domain AS BLOB) AS name'

function prepareStatements(database: DatabaseSync) {
  return {
    select: database.prepare('SELECT entry FROM policy WHERE policy_domain = ?'),
    upsert: database.prepare(`
      INSERT INTO policy (policy_domain, fetched_at, expires_at, entry) VALUES (?, ?, ?, ?)
      ON CONFLICT (policy_domain) DO UPDATE SET
        fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, entry = excluded.entry`),
    remove: database.prepare('DELETE FROM policy WHERE policy_domain = ?'),
    selectRemoval: database.prepare('SELECT removed_at FROM removal WHERE policy_domain = ?'),
    recordRemoval: database.prepare(`
      INSERT INTO removal (policy_domain, removed_at) VALUES (?, ?)
      ON CONFLICT (policy_domain) DO UPDATE SET removed_at = excluded.removed_at`),
    page: database.prepare(`
      SELECT ${NAME}, entry FROM policy WHERE policy_domain > CAST(? AS TEXT)
      ORDER BY policy_domain LIMIT ?`),
    duePage: database.prepare(`
      SELECT ${NAME}, entry, ${DUE_AT} AS due_at FROM policy
      WHERE ${DUE_AT} <= ? AND (${DUE_AT}, policy_domain) > (?, CAST(? AS TEXT))
      ORDER BY ${DUE_AT}, policy_domain LIMIT ?`),
    // A lock taken in the future was taken before the clock was set back
    takeLock: database.prepare(`
      INSERT INTO lock (name, owner, expires_at) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
      WHERE lock.expires_at <= ?
        OR CAST(substr(lock.owner, instr(lock.owner, '@') + 1) AS REAL) > ?`),
    dropLock: database.prepare('DELETE FROM lock WHERE name = ? AND owner = ?'),
    purgePolicies: database.prepare(`
      DELETE FROM policy WHERE rowid IN
        (SELECT rowid FROM policy WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`),
    purgeRemovals: database.prepare(`
      DELETE FROM removal WHERE rowid IN
        (SELECT rowid FROM removal WHERE removed_at <= ? LIMIT ?)`),
    purgeLocks: database.prepare(`
      DELETE FROM lock WHERE rowid IN (SELECT rowid FROM lock WHERE expires_at <= ? LIMIT ?)`),
  } satisfies Record<string, { run(...params: SqlValue[]): unknown }>
}

type Statements = ReturnType<typeof prepareStatements>

const POLICY_FILE = {
  /** 'MSTS' */
  applicationId: 0x4d535453,
  version: 1,
  schema: SCHEMA,
  additions: ADDITIONS,
  prepare: prepareStatements,
}

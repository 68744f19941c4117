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


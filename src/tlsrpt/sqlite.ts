/**
 * A report store in one SQLite file, for one or many processes on one machine.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { type DatabaseSync, isRow, openDatabase, SharedFile } from '../policy/stores/sqlite.js'
import {
  addCounts,
  type DomainCounts,
  type PolicyCounts,
  readCounts,
  unreadable,
  writeCounts,
} from './counts.js'
import { type ClaimedReport, NO_PROGRESS, type ReportStore, readProgress } from './store.js'

/** Options of {@link sqliteReportStore}. */
export interface SqliteReportStoreOptions {
  /** How long an operation waits for other processes, in milliseconds; default 5_000 */
  busyTimeout?: number | undefined
}

/**
 * A report store in a SQLite file, which is created where there is none. Needs Node 22.13 or newer.
 * The file is not that of the policy store, though it may lie beside it.
 *
 * What was acknowledged survives `kill -9`, a crash of the machine and a power cut. Put the file on
 * a local disk: SQLite's WAL mode needs shared memory. `-wal` and `-shm` files appear beside it.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where SQLite failed, with its error as `cause`;
 * `ESTOREVALUE` where a report in the file is none.
 *
 * @throws MtaStsError `ENOSQLITE`: this Node has no `node:sqlite`. `ESTOREFORMAT`: the file is not
 *   a SQLite database, is damaged, belongs to another application or to a newer version of this
 *   package; it is left as it is. `ESTOREOPEN`: it cannot be opened for writing.
 *
 * @example
 * const store = sqliteReportStore('/var/lib/mailer/tls-reports.db')
 */
export function sqliteReportStore(
  path: string,
  options: SqliteReportStoreOptions = {},
): ReportStore {
  const { busyTimeout = 5_000 } = options
  const { database, statements } = openDatabase(path, busyTimeout, REPORT_FILE)
  const { countsOf, keepCounts, ended, dropCounts, insert } = statements
  const { due, early, report, take, update, remove } = statements
  const file = new SharedFile({ database, path, busyTimeout, afterWrites: () => {} })

  /** The id of a report that may be claimed. */
  const claimable = (now: number, takeEarly: boolean) =>
    textOf(due.get(now), 'id') ?? (takeEarly ? textOf(early.get(), 'id') : undefined)

  return {
    async add(counts, limits) {
      const addOne = ({ day, domain, policies }: DomainCounts) => {
        const kept = keptCounts(textOf(countsOf.get(day, domain), 'counts'))
        keepCounts.run(day, domain, writeCounts(addCounts(kept, policies, limits)))
      }
      await file.write(() => counts.forEach(addOne))
    },

    async seal(day, plan) {
      // Looked at first, so that those who find nothing do not wait for each other
      while ((await file.read(() => ended.all(day, 1))).length > 0) {
        await file.write(() => {
          const rows = ended.all(day, PAGE_SIZE).map((row) => fields(row, COUNTED))
          for (const [of, domain, counts] of rows) {
            const { id, notBefore } = plan(of, domain)
            insert.run(id, of, domain, counts, JSON.stringify(NO_PROGRESS), notBefore)
            dropCounts.run(of, domain)
          }
        })
      }
    },

    async claim({ now, until, early }) {
      // As with days: only those who may find something wait for each other
      if ((await file.read(() => claimable(now, early))) === undefined) return undefined
      const claim = randomUUID()
      const row = await file.write(() => {
        const id = claimable(now, early)
        if (id === undefined) return undefined
        take.run(claim, until, id)
        return fields(report.get(id), REPORT)
      })
      if (row === undefined) return undefined
      const [id, day, domain, counts, progress] = row
      const policies = readCounts(counts)
      return { id, day, domain, policies, progress: readProgress(progress), claim }
    },

    save: ({ id, claim }: ClaimedReport, progress, until) =>
      file.write(() => changed(update.run(JSON.stringify(progress), until, id, claim))),

    remove: ({ id, claim }: ClaimedReport) => file.write(() => changed(remove.run(id, claim))),

    close: () => file.close(),
  }
}

/** Reports that are made in one transaction: other processes wait for it. */
const PAGE_SIZE = 100

const REPORT_FILE = {
  /** 'MSTR' */
  applicationId: 0x4d535452,
  version: 1,
  // not_before is the time at which it may be claimed; claim is null until it was, for once
  schema: `
    CREATE TABLE counted (
      day TEXT NOT NULL,
      domain TEXT NOT NULL,
      counts TEXT NOT NULL,
      PRIMARY KEY (day, domain)
    ) STRICT;
    CREATE TABLE report (
      id TEXT PRIMARY KEY NOT NULL,
      day TEXT NOT NULL,
      domain TEXT NOT NULL,
      counts TEXT NOT NULL,
      progress TEXT NOT NULL,
      not_before REAL NOT NULL,
      claim TEXT
    ) STRICT;
    CREATE INDEX report_not_before ON report (not_before);
    CREATE INDEX report_unclaimed ON report (id) WHERE claim IS NULL;
  `,
  prepare: (database: DatabaseSync) => ({
    countsOf: database.prepare('SELECT counts FROM counted WHERE day = ? AND domain = ?'),
    keepCounts: database.prepare(`
      INSERT INTO counted (day, domain, counts) VALUES (?, ?, ?)
      ON CONFLICT (day, domain) DO UPDATE SET counts = excluded.counts`),
    ended: database.prepare('SELECT day, domain, counts FROM counted WHERE day < ? LIMIT ?'),
    dropCounts: database.prepare('DELETE FROM counted WHERE day = ? AND domain = ?'),
    insert: database.prepare(`
      INSERT INTO report (id, day, domain, counts, progress, not_before) VALUES (?, ?, ?, ?, ?, ?)`),
    due: database.prepare(`
      SELECT id FROM report WHERE not_before <= ? ORDER BY not_before LIMIT 1`),
    early: database.prepare('SELECT id FROM report WHERE claim IS NULL LIMIT 1'),
    report: database.prepare('SELECT id, day, domain, counts, progress FROM report WHERE id = ?'),
    take: database.prepare('UPDATE report SET claim = ?, not_before = ? WHERE id = ?'),
    update: database.prepare(`
      UPDATE report SET progress = ?, not_before = ? WHERE id = ? AND claim = ?`),
    remove: database.prepare('DELETE FROM report WHERE id = ? AND claim = ?'),
  }),
}

/** What is no count (an old format, rubbish) is replaced: it must not keep others from being kept. */
function keptCounts(text: string | undefined): PolicyCounts[] {
  try {
    return text === undefined ? [] : readCounts(text)
  } catch {
    return []
  }
}

const COUNTED = ['day', 'domain', 'counts'] as const
const REPORT = ['id', 'day', 'domain', 'counts', 'progress'] as const

/** The columns of a row, all of them text. */
function fields<const N extends readonly string[]>(
  row: unknown,
  names: N,
): { [I in keyof N]: string } {
  const values = names.map((name) => textOf(row, name))
  if (values.includes(undefined)) throw unreadable('a row has no text where it should')
  return values as { [I in keyof N]: string }
}

function textOf(row: unknown, column: string): string | undefined {
  if (!isRow(row)) return undefined
  const value = row[column]
  return typeof value === 'string' ? value : undefined
}

function changed({ changes }: { changes: number | bigint }): boolean {
  return Number(changes) > 0
}

/**
 * The tables of the report store in SQLite, and the statements on them.
 *
 * @module
 */
import { type DatabaseSync, type FileFormat, isRow, type SqlValue } from '../storage/sqlite-file.js'
import { OTHERS, readCounts } from './counts.js'

// A batch without an id is being counted; with an id it is a report. not_before is the earliest
// time of a claim; claim is null until the first one
const SCHEMA = `
  CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    domain TEXT NOT NULL,
    id TEXT UNIQUE,
    progress TEXT,
    not_before REAL,
    claim TEXT
  ) STRICT;
  CREATE UNIQUE INDEX batch_counting ON batch (day, domain) WHERE id IS NULL;
  CREATE INDEX batch_not_before ON batch (not_before) WHERE id IS NOT NULL;
  CREATE INDEX batch_unclaimed ON batch (number) WHERE id IS NOT NULL AND claim IS NULL;
  CREATE TABLE policy_count (
    batch INTEGER NOT NULL,
    key TEXT NOT NULL,
    policy TEXT NOT NULL,
    successes INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (batch, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE failure_count (
    batch INTEGER NOT NULL,
    key TEXT NOT NULL,
    failure TEXT NOT NULL,
    sessions INTEGER NOT NULL,
    PRIMARY KEY (batch, key, failure)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE writer (
    name TEXT PRIMARY KEY NOT NULL,
    last INTEGER NOT NULL
  ) STRICT;
`

const COLUMNS = 'number, day, domain, id, progress, not_before, claim'

function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql)
  return {
    writer: prepare('SELECT last FROM writer WHERE name = ?'),
    // Replaced, so that rowids are in the order of the last portions
    keepWriter: prepare('INSERT OR REPLACE INTO writer (name, last) VALUES (?, ?)'),
    dropWriters: prepare(`
      DELETE FROM writer WHERE rowid IN
        (SELECT rowid FROM writer ORDER BY rowid DESC LIMIT -1 OFFSET ?)`),
    counting: prepare('SELECT number FROM batch WHERE day = ? AND domain = ? AND id IS NULL'),
    begin: prepare('INSERT INTO batch (day, domain) VALUES (?, ?)'),
    policyKnown: prepare('SELECT 1 FROM policy_count WHERE batch = ? AND key = ?'),
    policyCount: prepare('SELECT count(*) AS policies FROM policy_count WHERE batch = ?'),
    addSuccesses: prepare(`
      INSERT INTO policy_count (batch, key, policy, successes, failures) VALUES (?, ?, ?, ?, 0)
      ON CONFLICT (batch, key) DO UPDATE SET successes = successes + excluded.successes`),
    failureCount: prepare('SELECT failures FROM policy_count WHERE batch = ? AND key = ?'),
    countFailure: prepare(`
      UPDATE policy_count SET failures = failures + 1 WHERE batch = ? AND key = ?`),
    addSessions: {
      again: prepare(`
        UPDATE failure_count SET sessions = sessions + ?
        WHERE batch = ? AND key = ? AND failure = ?`),
      first: prepare(`
        INSERT INTO failure_count (batch, key, failure, sessions) VALUES (?, ?, ?, ?)
        ON CONFLICT (batch, key, failure) DO UPDATE SET sessions = sessions + excluded.sessions`),
    },
    ended: prepare('SELECT number, day, domain FROM batch WHERE id IS NULL AND day < ? LIMIT ?'),
    seal: prepare('UPDATE batch SET id = ?, not_before = ?, progress = ? WHERE number = ?'),
    due: prepare(`
      SELECT ${COLUMNS} FROM batch WHERE id IS NOT NULL AND not_before <= ?
      ORDER BY not_before LIMIT 1`),
    unclaimed: prepare(`
      SELECT ${COLUMNS} FROM batch WHERE id IS NOT NULL AND claim IS NULL LIMIT 1`),
    fromTheFuture: prepare(`
      SELECT ${COLUMNS} FROM batch WHERE id IS NOT NULL AND not_before > ? AND claim IS NOT NULL
      LIMIT 1`),
    take: prepare('UPDATE batch SET claim = ?, not_before = ? WHERE number = ?'),
    policies: prepare('SELECT key, policy, successes FROM policy_count WHERE batch = ?'),
    failures: prepare('SELECT failure, sessions FROM failure_count WHERE batch = ? AND key = ?'),
    update: prepare('UPDATE batch SET progress = ?, not_before = ? WHERE id = ? AND claim = ?'),
    claimedBatch: prepare('SELECT number FROM batch WHERE id = ? AND claim = ?'),
    reportBatch: prepare(`SELECT ${COLUMNS} FROM batch WHERE id = ?`),
    hurry: prepare('UPDATE batch SET not_before = min(not_before, ?) WHERE number = ?'),
    dropBatch: [
      prepare('DELETE FROM failure_count WHERE batch = ?'),
      prepare('DELETE FROM policy_count WHERE batch = ?'),
      prepare('DELETE FROM batch WHERE number = ?'),
    ],
    page: prepare(`SELECT ${COLUMNS} FROM batch WHERE number > ? ORDER BY number LIMIT ?`),
  }
}

export type Statements = ReturnType<typeof prepareStatements>

/**
 * Upgrades version 1, which had the counts of a domain and day as one JSON text. Unreadable ones
 * are dropped.
 */
function upgrade(database: DatabaseSync): void {
  const old = [
    ...database.prepare('SELECT day, domain, counts, NULL AS id FROM counted').all(),
    ...database.prepare('SELECT * FROM report').all(),
  ]
  database.exec(`DROP TABLE counted; DROP TABLE report; ${SCHEMA}`)
  const insert = {
    batch: database.prepare(`
      INSERT INTO batch (day, domain, id, progress, not_before, claim) VALUES (?, ?, ?, ?, ?, ?)`),
    policy: database.prepare('INSERT INTO policy_count VALUES (?, ?, ?, ?, ?)'),
    failure: database.prepare('INSERT INTO failure_count VALUES (?, ?, ?, ?)'),
  }
  for (const row of old) {
    const counts = isRow(row) ? countsIn(row.counts) : []
    if (!isRow(row) || counts.length === 0) continue
    const value = (column: string) => (row[column] ?? null) as SqlValue
    const columns = ['day', 'domain', 'id', 'progress', 'not_before', 'claim'].map(value)
    const batch = Number(insert.batch.run(...columns).lastInsertRowid)
    for (const { key, policy, successes, failures } of counts) {
      const distinct = failures.filter(([failure]) => !OTHERS.has(failure)).length
      insert.policy.run(batch, key, JSON.stringify(policy), successes, distinct)
      for (const [failure, sessions] of failures) insert.failure.run(batch, key, failure, sessions)
    }
  }
}

function countsIn(text: unknown) {
  try {
    return readCounts(String(text))
  } catch {
    return []
  }
}

export const REPORT_FILE: FileFormat<Statements> = {
  /** 'MSTR' */
  applicationId: 0x4d535452,
  version: 2,
  schema: SCHEMA,
  upgrade,
  prepare: prepareStatements,
}

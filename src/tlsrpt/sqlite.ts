/**
 * A report store in one SQLite file, for one or many processes on one machine.
 *
 * Each policy and each failure is a row: adding a session changes few rows, however many are
 * stored. A report is the batch of a domain and day with an id.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { MtaStsError } from '../errors.js'
import { argumentError, checkKnown } from '../option-checks.js'
import { isRow } from '../storage/sqlite-file.js'
import { SharedFile } from '../storage/sqlite-writes.js'
import {
  type CountLimits,
  type DomainCounts,
  OTHERS,
  otherPolicy,
  othersOf,
  type PolicyCounts,
  readPolicy,
  unreadable,
} from './counts.js'
import { REPORT_FILE, type Statements } from './sqlite-schema.js'
import {
  type ClaimedReport,
  LONGEST_CLAIM,
  NO_PROGRESS,
  type Portion,
  type ReportStore,
  readProgress,
  type StoredReport,
  stateOf,
} from './store.js'

/** Options of {@link sqliteReportStore}. */
export interface SqliteReportStoreOptions {
  /** Time for which an operation waits for other processes, in milliseconds; default 5_000 */
  busyTimeout?: number | undefined
}

/**
 * Opens a report store in a SQLite file, which is created with mode 0600 if it does not exist.
 * Needs Node 22.13 or newer. It must not be the file of the policy store.
 *
 * Acknowledged writes survive `kill -9`, a crash of the machine and a power cut. Put the file on a
 * local disk: SQLite's WAL mode needs shared memory. `-wal` and `-shm` files appear beside it.
 *
 * Rejections are `MtaStsError`s: code `ESTORE` where SQLite failed, with its error as `cause`.
 *
 * @throws MtaStsError `ENOSQLITE`, `ESTOREFORMAT`, `ESTOREOPEN`, as `sqliteStore` of
 * `mta-sts/sqlite` does
 *
 * @example
 * const store = sqliteReportStore('/var/lib/mailer/tls-reports.db')
 */
export function sqliteReportStore(
  path: string,
  options: SqliteReportStoreOptions = {},
): ReportStore {
  if (typeof path !== 'string') {
    throw argumentError(['sqliteReportStore()', 'path'], 'must be the path of a file', path)
  }
  checkKnown(options, ['busyTimeout'], { call: 'sqliteReportStore()' })
  const { busyTimeout = 5_000 } = options
  const file = new SharedFile<Statements>({ path, busyTimeout, format: REPORT_FILE })

  return {
    async add(counts, limits, portion) {
      await file.write((statements) => {
        if (portion !== undefined && !isNew(statements, portion)) return
        for (const one of counts) addDomain(statements, one, limits)
      })
    },

    async seal(day, plan) {
      // Read first, so that processes that find nothing do not wait for each other
      while ((await file.read(({ ended }) => ended.all(day, 1))).length > 0) {
        await file.write(({ ended, seal }) => {
          for (const row of ended.all(day, PAGE_SIZE)) {
            const { id, notBefore } = plan(text(row, 'day'), text(row, 'domain'))
            seal.run(id, notBefore, JSON.stringify(NO_PROGRESS), integer(row, 'number'))
          }
        })
      }
    },

    async claim({ now, until, early }) {
      const claimable = (statements: Statements) =>
        statements.due.get(now) ??
        (early ? statements.unclaimed.get() : undefined) ??
        statements.fromTheFuture.get(now + LONGEST_CLAIM)
      if ((await file.read(claimable)) === undefined) return undefined
      const claim = randomUUID()
      return file.write((statements) => {
        const row = claimable(statements)
        if (row === undefined) return undefined
        statements.take.run(claim, until, integer(row, 'number'))
        return readReport(statements, row, claim)
      })
    },

    save: ({ id, claim }: ClaimedReport, progress, until) =>
      file.write(({ update }) => changed(update.run(JSON.stringify(progress), until, id, claim))),

    remove: ({ id, claim }: ClaimedReport) =>
      file.write((statements) => removeBatch(statements, statements.claimedBatch.get(id, claim))),

    async *list() {
      let last = 0
      let rows: unknown[]
      do {
        rows = await file.read(({ page }) => page.all(last, PAGE_SIZE))
        yield* rows.map(storedReport)
        last = rows.length > 0 ? integer(rows.at(-1), 'number') : last
      } while (rows.length === PAGE_SIZE)
    },

    makeDue: (id, time) =>
      file.write(({ reportBatch, hurry }) => {
        const row = reportBatch.get(id)
        if (row === undefined || storedReport(row).state === 'claimed') return false
        return changed(hurry.run(time, integer(row, 'number')))
      }),

    drop: (id) =>
      file.write((statements) => removeBatch(statements, statements.reportBatch.get(id))),

    close: () => file.close(),
  }
}

/** Number of rows in one step, while other processes wait. */
const PAGE_SIZE = 100

/** Maximum number of writers whose last portion is remembered. */
const MAX_WRITERS = 10_000

/** Records a portion. Returns false if it was added before. */
function isNew({ writer, keepWriter, dropWriters }: Statements, portion: Portion): boolean {
  const row = writer.get(portion.writer)
  if (isRow(row) && Number(row.last) >= portion.number) return false
  keepWriter.run(portion.writer, portion.number)
  if (row === undefined) dropWriters.run(MAX_WRITERS)
  return true
}

function addDomain(
  statements: Statements,
  { day, domain, policies }: DomainCounts,
  limits: CountLimits,
): void {
  const row = statements.counting.get(day, domain)
  const batch =
    row === undefined
      ? Number(statements.begin.run(day, domain).lastInsertRowid)
      : integer(row, 'number')
  for (const counts of policies) addPolicy(statements, { batch, counts, limits })
}

function addPolicy(
  statements: Statements,
  { batch, counts, limits }: { batch: number; counts: PolicyCounts; limits: CountLimits },
): void {
  const { policyKnown, policyCount, addSuccesses } = statements
  const fits =
    policyKnown.get(batch, counts.key) !== undefined ||
    integer(policyCount.get(batch), 'policies') < limits.maxPolicies
  const { key, policy } = fits ? counts : otherPolicy(counts.policy)
  addSuccesses.run(batch, key, JSON.stringify(policy), counts.successes)
  for (const [failure, sessions] of counts.failures) {
    addFailure(statements, { batch, key, failure, sessions, limits })
  }
}

function addFailure(
  { addSessions, failureCount, countFailure }: Statements,
  added: { batch: number; key: string; failure: string; sessions: number; limits: CountLimits },
): void {
  const { batch, key, failure, sessions, limits } = added
  if (changed(addSessions.again.run(sessions, batch, key, failure))) return
  const isOther = OTHERS.has(failure)
  const fits = isOther || integer(failureCount.get(batch, key), 'failures') < limits.maxFailures
  if (fits && !isOther) countFailure.run(batch, key)
  addSessions.first.run(batch, key, fits ? failure : othersOf(failure), sessions)
}

/** Reads a claimed report. An unreadable one is claimed too: it must not block the others. */
function readReport(statements: Statements, row: unknown, claim: string): ClaimedReport {
  const report = {
    id: text(row, 'id'),
    day: text(row, 'day'),
    domain: text(row, 'domain'),
    progress: readProgress(optionalText(row, 'progress')),
    claim,
  }
  try {
    return { ...report, policies: readPolicies(statements, integer(row, 'number')) }
  } catch (error) {
    const problem = error instanceof MtaStsError ? error : unreadable('a row is damaged', error)
    return { ...report, policies: [], unreadable: problem }
  }
}

function readPolicies({ policies, failures }: Statements, batch: number): PolicyCounts[] {
  return policies.all(batch).map((row) => {
    const key = text(row, 'key')
    return {
      key,
      policy: readPolicy(text(row, 'policy')),
      successes: integer(row, 'successes'),
      failures: failures
        .all(batch, key)
        .map((failure): [string, number] => [
          text(failure, 'failure'),
          integer(failure, 'sessions'),
        ]),
    }
  })
}

function removeBatch({ dropBatch }: Statements, row: unknown): boolean {
  if (row === undefined) return false
  for (const statement of dropBatch) statement.run(integer(row, 'number'))
  return true
}

function storedReport(row: unknown): StoredReport {
  const day = text(row, 'day')
  const domain = text(row, 'domain')
  const id = optionalText(row, 'id')
  if (id === undefined) return { day, domain, state: 'counting', progress: NO_PROGRESS }
  const progress = readProgress(optionalText(row, 'progress'))
  const state = stateOf(progress, optionalText(row, 'claim') !== undefined)
  const notBefore = isRow(row) ? Number(row.not_before) : 0
  return { id, day, domain, state, progress, notBefore }
}

function optionalText(row: unknown, column: string): string | undefined {
  const value = isRow(row) ? row[column] : undefined
  return typeof value === 'string' ? value : undefined
}

function text(row: unknown, column: string): string {
  const value = optionalText(row, column)
  if (value === undefined) throw unreadable(`a row has no text in its column ${column}`)
  return value
}

function integer(row: unknown, column: string): number {
  const value = isRow(row) ? row[column] : undefined
  if (typeof value !== 'number') throw unreadable(`a row has no number in its column ${column}`)
  return value
}

function changed({ changes }: { changes: number | bigint }): boolean {
  return Number(changes) > 0
}

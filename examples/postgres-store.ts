/**
 * A policy store in PostgreSQL, as a pattern for stores in other databases. It takes a `Pool` or
 * `Client` of the package `pg`, or a PGlite:
 *
 *   const store = await postgresStore(new pg.Pool())
 *   const transporter = nodemailer.createTransport(mtaStsTransport({ store }))
 *
 * Run by itself it checks the store by the rules of mta-sts/testing, in a PGlite; hold a store of
 * your own to them, too.
 *
 *     npx tsx examples/postgres-store.ts
 */
import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { PolicyStore, StoredPolicy } from 'mta-sts'

export interface Database {
  query(sql: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

/** A time further ahead was written by a host whose clock is wrong. */
const CLOCK_TOLERANCE = 3_600_000
const DAY = 86_400_000
const PAGE = 100

const TABLES = [
  `CREATE TABLE IF NOT EXISTS mta_sts_policy (
    domain text COLLATE "C" PRIMARY KEY,
    id text NOT NULL,
    started_at float8 NOT NULL,
    fetched_at float8 NOT NULL,
    used_at float8 NOT NULL,
    due_at float8 NOT NULL,
    entry text NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS mta_sts_policy_due ON mta_sts_policy (due_at, domain)',
  `CREATE TABLE IF NOT EXISTS mta_sts_removal (
    domain text COLLATE "C" PRIMARY KEY, removed_at float8 NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS mta_sts_lock (
    name text PRIMARY KEY, owner text NOT NULL, until timestamptz NOT NULL
  )`,
]

// One statement, so that no other host comes between reading and writing. An earlier fetch does not
// replace a later one, unless the stored entry is the one that was read before the fetch began
const SET = `
  INSERT INTO mta_sts_policy AS kept (domain, id, started_at, fetched_at, used_at, due_at, entry)
  SELECT $1::text, $2::text, $3::float8, $4::float8, $5::float8, $6::float8, $7::text
  WHERE NOT EXISTS (
    SELECT 1 FROM mta_sts_removal
    WHERE domain = $1 AND removed_at > $3 AND removed_at <= $8::float8)
  ON CONFLICT (domain) DO UPDATE SET
    id = excluded.id, started_at = excluded.started_at, fetched_at = excluded.fetched_at,
    due_at = excluded.due_at, entry = excluded.entry,
    used_at = CASE WHEN kept.used_at <= $8
      THEN greatest(kept.used_at, excluded.used_at) ELSE excluded.used_at END
  WHERE excluded.started_at >= kept.started_at OR kept.started_at > $8
    OR (kept.id, kept.started_at, kept.fetched_at) = ($9::text, $10::float8, $11::float8)
  RETURNING domain`

const LOCK = `
  INSERT INTO mta_sts_lock AS held (name, owner, until)
  VALUES ($1, $2, clock_timestamp() + $3::float8 * interval '1 millisecond')
  ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
  WHERE held.until <= clock_timestamp()
  RETURNING name`

/** Makes the tables where they do not exist. The connection is yours to end. */
export async function postgresStore(database: Database): Promise<PolicyStore> {
  const rows = async (sql: string, ...values: unknown[]) =>
    (await database.query(sql, values)).rows as Row[]
  for (const table of TABLES) await rows(table)

  /** Page by page: a million policies do not fit into one reply. */
  async function* pages(sql: string, ...values: unknown[]) {
    let [due, domain] = [Number.NEGATIVE_INFINITY, '']
    for (;;) {
      const page = await rows(sql, domain, PAGE, ...values, ...(values.length > 0 ? [due] : []))
      for (const row of page) yield [row.domain, entryOf(row)] as [string, StoredPolicy]
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return
      ;({ domain, due_at: due } = last)
    }
  }

  return {
    async get(domain) {
      const [row] = await rows('SELECT * FROM mta_sts_policy WHERE domain = $1', domain)
      return row && entryOf(row)
    },

    async set(domain, entry, before) {
      const { id, fetchedAt, usedAt, expiresAt } = checked(entry)
      const dueAt = fetchedAt + Math.min((expiresAt - fetchedAt) / 2, DAY)
      const latest = Date.now() + CLOCK_TOLERANCE
      const known = before ? [before.id, startOf(before), before.fetchedAt] : [null, null, null]
      const times = [startOf(entry), fetchedAt, usedAt, dueAt]
      const taken = await rows(SET, domain, id, ...times, textOf(entry), latest, ...known)
      return taken.length > 0
    },

    async delete(domain) {
      await rows(
        `INSERT INTO mta_sts_removal VALUES ($1, $2)
         ON CONFLICT (domain) DO UPDATE SET removed_at = excluded.removed_at`,
        domain,
        Date.now(),
      )
      await rows('DELETE FROM mta_sts_policy WHERE domain = $1', domain)
    },

    async removedAt(domain) {
      const sql = 'SELECT removed_at FROM mta_sts_removal WHERE domain = $1'
      return (await rows(sql, domain))[0]?.removed_at
    },

    list: () => pages('SELECT * FROM mta_sts_policy WHERE domain > $1 ORDER BY domain LIMIT $2'),

    due: (time) =>
      pages(
        `SELECT * FROM mta_sts_policy WHERE due_at <= $3 AND (due_at, domain) > ($4, $1)
         ORDER BY due_at, domain LIMIT $2`,
        time,
      ),

    async lock(name, ttl) {
      const owner = randomUUID()
      if ((await rows(LOCK, name, owner, ttl)).length === 0) return undefined
      return async () => {
        await rows('DELETE FROM mta_sts_lock WHERE name = $1 AND owner = $2', name, owner)
      }
    },
  }
}

interface Row {
  domain: string
  entry: string
  used_at: number
  due_at: number
  removed_at: number
}

function startOf({ startedAt, fetchedAt }: StoredPolicy): number {
  return startedAt ?? fetchedAt
}

/** As JSON in a text column: PostgreSQL's text has no NUL, its jsonb not every number. */
function textOf({ id, body, startedAt, fetchedAt, expiresAt, recordSeenAt }: StoredPolicy): string {
  return JSON.stringify({ id, body, startedAt, fetchedAt, expiresAt, recordSeenAt })
}

function entryOf({ entry, used_at: usedAt }: Row): StoredPolicy {
  return { ...(JSON.parse(entry) as StoredPolicy), usedAt }
}

function checked(entry: StoredPolicy): StoredPolicy {
  const { id, body, fetchedAt, expiresAt, usedAt } = entry
  const times = [fetchedAt, expiresAt, usedAt, startOf(entry), entry.recordSeenAt ?? 0]
  const isText = typeof id === 'string' && typeof body === 'string'
  if (isText && times.every((time) => Number.isFinite(time))) return entry
  throw Object.assign(new TypeError('This is no stored policy'), { code: 'ESTOREVALUE' })
}

/** Runs the rules one after the other, each on empty tables. */
async function main(): Promise<void> {
  const { PGlite } = await import('@electric-sql/pglite')
  const { policyStoreConformance } = await import('mta-sts/testing')
  const database = await PGlite.create()
  await postgresStore(database)
  const rules = policyStoreConformance(async () => {
    await database.exec('TRUNCATE mta_sts_policy, mta_sts_removal, mta_sts_lock')
    return { store: await postgresStore(database) }
  })
  for (const { title, run } of rules) {
    await run()
    console.log(`holds: ${title}`)
  }
  console.log(`All ${rules.length} rules hold`)
  await database.close()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()

/**
 * Policy stores that hold many policies, written in bulk below the store: through it, a million
 * would take a quarter of an hour.
 *
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PolicyStore } from 'mta-sts'
import { createClient } from 'redis'
import { redisStore } from '../../src/redis.js'
import { sqliteStore } from '../../src/sqlite.js'
import type { DatabaseSync } from '../../src/storage/sqlite-file.js'
import { RedisServer } from '../policy/stores/redis-server.js'
import { MAX_AGE, POLICY_ID } from './network.js'
import { policyBody } from './policies.js'

export const MX_HOST = 'mx.fleet.example'

/** Policies `d0.example`, `d1.example` and so on; one in `due` was fetched two days ago, the others just now. */
export interface FilledStore extends AsyncDisposable {
  /** A separate store; `MtaSts` closes it */
  open(): PolicyStore
}

export interface Backend {
  name: string
  /** The reason why it is missing here; undefined if it is not */
  whyNot(): Promise<string | undefined>
  fill(count: number, due: number): Promise<FilledStore>
}

const DAY = 86_400_000

/** The times of an entry that is due, and of one that is not. */
function timesOf(now: number): { old: number; fresh: number; life: number } {
  return { old: now - 2 * DAY, fresh: now, life: MAX_AGE * 1000 }
}

/** JSON of an entry, with `%T` for the time of the fetch and `%E` for that of its end. */
function template(now: number): string {
  const body = policyBody([MX_HOST])
  const entry = JSON.stringify({ id: POLICY_ID, body, usedAt: now, recordSeenAt: now })
  return `{"startedAt":%T,"fetchedAt":%T,"expiresAt":%E,${entry.slice(1)}`
}

/** Parameters: time of those that are due, of the others, life, share that is due, count, template. */
const FILL_TABLE = `
  WITH RECURSIVE row(n, at) AS (
    SELECT 0, ?1
    UNION ALL
    SELECT n + 1, CASE (n + 1) % ?4 WHEN 0 THEN ?1 ELSE ?2 END FROM row WHERE n + 1 < ?5
  )
  INSERT INTO policy (policy_domain, fetched_at, expires_at, entry)
  SELECT 'd' || n || '.example', at, at + ?3,
    replace(replace(?6, '%T', CAST(at AS INTEGER)), '%E', CAST(at + ?3 AS INTEGER))
  FROM row`

function sqliteModule(): { DatabaseSync: new (path: string) => DatabaseSync } {
  const found: object | undefined = process.getBuiltinModule('node:sqlite')
  return found as ReturnType<typeof sqliteModule>
}

const sqlite: Backend = {
  name: 'SQLite',
  async whyNot() {
    return sqliteModule() ? undefined : `Node ${process.version} has no node:sqlite`
  },
  async fill(count, due) {
    const folder = await mkdtemp(join(tmpdir(), 'mta-sts-bench-'))
    const path = join(folder, 'policies.db')
    // The store makes the tables
    const first = sqliteStore(path)
    await first.get('example.com')
    await first.close?.()
    const database = new (sqliteModule().DatabaseSync)(path)
    const now = Date.now()
    const { old, fresh, life } = timesOf(now)
    database.prepare(FILL_TABLE).run(old, fresh, life, due, count, template(now))
    database.close()
    return {
      open: () => sqliteStore(path),
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
    }
  },
}

/** A script. ARGV: from, to, due, time of those that are due, of the others, life, renewal, template. */
const FILL = `
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local at = (n % tonumber(ARGV[3]) == 0) and ARGV[4] or ARGV[5]
  local domain = string.format('d%d.example', n)
  local ends = string.format('%d', tonumber(at) + tonumber(ARGV[6]))
  local json = string.gsub(string.gsub(ARGV[8], '%%T', at), '%%E', ends)
  redis.call('SET', 'mta-sts:policy:' .. domain, json, 'PXAT', ends)
  redis.call('ZADD', 'mta-sts:due', tonumber(at) + tonumber(ARGV[7]), domain)
end
`

const redis: Backend = {
  name: 'Redis',
  async whyNot() {
    const { error } = spawnSync('redis-server', ['--version'])
    return error && `redis-server is not installed (${error.message})`
  },
  async fill(count, due) {
    const server = new RedisServer('in memory')
    await server.start()
    const client = createClient({ url: `redis://127.0.0.1:${server.port}` })
    client.on('error', () => undefined)
    await client.connect()
    const now = Date.now()
    const { old, fresh, life } = timesOf(now)
    const rest = [due, old, fresh, life, DAY].map(String)
    for (let from = 0; from < count; from += 10_000) {
      const to = Math.min(count, from + 10_000)
      await client.eval(FILL, { arguments: [String(from), String(to), ...rest, template(now)] })
    }
    return {
      open: () => redisStore(client),
      async [Symbol.asyncDispose]() {
        client.destroy()
        await server.dispose()
      },
    }
  },
}

export const BACKENDS: readonly Backend[] = [sqlite, redis]

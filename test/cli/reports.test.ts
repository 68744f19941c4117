/** `mta-sts reports` and `mta-sts cache copy`, on real stores. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisStore } from '../../src/policy/stores/redis.js'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import { type ReportStore, redisReportStore, sqliteReportStore } from '../../src/tlsrpt/index.js'
import { entry, listed } from '../policy/stores/helpers.js'
import { RedisServer, whyNoRedis } from '../policy/stores/redis-server.js'
import { rawSqlite } from '../policy/stores/sqlite-task.js'
import { counts } from '../tlsrpt/support.js'
import { cli } from './support.js'

const LIMITS = { maxPolicies: 16, maxFailures: 1000 }
const NOW = Date.UTC(2026, 2, 15, 12)
const now = () => NOW
const folder = mkdtempSync(join(tmpdir(), 'mta-sts-cli-reports-'))
const hasRedis = whyNoRedis() === undefined
const hasSqlite = rawSqlite() !== undefined
const server = new RedisServer('in memory')

beforeAll(async () => {
  if (hasRedis) await server.start()
})
afterAll(async () => {
  await server.dispose()
  rmSync(folder, { recursive: true })
})

/** One of each state. */
async function fill(store: ReportStore): Promise<void> {
  await store.add([counts('failed.example', '2026-03-13')], LIMITS)
  await store.seal('2026-03-14', () => ({ id: 'ffff', notBefore: 0 }))
  const failed = await store.claim({ now: NOW, until: NOW + 1, early: false })
  if (failed === undefined) throw new Error('there is no report')
  const progress = { firstAttemptAt: NOW, attempts: 2, done: [], problem: '421 \u001b[31m later' }
  await store.save(failed, progress, NOW + 3_600_000)
  await store.add([counts('waiting.example', '2026-03-14')], LIMITS)
  await store.seal('2026-03-15', () => ({ id: 'aaaa', notBefore: NOW + 7_200_000 }))
  await store.add([counts('counting.example', '2026-03-15')], LIMITS)
}

function behaves(open: () => Promise<{ name: string; store: ReportStore }>): void {
  it('[RPT-19] lists what is counted, what waits and what has failed, and why', async () => {
    const { name, store } = await open()
    expect((await cli(['reports', '--store', name])).stdout).toContain('no report waits')
    await fill(store)
    const { stdout, status } = await cli(['reports', '--store', name], { now })
    expect(status).toBe(0)
    expect(stdout.split('\n').map((line) => line.trimEnd())).toEqual([
      expect.stringMatching(/^Day +Domain +State +From \(UTC\) +Tries$/),
      expect.stringMatching(/^2026-03-13 +failed\.example +failed +2026-03-15 13:00 +2$/),
      '  ffff',
      '  421 \\u{1b}[31m later',
      expect.stringMatching(/^2026-03-14 +waiting\.example +waiting +2026-03-15 14:00 +0$/),
      '  aaaa',
      expect.stringMatching(/^2026-03-15 +counting\.example +counting +0$/),
      '',
    ])
    const json = JSON.parse((await cli(['reports', '--store', name, '--json'])).stdout)
    expect(json.format).toBe(1)
    expect(json.reports).toMatchObject([
      { id: 'ffff', state: 'failed', attempts: 2, done: [], problem: '421 \u001b[31m later' },
      { id: 'aaaa', state: 'waiting', notBefore: '2026-03-15T14:00:00.000Z', problem: null },
      { id: null, state: 'counting', notBefore: null, day: '2026-03-15' },
    ])
  })

  it('makes a report due, drops one, and knows which there are', async () => {
    const { name, store } = await open()
    await fill(store)
    const run = (...argv: string[]) => cli(['reports', '--store', name, ...argv], { now })
    expect(await run('--send', 'aaaa')).toMatchObject({ status: 0, stdout: 'aaaa is due\n' })
    expect(await store.claim({ now: NOW, until: NOW + 1, early: false })).toMatchObject({
      id: 'aaaa',
    })
    // It is being sent now
    expect(await run('--send', 'aaaa')).toMatchObject({ status: 1, stdout: '' })
    expect(await run('--send', 'none')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no report none'),
    })
    expect(await run('--drop', 'ffff')).toMatchObject({ status: 0, stdout: 'Dropped ffff\n' })
    expect(await run('--drop', 'ffff', '--json')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('"dropped": false'),
    })
  })
}

let files = 0
if (hasSqlite) {
  describe('reports in SQLite', () => {
    behaves(async () => {
      const path = join(folder, `${++files}.db`)
      return { name: `sqlite:${path}`, store: sqliteReportStore(path) }
    })
  })
}
if (hasRedis) {
  describe('reports in Redis', () => {
    const clients: { destroy(): void }[] = []
    afterAll(() => {
      for (const client of clients) client.destroy()
    })
    behaves(async () => {
      const url = `redis://127.0.0.1:${server.port}/${++files % 16}`
      const client = createClient({ url })
      client.on('error', () => {})
      await client.connect()
      clients.push(client)
      return { name: url, store: redisReportStore(client) }
    })
  })
}

describe('usage of reports and cache copy', () => {
  it.each([
    [['reports'], '--store'],
    [['reports', '--store', 'nonsense'], 'sqlite:PATH'],
    [['reports', '--store', 'sqlite:x', '--send', 'a', '--drop', 'b'], 'not both'],
    [['reports', '--store', 'sqlite:x', 'list'], 'options only'],
    [['cache', 'copy', 'sqlite:x'], 'two stores'],
    [['cache', 'copy', 'sqlite:x', 'sqlite:y', 'sqlite:z'], 'two stores'],
    [['cache', '--store', 'sqlite:x', 'copy', 'sqlite:x', 'sqlite:y'], 'two stores'],
  ])('%j is wrong usage', async (argv, hint) => {
    const { status, stderr } = await cli(argv)
    expect(status).toBe(2)
    expect(stderr).toContain(hint)
  })

  it('a store that is not there is not made', async () => {
    const path = join(folder, 'missing.db')
    expect(await cli(['reports', '--store', `sqlite:${path}`])).toMatchObject({ status: 3 })
    writeFileSync(path, '')
    expect(await cli(['reports', '--store', `sqlite:${path}`])).toMatchObject({ status: 3 })
  })
})

if (hasSqlite && hasRedis) {
  describe('cache copy', () => {
    it('copies a SQLite store into a new one and into Redis, and leaves later fetches there', async () => {
      const from = join(folder, 'from.db')
      const source = sqliteStore(from)
      const domains = Array.from({ length: 120 }, (_, n) => `d${n}.example`)
      const kept = entry({ startedAt: Date.now() - 5000, recordSeenAt: Date.now() - 6000 })
      for (const domain of domains) await source.set(domain, kept)
      const to = join(folder, 'to.db')
      const copied = await cli(['cache', 'copy', `sqlite:${from}`, `sqlite:${to}`])
      expect(copied).toMatchObject({ status: 0, stdout: expect.stringMatching(/^120 copied, 0 /) })
      const target = sqliteStore(to)
      expect(await listed(target)).toEqual(domains.sort().map((domain) => [domain, kept]))
      await target.close?.()

      const client = createClient({ url: `redis://127.0.0.1:${server.port}` })
      client.on('error', () => {})
      await client.connect()
      const redis = redisStore(client, { prefix: 'copy:' })
      const later = entry({ id: 'later' })
      await redis.set('d0.example', later)
      const url = `redis://127.0.0.1:${server.port}`
      const argv = ['cache', 'copy', `sqlite:${from}`, url, '--prefix', 'copy:', '--json']
      expect(JSON.parse((await cli(argv)).stdout)).toEqual({ format: 1, copied: 119, skipped: 1 })
      expect(await redis.get('d0.example')).toEqual(later)
      client.destroy()
      await source.close?.()
    })
  })
}

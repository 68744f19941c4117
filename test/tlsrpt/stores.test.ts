import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis as IoRedis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import {
  memoryReportStore,
  type ReportStore,
  redisReportStore,
  sqliteReportStore,
} from '../../src/tlsrpt/index.js'
import { RedisServer, whyNoRedis } from '../policy/stores/redis-server.js'
import { type RawSqlite, rawSqlite } from '../policy/stores/sqlite-task.js'
import { conformance } from './conformance.js'
import { counts } from './support.js'

const LIMITS = { maxPolicies: 16, maxFailures: 1000 }
const DAY_1 = '2026-03-14'
const DAY_2 = '2026-03-15'

conformance('memoryReportStore', async () => ({ store: memoryReportStore() }))

describe('memoryReportStore', () => {
  it('keeps maxDomains domains and days at most, and drops the oldest', async () => {
    const store = memoryReportStore({ maxDomains: 2 })
    for (const domain of ['a.example', 'b.example', 'c.example']) {
      await store.add([counts(domain, DAY_1)], LIMITS)
    }
    const domains: string[] = []
    await store.seal(DAY_2, (_, domain) => {
      domains.push(domain)
      return { id: domain, notBefore: 0 }
    })
    expect(domains).toEqual(['b.example', 'c.example'])
    await store.add([counts('d.example', DAY_1)], LIMITS)
    await store.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
    const claim = () => store.claim({ now: 0, until: 10, early: false })
    expect([await claim(), await claim(), await claim()]).toMatchObject([
      { domain: 'c.example' },
      { domain: 'd.example' },
      undefined,
    ])
  })
})

function sqliteTests({ DatabaseSync }: RawSqlite): void {
  const folder = mkdtempSync(join(tmpdir(), 'mta-sts-reports-'))
  const opened: ReportStore[] = []
  let files = 0
  const newPath = () => join(folder, `${++files}.db`)
  const open = (path: string) => {
    const store = sqliteReportStore(path)
    opened.push(store)
    return store
  }
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close?.()
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  conformance('sqliteReportStore', async () => {
    const path = newPath()
    return { store: open(path), other: open(path) }
  })

  describe('sqliteReportStore', () => {
    it('refuses the file of the policy store, and the reverse', async () => {
      const path = newPath()
      await open(path).close?.()
      expect(() => sqliteStore(path)).toThrow(/another application/)
      const other = newPath()
      await sqliteStore(other).close?.()
      expect(() => sqliteReportStore(other)).toThrow(/another application/)
    })

    it('keeps counts, reports and progress after the process has closed it', async () => {
      const path = newPath()
      const first = open(path)
      await first.add([counts('a.example', DAY_1), counts('b.example', DAY_1)], LIMITS)
      await first.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      await first.add([counts('c.example', DAY_1)], LIMITS)
      const claimed = await first.claim({ now: 0, until: 10, early: false })
      await first.close?.()
      const second = open(path)
      await second.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      const claim = (now: number) => second.claim({ now, until: now + 10, early: false })
      const ids = [await claim(0), await claim(0), await claim(0)].map((report) => report?.id)
      expect(ids.filter((id) => id !== undefined).length).toBe(2)
      expect(ids).not.toContain(claimed?.id)
      expect((await second.claim({ now: 10, until: 20, early: false }))?.id).toBeDefined()
    })

    it('[RPT-17] claims a report with unreadable counts as unreadable, without blocking others', async () => {
      const path = newPath()
      const store = open(path)
      await store.add([counts('a.example', DAY_1), counts('b.example', DAY_1, 7)], LIMITS)
      await store.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      const database = new DatabaseSync(path)
      database.exec(`UPDATE policy_count SET policy = 'rubbish' WHERE key = 'key-of-a.example'`)
      database.close()
      const claim = () => store.claim({ now: 0, until: 10, early: false })
      const claimed = [await claim(), await claim()].sort((one) =>
        one?.id === 'a.example' ? -1 : 1,
      )
      expect(claimed).toMatchObject([
        { id: 'a.example', policies: [], unreadable: { code: 'ESTOREVALUE' } },
        { id: 'b.example', policies: [{ successes: 7 }] },
      ])
      expect(await claim()).toBeUndefined()
    })

    it('upgrades the counts and reports of a file of version 0.1.0', async () => {
      const path = newPath()
      const failure = JSON.stringify({ resultType: 'tlsa-invalid' })
      const policies = JSON.stringify([
        { ...counts('a.example', DAY_1, 5).policies[0], failures: [[failure, 2]] },
      ])
      const database = new DatabaseSync(path)
      database.exec(`
        CREATE TABLE counted (day TEXT NOT NULL, domain TEXT NOT NULL, counts TEXT NOT NULL,
          PRIMARY KEY (day, domain)) STRICT;
        CREATE TABLE report (id TEXT PRIMARY KEY NOT NULL, day TEXT NOT NULL, domain TEXT NOT NULL,
          counts TEXT NOT NULL, progress TEXT NOT NULL, not_before REAL NOT NULL, claim TEXT) STRICT;
        INSERT INTO counted VALUES ('${DAY_1}', 'a.example', '${policies}');
        INSERT INTO counted VALUES ('${DAY_1}', 'c.example', 'rubbish');
        INSERT INTO report VALUES ('old', '${DAY_1}', 'b.example', '${policies}',
          '{"attempts":1,"done":["mailto:x@b.example"]}', 5, NULL);
        PRAGMA application_id = ${0x4d535452}; PRAGMA user_version = 1`)
      database.close()
      const store = open(path)
      await store.add([counts('a.example', DAY_1, 1)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'new', notBefore: 0 }))
      const claim = () => store.claim({ now: 10, until: 20, early: false })
      expect(await claim()).toMatchObject({ id: 'new', policies: [{ successes: 6 }] })
      expect(await claim()).toMatchObject({
        id: 'old',
        progress: { attempts: 1, done: ['mailto:x@b.example'] },
        policies: [{ successes: 5, failures: [[failure, 2]] }],
      })
      expect(await claim()).toBeUndefined()
    })

    it('does not rewrite 100 domains with 1,000 failures each for one more session', async () => {
      const path = newPath()
      const store = open(path)
      const domains = Array.from({ length: 100 }, (_, n) => `d${n}.example`)
      const failures = Array.from({ length: 1000 }, (_, n): [string, number] => [
        JSON.stringify({ resultType: 'tlsa-invalid', receivingMxHelo: `helo-${n}.example` }),
        1,
      ])
      const policy = { policyType: 'sts', policyDomain: 'x.example' }
      const add = (some: [string, number][]) =>
        store.add(
          domains.map((domain) => ({
            day: DAY_1,
            domain,
            policies: [{ key: 'x', policy, successes: 0, failures: some }],
          })),
          LIMITS,
        )
      await add(failures)
      const written = () => statSync(`${path}-wal`).size
      const database = new DatabaseSync(path)
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      database.close()
      await add(failures.slice(0, 1))
      // 100,000 failures are 10 MB; a page for each of the rows that change is not a tenth of it
      expect(written()).toBeLessThan(1_500_000)
    })

    it('rejects after close()', async () => {
      const store = open(newPath())
      await store.close?.()
      const closed = { code: 'ESTORE', message: expect.stringContaining('closed') }
      await expect(store.add([counts('a.example', DAY_1)], LIMITS)).rejects.toMatchObject(closed)
    })
  })
}

const sqlite = rawSqlite()
if (sqlite === undefined) {
  it('sqliteReportStore names the Node versions that it needs', () => {
    expect(() => sqliteReportStore('unused.db')).toThrow(/22\.13/)
  })
} else {
  sqliteTests(sqlite)
}

function redisTests(): void {
  const server = new RedisServer('in memory')
  const ends: (() => void)[] = []
  let prefixes = 0
  const newPrefix = () => `t${++prefixes}:`
  beforeAll(() => server.start())
  afterEach(() => {
    for (const end of ends.splice(0)) end()
  })
  afterAll(() => server.dispose())

  const nodeRedis = async (RESP: 2 | 3 = 3) => {
    const client = createClient({ RESP, socket: { host: '127.0.0.1', port: server.port } })
    client.on('error', () => {})
    await client.connect()
    ends.push(() => client.destroy())
    return client
  }
  const ioRedis = async (keyPrefix = '') => {
    const client = new IoRedis({
      host: '127.0.0.1',
      port: server.port,
      lazyConnect: true,
      keyPrefix,
    })
    client.on('error', () => {})
    await client.connect()
    ends.push(() => client.disconnect())
    return client
  }

  conformance('redisReportStore on node-redis', async () => {
    const prefix = newPrefix()
    return {
      store: redisReportStore(await nodeRedis(2), { prefix }),
      other: redisReportStore(await nodeRedis(3), { prefix }),
    }
  })
  conformance('redisReportStore on ioredis', async () => {
    const keyPrefix = newPrefix()
    return {
      store: redisReportStore(await ioRedis(keyPrefix), { prefix: 'mta:' }),
      // The prefix of a client goes before that of the store
      other: redisReportStore(await nodeRedis(), { prefix: `${keyPrefix}mta:` }),
    }
  })

  describe('redisReportStore', () => {
    it('writes only below its prefix, and leaves nothing there at the end', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      await client.sendCommand(['FLUSHALL'])
      await store.add([counts('a.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      const keys = await client.sendCommand(['KEYS', '*'])
      expect(Array.isArray(keys) && keys.every((key) => String(key).startsWith(prefix))).toBe(true)
      const report = await store.claim({ now: 0, until: 10, early: false })
      if (report === undefined) throw new Error('there is no report')
      await store.remove(report)
      expect(await client.sendCommand(['KEYS', '*'])).toEqual([])
    })

    it('continues after a report that Redis has lost', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      await store.add([counts('a.example', DAY_1), counts('b.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      await client.sendCommand(['DEL', `${prefix}tlsrpt:report:a.example`])
      const claim = () => store.claim({ now: 0, until: 10, early: false })
      expect(await claim()).toMatchObject({ id: 'b.example' })
      expect(await claim()).toBeUndefined()
    })

    it('[RPT-17] claims a report with unreadable fields as unreadable', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      await store.add([counts('a.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      await client.sendCommand(['HSET', `${prefix}tlsrpt:report:one`, 'p:x', 'rubbish'])
      expect(await store.claim({ now: 0, until: 10, early: false })).toMatchObject({
        id: 'one',
        domain: 'a.example',
        unreadable: { code: 'ESTOREVALUE' },
      })
      await client.sendCommand(['SET', `${prefix}tlsrpt:days`, 'rubbish'])
      await expect(store.add([counts('a.example', DAY_1)], LIMITS)).rejects.toMatchObject({
        code: 'ESTORE',
      })
    })

    it('[RPT-16] adds all of a portion or nothing, if one key has a wrong type', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      const wrong = `${prefix}tlsrpt:counted:${DAY_1} b.example`
      await client.sendCommand(['SET', wrong, 'rubbish'])
      const portion = { writer: 'one', number: 1 }
      const add = () =>
        store.add(
          ['a.example', 'b.example', 'c.example'].map((domain) => counts(domain, DAY_1, 4)),
          LIMITS,
          portion,
        )
      await expect(add()).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      expect(
        await client.sendCommand(['EXISTS', `${prefix}tlsrpt:counted:${DAY_1} a.example`]),
      ).toBe(0)
      await client.sendCommand(['DEL', wrong])
      await add()
      await add()
      await store.seal(DAY_2, (_, domain) => ({ id: domain.slice(0, 1), notBefore: 0 }))
      for (let n = 0; n < 3; n++) {
        const report = await store.claim({ now: 0, until: 10, early: false })
        expect(report?.policies[0]?.successes).toBe(4)
      }
    })

    it('[RPT-16] replaces an invalid number by the added one', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      await store.add([counts('a.example', DAY_1)], LIMITS)
      const key = `${prefix}tlsrpt:counted:${DAY_1} a.example`
      await client.sendCommand(['HSET', key, 's:key-of-a.example', 'rubbish', 'n', 'rubbish'])
      await store.add([counts('a.example', DAY_1, 3)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      const report = await store.claim({ now: 0, until: 10, early: false })
      expect(report?.policies[0]?.successes).toBe(3)
    })

    it('[RPT-17] does not change counts and reports of a wrong type, and continues with others', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      const domains = ['a.example', 'b.example', 'c.example']
      await store.add(
        domains.map((domain) => counts(domain, DAY_1)),
        LIMITS,
      )
      await client.sendCommand(['SET', `${prefix}tlsrpt:counted:${DAY_1} a.example`, 'rubbish'])
      const plan = (_: string, domain: string) => ({ id: domain.slice(0, 1), notBefore: 0 })
      await expect(store.seal(DAY_2, plan)).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      await store.seal(DAY_2, plan)
      await client.sendCommand(['SET', `${prefix}tlsrpt:report:b`, 'rubbish'])
      const claim = () => store.claim({ now: 0, until: 10, early: false })
      expect(await claim()).toMatchObject({ id: 'c' })
      expect(await claim()).toBeUndefined()
      expect(await client.sendCommand(['GET', `${prefix}tlsrpt:report:b`])).toBe('rubbish')
    })

    it('[RPT-16] runs every command twice without harm, as after a lost reply', async () => {
      const client = await nodeRedis()
      const twice = {
        async sendCommand(args: string[]) {
          if (args[0] === 'EVAL') await client.sendCommand(args)
          return client.sendCommand(args)
        },
      }
      const store = redisReportStore(twice, { prefix: newPrefix() })
      const portion = { writer: 'one', number: 1 }
      await store.add([counts('a.example', DAY_1, 5)], LIMITS, portion)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      const report = await store.claim({ now: 0, until: 10, early: false })
      expect(report).toMatchObject({ id: 'one', policies: [{ successes: 5 }] })
      if (report === undefined) throw new Error('there is no report')
      expect(await store.save(report, { attempts: 1, done: [] }, 20)).toBe(true)
      await store.remove(report)
      expect(await store.claim({ now: 99, until: 100, early: true })).toBeUndefined()
    })

    it('[RPT-16] a repeated seal does not drop later counts', async () => {
      const client = await nodeRedis()
      const sent: string[][] = []
      const recording = {
        sendCommand(args: string[]) {
          sent.push(args)
          return client.sendCommand(args)
        },
      }
      const store = redisReportStore(recording, { prefix: newPrefix() })
      await store.add([counts('a.example', DAY_1, 5)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      const seal = sent.findLast(([name]) => name === 'EVAL') ?? []
      await store.add([counts('a.example', DAY_1, 3)], LIMITS)
      await client.sendCommand(seal)
      await store.seal(DAY_2, () => ({ id: 'two', notBefore: 0 }))
      const claim = () => store.claim({ now: 0, until: 10, early: false })
      const successes = [await claim(), await claim()].map((one) => one?.policies[0]?.successes)
      expect(successes.sort()).toEqual([3, 5])
    })

    it('refuses anything but a client, under its own name', () => {
      expect(() => redisReportStore(Object(5))).toThrow(/^redisReportStore\(\) needs a client/)
    })
  })
}

const noRedis = whyNoRedis()
if (noRedis === undefined) {
  redisTests()
} else {
  console.warn(`Report stores in Redis are not tested: ${noRedis}`)
  it(`redisReportStore is not tested against a server: ${noRedis}`, () => {
    expect(() => redisReportStore(Object(5))).toThrow(/needs a client/)
  })
}

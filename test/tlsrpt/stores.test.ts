import { mkdtempSync, rmSync } from 'node:fs'
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
  it('keeps no more domains and days than it is told, and forgets the oldest', async () => {
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
    it('is not the policy store, and each says so', async () => {
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

    it('what somebody else wrote is replaced as a count, and an error as a report', async () => {
      const path = newPath()
      const store = open(path)
      await store.add([counts('a.example', DAY_1, 7)], LIMITS)
      const database = new DatabaseSync(path)
      database.exec(`UPDATE counted SET counts = '{"successes": 1}'`)
      await store.add([counts('b.example', DAY_1), counts('a.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      const claim = () => store.claim({ now: 0, until: 10, early: false })
      const claimed = [await claim(), await claim()]
      expect(claimed.map((report) => report?.policies[0]?.successes)).toEqual([1, 1])

      await store.add([counts('c.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, (_, domain) => ({ id: domain, notBefore: 0 }))
      database.exec(`UPDATE report SET counts = 'rubbish' WHERE id = 'c.example'`)
      database.close()
      await expect(claim()).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      expect(await claim()).toBeUndefined()
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
  it('sqliteReportStore says which Node it needs', () => {
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
    it('puts nothing anywhere but below its prefix, and leaves nothing there in the end', async () => {
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

    it('a report that Redis has lost does not hold up the others', async () => {
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

    it('what somebody else wrote is an error that says so', async () => {
      const client = await nodeRedis()
      const prefix = newPrefix()
      const store = redisReportStore(client, { prefix })
      await store.add([counts('a.example', DAY_1)], LIMITS)
      await store.seal(DAY_2, () => ({ id: 'one', notBefore: 0 }))
      await client.sendCommand(['HSET', `${prefix}tlsrpt:report:one`, 'p:x', 'rubbish'])
      await expect(store.claim({ now: 0, until: 10, early: false })).rejects.toMatchObject({
        code: 'ESTOREVALUE',
      })
      await client.sendCommand(['SET', `${prefix}tlsrpt:days`, 'rubbish'])
      await expect(store.add([counts('a.example', DAY_1)], LIMITS)).rejects.toMatchObject({
        code: 'ESTORE',
      })
    })

    it('anything but a client is refused by its own name', () => {
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

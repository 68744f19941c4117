import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { MtaStsError } from '../../../src/errors.js'
import type { PolicyStore } from '../../../src/policy/store.js'
import { type SqliteStoreOptions, sqliteStore } from '../../../src/policy/stores/sqlite.js'
import { thrownBy } from '../../support/thrown.js'
import { conformance } from './conformance.js'
import { DAY, dueOf, entry, listed, listOf, lockOf, mustLock, removedAtOf } from './helpers.js'
import { type RawSqlite, rawSqlite } from './sqlite-task.js'

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-sqlite-'))
const opened: PolicyStore[] = []
let files = 0

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close?.()
})
afterAll(() => rmSync(folder, { recursive: true }))

function newPath(): string {
  return join(folder, `${++files}.db`)
}

function open(path: string, options?: SqliteStoreOptions): PolicyStore {
  const store = sqliteStore(path, options)
  opened.push(store)
  return store
}

const sqlite = rawSqlite()
if (sqlite === undefined) {
  describe(`sqliteStore on Node ${process.versions.node}, which has no node:sqlite`, () => {
    it('throws at once, with the remedy', () => {
      const path = newPath()
      const error = thrownBy(() => sqliteStore(path))
      expect(error).toBeInstanceOf(MtaStsError)
      expect(error).toMatchObject({ code: 'ENOSQLITE' })
      expect(String(error)).toContain('>= 22.13')
      expect(String(error)).toContain(process.versions.node)
      expect(existsSync(path)).toBe(false)
    })
  })
} else {
  conformance('sqliteStore', () => {
    const path = newPath()
    return { store: open(path), other: open(path) }
  })
  fileTests(sqlite)
  sharingTests(sqlite)
  lifeTests(sqlite)
}

function fileTests({ DatabaseSync }: RawSqlite): void {
  /** The error of the store for a file that it must not change. */
  function refusalOf(path: string): Error {
    const before = readFileSync(path)
    const error = thrownBy(() => sqliteStore(path))
    expect(readFileSync(path).equals(before), 'the file was changed').toBe(true)
    expect(existsSync(`${path}-wal`)).toBe(false)
    expect(error).toBeInstanceOf(MtaStsError)
    if (!(error instanceof MtaStsError)) throw error
    expect(error.code).toBe('ESTOREFORMAT')
    expect(error.message).toContain(path)
    expect(error.message).toContain('Nothing was changed')
    return error
  }

  function databaseWith(sql: string): string {
    const path = newPath()
    const database = new DatabaseSync(path)
    database.exec(sql)
    database.close()
    return path
  }

  async function ownFile(): Promise<string> {
    const path = newPath()
    const store = sqliteStore(path)
    await store.set('example.com', entry())
    await store.close?.()
    return path
  }

  describe('sqliteStore: foreign files', () => {
    it.each([
      ['a short text', 'hello'],
      ['a long text', 'not a database\n'.repeat(1_000)],
      ['zeros', '\0'.repeat(4_096)],
    ])('refuses %s: not a SQLite database', (_, content) => {
      const path = newPath()
      writeFileSync(path, content)
      expect(refusalOf(path).message).toContain('is not a SQLite database')
    })

    it.each([
      ['has tables', 'CREATE TABLE users (name TEXT)'],
      ['has an application_id', 'PRAGMA application_id = 42'],
      ['has a user_version', 'PRAGMA user_version = 7'],
      ['has both and tables', 'PRAGMA application_id=1; PRAGMA user_version=1; CREATE TABLE t (a)'],
    ])('refuses a database that %s: it belongs to another application', (_, sql) => {
      expect(refusalOf(databaseWith(sql)).message).toContain('another application')
    })

    it('refuses a newer schema and asks for an upgrade', async () => {
      const path = await ownFile()
      const database = new DatabaseSync(path)
      database.exec('PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE)')
      database.close()
      const { message } = refusalOf(path)
      expect(message).toContain('newer version of mta-sts')
      expect(message).toContain('Upgrade')
    })

    it('refuses a damaged file', async () => {
      const path = await ownFile()
      const file = openSync(path, 'r+')
      // Behind the header of 100 bytes lies the table of contents
      writeSync(file, Buffer.alloc(3_900, 0xff), 0, 3_900, 100)
      expect(refusalOf(path).message).toContain('is damaged')
    })

    it('refuses a file whose tables are gone', async () => {
      const path = await ownFile()
      const database = new DatabaseSync(path)
      database.exec('DROP TABLE policy; PRAGMA wal_checkpoint(TRUNCATE)')
      database.close()
      expect(refusalOf(path).message).toContain('is damaged')
    })

    it('accepts an empty file', async () => {
      const path = newPath()
      writeFileSync(path, '')
      const store = open(path)
      await store.set('example.com', entry())
      expect(await store.get('example.com')).toBeDefined()
    })
  })

  describe('sqliteStore: paths that cannot be opened', () => {
    function refusalAt(path: string): string {
      const error = thrownBy(() => sqliteStore(path))
      expect(error).toBeInstanceOf(MtaStsError)
      expect(error).toMatchObject({ code: 'ESTOREOPEN' })
      expect(String(error)).toContain(path)
      return String(error)
    }

    /**
     * root may write everywhere; for `nobody`, the file's mode counts. Synchronous, so no other
     * code runs
     */
    function asNobody<T>(action: () => T): T {
      const isRoot = process.geteuid?.() === 0
      if (isRoot) process.seteuid?.(65_534)
      try {
        return action()
      } finally {
        if (isRoot) process.seteuid?.(0)
      }
    }

    it('refuses a directory', () => {
      expect(refusalAt(folder)).toContain('must be a file')
    })

    it('refuses a missing directory', () => {
      expect(refusalAt(join(folder, 'missing', 'x.db'))).toContain('directory that exists')
    })

    it('refuses a path through a file', async () => {
      refusalAt(join(await ownFile(), 'x.db'))
    })

    it('refuses a read-only file', async () => {
      const path = await ownFile()
      chmodSync(folder, 0o755)
      chmodSync(path, 0o444)
      expect(asNobody(() => refusalAt(path))).toContain('writable')
    })

    it('refuses a read-only file in WAL mode in a writable directory', async () => {
      chmodSync(folder, 0o777)
      const path = await ownFile()
      chmodSync(path, 0o444)
      expect(asNobody(() => refusalAt(path))).toContain('writable')
    })

    it('refuses a new file in a read-only directory', () => {
      chmodSync(folder, 0o755)
      const directory = join(folder, 'read-only')
      mkdirSync(directory, { mode: 0o555 })
      asNobody(() => refusalAt(join(directory, 'x.db')))
    })

    it('refuses no file at all: a database in memory is not durable', () => {
      expect(refusalAt(':memory:')).toContain('WAL')
    })
  })
}

function sharingTests({ DatabaseSync }: RawSqlite): void {
  describe('sqliteStore: while another process holds the file', () => {
    it('opens at once, and works when the file is free', async () => {
      const path = newPath()
      await open(path).close?.()
      const holder = new DatabaseSync(path)
      holder.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
      const before = performance.now()
      const store = open(path)
      expect(performance.now() - before).toBeLessThan(1_000)
      const kept = entry()
      const writing = store.set('example.com', kept)
      await once(AbortSignal.timeout(30), 'abort')
      holder.close()
      await writing
      expect(await store.get('example.com')).toEqual(kept)
    })

    it('rejects after busyTimeout, and opens the file in a later call', async () => {
      const path = newPath()
      await open(path).close?.()
      const holder = new DatabaseSync(path)
      holder.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
      const store = open(path, { busyTimeout: 20 })
      await expect(store.get('example.com')).rejects.toMatchObject({
        code: 'ESTORE',
        message: expect.stringContaining('Another process'),
      })
      holder.close()
      await store.set('example.com', entry())
      expect(await store.get('example.com')).toBeDefined()
    })
  })

  describe('sqliteStore: while another process writes', () => {
    it('waits for it without blocking the event loop', async () => {
      const path = newPath()
      const store = open(path)
      const writer = new DatabaseSync(path)
      writer.exec('BEGIN IMMEDIATE')
      let written = false
      const kept = entry()
      const writing = store.set('example.com', kept).then(() => {
        written = true
      })
      // Reading goes on meanwhile, and so does everything else in the process
      expect(await store.get('example.com')).toBeUndefined()
      await once(AbortSignal.timeout(30), 'abort')
      expect(written).toBe(false)
      writer.exec('COMMIT')
      await writing
      writer.close()
      expect(await store.get('example.com')).toEqual(kept)
    })

    it('rejects after busyTimeout with the reason, and works again afterwards', async () => {
      const path = newPath()
      const store = open(path, { busyTimeout: 20 })
      const writer = new DatabaseSync(path)
      writer.exec('BEGIN IMMEDIATE')
      const given = await Promise.allSettled([
        store.set('example.com', entry()),
        store.set('example.org', entry()),
        lockOf(store, 'refresh', 1_000),
      ])
      for (const outcome of given) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ESTORE' } })
      }
      writer.exec('ROLLBACK')
      writer.close()
      expect(await store.get('example.com')).toBeUndefined()
      await store.set('example.com', entry())
      await mustLock(store, 'refresh', 1_000)
    })
  })
}

function lifeTests({ DatabaseSync }: RawSqlite): void {
  function count(path: string, table: 'policy' | 'lock'): number {
    const database = new DatabaseSync(path)
    const rows = database.prepare(`SELECT 1 FROM ${table}`).all().length
    database.close()
    return rows
  }

  describe('sqliteStore: the life of a file', () => {
    it('[STS-33] keeps entries after the process has closed it', async () => {
      const path = newPath()
      const kept = entry()
      const first = sqliteStore(path)
      await first.set('example.com', kept)
      await first.close?.()
      expect(await open(path).get('example.com')).toEqual(kept)
    })

    it('is in WAL mode, with the application id of this package', async () => {
      const path = newPath()
      open(path)
      const database = new DatabaseSync(path)
      expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
      expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 1 })
      database.close()
      // In the file itself and not only in the WAL, so that file(1) sees it
      expect(readFileSync(path).toString('latin1', 68, 72)).toBe('MSTS')
    })

    it('a copy made by VACUUM INTO during writes is complete', async () => {
      const path = newPath()
      const copy = newPath()
      const store = open(path)
      const domains = Array.from({ length: 200 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, entry())))
      const more = Promise.all(domains.map((domain) => store.set(`x${domain}`, entry())))
      const database = new DatabaseSync(path)
      database.exec(`PRAGMA busy_timeout = 5000; VACUUM INTO '${copy}'`)
      database.close()
      await more
      const copied = (await listed(open(copy))).map(([domain]) => domain)
      expect(copied).toEqual(expect.arrayContaining(domains))
      await open(copy).set('after.example', entry())
    })

    it('finishes current writes before it closes', async () => {
      const path = newPath()
      const store = sqliteStore(path)
      const domains = Array.from({ length: 300 }, (_, index) => `d${index}.example`)
      const writes = domains.map((domain) => store.set(domain, entry()))
      await store.close?.()
      await Promise.all(writes)
      expect((await listed(open(path))).length).toBe(300)
    })

    it('rejects after close(), which may be called twice', async () => {
      const store = sqliteStore(newPath())
      await store.close?.()
      await store.close?.()
      const closed = { code: 'ESTORE', message: expect.stringContaining('closed') }
      await expect(store.get('example.com')).rejects.toMatchObject(closed)
      await expect(store.set('example.com', entry())).rejects.toMatchObject(closed)
      await expect(store.delete('example.com')).rejects.toMatchObject(closed)
      await expect(lockOf(store, 'refresh', 1)).rejects.toMatchObject(closed)
      await expect(listed(store)).rejects.toMatchObject(closed)
    })

    it('deletes entries that expired long ago, a bounded number with each write', async () => {
      let now = Date.now()
      const path = newPath()
      const store = open(path, { now: () => now })
      const short = entry({ expiresAt: now + 1_000 })
      const domains = Array.from({ length: 400 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, short)))
      await mustLock(store, 'crashed', 1_000)
      expect(count(path, 'policy')).toBe(400)

      now += 91 * DAY
      await store.set('lasting.example', entry({ expiresAt: now + DAY }))
      const left = count(path, 'policy') - 1
      expect(left).toBeGreaterThanOrEqual(200)
      expect(left).toBeLessThan(400)
      const again = entry({ expiresAt: now + DAY })
      for (let write = 0; write < 4; write++) await store.set('lasting.example', again)
      expect((await listed(store)).map(([domain]) => domain)).toEqual(['lasting.example'])
      expect(count(path, 'lock')).toBe(0)
    })

    it('[STS-54] a process whose clock is 31 days fast deletes no policy and leaves no lasting lock', async () => {
      const path = newPath()
      const store = open(path)
      const fast = open(path, { now: () => Date.now() + 31 * DAY })
      const kept = entry({ expiresAt: Date.now() + DAY })
      await store.set('example.com', kept)
      await fast.set('other.example', entry())
      await mustLock(fast, 'example.com', 70_000)
      expect(await store.get('example.com')).toEqual(kept)
      const release = await mustLock(store, 'example.com', 70_000)
      expect(await lockOf(store, 'example.com', 70_000)).toBeUndefined()
      await release()
    })

    it('reads the policies of a file of version 0.1.0, with their due times', async () => {
      const path = newPath()
      const database = new DatabaseSync(path)
      const kept = entry({ fetchedAt: Date.now() - 2 * DAY })
      database.exec(`
        CREATE TABLE policy (policy_domain TEXT PRIMARY KEY NOT NULL, fetched_at REAL NOT NULL,
          expires_at REAL NOT NULL, entry TEXT NOT NULL) STRICT;
        CREATE INDEX policy_expires_at ON policy (expires_at);
        CREATE TABLE lock (name TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL,
          expires_at REAL NOT NULL) STRICT;
        PRAGMA application_id = ${0x4d535453}; PRAGMA user_version = 1;
        INSERT INTO policy VALUES ('example.com', ${kept.fetchedAt}, ${kept.expiresAt},
          '${JSON.stringify(kept)}')`)
      database.close()
      const store = open(path)
      expect(await store.get('example.com')).toEqual(kept)
      expect(await dueOf(store, Date.now())).toEqual(['example.com'])
      await store.delete('example.com')
      expect(await removedAtOf(store, 'example.com')).toBeDefined()
    })

    it('gives a new file, its -wal and its -shm mode 0600', async () => {
      const path = newPath()
      const before = process.umask(0o000)
      const store = open(path)
      await store.set('example.com', entry())
      process.umask(before)
      for (const suffix of ['', '-wal', '-shm']) {
        expect(statSync(path + suffix).mode & 0o777, suffix).toBe(0o600)
      }
    })

    it.each([
      ['deleted', (path: string) => rmSync(path)],
      ['renamed', (path: string) => renameSync(path, `${path}.old`)],
    ])('reopens a file that is %s while it is open, and reports it', async (_, remove) => {
      const path = newPath()
      const store = open(path)
      await store.set('example.com', entry())
      const heard: unknown[] = []
      const hear = (event: unknown) => heard.push(event)
      subscribe('mta-sts:store-failure', hear)
      remove(path)
      for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true })
      const kept = entry({ id: 'after' })
      await store.set('example.org', kept)
      unsubscribe('mta-sts:store-failure', hear)
      expect(heard).toMatchObject([
        { operation: 'open', error: { message: expect.stringContaining(path) } },
      ])
      await store.close?.()
      // Another process finds it there
      expect(await open(path).get('example.org')).toEqual(kept)
    })

    it('locks use the given clock', async () => {
      let now = Date.now()
      const store = open(newPath(), { now: () => now })
      await mustLock(store, 'refresh', 1_000)
      now += 999
      expect(await lockOf(store, 'refresh', 1_000)).toBeUndefined()
      now += 1
      await mustLock(store, 'refresh', 1_000)
    })
  })

  describe('sqliteStore: entries written by others', () => {
    function plant(path: string, domain: string, text: string): void {
      const database = new DatabaseSync(path)
      database.exec(`INSERT INTO policy VALUES ('${domain}', 1, 9e15, '${text}')`)
      database.close()
    }

    it.each(['rubbish', '{}', 'null', '[]', '{"id":"a","body":"b","fetchedAt":"1"}'])(
      '[STS-33] %s does not count as a policy',
      async (text) => {
        const path = newPath()
        const store = open(path)
        plant(path, 'example.com', text)
        const error = { code: 'ESTOREVALUE', message: expect.stringContaining('example.com') }
        await expect(store.get('example.com')).rejects.toMatchObject(error)
        await store.set('example.com', entry({ id: 'healed' }))
        expect((await store.get('example.com'))?.id).toBe('healed')
      },
    )

    it('list ends and yields all other entries where 250 names are not UTF-8', async () => {
      const path = newPath()
      const store = open(path)
      const domains = Array.from({ length: 150 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, entry())))
      const database = new DatabaseSync(path)
      const text = JSON.stringify(entry())
      for (let index = 0; index < 250; index++) {
        const name = Buffer.from([0xff, 0xfe, 0x30 + (index % 64), 0x80 + (index >> 6)])
        database.exec(
          `INSERT INTO policy VALUES (CAST(x'${name.toString('hex')}' AS TEXT), 1, 9e15, '${text}')`,
        )
      }
      database.close()
      const seen: string[] = []
      for await (const [domain] of listOf(store)) {
        seen.push(domain)
        if (seen.length > 400) throw new Error('the list does not end')
      }
      expect(seen.length).toBe(400)
      expect(seen.filter((domain) => domains.includes(domain)).sort()).toEqual(domains.sort())
      expect((await dueOf(store, Date.now())).length).toBe(250)
    })

    it('lists all other entries before it throws', async () => {
      const path = newPath()
      const store = open(path)
      const domains = Array.from({ length: 150 }, (_, index) => `d${index}.example`)
      await Promise.all(domains.map((domain) => store.set(domain, entry())))
      plant(path, 'd0.aaa', 'rubbish')
      const seen: string[] = []
      const reading = async () => {
        for await (const [domain] of listOf(store)) seen.push(domain)
      }
      await expect(reading()).rejects.toMatchObject({ code: 'ESTOREVALUE' })
      expect(seen.sort()).toEqual(domains.sort())
    })

    it('one write that SQLite refuses fails no other', async () => {
      const path = newPath()
      const store = open(path)
      const database = new DatabaseSync(path)
      database.exec(`CREATE TRIGGER picky BEFORE INSERT ON policy
        WHEN new.policy_domain = 'bad.example' BEGIN SELECT RAISE(ABORT, 'not this one'); END`)
      database.close()
      const domains = ['a.example', 'bad.example', 'z.example']
      const outcomes = await Promise.allSettled(domains.map((domain) => store.set(domain, entry())))
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(outcomes[1]).toMatchObject({
        reason: { code: 'ESTORE', message: expect.stringContaining('not this one') },
      })
      await store.set('later.example', entry())
      const kept = (await listed(store)).map(([domain]) => domain)
      expect(kept).toEqual(['a.example', 'later.example', 'z.example'])
    })

    it('a table that is dropped under the store is an error that names the file', async () => {
      const path = newPath()
      const store = open(path)
      const database = new DatabaseSync(path)
      database.exec('DROP TABLE policy')
      database.close()
      const error = { code: 'ESTORE', message: expect.stringContaining(path) }
      await expect(store.get('example.com')).rejects.toMatchObject(error)
      await expect(store.set('example.com', entry())).rejects.toMatchObject(error)
      await expect(lockOf(store, 'refresh', 1_000)).rejects.toMatchObject(error)
      await expect(listed(store)).rejects.toMatchObject(error)
    })
  })
}

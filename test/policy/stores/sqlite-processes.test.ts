/** The SQLite store under kill -9 and with several processes on one file. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { sqliteStore } from '../../../src/policy/stores/sqlite.js'
import { listed } from './helpers.js'
import { type ChildTask, domainOf, entryOf, type RawSqlite, rawSqlite } from './sqlite-task.js'

const folder = mkdtempSync(join(tmpdir(), 'mta-sts-processes-'))
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rmSync(folder, { recursive: true }))

const sqlite = rawSqlite()
if (sqlite === undefined) {
  it('needs node:sqlite, which this Node lacks: sqlite.test.ts checks the error', () => {
    expect(() => sqliteStore(join(folder, 'none.db'))).toThrow(/Node/)
  })
} else {
  killTests(sqlite)
  sharingTests(sqlite)
}

/** A process that has loaded everything and waits for its task. */
async function startChild(): Promise<ChildProcess> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const child = fork(fileURLToPath(new URL('./sqlite-child.ts', import.meta.url)), {
    // Node 22.13 to 22.17 do not run TypeScript by themselves
    execArgv: ['--import', tsx, '--no-warnings'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.push(child)
  expect(await answerOf(child)).toBe('ready')
  return child
}

/** The next message of a child; its death is an answer too. */
async function answerOf(child: ChildProcess): Promise<unknown> {
  const settled = new AbortController()
  const { signal } = settled
  const exit = once(child, 'exit', { signal }).then(([code]) => `exited with ${code}`)
  const message = once(child, 'message', { signal }).then(([text]) => text)
  try {
    return await Promise.race([message, exit])
  } finally {
    settled.abort()
    await Promise.allSettled([exit, message])
  }
}

/** Gives all children their task at once; each of them must report success. */
async function runAll(children: readonly ChildProcess[], tasks: readonly ChildTask[]) {
  const answers = children.map(answerOf)
  for (const [index, child] of children.entries()) {
    child.stdout?.resume()
    child.send(tasks[index] ?? {})
  }
  expect(await Promise.all(answers)).toEqual(tasks.map(() => 'done'))
}

/** Kills the writer as soon as `killAfter` acknowledgements came; resolves to those that came. */
async function writeUntilKilled(task: ChildTask, killAfter: number): Promise<number[]> {
  const child = await startChild()
  const closed = once(child, 'close')
  let output = ''
  let lines = 0
  child.stdout?.setEncoding('latin1')
  child.stdout?.on('data', (text: string) => {
    output += text
    lines += text.split('\n').length - 1
    if (lines >= killAfter) child.kill('SIGKILL')
  })
  child.send(task)
  const [, signal] = await closed
  expect(signal).toBe('SIGKILL')
  return output.split('\n').slice(0, -1).map(Number)
}

function integrityOf({ DatabaseSync }: RawSqlite, path: string): unknown {
  const database = new DatabaseSync(path)
  try {
    return database.prepare('PRAGMA integrity_check').all()
  } finally {
    database.close()
  }
}

function killTests(sqlite: RawSqlite): void {
  const COUNT = 10_000
  const KILLS = 20

  describe('kill -9', () => {
    it(`[STS-33] ${KILLS} times, during ${COUNT} writes: every acknowledged write is there, the file is sound`, async () => {
      const path = join(folder, 'killed.db')
      let total = 0
      for (let writer = 0; writer < KILLS; writer++) {
        const killAfter = 1 + Math.floor(Math.random() * COUNT)
        // If it stopped at COUNT, a parent that is slow to kill would find it idle
        const task: ChildTask = {
          do: 'write',
          path,
          writer,
          count: 1e9,
          lanes: 16 * (1 + (writer % 4)),
        }
        const acknowledged = await writeUntilKilled(task, killAfter)
        const context = `kill ${writer}, meant for ${killAfter}, came at ${acknowledged.length}`
        expect(acknowledged.length, context).toBeGreaterThanOrEqual(killAfter)

        // The store recovers the file, as it would after a crash; the same file again and again, so
        // that one recovery meets the leftovers of another
        const store = sqliteStore(path)
        for (const index of acknowledged) {
          const kept = await store.get(domainOf(writer, index))
          expect(kept, `${context}: write ${index}`).toEqual(entryOf(writer, index))
        }
        await store.close?.()
        expect(integrityOf(sqlite, path), context).toEqual([{ integrity_check: 'ok' }])
        total += acknowledged.length
      }
      const store = sqliteStore(path)
      expect((await listed(store)).length).toBeGreaterThanOrEqual(total)
      await store.close?.()
    })
  })
}

function sharingTests(sqlite: RawSqlite): void {
  const range = (count: number) => Array.from({ length: count }, (_, index) => index)
  const startChildren = (count: number) => Promise.all(range(count).map(startChild))

  describe('several processes on one file', () => {
    it('[STS-33] write at the same time: no write is lost, none fails as busy', async () => {
      const path = join(folder, 'shared.db')
      const writers = range(5)
      const task = (writer: number): ChildTask => ({
        do: 'write',
        path,
        writer,
        count: 600,
        lanes: 4,
      })
      await runAll(await startChildren(5), writers.map(task))
      const store = sqliteStore(path)
      const all = await listed(store)
      await store.close?.()
      const expected = writers.flatMap((writer) =>
        range(600).map((index) => [domainOf(writer, index), entryOf(writer, index)] as const),
      )
      expect(new Map(all)).toEqual(new Map(expected))
      expect(integrityOf(sqlite, path)).toEqual([{ integrity_check: 'ok' }])
    })

    it('the lock admits one at a time: no step of a counter is lost', async () => {
      const path = join(folder, 'counter.db')
      const tasks = range(4).map((): ChildTask => ({ do: 'count', path, count: 50 }))
      await runAll(await startChildren(4), tasks)
      const store = sqliteStore(path)
      expect((await store.get('counter.example'))?.usedAt).toBe(200)
      await store.close?.()
    })

    it('create it at the same time: each finds it complete', async () => {
      const started = await startChildren(4)
      for (const round of range(25)) {
        const path = join(folder, `created-${round}.db`)
        await runAll(
          started,
          range(4).map((writer): ChildTask => ({ do: 'open', path, writer })),
        )
        const store = sqliteStore(path)
        expect((await listed(store)).length).toBe(4)
        await store.close?.()
      }
    })
  })
}

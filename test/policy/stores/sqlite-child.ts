/**
 * A process that uses a SQLite store, for sqlite-processes.test.ts. It sends "ready" over IPC,
 * waits for its task, and prints one line to stdout for each acknowledged write.
 */

import { sqliteStore } from '../../../src/policy/stores/sqlite.js'
import { waitForLock } from './helpers.js'
import { type ChildTask, domainOf, entryOf } from './sqlite-task.js'

/** Several concurrent writes, each acknowledged separately. */
async function writeAll(task: ChildTask & { do: 'write' }): Promise<void> {
  const store = sqliteStore(task.path)
  let next = 0
  const lane = async () => {
    while (next < task.count) {
      const index = next++
      await store.set(domainOf(task.writer, index), entryOf(task.writer, index))
      // Synchronous for pipes: when the process dies, the printed lines are out
      process.stdout.write(`${index}\n`)
    }
  }
  await Promise.all(Array.from({ length: task.lanes }, lane))
  await store.close?.()
}

/** Read, add one, write: right only if the lock keeps the other processes out. */
async function countUp(task: ChildTask & { do: 'count' }): Promise<void> {
  const store = sqliteStore(task.path)
  for (let round = 0; round < task.count; round++) {
    const release = await waitForLock(store, 'counter', 60_000)
    const kept = (await store.get('counter.example')) ?? { ...entryOf(0, 0), usedAt: 0 }
    await store.set('counter.example', { ...kept, usedAt: kept.usedAt + 1 })
    await release()
  }
  await store.close?.()
}

async function openAll(task: ChildTask & { do: 'open' }): Promise<void> {
  const store = sqliteStore(task.path)
  await store.set(domainOf(task.writer, 0), entryOf(task.writer, 0))
  await store.close?.()
}

async function run(task: ChildTask): Promise<void> {
  if (task.do === 'write') await writeAll(task)
  else if (task.do === 'count') await countUp(task)
  else await openAll(task)
}

process.on('message', (task: ChildTask) => {
  run(task).then(
    () => process.send?.('done'),
    (error) => process.send?.(String(error)),
  )
})
process.send?.('ready')

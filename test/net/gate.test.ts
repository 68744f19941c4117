import { describe, expect, test } from 'vitest'
import { Gate } from '../../src/net/gate.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('Gate', () => {
  test('runs as many tasks at once as it has places, the others in order', async () => {
    const gate = new Gate(2)
    const started: number[] = []
    const ends: Array<() => void> = []
    const tasks = [0, 1, 2, 3].map((task) =>
      gate.run(async () => {
        started.push(task)
        await new Promise<void>((resolve) => ends.push(resolve))
      }),
    )
    await turn()
    expect(started).toEqual([0, 1])
    ends[1]?.()
    await turn()
    expect(started).toEqual([0, 1, 2])
    for (const end of [0, 2, 3]) {
      ends[end]?.()
      await turn()
    }
    await Promise.all(tasks)
    expect(started).toEqual([0, 1, 2, 3])
  })

  test('has its place back after a task that fails', async () => {
    const gate = new Gate(1)
    await expect(gate.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    await expect(gate.run(async () => 'done')).resolves.toBe('done')
  })
})

/** The order in which messages that wait for a connection are woken. */
import { expect, test } from 'vitest'
import { WaitingLine } from '../../src/nodemailer/waiting-line.js'

/** A line, and the messages that were woken, in order. */
function lineOf(...messages: ReadonlyArray<readonly [mxHost: string, again?: boolean]>) {
  const line = new WaitingLine()
  const woken: string[] = []
  const wait = (mxHost: string, again = false, signal?: AbortSignal) =>
    line.wait(mxHost, again, signal).then(() => void woken.push(mxHost))
  for (const [mxHost, again] of messages) void wait(mxHost, again)
  return { line, woken, wait }
}

test('wakes one message at a time, the one that came first', async () => {
  const { line, woken } = lineOf(['mx1'], ['mx2'])
  line.wakeNext(() => true)
  await Promise.resolve()
  expect(woken).toEqual(['mx1'])
  line.wakeNext(() => true)
  line.wakeNext(() => true)
  await Promise.resolve()
  expect(woken).toEqual(['mx1', 'mx2'])
})

test('wakes a message that waits again before those that came meanwhile', async () => {
  const { line, woken } = lineOf(['mx1'], ['mx2', true])
  line.wakeNext(() => true)
  await Promise.resolve()
  expect(woken).toEqual(['mx2'])
})

test('passes over a message that cannot go on, which stays in its place', async () => {
  const { line, woken } = lineOf(['mx1'], ['mx2'], ['mx3'])
  line.wakeNext((mxHost) => mxHost !== 'mx1')
  line.wakeNext(() => true)
  await Promise.resolve()
  expect(woken).toEqual(['mx2', 'mx1'])
})

test('an abort ends the wait of its own message, also before it began', async () => {
  const { line, woken, wait } = lineOf()
  const controller = new AbortController()
  const waiting = wait('mx1', false, controller.signal)
  void wait('mx2')
  controller.abort()
  await waiting
  await wait('mx3', false, controller.signal)
  expect(woken).toEqual(['mx1', 'mx3'])
  line.wakeNext(() => true)
  await Promise.resolve()
  expect(woken).toEqual(['mx1', 'mx3', 'mx2'])
})

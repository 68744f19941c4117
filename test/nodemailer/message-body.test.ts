/** The content of a message that comes from a stream. */
import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { MessageSource } from '../../src/nodemailer/message-body.js'
import type { MailNode } from '../../src/nodemailer/types.js'

/** Begins to read a message from a stream that brings nothing by itself, with fake timers. */
function readingStream() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const content = new PassThrough()
  const message = { content, createReadStream: () => content } as unknown as MailNode
  const source = new MessageSource(message)
  return { content, source, reading: source.prepare({ whole: true }) }
}

it('fails a message for several hosts whose stream brings nothing for ten minutes', async () => {
  const { content, source, reading } = readingStream()
  vi.advanceTimersByTime(599_000)
  content.write('a part')
  await nextTurn()
  vi.advanceTimersByTime(599_000)
  expect(content.destroyed).toBe(false)

  vi.advanceTimersByTime(1000)
  await reading
  expect(() => source.open()).toThrow(expect.objectContaining({ code: 'ESTREAM' }))
})

it('stops reading a stream that stalls, with its time limit, once the message has ended', async () => {
  const { content, source, reading } = readingStream()
  expect(vi.getTimerCount()).toBe(1)

  source.release()
  await reading
  expect(content.destroyed).toBe(true)
  expect(vi.getTimerCount()).toBe(0)
})

it('leaves a stream of the user open when the message ends, and closes the ones of Nodemailer', () => {
  const own = new PassThrough()
  const file = new PassThrough()
  const whole = new PassThrough()
  const message = {
    content: own,
    _getStream: (content: unknown) => (content === own ? own : file),
    createReadStream() {
      this._getStream(own)
      this._getStream({ path: '/a/file' })
      return whole
    },
  }
  const source = new MessageSource(message as unknown as MailNode)
  void source.prepare({ whole: true })

  source.release()
  expect([own, file, whole].map(({ destroyed }) => destroyed)).toEqual([false, true, true])
})

it('ends a message whose stream a plugin has made with a library without destroy()', () => {
  const message = {
    content: '',
    createReadStream: () => ({ on() {}, [Symbol.asyncIterator]() {} }),
  }
  const source = new MessageSource(message as unknown as MailNode)
  void source.prepare({ whole: true })
  expect(() => source.release()).not.toThrow()
})

import type { Socket } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sendBody } from '../../src/smtp/data.js'
import { SmtpDialogue } from '../../src/smtp/dialogue.js'
import { DotStuffing, StuffedMessage } from '../../src/smtp/stuffing.js'
import { smtpRejection } from './support.js'

/** The bytes before the final dot, computed as plainly as possible. */
function reference(message: Buffer): Buffer {
  const text = message.toString('latin1')
  if (text === '') return Buffer.alloc(0)
  const lines = text.split(/\r\n|\r|\n/)
  if (lines.at(-1) === '') lines.pop()
  return Buffer.from(
    lines.map((line) => `${line.startsWith('.') ? '.' : ''}${line}\r\n`).join(''),
    'latin1',
  )
}

function encode(chunks: readonly Uint8Array[]): Buffer {
  const stuffing = new DotStuffing()
  const parts = chunks.map((chunk) => Buffer.from(stuffing.encode(chunk)))
  return Buffer.concat([...parts, stuffing.endOfLine()])
}

/** Bytes in which line ends and dots are frequent. */
const messages = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', '..', 'a', 'text', 'é', '\0'), { maxLength: 60 })
  .map((parts) => Buffer.from(parts.join('')))

/** Cuts a message at any places, also at the same place twice. */
function cut(message: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((at) => at % (message.length + 1)), message.length]
  places.sort((a, b) => a - b)
  return places.slice(1).map((end, index) => message.subarray(places[index], end))
}

describe('[SMTP-4] dots and line ends', () => {
  test.each([
    ['an empty message', '', ''],
    ['a line without an end', 'a', 'a\r\n'],
    ['CRLF stays as it is', 'a\r\nb\r\n', 'a\r\nb\r\n'],
    ['LF alone', 'a\nb\n', 'a\r\nb\r\n'],
    ['CR alone', 'a\rb\r', 'a\r\nb\r\n'],
    ['CR CR LF is two line ends', 'a\r\r\nb', 'a\r\n\r\nb\r\n'],
    ['LF CR is two line ends', 'a\n\rb', 'a\r\n\r\nb\r\n'],
    ['a dot at the beginning of the message', '.\n', '..\r\n'],
    ['a dot at the beginning of a line', 'a\r\n.b\r\n', 'a\r\n..b\r\n'],
    ['two dots at the beginning of a line', 'a\r\n..\r\n', 'a\r\n...\r\n'],
    ['a dot behind a bare CR', 'a\r.\rb', 'a\r\n..\r\nb\r\n'],
    ['a dot behind a bare LF', 'a\n.\nMAIL FROM:<x>', 'a\r\n..\r\nMAIL FROM:<x>\r\n'],
    ['a dot in a line stays alone', 'a.b\r\n', 'a.b\r\n'],
  ])('are converted: %s', (_, message, expected) => {
    expect(encode([Buffer.from(message)]).toString()).toBe(expected)
  })

  test('are converted in any message and chunks as by the plain reference', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 12 }), (message, cuts) => {
        expect(encode(cut(message, cuts))).toEqual(reference(message))
      }),
      { numRuns: 3000 },
    )
  })

  test('that need no change are not copied', () => {
    const chunk = Buffer.from('Subject: x\r\n\r\ntext\r\n')
    expect(new DotStuffing().encode(chunk)).toBe(chunk)
  })
})

describe('[SMTP-4] a message for several hosts', () => {
  const DOT = Buffer.from('.\r\n')

  test('is stuffed once, in any chunks, as by the plain reference', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 12 }), (message, cuts) => {
        const stuffed = new StuffedMessage(cut(message, cuts))
        expect(Buffer.concat(stuffed.blocks)).toEqual(Buffer.concat([reference(message), DOT]))
        expect(stuffed.size).toBe(reference(message).length)
        expect(stuffed.isAscii).toBe(!message.includes(0xc3))
      }),
      { numRuns: 1000 },
    )
  })

  test('is cut into blocks without a copy, and each host gets all of them', async () => {
    const line = Buffer.from(`${'x'.repeat(62)}\r\n`)
    const chunks = [Buffer.alloc(100_032, line), Buffer.alloc(64_000, line), Buffer.from('.end')]
    const message = new StuffedMessage(chunks)
    expect(message.blocks[0]?.buffer).toBe(chunks[0]?.buffer)
    expect(Math.max(...message.blocks.map(({ length }) => length))).toBeLessThan(33_000)
    const timeouts = { block: 60_000, message: 60_000 }
    for (const _ of ['one host', 'another']) {
      const wire = new PassThrough({ highWaterMark: 1000 })
      const heard: Buffer[] = []
      const dialogue = new SmtpDialogue(wire as unknown as Socket, undefined, { greeting: false })
      wire.removeAllListeners('data').on('data', (chunk: Buffer) => heard.push(chunk))
      expect(await sendBody(dialogue, message, timeouts)).toBe(message.size)
      await expect.poll(() => Buffer.concat(heard).length).toBe(message.size + DOT.length)
      expect(Buffer.concat(heard).equals(Buffer.concat([encode(chunks), DOT]))).toBe(true)
      dialogue.close()
    }
  })
})

test('[STS-57] a stream that stalls is ESTREAM when the time for a message is over', async () => {
  const wire = new PassThrough()
  const dialogue = new SmtpDialogue(wire as unknown as Socket, undefined, { greeting: false })
  const stalled = new Readable({ read() {} })
  stalled.push('Subject: half\r\n')
  const error = await smtpRejection(
    Promise.resolve(sendBody(dialogue, stalled, { block: 60_000, message: 20 })),
  )
  expect(error).toMatchObject({ code: 'ESTREAM', permanent: false })
  expect(error.message).toContain('nothing came for 20 ms')
  expect([stalled.destroyed, wire.destroyed, dialogue.ended]).toEqual([true, true, true])
})

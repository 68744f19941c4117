import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SmtpDialogue } from '../../src/smtp/dialogue.js'
import { SmtpError } from '../../src/smtp/errors.js'
import { rejection, smtpRejection } from './support.js'

/** A socket whose other end is the test. */
class Line extends Duplex {
  sent = ''

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.sent += chunk.toString()
    done()
  }

  say(text: string | Buffer): void {
    this.push(text)
  }
}

function begin(options?: { greeting: boolean }): { line: Line; dialogue: SmtpDialogue } {
  const line = new Line()
  return { line, dialogue: new SmtpDialogue(line as unknown as Socket, undefined, options) }
}

const SOON = 60_000

/** Lets events of the socket happen. */
const events = () => new Promise((resolve) => setImmediate(resolve))

afterEach(() => {
  vi.useRealTimers()
})

describe('[SMTP-1] replies', () => {
  test.each([
    ['one line', '250 ok\r\n', 250, ['250 ok']],
    ['a code alone', '250\r\n', 250, ['250']],
    ['several lines', '250-a\r\n250-b\r\n250 c\r\n', 250, ['250-a', '250-b', '250 c']],
    ['lines that end with LF', '250-a\n250 b\n', 250, ['250-a', '250 b']],
    ['text in UTF-8', '550 für\r\n', 550, ['550 für']],
    ['an empty text', '354 \r\n', 354, ['354 ']],
  ])('are read: %s', async (_, text, code, lines) => {
    const { line, dialogue } = begin()
    line.say(text)
    expect(await dialogue.reply('CONN', SOON)).toEqual({ code, lines })
  })

  test('are the same in any fragments', async () => {
    const reply = fc
      .tuple(
        fc.integer({ min: 200, max: 599 }),
        fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom('\r\n', '\n'),
      )
      .map(([code, texts, end]) => {
        const clean = texts.map((text) => text.replace(/[\r\n]/g, ''))
        const lines = clean.map((text, at) => `${code}${at < clean.length - 1 ? '-' : ' '}${text}`)
        return { code, lines, bytes: Buffer.from(lines.map((line) => line + end).join('')) }
      })
    const replies = fc.array(reply, { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(replies, fc.array(fc.nat(), { maxLength: 20 }), async (expected, cuts) => {
        const { line, dialogue } = begin({ greeting: false })
        dialogue.send(
          expected.map(() => 'NOOP'),
          'RSET',
        )
        const bytes = Buffer.concat(expected.map((one) => one.bytes))
        const places = [0, ...cuts.map((at) => at % bytes.length), bytes.length]
        places.sort((a, b) => a - b)
        for (const [index, end] of places.slice(1).entries()) {
          line.say(Buffer.from(bytes.subarray(places[index], end)))
        }
        for (const { code, lines } of expected) {
          expect(await dialogue.reply('RSET', SOON)).toEqual({ code, lines })
        }
        dialogue.close()
      }),
      { numRuns: 300 },
    )
  })

  test.each([
    ['lines with different codes', '250-a\r\n251 b\r\n'],
    ['a word in place of a code', 'HTTP/1.1 400 Bad Request\r\n'],
    ['a code of two digits', '25 ok\r\n'],
    ['a code that no reply has', '999 ok\r\n'],
    ['a code with a letter behind it', '250ok\r\n'],
    ['an empty line', '\r\n'],
    ['a line of 1 MB without an end', 'x'.repeat(1_000_000)],
    ['a reply of 1 MB in short lines', '250-abcdefgh\r\n'.repeat(80_000)],
    ['a line of 1 MB that begins well', `250 ${'x'.repeat(1_000_000)}\r\n`],
  ])('end the connection: %s', async (_, text) => {
    const { line, dialogue } = begin()
    for (let at = 0; at < text.length; at += 10_000) line.say(text.slice(at, at + 10_000))
    const error = await smtpRejection(dialogue.reply('CONN', SOON))
    expect(error).toMatchObject({ code: 'EPROTOCOL', command: 'CONN', permanent: false })
    expect(error.message.length).toBeLessThan(500)
    expect(line.destroyed).toBe(true)
  })

  test('are stored up to 4 KiB of 60 KB', async () => {
    const { line, dialogue } = begin()
    line.say(`${'550-0123456789\r\n'.repeat(3700)}550 end\r\n`)
    const { code, lines } = await dialogue.reply('CONN', SOON)
    expect(code).toBe(550)
    expect(lines.join('').length).toBeLessThanOrEqual(4096)
  })

  test('with extensions are stored whole', async () => {
    const { line, dialogue } = begin({ greeting: false })
    const reply = dialogue.command('EHLO a', 'EHLO', SOON)
    line.say(`${'250-X-EXTENSION-0123456789\r\n'.repeat(1000)}250 STARTTLS\r\n`)
    expect((await reply).lines.at(-1)).toBe('250 STARTTLS')
  })

  test('that drip do not extend the deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { line, dialogue } = begin()
    const failed = smtpRejection(dialogue.reply('CONN', 5000))
    for (let second = 0; second < 5; second++) {
      line.say('220-a\r\n')
      await events()
      expect(line.destroyed).toBe(false)
      vi.advanceTimersByTime(1000)
    }
    expect(await failed).toMatchObject({ code: 'ETIMEDOUT', command: 'CONN', permanent: false })
    expect(line.destroyed).toBe(true)
  })

  test('of a group have one deadline each', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { line, dialogue } = begin({ greeting: false })
    dialogue.send(['MAIL', 'RCPT'], 'MAIL FROM')
    for (const step of ['MAIL FROM', 'RCPT TO'] as const) {
      const reply = dialogue.reply(step, 5000)
      vi.advanceTimersByTime(4999)
      line.say('250 ok\r\n')
      expect(await reply).toMatchObject({ code: 250 })
    }
    vi.advanceTimersByTime(600_000)
    expect(dialogue.ended).toBe(false)
  })

  test('and the reading of the message have one more deadline together, which sent blocks extend', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const { line, dialogue } = begin({ greeting: false })
    const block = Buffer.alloc(100_000)
    Object.defineProperty(line, 'writableNeedDrain', { get: () => true })
    dialogue.limit(10_000)
    for (let blocks = 0; blocks < 2; blocks++) {
      dialogue.write(block, 'message')
      const drained = dialogue.drained('message', 60_000)
      vi.advanceTimersByTime(9000)
      line.emit('drain')
      await drained
    }
    // Time in which nothing was waited for does not count
    vi.advanceTimersByTime(3_600_000)
    dialogue.write(block, 'message')
    const last = smtpRejection(dialogue.drained('message', 60_000))
    vi.advanceTimersByTime(22_001)
    expect(await last).toMatchObject({ code: 'ETIMEDOUT', permanent: false })
  })

  test('that break off are a lost connection', async () => {
    const { line, dialogue } = begin()
    line.say('220-mx.example\r\n220 rea')
    line.push(null)
    const error = await smtpRejection(dialogue.reply('CONN', SOON))
    expect(error).toMatchObject({ code: 'ECONNECTION', command: 'CONN', permanent: false })
  })

  test('that came before the end of the connection are read first', async () => {
    const { line, dialogue } = begin({ greeting: false })
    dialogue.send(['MAIL', 'RCPT', 'DATA'], 'MAIL FROM')
    line.say('421 4.3.2 shutting down\r\n')
    line.push(null)
    await events()
    expect(await dialogue.reply('MAIL FROM', SOON)).toMatchObject({ code: 421 })
    expect(await rejection(dialogue.reply('RCPT TO', SOON))).toMatchObject({ code: 'ECONNECTION' })
  })

  test('after an error of the socket have it as their cause', async () => {
    const { line, dialogue } = begin()
    const failed = smtpRejection(dialogue.reply('CONN', SOON))
    const cause = Object.assign(new Error('read \x1b[31m'), { code: 'ECONNRESET' })
    line.destroy(cause)
    const error = await failed
    expect(error).toMatchObject({ code: 'ECONNECTION', cause })
    expect(error.message).not.toContain('\x1b')
  })

  test('that fail give each caller its own error', async () => {
    const { line, dialogue } = begin()
    line.push(null)
    const first = await smtpRejection(dialogue.reply('CONN', SOON))
    const second = await smtpRejection(dialogue.reply('EHLO', SOON))
    expect(second).not.toBe(first)
    expect(second.command).toBe('EHLO')
  })
})

describe('[SMTP-9] early replies', () => {
  test('without a command break the protocol', async () => {
    const { line, dialogue } = begin()
    line.say('220 hello\r\n250 ok\r\n')
    expect(await dialogue.reply('CONN', SOON)).toMatchObject({ code: 220 })
    const error = await smtpRejection(dialogue.command('EHLO a', 'EHLO', SOON))
    expect(error).toMatchObject({ code: 'EPROTOCOL', command: 'EHLO', permanent: false })
    expect(line.sent).toBe('')
    expect(line.destroyed).toBe(true)
  })

  test.each(['2', '250', '250-a\r\n', '250-a\r\n2', '\n', ' '])(
    'break the protocol as the fragment %j',
    async (fragment) => {
      const { line, dialogue } = begin()
      line.say(`220 hello\r\n${fragment}`)
      await dialogue.reply('CONN', SOON)
      expect(dialogue.spokeEarly).toBe(true)
      const error = await smtpRejection(dialogue.command('EHLO a', 'EHLO', SOON))
      expect(error).toMatchObject({ code: 'EPROTOCOL', permanent: false })
      expect(line.sent).toBe('')
    },
  )

  test('break the protocol as a fragment after a reply', async () => {
    const { line, dialogue } = begin()
    line.say('220 hello\r\n')
    await dialogue.reply('CONN', SOON)
    line.say('250-x REQUIRETLS ')
    await events()
    expect(dialogue.spokeEarly).toBe(true)
  })

  test('end the connection, if one more than the commands', async () => {
    const { line, dialogue } = begin({ greeting: false })
    dialogue.send(['MAIL', 'RCPT'], 'MAIL FROM')
    line.say('250 a\r\n250 b\r\n250 c\r\n')
    expect(await dialogue.reply('MAIL FROM', SOON)).toMatchObject({ lines: ['250 a'] })
    expect(await dialogue.reply('RCPT TO', SOON)).toMatchObject({ lines: ['250 b'] })
    expect(dialogue.ended).toBe(true)
  })

  test('of 421 on an idle connection keep their code, and are temporary', async () => {
    const { line, dialogue } = begin({ greeting: false })
    let ends = 0
    dialogue.onEnd(() => ends++)
    line.say('421 4.4.2 idle for too long\r\n')
    await events()
    expect(ends).toBe(1)
    const error = await smtpRejection(dialogue.command('MAIL', 'MAIL FROM', SOON))
    expect(error).toMatchObject({ responseCode: 421, permanent: false })
    expect(error.response).toBe('421 4.4.2 idle for too long')
  })

  test('of 554 on an idle connection are not permanent', async () => {
    const { line, dialogue } = begin({ greeting: false })
    line.say('554 5.7.1 go away\r\n')
    await events()
    const error = await smtpRejection(dialogue.command('MAIL', 'MAIL FROM', SOON))
    expect(error).toMatchObject({ responseCode: 554, permanent: false })
  })
})

describe('a dialogue', () => {
  test('is detached paused, without a listener', async () => {
    const { line, dialogue } = begin()
    const before = new Line()
    dialogue.detach()
    for (const event of ['data', 'drain', 'error', 'end', 'close']) {
      expect([event, line.listenerCount(event)]).toEqual([event, before.listenerCount(event)])
    }
    expect(line.isPaused()).toBe(true)
    expect(line.destroyed).toBe(false)
    expect(await rejection(dialogue.reply('CONN', SOON))).toBeInstanceOf(SmtpError)
  })

  test('goes on when the logger throws', async () => {
    const line = new Line()
    const dialogue = new SmtpDialogue(line as unknown as Socket, () => {
      throw new Error('the logger is broken')
    })
    line.say('220 hello\r\n')
    expect(await dialogue.reply('CONN', SOON)).toMatchObject({ code: 220 })
    dialogue.send(['EHLO a'], 'EHLO')
    expect(line.sent).toBe('EHLO a\r\n')
  })

  test('[STS-58] logs lines of the host with control characters escaped', async () => {
    const line = new Line()
    const log: string[] = []
    const dialogue = new SmtpDialogue(line as unknown as Socket, (_, text) => log.push(text))
    line.say('220 a\x1b[31m\rb\r\n')
    await dialogue.reply('CONN', SOON)
    expect(log).toEqual(['220 a\\u{1b}[31m\\u{d}b'])
  })

  test('ends at once when the socket had ended before', async () => {
    const line = new Line()
    line.destroy()
    await events()
    const dialogue = new SmtpDialogue(line as unknown as Socket)
    expect(await rejection(dialogue.reply('CONN', SOON))).toMatchObject({ code: 'ECONNECTION' })
  })
})

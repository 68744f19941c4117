import type { Socket } from 'node:net'
import { Duplex, PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { SmtpConnection, SmtpEnvelope } from '../../src/smtp/connection.js'
import { SmtpDialogue } from '../../src/smtp/dialogue.js'
import { isStaleConnection } from '../../src/smtp/error-meaning.js'
import { SmtpUtf8RequiredError } from '../../src/smtp/errors.js'
import { replyTimeouts } from '../../src/smtp/timeouts.js'
import { Transaction } from '../../src/smtp/transaction.js'
import type { Security } from '../../src/tls/security.js'
import {
  AUTHENTICATED,
  ENVELOPE,
  OPPORTUNISTIC,
  open,
  type Peer,
  rejection,
  ScriptedMx,
  smtpRejection,
  takeMessages,
  untilSecured,
} from './support.js'

interface Host extends AsyncDisposable {
  connection: SmtpConnection
  peer: Peer
  mistakes: unknown[]
}

/** A connection to a host that has these extensions inside TLS, and then follows the script. */
async function connected(
  offers: readonly string[],
  script: (peer: Peer) => Promise<void> = takeMessages,
  security: Security = AUTHENTICATED,
): Promise<Host> {
  const mx = await ScriptedMx.open(async (peer) => {
    await untilSecured(peer, { after: [...offers] })
    await script(peer)
  })
  const connection = await open(mx, { security })
  const [peer] = mx.peers
  if (!peer) throw new Error('There was no connection')
  return {
    connection,
    peer,
    mistakes: mx.mistakes,
    async [Symbol.asyncDispose]() {
      connection.close()
      await mx[Symbol.asyncDispose]()
    },
  }
}

/** Answers each command from a table by its beginning; any other command succeeds. */
function answering(table: Record<string, string>, final = '250 Taken') {
  return async (peer: Peer) => {
    for (;;) {
      const line = await peer.hear()
      if (line === undefined) return
      const [, answer] = Object.entries(table).find(([start]) => line.startsWith(start)) ?? []
      if (answer !== undefined) peer.say(...answer.split('\n'))
      else if (line === 'DATA') peer.say('354 go')
      else peer.say('250 fine')
      if (line === 'DATA' && (answer === undefined || answer.startsWith('3'))) {
        while ((await peer.hear()) !== '.') if (peer.closed) return
        peer.say(final)
      }
    }
  }
}

/** The client's commands after EHLO inside TLS. */
const said = (peer: Peer) => peer.heard.slice(3)

const THREE: SmtpEnvelope = {
  from: 'ann@sender.example',
  to: ['a@bob.example', 'b@bob.example', 'c@bob.example'],
}

describe.each([[['PIPELINING']], [[]]])('a transaction with the extensions %j', (offers) => {
  test('[SMTP-8] gives each recipient its own reply', async () => {
    const replies = { 'RCPT TO:<a': '250 ok', 'RCPT TO:<b': '451 later', 'RCPT TO:<c': '550 no' }
    await using host = await connected(offers, answering(replies))
    const result = await host.connection.send(THREE, 'text')
    expect(result).toMatchObject({
      accepted: ['a@bob.example'],
      rejected: ['b@bob.example', 'c@bob.example'],
      rejectedErrors: [
        { recipient: 'b@bob.example', responseCode: 451, permanent: false, command: 'RCPT TO' },
        { recipient: 'c@bob.example', responseCode: 550, permanent: true, code: 'EENVELOPE' },
      ],
    })
  })

  test.each([
    ['DATA', answering({ 'RCPT TO:<b': '451 later', DATA: '554 no' })],
    ['the message', answering({ 'RCPT TO:<b': '451 later' }, '554 no')],
  ])("[SMTP-8] keeps a recipient's reply whatever %s results in", async (_, script) => {
    await using host = await connected(offers, script)
    const error = await smtpRejection(host.connection.send(THREE, 'text'))
    expect(error).toMatchObject({
      code: 'EMESSAGE',
      command: 'DATA',
      responseCode: 554,
      permanent: false,
      rejected: THREE.to,
      rejectedErrors: [
        { recipient: 'a@bob.example', responseCode: 554, permanent: true },
        { recipient: 'b@bob.example', responseCode: 451, permanent: false },
        { recipient: 'c@bob.example', responseCode: 554, permanent: true },
      ],
    })
    expect(new Set([error, ...(error.rejectedErrors ?? [])]).size).toBe(4)
  })

  test('[SMTP-8] keeps earlier refusals after a 421', async () => {
    const script = async (peer: Peer) => {
      await peer.hear()
      peer.say('250 ok')
      await peer.hear()
      peer.say('550 5.1.1 no such user')
      await peer.hear()
      peer.say('421 4.3.2 shutting down')
      peer.socket.end()
    }
    await using host = await connected(offers, script)
    const error = await smtpRejection(host.connection.send(THREE, 'text'))
    expect(error).toMatchObject({
      responseCode: 421,
      response: '421 4.3.2 shutting down',
      permanent: false,
      rejectedErrors: [
        { responseCode: 550, permanent: true },
        { responseCode: 421, permanent: false },
        { responseCode: 421, permanent: false },
      ],
    })
    expect(host.connection.closed).toBe(true)
  })

  test('keeps the code of a 421 to MAIL when the connection is closed', async () => {
    const script = async (peer: Peer) => {
      await peer.hear()
      peer.say('421 4.3.2 shutting down')
      peer.socket.end()
    }
    await using host = await connected(offers, script)
    const error = await smtpRejection(host.connection.send(THREE, Readable.from(['text'])))
    expect(error).toMatchObject({ command: 'MAIL FROM', responseCode: 421, permanent: false })
    expect(isStaleConnection(error)).toBe(true)
  })

  test('fails with the reply to MAIL when the sender is refused', async () => {
    const script = answering({
      MAIL: '550 5.7.1 no',
      RCPT: '503 first MAIL',
      DATA: '503 first RCPT',
    })
    await using host = await connected(offers, script)
    const error = await smtpRejection(host.connection.send(THREE, 'text'))
    expect(error).toMatchObject({
      code: 'EENVELOPE',
      command: 'MAIL FROM',
      responseCode: 550,
      permanent: true,
      rejected: THREE.to,
    })
    expect(host.connection.closed).toBe(false)
  })

  test('keeps a refusal if the connection ends right after it', async () => {
    for (const [refuse, command] of [
      ['MAIL', 'MAIL FROM'],
      ['RCPT', 'RCPT TO'],
    ] as const) {
      await using host = await connected(offers, async (peer) => {
        for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
          peer.say(line.startsWith(refuse) ? '550 5.7.1 no' : '250 fine')
          if (line.startsWith(refuse)) return void peer.socket.end()
        }
      })
      const error = await smtpRejection(host.connection.send(ENVELOPE, 'text'))
      expect(error).toMatchObject({ command, responseCode: 550, permanent: true })
    }
  })

  test('[SMTP-3] answers a 354 without an accepted recipient with a lone dot', async () => {
    const script = answering({ RCPT: '550 no', DATA: '354 go' }, '554 no valid recipients')
    await using host = await connected(offers, script)
    const { connection, peer } = host
    const error = await smtpRejection(connection.send(THREE, 'text'))
    expect(error).toMatchObject({
      code: 'EENVELOPE',
      command: 'RCPT TO',
      responseCode: 550,
      permanent: true,
      rejected: THREE.to,
    })
    expect(error.rejectedErrors).toHaveLength(3)
    expect(said(peer).slice(4)).toEqual(offers.length > 0 ? ['DATA', '.'] : [])
    await connection.send(ENVELOPE, 'text').catch(() => {})
    expect(said(peer).slice(offers.length > 0 ? 6 : 4, 8)).toEqual(
      offers.length > 0
        ? ['MAIL FROM:<ann@sender.example> BODY=8BITMIME', 'RCPT TO:<bob@bob.example>']
        : ['RSET', 'MAIL FROM:<ann@sender.example> BODY=8BITMIME', 'RCPT TO:<bob@bob.example>'],
    )
  })

  test('fails temporarily if all recipients are refused, some temporarily', async () => {
    const replies = { 'RCPT TO:<a': '550 no', RCPT: '451 later', DATA: '503 no recipients' }
    await using host = await connected(offers, answering(replies))
    const error = await smtpRejection(host.connection.send(THREE, 'text'))
    expect(error).toMatchObject({ command: 'RCPT TO', permanent: false })
    expect(error.rejectedErrors).toMatchObject([
      { permanent: true },
      { permanent: false },
      { permanent: false },
    ])
  })

  test('[SMTP-9] does not deliver the message for 354 and 250 in one packet', async () => {
    await using host = await connected(offers, answering({ DATA: '354 go\n250 Taken' }))
    const body = Readable.from(['text'])
    const error = await smtpRejection(host.connection.send(ENVELOPE, body))
    expect(error).toMatchObject({ code: 'EPROTOCOL', permanent: false })
    expect(body.readableDidRead).toBe(false)
    expect(host.connection.closed).toBe(true)
  })

  test('[SMTP-9] does not deliver it for 354 and a fragment in one packet', async () => {
    const script = async (peer: Peer) => {
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        if (line === 'DATA') peer.socket.write('354 go\r\n250 Ta')
        else peer.say('250 fine')
      }
    }
    await using host = await connected(offers, script)
    const error = await smtpRejection(host.connection.send(ENVELOPE, 'text'))
    expect(error).toMatchObject({ code: 'EPROTOCOL', permanent: false })
    expect(said(host.peer)).not.toContain('text')
  })

  test('[SMTP-9] treats a reply that does not fit the command as a protocol error', async () => {
    for (const replies of [{ MAIL: '354 go' }, { RCPT: '354 go' }, { DATA: '250 fine' }]) {
      await using host = await connected(offers, answering(replies))
      const error = await smtpRejection(host.connection.send(ENVELOPE, 'text'))
      expect(error).toMatchObject({ code: 'EPROTOCOL', permanent: false })
      expect(host.connection.closed).toBe(true)
    }
  })

  test.each(['300 go', '334 go', '399 go'])(
    'sends the message after %s: its first digit counts (RFC 5321 §4.2)',
    async (reply) => {
      await using host = await connected(offers, answering({ DATA: reply }))
      expect(await host.connection.send(ENVELOPE, 'text')).toMatchObject({ response: '250 Taken' })
    },
  )

  test('sends one message after the other', async () => {
    await using host = await connected(offers)
    for (let count = 0; count < 20; count++) {
      expect(await host.connection.send(THREE, `text ${count}`)).toMatchObject({ rejected: [] })
    }
    expect(said(host.peer).filter((line) => line.startsWith('text'))).toHaveLength(20)
    expect(said(host.peer)).not.toContain('RSET')
  })

  test('[SMTP-12] distinguishes the replies to MAIL on a reused connection', async () => {
    for (const [reply, stale] of [
      ['421 bye', true],
      ['451 later', true],
      ['452 too many', true],
      ['503 sequence', true],
      ['450 later', false],
      ['550 no', false],
    ] as const) {
      let messages = 0
      await using host = await connected(offers, async (peer) => {
        for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
          if (line.startsWith('MAIL')) peer.say(++messages === 1 ? '250 ok' : reply)
          else if (line !== 'DATA') peer.say(messages === 1 ? '250 fine' : '503 no')
          else if (messages > 1) peer.say('503 no')
          else {
            peer.say('354 go')
            while ((await peer.hear()) !== '.') if (peer.closed) return
            peer.say('250 Taken')
          }
        }
      })
      await host.connection.send(ENVELOPE, 'text')
      const body = Readable.from(['text'])
      const error = await rejection(host.connection.send(ENVELOPE, body))
      expect([reply, isStaleConnection(error)]).toEqual([reply, stale])
      expect(body.readableDidRead).toBe(false)
      expect(body.destroyed).toBe(false)
    }
  })

  test('[SMTP-12] recognizes a reused connection that the host has closed', async () => {
    const script = async (peer: Peer) => {
      await peer.hear()
      peer.socket.end()
    }
    await using host = await connected(offers, script)
    const body = Readable.from(['text'])
    const error = await smtpRejection(host.connection.send(ENVELOPE, body))
    expect(error).toMatchObject({ code: 'ECONNECTION', permanent: false })
    expect(isStaleConnection(error)).toBe(true)
    expect(body.readableDidRead).toBe(false)
    const again = await smtpRejection(host.connection.send(ENVELOPE, body))
    expect(isStaleConnection(again)).toBe(true)
  })
})

describe('[SMTP-3] groups of commands', () => {
  test('are written at once where PIPELINING was offered inside TLS', async () => {
    const packets: string[] = []
    await using host = await connected(['PIPELINING'], async (peer) => {
      peer.socket.on('data', (chunk: Buffer) => packets.push(chunk.toString()))
      await takeMessages(peer)
    })
    await host.connection.send(THREE, 'text')
    expect(packets).toEqual([
      'MAIL FROM:<ann@sender.example> BODY=8BITMIME\r\nRCPT TO:<a@bob.example>\r\nRCPT TO:<b@bob.example>\r\nRCPT TO:<c@bob.example>\r\nDATA\r\n',
      'text\r\n.\r\n',
    ])
  })

  test('are not used where it was offered only before TLS, or without TLS', async () => {
    for (const inside of [true, false]) {
      await using mx = await ScriptedMx.open(async (peer) => {
        if (inside) await untilSecured(peer, { before: ['PIPELINING'] })
        else {
          peer.say('220 hi')
          await peer.hear()
          peer.say('250-hi', '250 PIPELINING')
        }
        for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
          // Bytes of the next command would already be here
          await new Promise((resolve) => setImmediate(resolve))
          if (peer.pending !== '') throw new Error('commands came in a group')
          peer.say(line === 'DATA' ? '554 no' : '250 ok')
        }
      })
      const connection = await open(mx, { security: OPPORTUNISTIC })
      await smtpRejection(connection.send(THREE, 'text'))
      expect(mx.mistakes).toEqual([])
      connection.close()
    }
  })

  test('are bounded, so that a host that reads only after its replies are read gets all', async () => {
    const to = Array.from({ length: 5000 }, (_, index) => `user-${index}@bob.example`)
    let largest = 0
    await using host = await connected(['PIPELINING'], async (peer) => {
      let open = 0
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        open = peer.pending.split('\r\n').length
        largest = Math.max(largest, open)
        if (line === 'DATA') {
          peer.say('354 go')
          while ((await peer.hear()) !== '.') if (peer.closed) return
          peer.say('250 Taken')
        } else peer.say(line.includes('user-17@') ? '550 no' : '250 fine')
      }
    })
    const result = await host.connection.send({ from: '', to }, 'text')
    expect(result.accepted).toHaveLength(4999)
    expect(result.rejected).toEqual(['user-17@bob.example'])
    expect(largest).toBeLessThanOrEqual(100)
    expect(said(host.peer)[0]).toBe('MAIL FROM:<> BODY=8BITMIME')
  })
})

describe('the message', () => {
  test('is one write with its final dot, if small, even from a stream of small pieces', async () => {
    const pieces = ['Subject: x\n', '\n', '.', 'a\r', '\n', '.b']
    for (const message of [pieces.join(''), Buffer.from(pieces.join('')), Readable.from(pieces)]) {
      const packets: string[] = []
      await using host = await connected([], async (peer) => {
        peer.socket.on('data', (chunk: Buffer) => packets.push(chunk.toString()))
        await takeMessages(peer)
      })
      const result = await host.connection.send(ENVELOPE, message)
      expect(packets.at(-1)).toBe('Subject: x\r\n\r\n..a\r\n..b\r\n.\r\n')
      expect(result.messageSize).toBe(24)
    }
  })

  test('is complete if large, from memory and from a stream', async () => {
    const line = `${'x'.repeat(70)}\r\n`
    const text = line.repeat(60_000)
    const chunks = Array.from({ length: 60_000 }, () => line)
    for (const message of [text, Readable.from(chunks), Readable.from([Buffer.from(text)])]) {
      await using host = await connected(['PIPELINING'])
      const result = await host.connection.send(ENVELOPE, message)
      expect(result.messageSize).toBe(text.length)
      expect(said(host.peer).filter((heard) => heard === line.trimEnd())).toHaveLength(60_000)
    }
  })

  const FAULTY: Array<[string, () => Readable]> = [
    [
      'fails',
      () => {
        const stream = new PassThrough()
        stream.write('half of it\r\n')
        setImmediate(() => stream.destroy(new Error('disk')))
        return stream
      },
    ],
    [
      'is closed before its end',
      () => {
        const stream = new PassThrough()
        stream.write('half of it\r\n')
        setImmediate(() => stream.destroy())
        return stream
      },
    ],
    [
      'fails after the connection has seen it',
      () => {
        const chunks = Readable.from(
          (async function* () {
            yield 'half of it\r\n'
            throw new Error('disk')
          })(),
        )
        return chunks
      },
    ],
    [
      'has failed before',
      () => {
        const stream = new PassThrough()
        stream.on('error', () => {}).destroy(new Error('disk'))
        return stream
      },
    ],
    ['brings objects', () => Readable.from([{ a: 1 }])],
  ]

  test.each(FAULTY)(
    'of a stream that %s is ESTREAM, and no half of it is accepted',
    async (_, make) => {
      await using host = await connected(['PIPELINING'])
      const error = await smtpRejection(host.connection.send(ENVELOPE, make()))
      expect(error).toMatchObject({ code: 'ESTREAM', permanent: false })
      expect(isStaleConnection(error)).toBe(false)
      expect(host.connection.closed).toBe(true)
      while (!host.peer.closed) await new Promise((resolve) => setImmediate(resolve))
      expect(said(host.peer)).not.toContain('.')
    },
  )

  test('of a stream that was already read is ESTREAM, not an empty message', async () => {
    await using host = await connected([])
    const stream = Readable.from(['text'])
    for await (const _ of stream);
    const error = await smtpRejection(host.connection.send(ENVELOPE, stream))
    expect(error.code).toBe('ESTREAM')
  })

  test.each([
    ['552 5.3.4 too large', 'EMESSAGE', 552],
    ['421 4.3.2 shutting down', 'EMESSAGE', 421],
    ['250 Taken', 'EPROTOCOL', 250],
  ])('[SMTP-9] fails temporarily for %s before its end', async (reply, code, responseCode) => {
    await using host = await connected(['PIPELINING'], async (peer) => {
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        if (line === 'DATA') peer.say('354 go')
        else peer.say(line.startsWith('first') ? reply : '250 fine')
      }
    })
    const stream = new PassThrough()
    stream.write(`first\r\n${'x'.repeat(100_000)}`)
    const error = await smtpRejection(host.connection.send(ENVELOPE, stream))
    expect(error).toMatchObject({ code, responseCode, permanent: false, command: 'DATA' })
    expect(stream.destroyed).toBe(true)
    expect(host.connection.closed).toBe(true)
  })

  test('on a connection lost within it does not count as stale', async () => {
    await using host = await connected(['PIPELINING'], async (peer) => {
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        if (line === 'first') peer.socket.destroy()
        else peer.say(line === 'DATA' ? '354 go' : '250 fine')
      }
    })
    const stream = new PassThrough()
    stream.write(`first\r\n${'x'.repeat(100_000)}`)
    const error = await smtpRejection(host.connection.send(ENVELOPE, stream))
    expect(error).toMatchObject({ code: 'ECONNECTION', permanent: false })
    expect(isStaleConnection(error)).toBe(false)
    expect(stream.destroyed).toBe(true)
  })

  test('and the connection end when a signal is aborted', async () => {
    const reason = new Error('no longer wanted')
    const controller = new AbortController()
    const { signal } = controller
    await using host = await connected(['PIPELINING'], async (peer) => {
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        if (line === 'first') controller.abort(reason)
        else peer.say(line === 'DATA' ? '354 go' : '250 fine')
      }
    })
    const stream = new PassThrough()
    stream.write(`first\r\n${'x'.repeat(100_000)}`)
    const error = await rejection(host.connection.send(ENVELOPE, stream, { signal }))
    expect(error).toMatchObject({ message: 'The signal was aborted', cause: reason })
    expect(stream.destroyed).toBe(true)
    expect(host.connection.closed).toBe(true)
  })

  test('leaves the connection unchanged if the signal was aborted before', async () => {
    await using host = await connected([])
    const signal = AbortSignal.abort()
    await rejection(host.connection.send(ENVELOPE, 'text', { signal }))
    expect(await host.connection.send(ENVELOPE, 'text')).toMatchObject({ response: '250 Taken' })
  })

  test('is not mixed with a concurrent one', async () => {
    await using host = await connected([])
    const first = host.connection.send(ENVELOPE, 'text')
    await rejection(host.connection.send(ENVELOPE, 'text'))
    expect(await first).toMatchObject({ response: '250 Taken' })
  })
})

describe('after a message that was refused', () => {
  test('sends RSET before the next one if the transaction is still open', async () => {
    let first = true
    const script = async (peer: Peer) => {
      for (let line = await peer.hear(); line !== undefined; line = await peer.hear()) {
        if (line === 'DATA' && first) peer.say('451 later')
        else if (line === 'DATA') {
          peer.say('354 go')
          while ((await peer.hear()) !== '.') if (peer.closed) return
          peer.say('250 Taken')
        } else peer.say('250 fine')
        if (line === 'DATA') first = false
      }
    }
    await using host = await connected(['PIPELINING'], script)
    await smtpRejection(host.connection.send(ENVELOPE, 'text'))
    expect(host.connection.closed).toBe(false)
    await host.connection.send(ENVELOPE, 'text')
    expect(said(host.peer).slice(3, 5)).toEqual([
      'RSET',
      'MAIL FROM:<ann@sender.example> BODY=8BITMIME',
    ])
  })

  test('ends the connection as stale when RSET is refused', async () => {
    await using host = await connected([], answering({ DATA: '451 later', RSET: '500 what' }))
    await smtpRejection(host.connection.send(ENVELOPE, 'text'))
    const error = await smtpRejection(host.connection.send(ENVELOPE, 'text'))
    expect(error).toMatchObject({ command: 'RSET', permanent: false })
    expect(isStaleConnection(error)).toBe(true)
    expect(host.connection.closed).toBe(true)
  })
})

test('[SMTP-5] an address that needs SMTPUTF8 has a specific error', async () => {
  await using host = await connected([])
  const envelope = { ...ENVELOPE, to: ['jörg@bob.example'] }
  const error = await smtpRejection(host.connection.send(envelope, 'text'))
  expect(error).toBeInstanceOf(SmtpUtf8RequiredError)
  expect(said(host.peer)).toEqual([])
})

describe('[SMTP-1] a host that takes four minutes for each recipient', () => {
  const MINUTE = 60_000
  const to = Array.from({ length: 20 }, (_, at) => `r${at}@bob.example`)

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })

  afterEach(() => vi.useRealTimers())

  /** Sends a message to the recipients; the clock is scripted. */
  async function sendSlowly({
    offers = [] as string[],
    count = to.length,
    commandTimeout = undefined as number | undefined,
  }) {
    const begun = performance.now()
    const asked: string[] = []
    const line = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        void answer(chunk.toString().split('\r\n').slice(0, -1))
        done()
      },
    })
    const answer = async (commands: readonly string[]) => {
      for (const command of commands) {
        // The client has read the reply before
        await new Promise((resolve) => setImmediate(resolve))
        if (line.destroyed) return
        if (command.startsWith('RCPT')) {
          asked.push(command)
          vi.advanceTimersByTime(4 * MINUTE)
        }
        // As long as a message may take, whatever the recipients have taken
        if (command === '.') vi.advanceTimersByTime(9.9 * MINUTE)
        if (command !== 'text') line.push(command === 'DATA' ? '354 go\r\n' : '250 fine\r\n')
      }
    }
    const dialogue = new SmtpDialogue(line as Socket, undefined, { greeting: false })
    const host = {
      mxHost: 'mx.bob.example',
      address: '192.0.2.1',
      secured: true,
      tlsFailed: false,
      extensions: new Map(offers.map((word) => [word, ''])),
      timeouts: replyTimeouts(commandTimeout),
    }
    const transaction = new Transaction(
      dialogue,
      host,
      { ...THREE, to: to.slice(0, count) },
      undefined,
    )
    const outcome = await transaction.run('text').catch((error: unknown) => error)
    dialogue.close()
    return { outcome, asked, took: performance.now() - begun }
  }

  test('gets the message for those of half an hour; the others are tried later', async () => {
    const { outcome, asked } = await sendSlowly({})

    const later = to.slice(8)
    const error = { code: 'ETIMEDOUT', command: 'RCPT TO', permanent: false }
    expect(outcome).toMatchObject({
      accepted: to.slice(0, 8),
      rejected: later,
      rejectedErrors: later.map((recipient) => ({ ...error, recipient })),
    })
    expect(asked).toHaveLength(8)
  })

  test('is left after an hour where it was asked for all of them at once', async () => {
    const { outcome, took } = await sendSlowly({ offers: ['PIPELINING'] })

    expect(outcome).toMatchObject({ code: 'ETIMEDOUT', command: 'RCPT TO', permanent: false })
    expect(took).toBe(60 * MINUTE)
  })

  test('has the time of a reply to a message, whatever the recipients have taken', async () => {
    const { outcome } = await sendSlowly({ offers: ['PIPELINING'], count: 14 })

    expect(outcome).toMatchObject({ accepted: to.slice(0, 14) })
  })

  test('gets the message for all of them where one reply may take longer than that', async () => {
    const { outcome } = await sendSlowly({ commandTimeout: 1000 * MINUTE })

    expect(outcome).toMatchObject({ accepted: to })
  })
})

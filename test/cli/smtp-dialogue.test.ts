/** The few words of SMTP, against peers that do not keep to it. */
import { once } from 'node:events'
import { type AddressInfo, createServer, connect as netConnect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { trySession } from '../../src/cli/check/mx-session.js'
import { SmtpDialogue } from '../../src/cli/check/smtp-dialogue.js'
import { candidate } from '../../src/delivery/plan.js'
import { resolveOptions } from '../../src/options.js'

const closing: Array<() => void> = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A server that plays `script` to everybody; the port it listens at. */
async function serverThat(script: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    closing.push(() => socket.destroy())
    script(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

async function dialogueWith(script: (socket: Socket) => void): Promise<SmtpDialogue> {
  const socket = netConnect({ host: '127.0.0.1', port: await serverThat(script) })
  closing.push(() => socket.destroy())
  return new SmtpDialogue(socket)
}

describe('replies', () => {
  it('are put together from lines, however they arrive', async () => {
    const dialogue = await dialogueWith((socket) => {
      socket.write('220-mx.exam')
      socket.once('data', () => socket.write('\r\n250 PIPELINING\r\n'))
      setImmediate(() => socket.write('ple\r\n220-\n220\r\n250-mx.example'))
    })
    expect(await dialogue.reply()).toEqual({ code: 220, lines: ['mx.example', '', ''] })
    expect(await dialogue.say('EHLO me')).toEqual({
      code: 250,
      lines: ['mx.example', 'PIPELINING'],
    })
  })

  it.each([
    ['are no SMTP', 'HTTP/1.1 400 Bad Request\r\n', 'it does not talk SMTP: "HTTP/1.1 400'],
    ['have no end', '220-'.padEnd(70_000, 'x'), 'the reply has no end'],
  ])('that %s end the talk', async (_, text, message) => {
    const dialogue = await dialogueWith((socket) => socket.write(text))
    await expect(dialogue.reply()).rejects.toThrow(message)
  })

  it('that break off end the talk, but what was said counts', async () => {
    const dialogue = await dialogueWith((socket) => socket.end('220 mx.example\r\n250-half'))
    expect(await dialogue.reply()).toMatchObject({ code: 220 })
    await expect(dialogue.reply()).rejects.toThrow('the connection was closed')
  })
})

describe('a session', () => {
  const settings = resolveOptions({
    connect: ({ address, port }) => netConnect({ host: address, port }),
  })

  async function sessionWith(script: (socket: Socket) => void, timeout = 10_000) {
    const port = await serverThat(script)
    const host = { mxHost: 'mx.example', preference: 0, addresses: ['127.0.0.1'] }
    const audited = candidate(
      host,
      { level: 'opportunistic', audit: { by: 'sts' } },
      { roots: settings.roots, port },
    )
    return trySession(audited, '127.0.0.1', { settings, timeout, name: 'me.example' })
  }

  /** Answers command by command; `null` closes the connection. */
  function saying(...replies: Array<string | null>): (socket: Socket) => void {
    return (socket) => {
      const next = () => {
        const reply = replies.shift()
        if (reply === null) socket.end()
        else if (reply !== undefined) socket.write(reply)
      }
      next()
      socket.on('data', next)
    }
  }

  const EHLO = '250-mx.example\r\n250 STARTTLS\r\n'

  it.each([
    ['closes on STARTTLS', ['220 hi\r\n', EHLO, null], 'starttls-not-supported', 'no-answer'],
    [
      'offers a like of it',
      ['220 hi\r\n', '250 STARTTLSX\r\n'],
      'starttls-not-supported',
      'not-offered',
    ],
    [
      'answers STARTTLS with 250',
      ['220 hi\r\n', EHLO, '250 ok\r\n'],
      'starttls-not-supported',
      'refused',
    ],
    [
      'goes on in plaintext',
      ['220 hi\r\n', EHLO, '220 go\r\n', '250 ok\r\n'],
      'validation-failure',
      'tls-version',
    ],
    [
      'hangs up in the handshake',
      ['220 hi\r\n', EHLO, '220 go\r\n', null],
      'validation-failure',
      'handshake-failed',
    ],
  ])('with one who %s', async (_, replies, resultType, reason) => {
    const session = await sessionWith(saying(...replies))
    expect(session).toMatchObject({ error: null, problem: { resultType, reason } })
  })

  it('with one who is silent: gives up on time, and knows nothing', async () => {
    const session = await sessionWith(() => undefined, 200)
    expect(session).toMatchObject({ problem: null, error: 'no answer within 200 ms' })
  })

  it('with one who does not answer the ClientHello: gives up on time, and says so', async () => {
    const session = await sessionWith(saying('220 hi\r\n', EHLO, '220 go\r\n'), 3000)
    expect(session.problem).toMatchObject({ reason: 'handshake-timeout' })
  })

  it('with one who says something after the 220: it counts for nothing', async () => {
    const session = await sessionWith(
      saying('220 hi\r\n', EHLO, '220 go\r\n250 injected\r\n'),
      3000,
    )
    expect(session).toMatchObject({
      tlsVersion: null,
      problem: { resultType: 'validation-failure' },
    })
  })

  it('with nobody: says that the connection is refused', async () => {
    const port = await serverThat(() => undefined)
    for (const close of closing.splice(0)) close()
    const host = { mxHost: 'mx.example', preference: 0, addresses: ['127.0.0.1'] }
    const audited = candidate(host, { level: 'opportunistic' }, { roots: settings.roots, port })
    const options = { settings, timeout: 10_000, name: 'me.example' }
    expect(await trySession(audited, '127.0.0.1', options)).toMatchObject({
      problem: null,
      error: 'connection refused',
      noRoute: false,
    })
  })
})

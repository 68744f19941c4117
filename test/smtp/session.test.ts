import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import Connection from 'nodemailer/lib/smtp-connection/index.js'
import { describe, expect, test, vi } from 'vitest'
import {
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

// They have no types of their own; the used parts are those of the newest
const require = createRequire(import.meta.url)
const Connection8: typeof Connection = require('nodemailer-8/lib/smtp-connection')
const Connection9: typeof Connection = require('nodemailer-9/lib/smtp-connection')

const secured = async (peer: Peer) => {
  await untilSecured(peer)
  await takeMessages(peer)
}

const plain = async (peer: Peer) => {
  peer.say('220 hi')
  await peer.hear()
  peer.say('250-hi', '250 8BITMIME')
  await takeMessages(peer)
}

describe('handOver', () => {
  const CLIENTS = [
    ['8', Connection8],
    ['9', Connection9],
    ['10', Connection],
  ] as const

  for (const [transport, script] of [
    ['TLS', secured],
    ['plaintext', plain],
  ] as const) {
    test.each(CLIENTS)(
      `over ${transport} lets Nodemailer %s deliver a message`,
      async (_, Client) => {
        await using mx = await ScriptedMx.open(script)
        const connection = await open(mx, { security: OPPORTUNISTIC })
        await connection.send(ENVELOPE, 'the first')
        const socket = connection.handOver()
        expect(connection.closed).toBe(true)
        const client = new Client({
          connection: socket,
          secure: true,
          secured: true,
          ignoreTLS: true,
          name: 'other.example',
        })
        await new Promise<void>((resolve, reject) => {
          client.once('error', reject)
          client.connect((error?: Error) => (error ? reject(error) : resolve()))
        })
        const info = await new Promise<{ response: string }>((resolve, reject) => {
          client.send({ ...ENVELOPE }, 'the second', (error, sent) =>
            error ? reject(error) : resolve(sent),
          )
        })
        expect(info.response).toBe('250 Taken')
        const { heard } = mx.peers[0] ?? { heard: [] }
        expect(heard.filter((line) => line.startsWith('the '))).toEqual(['the first', 'the second'])
        expect(heard).toContain('EHLO other.example')
        client.quit()
      },
    )
  }

  test('leaves only a listener for errors', async () => {
    await using mx = await ScriptedMx.open(secured)
    const connection = await open(mx)
    const socket = connection.handOver()
    expect(socket).toBe(connection.socket)
    expect(socket.isPaused()).toBe(true)
    expect(socket.listenerCount('data')).toBe(0)
    expect(socket.read()?.toString()).toBe(`220 ${mx.host} ready\r\n`)
    expect((await smtpRejection(connection.send(ENVELOPE, 'text'))).code).toBe('ECONNECTION')
    expect(() => connection.handOver()).toThrow()
    socket.destroy()
  })

  test('is refused during a message, and after the host has sent too much', async () => {
    await using mx = await ScriptedMx.open(secured)
    const connection = await open(mx)
    const sending = connection.send(ENVELOPE, 'text')
    expect(() => connection.handOver()).toThrow('in use')
    await sending
    const arrived = once(connection.socket, 'data')
    mx.peers[0]?.socket.write('250-')
    await arrived
    expect(() => connection.handOver()).toThrow('unexpected reply')
    expect(connection.closed).toBe(true)
  })
})

describe('the end of a connection', () => {
  test('calls onClose once when the host closes it', async () => {
    let hangUp = () => {}
    await using mx = await ScriptedMx.open(async (peer) => {
      await untilSecured(peer)
      hangUp = () => peer.socket.end()
    })
    const connection = await open(mx)
    const closed = vi.fn()
    const ended = new Promise<void>((resolve) => connection.onClose(resolve))
    connection.onClose(closed)
    hangUp()
    await ended
    expect(closed).toHaveBeenCalledTimes(1)
    expect(connection.closed).toBe(true)
    expect(connection.socket.destroyed).toBe(true)
    connection.close()
    await connection.quit()
    expect(closed).toHaveBeenCalledTimes(1)
  })

  test('calls every listener of the close, also behind one that throws', async () => {
    await using mx = await ScriptedMx.open(secured)
    const connection = await open(mx)
    const closed = vi.fn()
    connection.onClose(() => {
      throw new Error('broken')
    })
    connection.onClose(closed)
    connection.close()
    expect(closed).toHaveBeenCalledTimes(1)
  })

  test('calls onClose as soon as this side starts to end it', async () => {
    await using mx = await ScriptedMx.open(secured)
    for (const end of ['close', 'quit', 'handOver'] as const) {
      const connection = await open(mx)
      const closed = vi.fn()
      connection.onClose(closed)
      const ending = connection[end]()
      expect([end, closed.mock.calls.length]).toEqual([end, 1])
      expect(connection.closed).toBe(true)
      await ending
      connection.socket.destroy()
      connection.onClose(closed)
      expect(closed).toHaveBeenCalledTimes(2)
    }
  })

  test('waits for a silent host after QUIT for two seconds only', async () => {
    await using mx = await ScriptedMx.open(async (peer) => {
      await untilSecured(peer)
    })
    const connection = await open(mx)
    const set = vi.spyOn(globalThis, 'setTimeout')
    await connection.quit()
    expect(set.mock.calls.map(([, milliseconds]) => milliseconds)).toContain(2000)
    set.mockRestore()
    expect(connection.socket.destroyed).toBe(true)
  })

  test('within a message is immediate, without QUIT', async () => {
    await using mx = await ScriptedMx.open(secured)
    const connection = await open(mx)
    const failed = rejection(connection.send(ENVELOPE, new Readable({ read() {} })))
    await connection.quit()
    expect(await failed).toMatchObject({ code: 'ECONNECTION' })
    expect(mx.peers[0]?.heard).not.toContain('QUIT')
  })
})

test('send() refuses arguments of a wrong type by name, and sends the next message', async () => {
  await using mx = await ScriptedMx.open(plain)
  const connection = await open(mx, { security: OPPORTUNISTIC })
  for (const [envelope, message, words] of [
    [ENVELOPE, 5, 'the argument "message" must be a string, a Uint8Array or a stream, but it is 5'],
    [ENVELOPE, null, 'but it is null'],
    [ENVELOPE, {}, 'but it is of type object'],
    [null, 'x', 'the argument "envelope" must be an object, but it is null'],
    ['x', 'x', 'the argument "envelope" must be an object, but it is "x"'],
  ] as const) {
    const error = await rejection(connection.send(envelope as never, message as never))
    expect(error).toMatchObject({ name: 'TypeError', code: 'ECONFIG' })
    expect(error.message).toContain(words)
  }
  expect(await connection.send(ENVELOPE, 'the message')).toMatchObject({ rejected: [] })
})

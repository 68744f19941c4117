import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { endsReply, hideStartTls, withoutStartTls } from '../../src/plugins/hello.js'

describe('the reply to EHLO without STARTTLS', () => {
  it('keeps every other line', () => {
    const lines = ['250-mx.example', '250-STARTTLS', '250-SIZE 1000', '250 PIPELINING']
    expect(withoutStartTls(lines)).toEqual(['250-mx.example', '250-SIZE 1000', '250 PIPELINING'])
  })

  it('marks the new last line if STARTTLS was the last', () => {
    expect(withoutStartTls(['250-mx.example', '250-SIZE', '250 starttls'])).toEqual([
      '250-mx.example',
      '250 SIZE',
    ])
  })

  it('is unchanged where STARTTLS was not offered', () => {
    const lines = ['250-mx.example', '250 STARTTLSX']
    expect(withoutStartTls(lines)).toEqual(lines)
  })

  it.each([
    ['250 OK', true],
    ['250', true],
    ['250-OK', false],
  ])('recognizes "%s" as the last line of a reply: %s', (line, ends) => {
    expect(endsReply(line)).toBe(ends)
  })
})

describe('a socket that was handed over', () => {
  const sockets: Array<{ destroy(): void }> = []
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
  })

  async function pair(): Promise<{ near: Socket; far: Socket }> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [far]: [Socket] = await once(server, 'connection').then(([socket]) => [socket])
    server.close()
    sockets.push(near, far)
    return { near, far }
  }

  /** Returns everything that a client reads by `data` events. */
  async function heard(socket: Socket): Promise<string> {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(socket, 'close')
    return Buffer.concat(chunks).toString('latin1')
  }

  const GREETING = '220 mx.example ready\r\n'

  it.each([
    ['at once', ['250-mx.example\r\n250-STARTTLS\r\n250 SIZE\r\n250 STARTTLS is a word\r\n']],
    [
      'byte by byte',
      [...'250-mx.example\r\n250-STARTTLS\r\n250 SIZE\r\n250 STARTTLS is a word\r\n'],
    ],
  ])('offers no STARTTLS to the next client, with replies %s', async (_, chunks) => {
    const { near, far } = await pair()
    near.unshift(Buffer.from(GREETING))
    hideStartTls(near)
    const result = heard(near)
    for (const chunk of chunks) {
      far.write(chunk)
      await new Promise((resolve) => setImmediate(resolve))
    }
    far.end()
    expect(await result).toBe(`${GREETING}250-mx.example\r\n250 SIZE\r\n250 STARTTLS is a word\r\n`)
  })

  it('passes on what follows the reply to EHLO unchanged', async () => {
    const { near, far } = await pair()
    near.unshift(Buffer.from(GREETING))
    hideStartTls(near)
    const result = heard(near)
    const later = Buffer.from([0, 200, 13, 10, 255])
    far.end(Buffer.concat([Buffer.from('250 mx.example\r\n'), later]))
    expect(await result).toBe(`${GREETING}250 mx.example\r\n${later.toString('latin1')}`)
  })

  it('writes as before', async () => {
    const { near, far } = await pair()
    hideStartTls(near)
    near.end('EHLO sender.example\r\n')
    expect(await text(far)).toBe('EHLO sender.example\r\n')
  })
})

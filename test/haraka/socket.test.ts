import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type HandedOver, HandedOverSocket } from '../../src/haraka/socket.js'

const open: Array<{ destroy(): void }> = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

/** A plaintext connection for Haraka, and the host at its other end. */
async function connection(given: Partial<HandedOver> = {}) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far]: [Socket] = await once(server, 'connection').then(([socket]) => [socket])
  server.close()
  open.push(near, far)
  const socket = new HandedOverSocket({
    mxHost: 'mx.example',
    socket: near,
    showsStartTls: true,
    proved: false,
    tlsFailed: false,
    objection: () => undefined,
    timeout: 30_000,
    ...given,
  })
  const lines: string[] = []
  socket.on('line', (line: string) => lines.push(line))
  socket.start()
  const said: string[] = []
  far.setEncoding('latin1').on('data', (text: string) => said.push(text))
  /** Sends a command and waits for this many lines in reply. */
  const exchange = async (command: string, reply: string): Promise<string> => {
    lines.length = 0
    socket.write(`${command}\r\n`, 'utf8')
    await once(far, 'data')
    far.write(reply)
    await once(socket, 'line')
    await new Promise((resolve) => setImmediate(resolve))
    return lines.join('')
  }
  return { socket, far, said, exchange }
}

describe('the socket of a plaintext connection for Haraka', () => {
  it('offers no STARTTLS, which failed or is missing', async () => {
    const { socket, exchange } = await connection()
    expect(await exchange('EHLO a.example', '250-mx.example\r\n250 STARTTLS\r\n')).toBe(
      '250 mx.example\r\n',
    )
    expect(socket.isEncrypted()).toBe(false)
    expect(socket.isSecure()).toBe(false)
  })

  it.each([
    ['RCPT TO:<b@b.example>', '550 5.1.1 No such user'],
    ['MAIL FROM:<a@a.example>', '553 5.1.8 No such sender'],
    ['.', '554 5.6.0 No'],
  ])('passes the final reply to %s on unchanged', async (command, reply) => {
    const { exchange } = await connection()
    expect(await exchange(command, `${reply}\r\n`)).toBe(`${reply}\r\n`)
  })

  it.each([
    ['RCPT TO:<b@b.example>', '550 5.1.1 No such user', '450 4.1.1 No such user'],
    ['DATA', '554 No', '454 No'],
  ])('changes a 5yz to %s to a 4yz after a failed handshake', async (command, reply, heard) => {
    const { exchange } = await connection({ tlsFailed: true })
    expect(await exchange(command, `${reply}\r\n`)).toBe(`${heard}\r\n`)
  })

  it.each([
    ['MAIL FROM:<a@a.example>', '530 5.7.0 Must issue a STARTTLS command first', '430 4.7.0'],
    ['RCPT TO:<b@b.example>', '550 5.7.10 Encryption needed', '450 4.7.10'],
    ['HELO a.example', '554 5.7.1 Go away', '454 4.7.1'],
  ])('changes a reply to %s that is not final to a 4yz', async (command, reply, heard) => {
    const { exchange } = await connection()
    expect(await exchange(command, `${reply}\r\n`)).toMatch(new RegExp(`^${heard} `))
  })

  it('lets Haraka use HELO when EHLO is refused', async () => {
    const { exchange } = await connection()
    expect(await exchange('EHLO a.example', '502 5.5.1 No\r\n')).toBe('502 5.5.1 No\r\n')
  })

  it('sends no MAIL FROM after the policy has changed', async () => {
    const { socket, far, said } = await connection({
      objection: () => new Error('The MTA-STS policy has changed'),
    })
    const failed = once(socket, 'error')
    socket.write('MAIL FROM:<a@a.example>\r\n', 'utf8')
    const [error] = await failed
    await once(far, 'close')
    expect(error).toMatchObject({ message: 'The MTA-STS policy has changed' })
    // Haraka would treat the host as one without TLS for a week
    expect(error).not.toHaveProperty('source')
    expect(said).toEqual([])
  })

  it('ends the connection for an endless line', async () => {
    const { socket, far } = await connection()
    const failed = once(socket, 'error')
    far.on('error', () => undefined).write('250-'.padEnd(70_000, 'x'))
    expect((await failed)[0]).toMatchObject({ message: 'The reply of the host is too long' })
  })
})

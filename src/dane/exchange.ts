/**
 * Asks one question of one name server: over UDP, and over TCP when the answer does not fit.
 *
 * @module
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { isIPv6, connect as tcpConnect } from 'node:net'
import { discard } from '../net/connect.js'
import { errorOfThrown } from '../text.js'
import { DnsError } from './dns-error.js'
import type { NameServer } from './resolv-conf.js'
import { decodeReply, encodeQuery, type Query, type Reply } from './wire.js'

/**
 * @param timeout milliseconds for UDP, and again for TCP
 * @throws DnsError ETIMEOUT, ECONNREFUSED, EBADRESP, EBADNAME
 */
export async function exchange(server: NameServer, query: Query, timeout: number): Promise<Reply> {
  const reply = await overUdp(server, query, timeout)
  if (!reply.truncated) return reply
  const whole = await overTcp(server, query, timeout)
  // A part of the records is not an answer
  if (whole.truncated) throw new DnsError('EBADRESP', query, at(server))
  return whole
}

/**
 * Asks over UDP. Each question has its own connected socket: an unpredictable port in addition to
 * the id, and no datagrams from elsewhere.
 */
function overUdp(server: NameServer, query: Query, timeout: number): Promise<Reply> {
  const id = randomInt(0x10000)
  const bytes = encodeQuery(query, id)
  return new Promise((resolve, reject) => {
    const socket: UdpSocket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
    const settle = (done: () => void) => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', ignore)
      socket.close()
      done()
    }
    const fail = (cause: unknown) => settle(() => reject(networkError(cause, query, server)))
    const timer = setTimeout(() => fail(new DnsError('ETIMEOUT', query, at(server))), timeout)
    // A datagram that does not answer the question is ignored; the genuine reply may still come
    socket.on('message', (message) => {
      const reply = decodeReply(message, id, query)
      if (reply) settle(() => resolve(reply))
    })
    socket.once('error', fail)
    socket.once('connect', () => socket.send(bytes, (error) => error && fail(error)))
    socket.connect(server.port, server.address)
  })
}

/** Asks over TCP, with two bytes of length before each message (RFC 7766). */
function overTcp(server: NameServer, query: Query, timeout: number): Promise<Reply> {
  const id = randomInt(0x10000)
  const bytes = encodeQuery(query, id)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({ host: server.address, port: server.port })
    const received: Buffer[] = []
    const settle = (done: () => void) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      discard(socket)
      done()
    }
    const fail = (cause: unknown) => settle(() => reject(networkError(cause, query, server)))
    const timer = setTimeout(() => fail(new DnsError('ETIMEOUT', query, at(server))), timeout)
    socket.once('error', fail)
    socket.once('close', () => fail(new DnsError('EBADRESP', query, at(server))))
    socket.once('connect', () => socket.write(Buffer.concat([length, bytes])))
    socket.on('data', (chunk) => {
      received.push(chunk)
      const message = wholeMessage(received)
      if (message === undefined) return
      const reply = decodeReply(message, id, query)
      if (reply) settle(() => resolve(reply))
      else fail(new DnsError('EBADRESP', query, at(server)))
    })
  })
}

/** Returns the first message once it is complete; its two bytes of length bound it to 64 KiB. */
function wholeMessage(received: Buffer[]): Buffer | undefined {
  const total = received.reduce((sum, { length }) => sum + length, 0)
  if (total < 2) return undefined
  const [first] = received
  const all = first && first.length >= 2 ? first : Buffer.concat(received)
  const end = 2 + all.readUInt16BE(0)
  return total < end ? undefined : Buffer.concat(received).subarray(2, end)
}

function networkError(cause: unknown, query: Query, server: NameServer): DnsError {
  if (cause instanceof DnsError) return cause
  return new DnsError('ECONNREFUSED', query, {
    note: `${at(server).note}: ${errorOfThrown(cause).message}`,
    cause,
  })
}

function at({ address, port }: NameServer): { note: string } {
  return { note: `${isIPv6(address) ? `[${address}]` : address}:${port}` }
}

function ignore(): void {}

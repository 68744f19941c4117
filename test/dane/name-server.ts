/** Name servers that answer with the bytes of a test. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import {
  type Answer,
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from 'dns-packet'

export const AD = AUTHENTIC_DATA
export const TC = TRUNCATED_RESPONSE

export interface Asked {
  over: 'udp' | 'tcp'
  query: DecodedPacket
  bytes: Buffer
  /** Source port of the question */
  from: number
}

/** Bytes to send, or several datagrams; undefined: no answer. */
export type Script = (asked: Asked) => Buffer | Buffer[] | undefined

export interface NameServer {
  /** For `servers` of a resolver */
  address: string
  asked: Asked[]
  close(): void
}

/** A server on loopback, on one port for UDP and TCP. */
export async function nameServer(script: Script, host = '127.0.0.1'): Promise<NameServer> {
  const asked: Asked[] = []
  const answer = (over: Asked['over'], bytes: Buffer, from: number): Buffer[] => {
    const question: Asked = { over, bytes, from, query: decode(bytes) }
    asked.push(question)
    const answers = script(question) ?? []
    return Array.isArray(answers) ? answers : [answers]
  }
  const tcp = createServer((socket) => serve(socket, answer))
  const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const port = await samePort(tcp, udp, host)
  udp.on('message', (bytes, peer) => {
    for (const reply of answer('udp', bytes, peer.port)) udp.send(reply, peer.port, peer.address)
  })
  const shown = host.includes(':') ? `[${host}]` : host
  return {
    address: `${shown}:${port}`,
    asked,
    close: () => {
      udp.close()
      tcp.close()
    },
  }
}

async function samePort(
  tcp: ReturnType<typeof createServer>,
  udp: ReturnType<typeof createSocket>,
  host: string,
): Promise<number> {
  for (;;) {
    tcp.listen(0, host)
    await once(tcp, 'listening')
    const address = tcp.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      udp.bind(port, host)
      await once(udp, 'listening')
      return port
    } catch {
      tcp.close()
    }
  }
}

function serve(
  socket: Socket,
  answer: (over: 'tcp', bytes: Buffer, from: number) => Buffer[],
): void {
  let received = Buffer.alloc(0)
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
    for (const reply of answer('tcp', received.subarray(2), socket.remotePort ?? 0)) {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length)
      // In pieces, as a network may cut it
      socket.write(length.subarray(0, 1))
      socket.write(Buffer.concat([length.subarray(1), reply]))
    }
  })
}

/** The reply to a question, with a test's changes. */
export function reply(query: DecodedPacket, change: Packet & { rcode?: number } = {}): Buffer {
  const { rcode = 0, flags = 0, ...packet } = change
  return encode({
    type: 'response',
    id: query.id ?? 0,
    questions: query.questions ?? [],
    ...packet,
    flags: RECURSION_AVAILABLE | flags | rcode,
  })
}

export function a(name: string, data: string): Answer {
  return { type: 'A', name, ttl: 60, class: 'IN', data }
}

export function cname(name: string, data: string): Answer {
  return { type: 'CNAME', name, ttl: 60, class: 'IN', data }
}

export function tlsa(name: string, fields: [number, number, number], data: Buffer): Answer {
  const [usage, selector, matchingType] = fields
  return {
    type: 'TLSA',
    name,
    ttl: 60,
    class: 'IN',
    data: { usage, selector, matchingType, certificate: data },
  }
}

/** RFC 8914: an OPT record with an Extended DNS Error. */
export function extendedError(code: number, text = ''): Answer {
  const data = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(text)])
  const option = { code: 15, data }
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    // dns-packet encodes options that its types do not list
    options: [option] as never[],
  }
}

/**
 * A DNS server over UDP that knows four types and gives the same answer for every name, with as
 * little work per query as possible.
 *
 * @module
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { DnsCounts, DnsSetup, Running } from './setup.js'

const HEADER_LENGTH = 12
const TYPES = { A: 1, MX: 15, TXT: 16, AAAA: 28 } as const

/** A response to a standard query, authoritative, recursion available. */
const FLAGS = 0x8580

export async function startDns(setup: DnsSetup, port: number): Promise<Running> {
  const answers = new Map<number, { name: keyof DnsCounts; records: Buffer[] }>([
    [TYPES.A, { name: 'A', records: [addressData(setup.address)] }],
    [TYPES.MX, { name: 'MX', records: setup.mx.map(mxData) }],
    [TYPES.TXT, { name: 'TXT', records: [txtData(setup.txt)] }],
    [TYPES.AAAA, { name: 'AAAA', records: [] }],
  ])
  let counts = noCounts()
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const end = endOfName(query, HEADER_LENGTH)
    const type = query.readUInt16BE(end)
    const { name, records } = answers.get(type) ?? { name: 'other' as const, records: [] }
    counts[name]++
    const question = query.subarray(HEADER_LENGTH, end + 4)
    const reply = [
      header(query.readUInt16BE(0), records.length),
      question,
      ...records.flatMap((data) => [recordHead(type, setup.ttl, data.length), data]),
    ]
    socket.send(reply, peer.port, peer.address)
  })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  return {
    port: socket.address().port,
    take() {
      const taken = counts
      counts = noCounts()
      return taken
    },
  }
}

function noCounts(): DnsCounts {
  return { TXT: 0, MX: 0, A: 0, AAAA: 0, other: 0 }
}

/** Returns the position behind the root label of a name, which is not compressed in a question. */
function endOfName(message: Buffer, start: number): number {
  let at = start
  while (message[at] !== 0) at += 1 + (message[at] ?? 0)
  return at + 1
}

function header(id: number, answers: number): Buffer {
  const bytes = Buffer.alloc(HEADER_LENGTH)
  bytes.writeUInt16BE(id, 0)
  bytes.writeUInt16BE(FLAGS, 2)
  bytes.writeUInt16BE(1, 4)
  bytes.writeUInt16BE(answers, 6)
  return bytes
}

/** Begins a record whose name points to the question. */
function recordHead(type: number, ttl: number, length: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16BE(0xc000 | HEADER_LENGTH, 0)
  bytes.writeUInt16BE(type, 2)
  bytes.writeUInt16BE(1, 4)
  bytes.writeUInt32BE(ttl, 6)
  bytes.writeUInt16BE(length, 10)
  return bytes
}

function addressData(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number))
}

function mxData(host: string): Buffer {
  const labels = host
    .split('.')
    .map((label) => Buffer.from(`${lengthByte(label)}${label}`, 'latin1'))
  return Buffer.concat([Buffer.from([0, 10]), ...labels, Buffer.from([0])])
}

function txtData(text: string): Buffer {
  return Buffer.from(`${lengthByte(text)}${text}`, 'latin1')
}

function lengthByte(text: string): string {
  return String.fromCharCode(text.length)
}

/**
 * Questions and answers as bytes (RFC 1035 §4, RFC 6891), by way of `dns-packet`.
 *
 * @module
 */
import {
  type Answer,
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_DESIRED,
} from 'dns-packet'
import { DnsError } from './dns-error.js'
import type { RecordData } from './secure-answer.js'

export type QueryType = keyof RecordData | 'NS'

export interface Query {
  /** Lower case, no root dot; empty: the root */
  name: string
  type: QueryType
}

/** A reply that belongs to its question. */
export interface Reply {
  truncated: boolean
  /** The AD bit: whether to believe it is not decided here */
  authentic: boolean
  rcode: number
  /** The INFO-CODEs of Extended DNS Errors (RFC 8914) */
  errors: readonly number[]
  answers: readonly Answer[]
}

export const RCODE = { noError: 0, nameError: 3 } as const

/** RFC 9715: what passes every network in one piece */
const UDP_PAYLOAD = 1232

const EXTENDED_ERROR = 15

/**
 * Returns the bytes of a query with RD and AD set: an AD bit in a query asks for that of the answer
 * (RFC 6840 §5.7). DO stays clear: signatures are of no use here, and some resolvers then pass on
 * an AD bit of their upstream's.
 *
 * @throws DnsError when the name is none
 */
export function encodeQuery({ name, type }: Query, id: number): Buffer {
  if (!isName(name)) throw new DnsError('EBADNAME', { name, type })
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ name: name === '' ? '.' : name, type, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: UDP_PAYLOAD,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  })
}

/** RFC 1035 §2.3.4; `dns-packet` writes whatever it is given. */
function isName(name: string): boolean {
  if (name === '') return true
  return name.length <= 253 && name.split('.').every((label) => /^[!-~]{1,63}$/.test(label))
}

/** Returns the reply in these bytes; undefined when they are none, or one to another question. */
export function decodeReply(bytes: Buffer, id: number, query: Query): Reply | undefined {
  let packet: DecodedPacket
  try {
    packet = decode(bytes)
  } catch {
    return undefined
  }
  const [question, ...others] = packet.questions ?? []
  if (!packet.flag_qr || packet.id !== id || question === undefined || others.length > 0) {
    return undefined
  }
  if (plainName(question.name) !== query.name || question.type !== query.type) return undefined
  if (question.class !== 'IN') return undefined
  const opt = packet.additionals?.find((record) => record.type === 'OPT')
  const extended = opt?.type === 'OPT' ? opt : undefined
  return {
    truncated: packet.flag_tc,
    authentic: packet.flag_ad,
    rcode: ((packet.flags ?? 0) & 0xf) | ((extended?.extendedRcode ?? 0) << 4),
    errors: (extended?.options ?? []).flatMap(infoCode),
    answers: packet.answers ?? [],
  }
}

function infoCode({ code, data }: { code: number; data?: Buffer | undefined }): number[] {
  return code === EXTENDED_ERROR && data && data.length >= 2 ? [data.readUInt16BE(0)] : []
}

/** A name of `dns-packet` as this package compares names: lower case, no root dot. */
export function plainName(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}

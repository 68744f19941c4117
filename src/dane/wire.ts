/**
 * Questions and answers as bytes (RFC 1035 §4, RFC 6891), encoded by `dns-packet`.
 *
 * @module
 */
import type { Answer, DecodedPacket } from 'dns-packet'
import { DnsError } from './dns-error.js'
import { dnsPacket } from './dns-packet.js'
import type { RecordData } from './secure-answer.js'

export type QueryType = keyof RecordData | 'NS'

export interface Query {
  /** Lower case, no root dot; empty: the root */
  name: string
  type: QueryType
}

/** A reply that answers its question. */
export interface Reply {
  truncated: boolean
  /** The AD bit; the caller decides whether to trust it */
  authentic: boolean
  rcode: number
  /** The INFO-CODEs of Extended DNS Errors (RFC 8914) */
  errors: readonly number[]
  answers: readonly Answer[]
}

export const RCODE = { noError: 0, nameError: 3 } as const

/** A size that passes every network in one piece (RFC 9715) */
const UDP_PAYLOAD = 1232

const EXTENDED_ERROR = 15

/**
 * Returns the bytes of a query with RD and AD set: AD in a query requests AD in the answer (RFC
 * 6840 §5.7). DO is not set: signatures are not used, and some resolvers then pass on the AD bit of
 * their upstream.
 *
 * @throws DnsError for an invalid name
 */
export function encodeQuery({ name, type }: Query, id: number): Buffer {
  if (!isName(name)) throw new DnsError('EBADNAME', { name, type })
  const { AUTHENTIC_DATA, encode, RECURSION_DESIRED } = dnsPacket()
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

/** Whether a name has the limits of RFC 1035 §2.3.4, which `dns-packet` does not check. */
function isName(name: string): boolean {
  if (name === '') return true
  return name.length <= 253 && name.split('.').every((label) => /^[!-~]{1,63}$/.test(label))
}

/**
 * Returns the reply in these bytes; undefined for anything else, or for the reply to another
 * question.
 */
export function decodeReply(bytes: Buffer, id: number, query: Query): Reply | undefined {
  const { decode } = dnsPacket()
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

/** Converts a name of `dns-packet` to the form of this package: lower case, no root dot. */
export function plainName(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}

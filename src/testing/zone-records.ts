/**
 * Records of the DNS as a test writes them, checked.
 *
 * @module
 */
import { isIPv4, isIPv6 } from 'node:net'
import { checkKeys, checkName, shown } from './named.js'
import { isHostName } from './names.js'

/** The types of records that a world knows. */
export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'PTR', 'SRV', 'TLSA', 'TXT'] as const

/** A type of record that a world knows. */
export type RecordType = (typeof RECORD_TYPES)[number]

/** RFC 2782 */
export interface SrvData {
  /** The lowest is tried first */
  priority: number
  /** The share among those of one priority */
  weight: number
  /** Of the service */
  port: number
  /** The name of the host */
  target: string
}

/** RFC 6698 */
export interface TlsaData {
  /** 3: DANE-EE, 2: DANE-TA, 1: PKIX-EE, 0: PKIX-TA */
  usage: number
  /** 0: the certificate, 1: its key */
  selector: number
  /** 0: as it is, 1: SHA-256, 2: SHA-512 */
  matchingType: number
  /** Bytes, or hexadecimal digits */
  data: Uint8Array | string
}

export type ZoneRecord =
  | { type: 'A' | 'AAAA' | 'CNAME' | 'PTR'; data: string; ttl?: number }
  | { type: 'MX'; data: { preference: number; exchange: string }; ttl?: number }
  | { type: 'SRV'; data: SrvData; ttl?: number }
  | { type: 'TLSA'; data: TlsaData; ttl?: number }
  /** A string is split at 255 bytes; an array is sent as it is */
  | { type: 'TXT'; data: string | readonly string[]; ttl?: number }

/** Returns records of a type. Throws a TypeError that names what is wrong with their data. */
export function recordsOf(type: RecordType, data: readonly unknown[], ttl = 0): ZoneRecord[] {
  checkName('dns.set(): the type', type, RECORD_TYPES)
  if (!Array.isArray(data)) {
    throw new TypeError(`dns.set(): the data of ${type} must be a list, but it is ${shown(data)}`)
  }
  return data.map((datum): ZoneRecord => ({ ...recordOf(type, datum), ttl }))
}

function recordOf(type: RecordType, datum: unknown): ZoneRecord {
  switch (type) {
    case 'MX':
      return { type, data: mxData(datum) }
    case 'SRV':
      return { type, data: srvData(datum) }
    case 'TLSA':
      return { type, data: tlsaData(datum) }
    case 'TXT':
      return { type, data: textData(datum) }
    default:
      return { type, data: plainData(type, datum) }
  }
}

function plainData(type: 'A' | 'AAAA' | 'CNAME' | 'PTR', datum: unknown): string {
  if (typeof datum !== 'string') throw wrong(type, "a string, such as 'mx.example.com'", datum)
  if (type === 'A' && !isIPv4(datum)) throw wrong(type, 'an IPv4 address', datum)
  if (type === 'AAAA' && !isIPv6(datum)) throw wrong(type, 'an IPv6 address', datum)
  if (type === 'CNAME' || type === 'PTR') isHostName(`dns.set(): a datum of ${type}`, datum)
  return datum
}

function mxData(datum: unknown): { preference: number; exchange: string } {
  if (!isObject(datum)) throw wrong('MX', MX_EXAMPLE, datum)
  checkKeys('dns.set(): an MX record', datum, ['preference', 'exchange'])
  const { preference, exchange } = datum
  if (!isNumber(preference, 65_535) || typeof exchange !== 'string') {
    throw wrong('MX', MX_EXAMPLE, datum)
  }
  isHostName('dns.set(): exchange', exchange)
  return { preference, exchange }
}

const MX_EXAMPLE = "an object, such as { preference: 10, exchange: 'mx.example.com' }"

function srvData(datum: unknown): SrvData {
  const example = "an object, such as { priority: 0, weight: 0, port: 587, target: 'smtp.example' }"
  if (!isObject(datum)) throw wrong('SRV', example, datum)
  checkKeys('dns.set(): an SRV record', datum, ['priority', 'weight', 'port', 'target'])
  const { priority = 0, weight = 0, port, target } = datum
  const numbers = [priority, weight, port].every((number) => isNumber(number, 65_535))
  if (!numbers || typeof target !== 'string') throw wrong('SRV', example, datum)
  isHostName('dns.set(): target', target)
  return { priority: Number(priority), weight: Number(weight), port: Number(port), target }
}

function tlsaData(datum: unknown): TlsaData {
  const example = "an object, such as { usage: 3, selector: 1, matchingType: 1, data: 'a1b2' }"
  if (!isObject(datum)) throw wrong('TLSA', example, datum)
  checkKeys('dns.set(): a TLSA record', datum, ['usage', 'selector', 'matchingType', 'data'])
  const { usage, selector, matchingType, data } = datum
  if (!isNumber(usage, 255) || !isNumber(selector, 255) || !isNumber(matchingType, 255)) {
    throw wrong('TLSA', example, datum)
  }
  if (data instanceof Uint8Array) return { usage, selector, matchingType, data }
  if (typeof data !== 'string' || !/^(?:[\da-f]{2})*$/i.test(data)) {
    throw wrong('TLSA', 'hexadecimal digits or bytes as data', data)
  }
  return { usage, selector, matchingType, data }
}

function textData(datum: unknown): string | readonly string[] {
  if (typeof datum === 'string') return datum
  const isShort = (text: unknown) => typeof text === 'string' && Buffer.byteLength(text) <= 255
  if (Array.isArray(datum) && datum.every(isShort)) return datum
  throw wrong('TXT', 'a string, or a list of strings of up to 255 bytes', datum)
}

function isObject(datum: unknown): datum is Record<string, unknown> {
  return typeof datum === 'object' && datum !== null && !Array.isArray(datum)
}

function isNumber(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
}

function wrong(type: RecordType, must: string, datum: unknown): TypeError {
  return new TypeError(`dns.set(): a datum of ${type} must be ${must}, but it is ${shown(datum)}`)
}

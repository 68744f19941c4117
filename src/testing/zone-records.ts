/**
 * DNS records that tests set, and their checks.
 *
 * @module
 */
import { isIPv4, isIPv6 } from 'node:net'
import { type Check, checkKeys, checkName, must, wholeFrom } from './named.js'
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
  /** Port of the service */
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
  /** 0: the data itself, 1: SHA-256, 2: SHA-512 */
  matchingType: number
  /** Bytes, or hexadecimal digits */
  data: Uint8Array | string
}

export type ZoneRecord =
  | { type: 'A' | 'AAAA' | 'CNAME' | 'PTR'; data: string; ttl?: number }
  | { type: 'MX'; data: { preference: number; exchange: string }; ttl?: number }
  | { type: 'SRV'; data: SrvData; ttl?: number }
  | { type: 'TLSA'; data: TlsaData; ttl?: number }
  /** A string is split at 255 bytes; an array is sent unchanged */
  | { type: 'TXT'; data: string | readonly string[]; ttl?: number }

/** Returns a check of an object that has all of these fields. */
const objectOf =
  (checks: Readonly<Record<string, Check>>, example: string): Check =>
  (field, datum) => {
    must(`an object such as ${example}`, (value) => typeof value === 'object')(field, datum)
    checkKeys(field, datum, Object.keys(checks))
    for (const [key, check] of Object.entries(checks)) {
      check(`${field}: ${key}`, Reflect.get(datum, key))
    }
  }

const isShort = (text: unknown) => typeof text === 'string' && Buffer.byteLength(text) <= 255
const isOctet = wholeFrom(0, 255)
const isPair = wholeFrom(0, 65_535)

const DATA: Readonly<Record<RecordType, Check>> = {
  A: must('an IPv4 address', (datum) => typeof datum === 'string' && isIPv4(datum)),
  AAAA: must('an IPv6 address', (datum) => typeof datum === 'string' && isIPv6(datum)),
  CNAME: isHostName,
  PTR: isHostName,
  MX: objectOf(
    { preference: isPair, exchange: isHostName },
    "{ preference: 10, exchange: 'mx.example.com' }",
  ),
  SRV: objectOf(
    { priority: isPair, weight: isPair, port: isPair, target: isHostName },
    "{ priority: 0, weight: 0, port: 587, target: 'smtp.example.com' }",
  ),
  TLSA: objectOf(
    {
      usage: isOctet,
      selector: isOctet,
      matchingType: isOctet,
      data: must(
        'hexadecimal digits or bytes',
        (data) =>
          data instanceof Uint8Array ||
          (typeof data === 'string' && /^(?:[\da-f]{2})+$/i.test(data)),
      ),
    },
    "{ usage: 3, selector: 1, matchingType: 1, data: 'a1b2' }",
  ),
  TXT: must(
    'a string, or a list of strings of up to 255 bytes',
    (datum) =>
      typeof datum === 'string' ||
      (Array.isArray(datum) && datum.length > 0 && datum.every(isShort)),
  ),
}

/** Returns records of a type. Throws a TypeError for wrong data. */
export function recordsOf(type: RecordType, data: readonly unknown[], ttl = 0): ZoneRecord[] {
  checkName('dns.set(): the type', type, RECORD_TYPES)
  must('a list', Array.isArray)(`dns.set(): the data of ${type}`, data)
  return data.map((datum) => {
    DATA[type](`dns.set(): a datum of ${type}`, datum)
    return { type, data: datum, ttl } as ZoneRecord
  })
}

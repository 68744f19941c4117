/**
 * TLSA records: whether they are usable (RFC 7672 §3.1, RFC 7671 §9), and whether they match.
 *
 * @module
 */
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { TlsaRecord } from '../tls/security.js'
import { readCertificate, readOnly, sameBytes, TAG } from './x509-der.js'

/** RFC 6698 §2.1.1 */
export const USAGE = { daneTa: 2, daneEe: 3 } as const

const SELECTOR = { certificate: 0, publicKey: 1 } as const

const FULL = 0

/** Digests by matching type (RFC 6698 §2.1.3); a higher number is the stronger one. */
const DIGESTS: ReadonlyMap<number, { name: string; length: number }> = new Map([
  [1, { name: 'sha256', length: 32 }],
  [2, { name: 'sha512', length: 64 }],
])

/** The parts of a certificate that records can match. */
export interface Selectable {
  /** The whole certificate */
  raw: Uint8Array
  /** Its SubjectPublicKeyInfo */
  publicKey: Uint8Array
}

/**
 * Whether a record can match at all: usage DANE-TA or DANE-EE, a known selector and matching type,
 * data of the digest's length or a whole certificate or key.
 */
export function isUsable(record: TlsaRecord): boolean {
  const { usage, selector, matchingType, data } = record
  if (usage !== USAGE.daneTa && usage !== USAGE.daneEe) return false
  if (selector !== SELECTOR.certificate && selector !== SELECTOR.publicKey) return false
  if (matchingType === FULL) return fullData(record) !== undefined
  return DIGESTS.get(matchingType)?.length === data.length
}

/** Returns the certificate or key in a record of matching type 0. */
export function fullData({ selector, data }: TlsaRecord): X509Certificate | KeyObject | undefined {
  try {
    readOnly(data, TAG.sequence)
    if (selector === SELECTOR.publicKey) {
      return createPublicKey({ key: Buffer.from(data), format: 'der', type: 'spki' })
    }
    readCertificate(data)
    return new X509Certificate(data)
  } catch {
    return undefined
  }
}

/** Whether the record is the certificate or key itself, not a digest of it. */
export function isFull({ matchingType }: TlsaRecord): boolean {
  return matchingType === FULL
}

/**
 * Applies digest agility (RFC 7671 §9): of the records of one usage and selector, only those with
 * the strongest digest count; records without a digest always do.
 *
 * @param records usable ones
 */
export function withStrongestDigest(records: readonly TlsaRecord[]): TlsaRecord[] {
  const strongest = new Map<string, number>()
  for (const record of records) {
    const before = strongest.get(groupOf(record)) ?? FULL
    strongest.set(groupOf(record), Math.max(before, record.matchingType))
  }
  return records.filter(
    (record) => isFull(record) || record.matchingType === strongest.get(groupOf(record)),
  )
}

function groupOf({ usage, selector }: TlsaRecord): string {
  return `${usage} ${selector}`
}

/** Whether a usable record matches this certificate. */
export function matches({ selector, matchingType, data }: TlsaRecord, of: Selectable): boolean {
  const selected = selector === SELECTOR.certificate ? of.raw : of.publicKey
  const digest = DIGESTS.get(matchingType)
  if (digest === undefined) return sameBytes(selected, data)
  return sameBytes(createHash(digest.name).update(selected).digest(), data)
}

/**
 * Reads the parts of a certificate (RFC 5280 §4.1) that `X509Certificate` does not show: extensions
 * with their criticality, the signature algorithm, the encoded names and the public key.
 *
 * @module
 */

/** One element of DER: its tag, and its bytes with and without the header. */
export interface Der {
  tag: number
  raw: Uint8Array
  value: Uint8Array
}

/** An extension (RFC 5280 §4.2): `value` is the DER inside its OCTET STRING. */
export interface Extension {
  critical: boolean
  value: Uint8Array
}

/** The fields of a certificate for the path check. */
export interface CertificateFields {
  /** 1 or 3 */
  version: number
  /** OID of the signature algorithm, and its parameters */
  signatureAlgorithm: { oid: string; parameters: Der | undefined }
  /** The encoded names, for comparison */
  issuer: Uint8Array
  subject: Uint8Array
  /** Epoch milliseconds */
  notBefore: number
  notAfter: number
  /** The encoded SubjectPublicKeyInfo */
  publicKey: Uint8Array
  /** By OID */
  extensions: ReadonlyMap<string, Extension>
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** Tags of the optional fields of a TBSCertificate */
const VERSION = 0xa0
const EXTENSIONS = 0xa3

/** The bytes are not DER, or not a certificate. */
export class DerError extends Error {
  override readonly name = 'DerError'
}

/** Reads the element at the start of `bytes` and ignores the rest. */
export function readDer(bytes: Uint8Array): Der {
  const [tag, first] = bytes
  if (tag === undefined || first === undefined) throw new DerError('cut short')
  if ((tag & 0x1f) === 0x1f) throw new DerError('a tag of more than one byte')
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  // 0x80, the indefinite length, is not DER
  if (first >= 0x80 && (lengthBytes === 0 || lengthBytes > 4)) throw new DerError('bad length')
  const start = 2 + lengthBytes
  if (bytes.length < start) throw new DerError('cut short')
  const length = lengthBytes === 0 ? first : unsigned(bytes.subarray(2, start))
  const end = start + length
  if (bytes.length < end) throw new DerError('cut short')
  return { tag, raw: bytes.subarray(0, end), value: bytes.subarray(start, end) }
}

/** Reads the only element in `bytes`, which must have this tag. */
export function readOnly(bytes: Uint8Array, tag: number): Der {
  const element = readDer(bytes)
  if (element.tag !== tag) throw new DerError(`tag ${element.tag} in place of ${tag}`)
  if (element.raw.length !== bytes.length) throw new DerError('bytes behind the end')
  return element
}

/** Reads the elements of a SEQUENCE or SET, given its value. */
export function readAll(bytes: Uint8Array): Der[] {
  const elements: Der[] = []
  for (let at = 0; at < bytes.length; ) {
    const element = readDer(bytes.subarray(at))
    elements.push(element)
    at += element.raw.length
  }
  return elements
}

/**
 * Returns the encoded SubjectPublicKeyInfo of a certificate, even if other parts are invalid.
 *
 * @throws DerError when the bytes are not a certificate
 */
export function readPublicKey(der: Uint8Array): Uint8Array {
  const [tbs] = readAll(readOnly(der, TAG.sequence).value)
  const fields = readAll(tbs?.value ?? new Uint8Array())
  const publicKey = fields[fields[0]?.tag === VERSION ? 6 : 5]
  if (publicKey?.tag !== TAG.sequence) throw new DerError('no certificate')
  return publicKey.raw
}

/** @throws DerError when the bytes are not exactly one certificate */
export function readCertificate(der: Uint8Array): CertificateFields {
  const [tbs, algorithm] = readAll(readOnly(der, TAG.sequence).value)
  if (tbs?.tag !== TAG.sequence || algorithm === undefined) throw new DerError('no certificate')
  const fields = readAll(tbs.value)
  const version = fields[0]?.tag === VERSION ? readVersion(fields.shift()) : 1
  const [, innerAlgorithm, issuer, validity, subject, publicKey] = fields
  if (!innerAlgorithm || !issuer || !validity || !subject || publicKey?.tag !== TAG.sequence) {
    throw new DerError('no certificate')
  }
  // RFC 5280 §4.1.1.2: the signed algorithm counts
  if (!sameBytes(innerAlgorithm.raw, algorithm.raw)) throw new DerError('two signature algorithms')
  const [notBefore, notAfter] = readAll(validity.value)
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS)
  return {
    version,
    signatureAlgorithm: readAlgorithm(algorithm),
    issuer: issuer.raw,
    subject: subject.raw,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    publicKey: publicKey.raw,
    extensions: extensions ? readExtensions(extensions.value) : new Map(),
  }
}

function readVersion(element: Der | undefined): number {
  return unsigned(readOnly(element?.value ?? new Uint8Array(), TAG.integer).value) + 1
}

function readAlgorithm({ value }: Der): { oid: string; parameters: Der | undefined } {
  const [oid, parameters] = readAll(value)
  return { oid: readOid(oid), parameters }
}

function readExtensions(bytes: Uint8Array): Map<string, Extension> {
  const extensions = new Map<string, Extension>()
  for (const { value } of readAll(readOnly(bytes, TAG.sequence).value)) {
    const parts = readAll(value)
    const oid = readOid(parts[0])
    const critical = parts[1]?.tag === TAG.boolean && parts[1].value[0] !== 0
    const content = parts.at(-1)
    if (content?.tag !== TAG.octetString) throw new DerError('an extension without a value')
    // RFC 5280 §4.2
    if (extensions.has(oid)) throw new DerError('the same extension twice')
    extensions.set(oid, { critical, value: content.value })
  }
  return extensions
}

export function readOid(element: Der | undefined): string {
  if (element?.tag !== TAG.oid || element.value.length === 0) throw new DerError('no OID')
  const arcs: number[] = []
  let arc = 0
  for (const byte of element.value) {
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    arcs.push(arc)
    arc = 0
  }
  const [first = 0, ...others] = arcs
  const top = Math.min(2, Math.floor(first / 40))
  return [top, first - top * 40, ...others].join('.')
}

/**
 * Reads a time (RFC 5280 §4.1.2.5): two-digit years until 2049, always in UTC and to the second.
 */
function readTime(element: Der | undefined): number {
  const text = Buffer.from(element?.value ?? []).toString('latin1')
  const short = element?.tag === TAG.utcTime
  const parts = (short ? UTC_TIME : GENERALIZED_TIME).exec(text)?.slice(1).map(Number)
  if (!parts || (!short && element?.tag !== TAG.generalizedTime)) throw new DerError('no time')
  const [year = 0, month = 1, day, hour, minute, second] = parts
  const century = short ? (year < 50 ? 2000 : 1900) : 0
  // setUTCFullYear: Date.UTC reads the years 0 to 99 as 1900 to 1999
  const date = new Date(Date.UTC(2000, month - 1, day, hour, minute, second))
  return date.setUTCFullYear(century + year, month - 1, day)
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** Returns a number of a few bytes; larger ones lose precision and stay large. */
export function unsigned(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return value
}

/** Whether a BIT STRING has the bit of this number set, counted from the left. */
export function hasBit({ value }: Der, bit: number): boolean {
  const byte = value[1 + (bit >> 3)] ?? 0
  return (byte & (0x80 >> (bit & 7))) !== 0
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

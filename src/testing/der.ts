/**
 * The parts of DER (ITU-T X.690) that a certificate is written in.
 *
 * @module
 */

/** Returns one value: its tag, its length, its contents one after the other. */
export function tlv(tag: number, ...contents: Uint8Array[]): Buffer {
  const body = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body])
}

export const sequence = (...items: Uint8Array[]): Buffer => tlv(0x30, ...items)
export const setOf = (...items: Uint8Array[]): Buffer => tlv(0x31, ...items)
export const octetString = (bytes: Uint8Array): Buffer => tlv(0x04, bytes)
export const utf8String = (text: string): Buffer => tlv(0x0c, Buffer.from(text))
export const booleanTrue = (): Buffer => tlv(0x01, Buffer.from([0xff]))

/** Returns a value tagged by its context: `constructed` when it holds other values. */
export function tagged(number: number, constructed: boolean, contents: Uint8Array): Buffer {
  return tlv(0x80 | (constructed ? 0x20 : 0) | number, contents)
}

/** Returns an integer that is not negative, of its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes[0] ?? 0
  return tlv(0x02, first >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}

/** Returns a string of whole bytes, or one whose last bits are not used. */
export function bitString(bytes: Uint8Array, unused = 0): Buffer {
  return tlv(0x03, Buffer.from([unused]), bytes)
}

export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return tlv(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** Returns a UTCTime (RFC 5280 §4.1.2.5.1), which is right until 2049. */
export function utcTime(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)
  return tlv(0x17, Buffer.from(`${digits}Z`))
}

export function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join('\n')
}

function base128(value: number): number[] {
  const digits = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80)
  return digits
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff)
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

/**
 * Converts bytes to text: compression (gzip, zlib, and zstd where Node has it), byte order marks,
 * UTF-16.
 *
 * @module
 */
import zlib from 'node:zlib'
import { ReportSyntaxError } from './read-error.js'
import { gunzip, isGzip } from './read-gzip.js'

/** Some reports are compressed twice, as a file and again as an attachment. */
const MAX_LAYERS = 3

/** Bounds of the input and of decompressed data. */
export interface SizeBudget {
  /** For each file or part, in bytes */
  readonly maxSize: number
  /** Remaining bytes of decompressed data, over all parts of one file */
  unpacked: number
}

/** Decompresses bytes. @throws ReportSyntaxError */
export function unpack(packed: Buffer, budget: SizeBudget): Buffer {
  let data = packed
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    if (data.length > budget.maxSize) throw tooLarge(`${data.length} bytes`, budget.maxSize)
    const plain = unpackLayer(data, budget)
    if (plain === undefined) return data
    data = plain
  }
  if (unpackLayer(data, budget) === undefined) return data
  throw new ReportSyntaxError(`it is compressed more than ${MAX_LAYERS} times`)
}

/** Whether the bytes begin like a supported compression. */
export function isPacked(data: Buffer): boolean {
  return isGzip(data) || isZlib(data) || isZstd(data)
}

function unpackLayer(data: Buffer, budget: SizeBudget): Buffer | undefined {
  if (isGzip(data)) return inflated('gzip', budget, (limits) => gunzip(data, limits))
  if (isZlib(data)) return inflated('zlib', budget, (limits) => zlib.inflateSync(data, limits))
  if (isZstd(data)) return unpackZstd(data, budget)
  const other = OTHERS.find(([, magic]) => data.subarray(0, magic.length).equals(magic))
  if (other === undefined) return undefined
  throw new ReportSyntaxError(
    `it is compressed with ${other[0]}, which is not supported: unpack it first`,
    {
      looksLikeReport: true,
    },
  )
}

/** Formats that Node does not support. Dovecot stores mails in some of them. */
const OTHERS: ReadonlyArray<readonly [name: string, magic: Buffer]> = [
  ['bzip2', Buffer.from('BZh')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['lz4', Buffer.from('04224d18', 'hex')],
  ['lz4 (Dovecot)', Buffer.from('Dovecot-LZ4\r')],
  ['zip', Buffer.from('PK\u{3}\u{4}')],
]

/**
 * Whether the bytes begin with a zlib header (RFC 1950 §2.2): method 8, valid check bits, no
 * dictionary.
 */
function isZlib(data: Buffer): boolean {
  const [method = 0, flags = 0] = data
  return (method & 0x8f) === 0x08 && (flags & 0x20) === 0 && (method * 256 + flags) % 31 === 0
}

function isZstd(data: Buffer): boolean {
  return data.length > 3 && data.readUInt32LE(0) === 0xfd2fb528
}

interface Limits {
  maxOutputLength: number
}

type Zstd = typeof zlib & {
  zstdDecompressSync?: (bytes: Buffer, limits: Limits) => Buffer
}

function unpackZstd(data: Buffer, budget: SizeBudget): Buffer {
  // Node has it since 22.15; the types are those of Node 20
  const { zstdDecompressSync } = zlib as Zstd
  if (zstdDecompressSync !== undefined) {
    return inflated('zstd', budget, (limits) => zstdDecompressSync(data, limits))
  }
  throw new ReportSyntaxError('it is compressed with zstd, which needs Node 22.15 or later', {
    looksLikeReport: true,
  })
}

function inflated(name: string, budget: SizeBudget, inflate: (limits: Limits) => Buffer): Buffer {
  const limit = Math.min(budget.maxSize, budget.unpacked)
  // Node does not accept a limit of 0
  const limits = { maxOutputLength: Math.max(1, limit) }
  try {
    const plain = inflate(limits)
    budget.unpacked -= plain.length
    return plain
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    // Failed decompression counts too: the next part may fail in the same way
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      budget.unpacked -= limit
      throw tooLarge('more bytes', limit)
    }
    throw new ReportSyntaxError(`its ${name} is damaged`, { cause, looksLikeReport: true })
  }
}

export function tooLarge(size: string, limit: number): ReportSyntaxError {
  return new ReportSyntaxError(`it has ${size}, and ${limit} is the limit`)
}

/** Returns the bytes as text, without a byte order mark. UTF-8, unless they look like UTF-16. */
export function decode(data: Buffer): string {
  const text = isUtf16(data) ? decodeUtf16(data) : data.toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/**
 * Whether bytes look like UTF-16: by a byte order mark, or by the first character, which is ASCII
 * in JSON and in mails.
 */
function isUtf16([first, second]: Buffer): boolean {
  if (first === undefined || second === undefined) return false
  const mark = (first << 8) | second
  return mark === 0xfeff || mark === 0xfffe || (first === 0) !== (second === 0)
}

function decodeUtf16(data: Buffer): string {
  const isBigEndian = data[0] === 0 || data[0] === 0xfe
  if (!isBigEndian) return data.toString('utf16le')
  const even = data.length - (data.length % 2)
  // A copy: swapping works in place
  return Buffer.from(data.subarray(0, even)).swap16().toString('utf16le')
}

/**
 * Messages as they are sent: dots stuffed (RFC 5321 §4.5.2), and every line end CRLF (§2.3.8).
 *
 * @module
 */
import { isAscii } from 'node:buffer'

const LF = 0x0a
const CR = 0x0d
const DOT = 0x2e

/** Bytes that are written at once: two TLS records. */
export const BLOCK = 32_768

const NOTHING = Buffer.alloc(0)
const CRLF = Buffer.from('\r\n')
export const FINAL_DOT = Buffer.from('.\r\n')

/** Stuffs dots and converts every line end to CRLF, chunk by chunk. */
export class DotStuffing {
  #atLineStart = true
  /** The last byte was a CR, for which a CRLF was written: a following LF belongs to it */
  #afterCr = false

  /** Returns the chunk as it must be sent; the same object if nothing changes. */
  encode(chunk: Uint8Array): Uint8Array {
    const length = this.#lengthIfChanged(chunk)
    if (length !== undefined) return this.#copy(chunk, Buffer.allocUnsafe(length))
    if (chunk.length > 0) {
      this.#atLineStart = chunk[chunk.length - 1] === LF
      this.#afterCr = false
    }
    return chunk
  }

  /** Returns the missing part of the last line end; nothing if the message ends with one. */
  endOfLine(): Uint8Array {
    return this.#atLineStart ? NOTHING : CRLF
  }

  /** Returns the length of the chunk as it must be sent; undefined if it does not change. */
  #lengthIfChanged(chunk: Uint8Array): number | undefined {
    const { length } = chunk
    let added = 0
    let changed = false
    for (let index = 0; index < length; index++) {
      const byte = chunk[index] ?? 0
      // Most bytes are letters
      if (byte > DOT) continue
      if (byte === LF) {
        const afterCr = index === 0 ? this.#afterCr : chunk[index - 1] === CR
        // A CR that ended the previous chunk already has its LF
        if (afterCr && index > 0) continue
        changed = true
        added += afterCr ? -1 : 1
      } else if (byte === CR) {
        if (chunk[index + 1] === LF) continue
        changed = true
        added++
      } else if (byte === DOT && this.#isLineStart(chunk, index)) {
        changed = true
        added++
      }
    }
    return changed ? length + added : undefined
  }

  #isLineStart(chunk: Uint8Array, index: number): boolean {
    if (index === 0) return this.#atLineStart
    const before = chunk[index - 1]
    return before === LF || before === CR
  }

  #copy(chunk: Uint8Array, out: Buffer): Buffer {
    let at = 0
    for (const byte of chunk) {
      if (byte === LF || byte === CR) {
        if (byte === CR || !this.#afterCr) {
          out[at++] = CR
          out[at++] = LF
        }
        this.#afterCr = byte === CR
        this.#atLineStart = true
        continue
      }
      if (byte === DOT && this.#atLineStart) out[at++] = DOT
      out[at++] = byte
      this.#afterCr = false
      this.#atLineStart = false
    }
    return out
  }
}

/** A message that several hosts get: stuffed once, in blocks that every transaction writes. */
export class StuffedMessage {
  /** Bytes as they are sent, without the final dot */
  readonly size: number
  readonly isAscii: boolean
  /** The last one ends with the final dot */
  readonly blocks: readonly Uint8Array[]

  /** A transport and its MtaSts object may be of two copies of this package */
  static [Symbol.hasInstance](value: unknown): boolean {
    return Array.isArray(Object(value).blocks)
  }

  constructor(chunks: readonly Uint8Array[]) {
    const stuffing = new DotStuffing()
    const stuffed = chunks.map((chunk) => stuffing.encode(chunk))
    stuffed.push(stuffing.endOfLine())
    this.size = stuffed.reduce((sum, { length }) => sum + length, 0)
    this.isAscii = chunks.every((chunk) => isAscii(chunk))
    this.blocks = blocksOf(stuffed, this.size)
  }
}

/** Cuts a message into blocks without a copy; a small one is one block. */
function blocksOf(stuffed: readonly Uint8Array[], size: number): Uint8Array[] {
  if (size <= BLOCK) return [Buffer.concat([...stuffed, FINAL_DOT])]
  const blocks: Uint8Array[] = []
  for (const bytes of stuffed) {
    for (let start = 0; start < bytes.length; start += BLOCK) {
      blocks.push(bytes.subarray(start, start + BLOCK))
    }
  }
  return [...blocks.slice(0, -1), Buffer.concat([blocks.at(-1) ?? NOTHING, FINAL_DOT])]
}

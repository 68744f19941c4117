/**
 * As much of PNG as a screenshot needs.
 *
 * @module
 */
import { inflateSync } from 'node:zlib'

const SIGNATURE = 8

/** Returns red, green and blue of a pixel. Only rows above it are read. */
export function colourAt(png: Buffer, x: number, y: number): number[] {
  const width = png.readUInt32BE(SIGNATURE + 8)
  const hasAlpha = png[SIGNATURE + 17] === 6
  const channels = hasAlpha ? 4 : 3
  const stride = width * channels
  const data = inflateSync(Buffer.concat([...chunksOf(png, 'IDAT')]))
  let above = Buffer.alloc(stride)
  for (let row = 0; row <= y; row++) {
    const start = row * (stride + 1)
    above = unfilter(data.subarray(start, start + stride + 1), above, channels)
  }
  return [...above.subarray(x * channels, x * channels + 3)]
}

function* chunksOf(png: Buffer, type: string): Generator<Buffer> {
  for (let at = SIGNATURE; at < png.length; ) {
    const length = png.readUInt32BE(at)
    if (png.toString('latin1', at + 4, at + 8) === type) yield png.subarray(at + 8, at + 8 + length)
    at += length + 12
  }
}

/** PNG §9: each byte is kept as the difference from its neighbours. */
function unfilter(row: Buffer, above: Buffer, channels: number): Buffer<ArrayBuffer> {
  const [filter = 0, ...bytes] = row
  const out = Buffer.alloc(bytes.length)
  for (const [index, byte] of bytes.entries()) {
    const left = index < channels ? 0 : (out[index - channels] ?? 0)
    const up = above[index] ?? 0
    const corner = index < channels ? 0 : (above[index - channels] ?? 0)
    const guesses = [0, left, up, (left + up) >> 1, paeth(left, up, corner)]
    out[index] = byte + (guesses[filter] ?? 0)
  }
  return out
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner
  const [a, b, c] = [guess - left, guess - up, guess - corner].map(Math.abs)
  if (a === undefined || b === undefined || c === undefined) return 0
  if (a <= b && a <= c) return left
  return b <= c ? up : corner
}

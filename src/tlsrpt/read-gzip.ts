/**
 * gzip (RFC 1952) with other bytes behind it: a line break, the footer of a mailing list. Node's
 * `gunzipSync` refuses them.
 *
 * @module
 */
import { gunzipSync, inflateRawSync } from 'node:zlib'

interface Limits {
  maxOutputLength: number
}

const TRAILER = 8

/** Bound of the members, each of which costs a call of zlib; reports have one. */
const MAX_MEMBERS = 100

export function isGzip(data: Buffer): boolean {
  return data[0] === 0x1f && data[1] === 0x8b
}

/** Returns the joined content of the gzip members. */
export function gunzip(data: Buffer, limits: Limits): Buffer {
  try {
    return gunzipSync(data, limits)
  } catch (error) {
    if (!isDataError(error)) throw error
    const end = endOfGzip(data, limits)
    if (end >= data.length) throw error
    return gunzipSync(data.subarray(0, end), limits)
  }
}

function isDataError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'Z_DATA_ERROR'
}

function endOfGzip(data: Buffer, limits: Limits): number {
  let end = 0
  for (let member = 0; member < MAX_MEMBERS; member++) {
    const body = end + headerLength(data.subarray(end))
    const { engine } = inflateRaw(data.subarray(body), limits)
    end = body + engine.bytesWritten + TRAILER
    if (!isGzip(data.subarray(end))) return end
  }
  return end
}

/** The option `info`, which also returns the engine, is missing in Node's types. */
type WithEngine = (
  data: Buffer,
  options: Limits & { info: true },
) => {
  engine: { bytesWritten: number }
}

function inflateRaw(data: Buffer, limits: Limits) {
  const inflate = inflateRawSync as unknown as WithEngine
  return inflate(data, { ...limits, info: true })
}

const FIXED_HEADER = 10
const HAS_CHECKSUM = 0x02
const HAS_EXTRA = 0x04
const HAS_NAME = 0x08
const HAS_COMMENT = 0x10

function headerLength(member: Buffer): number {
  const flags = member[3] ?? 0
  let at = FIXED_HEADER
  if (flags & HAS_EXTRA) at += 2 + (member[at] ?? 0) + 256 * (member[at + 1] ?? 0)
  if (flags & HAS_NAME) at = behindZero(member, at)
  if (flags & HAS_COMMENT) at = behindZero(member, at)
  return flags & HAS_CHECKSUM ? at + 2 : at
}

function behindZero(member: Buffer, from: number): number {
  const zero = member.indexOf(0, from)
  return zero < 0 ? member.length : zero + 1
}

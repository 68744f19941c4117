/**
 * Composes a message of plain parts at once. Nodemailer's stream of the same message costs several
 * times as much as its text: five streams, a pipeline, and a turn of the event loop for each part.
 *
 * @module
 */
import type { MailNode } from './types.js'

/** The stages that Nodemailer's `createReadStream` puts behind the parts; plugins add to them. */
interface Stages {
  _transforms?: unknown
  _processFuncs?: unknown
  newline?: unknown
}

/** A part with the methods that write it. */
interface Part extends MailNode {
  _raw?: unknown
  multipart?: unknown
  boundary?: unknown
  getTransferEncoding(): unknown
  buildHeaders(): string
}

type Bytes = string | Uint8Array

/**
 * Returns the bytes that `createReadStream()` of a message yields.
 *
 * @returns undefined if it must be read from there: its parts have more than `limit` bytes, are
 * files, URLs or streams, or need an encoding, or a plugin has a part in it
 * @throws the error of Nodemailer for a header that cannot be written
 */
export function composeAtOnce(message: MailNode, limit: number): Uint8Array | undefined {
  if (!hasNoStages(message)) return undefined
  const size = plainSize(message)
  if (size === undefined || size > limit) return undefined
  const written: Bytes[] = []
  write(message as Part, written)
  return joined(written)
}

function hasNoStages({ _transforms, _processFuncs, newline }: MailNode & Stages): boolean {
  return isEmptyList(_transforms) && isEmptyList(_processFuncs) && !newline
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Returns the bytes of the content in all parts; undefined if one is not plain. */
function plainSize(node: MailNode): number | undefined {
  if (!isAsNodemailerMadeIt(node)) return undefined
  const { _raw: raw, multipart } = node
  if (raw) return isBytes(raw) && !multipart ? Buffer.byteLength(raw) : undefined
  let size = 0
  if (node.content) {
    if (!isBytes(node.content) || ENCODED.has(node.getTransferEncoding())) return undefined
    size += Buffer.byteLength(node.content)
  }
  for (const child of node.childNodes ?? []) {
    const more = plainSize(child)
    if (more === undefined) return undefined
    size += more
  }
  return size
}

const ENCODED: ReadonlySet<unknown> = new Set(['base64', 'quoted-printable'])

/** The methods that write a part, of which a plugin may have replaced one. */
const METHODS = ['createReadStream', 'stream', 'buildHeaders', 'getTransferEncoding'] as const

/** Whether a part is of Nodemailer's own class, and writes itself as that does. */
function isAsNodemailerMadeIt(node: MailNode): node is Part {
  const type: unknown = Object.getPrototypeOf(node)
  return (
    Object.getPrototypeOf(type) === Object.prototype &&
    METHODS.every(
      (name) => !Object.hasOwn(node, name) && typeof Reflect.get(node, name) === 'function',
    )
  )
}

function isBytes(content: unknown): content is Bytes {
  return typeof content === 'string' || content instanceof Uint8Array
}

/** Writes a part in the order of Nodemailer's `MimeNode.stream`. */
function write(node: Part, written: Bytes[]): void {
  if (node._raw) {
    written.push(node._raw as Bytes)
    return
  }
  written.push(node.buildHeaders(), '\r\n\r\n')
  if (node.content) written.push(node.content as Bytes)
  // Both are set by buildHeaders()
  const { multipart, boundary } = node
  if (!multipart) return
  for (const [index, child] of (node.childNodes ?? []).entries()) {
    written.push(`${index > 0 ? '\r\n' : ''}--${boundary}\r\n`)
    write(child as Part, written)
  }
  written.push(`\r\n--${boundary}--\r\n`)
}

/** Joins texts and bytes, with a line end: with one copy of each, which counts for a large message. */
function joined(parts: readonly Bytes[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  const whole = Buffer.allocUnsafe(size + CRLF.length)
  let at = 0
  for (const part of parts) {
    if (typeof part === 'string') at += whole.write(part, at)
    else {
      whole.set(part, at)
      at += part.length
    }
  }
  const last = at > 0 ? whole[at - 1] : undefined
  if (last !== LF) at += whole.write(last === CR ? '\n' : CRLF, at)
  return whole.subarray(0, at)
}

const CRLF = '\r\n'
const LF = 0x0a
const CR = 0x0d

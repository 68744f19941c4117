/**
 * Composes a message of texts and bytes without Nodemailer's stream of it, which costs several times
 * as much: five streams, a pipeline, and a turn of the event loop for each part.
 *
 * @module
 */
import { Writable } from 'node:stream'
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
  stream(output: Writable, options: object, done: (error?: Error | null) => void): void
}

type Bytes = string | Uint8Array

/**
 * Returns the bytes that `createReadStream()` of a message yields.
 *
 * @returns undefined if it must be read from there: its parts are files, URLs or streams, or a
 * plugin has a part in it; or if a part needs an encoding
 * @throws the error of Nodemailer for a header that cannot be written
 */
export function composeAtOnce(message: MailNode): Uint8Array | undefined {
  if (!isOfBytes(message) || isEncoded(message)) return undefined
  const written: Bytes[] = []
  write(message, written)
  return joined(written)
}

/** Returns the bytes of a message with encoded parts, in chunks; undefined as for {@link composeAtOnce}. */
export function composeEncoded(message: MailNode): Promise<Uint8Array[]> | undefined {
  if (!isOfBytes(message)) return undefined
  const owned = buffersOf(message)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const collector = new Writable({
      write(chunk, _encoding, done) {
        chunks.push(owned.has(chunk.buffer) ? Buffer.from(chunk) : chunk)
        done()
      },
    })
    message.stream(collector, {}, (error) => {
      if (error) reject(error)
      else resolve([...chunks, Buffer.from(missingLineEnd(chunks.at(-1)?.at(-1)))])
    })
  })
}

/**
 * Returns the memory of the parts that are bytes of the user's. A part that is not encoded comes as
 * these bytes: changed after their dots were stuffed, they could end the message and begin another.
 */
function buffersOf(node: MailNode): Set<ArrayBufferLike> {
  const content = Reflect.get(node, '_raw') || node.content
  const own = content instanceof Uint8Array ? [content.buffer] : []
  const parts = node.childNodes ?? []
  return new Set([...own, ...parts.flatMap((part) => [...buffersOf(part)])])
}

function isOfBytes(message: MailNode): message is Part {
  return hasNoStages(message) && contentSize(message) !== undefined
}

function hasNoStages({ _transforms, _processFuncs, newline }: MailNode & Stages): boolean {
  return isEmptyList(_transforms) && isEmptyList(_processFuncs) && !newline
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Returns the bytes of the content in all parts; undefined if one is a file, a URL or a stream. */
export function contentSize(node: MailNode): number | undefined {
  if (!isAsNodemailerMadeIt(node)) return undefined
  const { _raw: raw, multipart, content } = node
  if (raw) return isBytes(raw) && !multipart ? Buffer.byteLength(raw) : undefined
  let size = 0
  if (content) {
    if (!isBytes(content)) return undefined
    size = Buffer.byteLength(content)
  }
  for (const child of node.childNodes ?? []) {
    const more = contentSize(child)
    if (more === undefined) return undefined
    size += more
  }
  return size
}

function isEncoded(node: Part): boolean {
  if (node._raw) return false
  if (node.content && ENCODED.has(node.getTransferEncoding())) return true
  return (node.childNodes ?? []).some((child) => isEncoded(child as Part))
}

/**
 * Whether a part is sent as it is, whatever its bytes: a raw one, or a message. Nodemailer encodes
 * text that is not ASCII, and parts of other types.
 */
export function hasBytes(node: MailNode): boolean {
  const { _raw, content, childNodes = [] } = node as Part
  if (_raw || childNodes.some(hasBytes)) return true
  if (!content || /^text\//i.test(String(node.getHeader('Content-Type')))) return false
  return !ENCODED.has((node as Part).getTransferEncoding())
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
  at += whole.write(missingLineEnd(at > 0 ? whole[at - 1] : undefined), at)
  return whole.subarray(0, at)
}

function missingLineEnd(last: number | undefined): string {
  if (last === LF) return ''
  return last === CR ? '\n' : CRLF
}

const CRLF = '\r\n'
const LF = 0x0a
const CR = 0x0d

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
export interface Part extends MailNode {
  _raw?: unknown
  multipart?: unknown
  boundary?: unknown
  getTransferEncoding(): unknown
  buildHeaders(): string
  stream(output: Writable, options: object, done: (error?: Error | null) => void): void
}

type Bytes = string | Uint8Array

/**
 * Returns the bytes that `createReadStream()` of a message yields: at once, or later and in chunks
 * if a part needs an encoding.
 *
 * @param parts the message and its parts, see {@link partsOf}
 * @returns undefined if it must be read from there: a plugin has a part in it
 * @throws the error of Nodemailer for a header that cannot be written, or rejects with it
 */
export function compose(parts: readonly Part[]): Uint8Array | Promise<Uint8Array[]> | undefined {
  const [message] = parts
  if (!message || !hasNoStages(message)) return undefined
  if (parts.some(isEncoded)) return streamed(message, parts)
  const written: Bytes[] = []
  write(message, written)
  return joined(written)
}

function hasNoStages({ _transforms, _processFuncs, newline }: MailNode & Stages): boolean {
  return isEmptyList(_transforms) && isEmptyList(_processFuncs) && !newline
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/**
 * Returns a message and all its parts; undefined if one is a file, a URL, a stream, or changed by a
 * plugin.
 */
export function partsOf(node: MailNode): Part[] | undefined {
  if (!isAsNodemailerMadeIt(node)) return undefined
  if (node._raw) return isBytes(node._raw) && !node.multipart ? [node] : undefined
  if (node.content && !isBytes(node.content)) return undefined
  const parts = [node]
  for (const child of node.childNodes ?? []) {
    const more = partsOf(child)
    if (!more) return undefined
    parts.push(...more)
  }
  return parts
}

/** Returns what {@link partsOf} has checked: a raw part, or the content. */
function bytesOf({ _raw, content }: Part): Bytes {
  return (_raw || content || '') as Bytes
}

/** Returns the bytes of the content in all parts. */
export function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((size, part) => size + Buffer.byteLength(bytesOf(part)), 0)
}

function isEncoded(part: Part): boolean {
  return !part._raw && Boolean(part.content) && ENCODED.has(part.getTransferEncoding())
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
    written.push(bytesOf(node))
    return
  }
  written.push(node.buildHeaders(), '\r\n\r\n')
  if (node.content) written.push(bytesOf(node))
  // Both are set by buildHeaders()
  const { multipart, boundary } = node
  if (!multipart) return
  for (const [index, child] of (node.childNodes ?? []).entries()) {
    written.push(`${index > 0 ? '\r\n' : ''}--${boundary}\r\n`)
    write(child as Part, written)
  }
  written.push(`\r\n--${boundary}--\r\n`)
}

/** Lets Nodemailer write a message, which encodes its parts. */
function streamed(message: Part, parts: readonly Part[]): Promise<Uint8Array[]> {
  // A part that is not encoded comes as the user's own bytes: changed after their dots were stuffed,
  // they could end the message and begin another
  const owned = new Set<unknown>(parts.map((part) => Object(bytesOf(part)).buffer))
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

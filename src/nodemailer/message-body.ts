/**
 * The body of a message, once for each attempt: streamed where it is large, and copied where it is
 * small or several deliveries need it.
 *
 * @module
 */
import { Readable } from 'node:stream'
import { MtaStsError } from '../errors.js'
import { startTimer } from '../net/deadline.js'
import { streamError } from '../smtp/data.js'
import { StuffedMessage } from '../smtp/stuffing.js'
import { replyTimeouts } from '../smtp/timeouts.js'
import { compose, partsOf, sizeOf } from './compose.js'
import type { MailNode } from './types.js'

/** The body of a message for one attempt. */
export interface Body {
  content: Uint8Array | Readable | StuffedMessage
  /** In bytes; undefined for a stream */
  size?: number
}

/** Whether nothing of a body has been read, so that another attempt can have it. */
export function isUnread({ content }: Body): boolean {
  return !(content instanceof Readable) || !content.readableDidRead
}

/** Messages up to this size are read before a connection is opened: SIZE can be declared. */
const SMALL = 65_536

/** Provides the body of a message, once for each attempt. */
export class MessageSource {
  readonly #message: MailNode
  readonly #hasStream: boolean
  /** Whether the message can be composed only once */
  readonly #once: boolean
  #reading: Promise<void> | undefined
  /** Opened by Nodemailer, for the message and for its parts */
  readonly #opened: unknown[] = []
  #copy: Body | undefined
  #error: Error | undefined
  #begun = false

  constructor(message: MailNode) {
    this.#message = message
    this.#hasStream = hasStream(message)
    this.#once = this.#hasStream || isChangedByComposing(message)
  }

  /**
   * Reads the message into memory: the whole of it with `whole`, so that any number of deliveries
   * can send it, else only a small one. Never rejects; undefined: there is nothing to wait for.
   */
  prepare(options: { whole?: boolean } = {}): Promise<void> | undefined {
    if (this.#copy) return undefined
    if (!this.#reading) {
      const whole = options.whole || (this.#once && !this.#hasStream)
      const parts = partsOf(this.#message)
      // Files and downloads are read only for a host that takes the message
      if (!whole && (!parts || sizeOf(parts) > SMALL)) return undefined
      const composed = parts && this.#compose(parts)
      if (composed instanceof Uint8Array) {
        this.#copy = bodyOf([composed], whole)
        return undefined
      }
      this.#reading = this.#read(composed, whole)
    }
    return this.#reading
  }

  #compose(parts: Parameters<typeof compose>[0]): ReturnType<typeof compose> {
    try {
      return compose(parts)
    } catch {
      // The stream ends with the same error
      return undefined
    }
  }

  async #read(composed: Promise<Uint8Array[]> | undefined, whole: boolean): Promise<void> {
    try {
      const chunks = await (composed ?? readAll(this.#openStream()))
      this.#copy = bodyOf(chunks, whole)
    } catch (error) {
      // Else the attempt reads it again and ends with the same error
      if (this.#once) this.#error = streamError('API', error)
    }
  }

  #openStream(): Readable {
    if (this.#opened.length === 0) collectOpened(this.#message, this.#opened)
    const stream = this.#message.createReadStream()
    this.#opened.push(stream)
    return stream
  }

  /**
   * Closes the streams and files that were not read to their end, which Nodemailer 8 and 9 leave
   * open: the process could not end, or would have too many files open.
   */
  release(): void {
    for (const stream of this.#opened) {
      // A plugin may have made a stream of another library
      if (stream instanceof Readable) stream.on('error', () => {}).destroy()
    }
  }

  /**
   * Returns the message for one attempt. No stream, file or download is opened before this one is
   * read: the next attempt can still have them when this one gets no further than MAIL FROM.
   *
   * @throws MtaStsError `ESTREAM` when part of it came from a stream that has been read
   * @throws the error of reading the message
   */
  open(): Body {
    if (this.#error) throw this.#error
    if (this.#copy) return this.#copy
    if (this.#hasStream && this.#begun) {
      throw new MtaStsError(
        'The message cannot be sent a second time: part of it is a stream that has been read. Give it as a string, a Buffer or a path instead, or send it again.',
        'ESTREAM',
      )
    }
    return {
      content: new LazyReadable(() => {
        this.#begun = true
        return this.#openStream()
      }),
    }
  }
}

/** Returns the body for one delivery, or with `shared` for any number of them. */
function bodyOf(chunks: readonly Uint8Array[], shared: boolean): Body {
  if (shared) {
    const content = new StuffedMessage(chunks)
    return { content, size: content.size }
  }
  const [only] = chunks
  const content = only && chunks.length === 1 ? only : Buffer.concat(chunks)
  return { content, size: content.length }
}

/** Collects the streams that Nodemailer opens for the parts of a message. */
function collectOpened(node: MailNode, opened: unknown[]): void {
  const open: unknown = Reflect.get(node, '_getStream')
  if (typeof open === 'function') {
    Reflect.set(node, '_getStream', (content: unknown) => {
      const stream = Reflect.apply(open, node, [content])
      // A stream of the user's is returned as it is
      if (stream !== content) opened.push(stream)
      return stream
    })
  }
  for (const child of node.childNodes ?? []) collectOpened(child, opened)
}

/** Reads a stream to its end, unless it stalls. */
async function readAll(stream: Readable): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  const { message } = replyTimeouts(undefined)
  const late = () => stream.destroy(new Error(`nothing came for ${message} ms`))
  let timer = startTimer(late, message)
  // It may fail again after its first error
  stream.on('error', () => {})
  try {
    for await (const chunk of stream) {
      clearTimeout(timer)
      timer = startTimer(late, message)
      chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    }
    return chunks
  } finally {
    clearTimeout(timer)
  }
}

/** A stream that is opened when it is first read. */
class LazyReadable extends Readable {
  readonly #open: () => Readable
  #source: Readable | undefined

  constructor(open: () => Readable) {
    super()
    this.#open = open
  }

  override _read(): void {
    if (this.#source) {
      this.#source.resume()
      return
    }
    const source = this.#open()
    this.#source = source
    source.on('data', (chunk) => {
      if (!this.push(chunk)) source.pause()
    })
    source.on('end', () => this.push(null))
    source.on('error', (error) => this.destroy(error))
    source.on('close', () => {
      if (!source.readableEnded) this.destroy()
    })
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#source?.destroy()
    callback(error)
  }
}

/**
 * Whether Nodemailer composes a message in another way each time, for example without its body: it
 * moves Content-Type fields to the end, which changes the order of several.
 */
function isChangedByComposing(message: MailNode): boolean {
  const headers: unknown = Reflect.get(message, '_headers')
  if (!Array.isArray(headers)) return false
  return headers.filter((header) => Object(header).key === 'Content-Type').length > 1
}

/** Whether a part of the message, or the whole, is a stream of the user's: it can be read once. */
function hasStream(node: MailNode): boolean {
  const raw: unknown = Reflect.get(node, '_raw')
  return isStream(node.content) || isStream(raw) || (node.childNodes ?? []).some(hasStream)
}

function isStream(content: unknown): boolean {
  return (
    typeof content === 'object' &&
    content !== null &&
    'pipe' in content &&
    !('_resolvedValue' in content)
  )
}

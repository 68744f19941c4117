/**
 * A message as it is sent: its body, streamed where it is large and copied where it is small or
 * several deliveries need it; its envelope; and what it asks of TLS itself (RFC 8689).
 *
 * @module
 */
import { isAscii } from 'node:buffer'
import { Readable } from 'node:stream'
import type { DeliveryContext } from '../delivery/deliver.js'
import type { TlsDemand } from '../delivery/plan.js'
import { MtaStsError } from '../errors.js'
import { onAbort, startTimer } from '../net/deadline.js'
import type { SmtpEnvelope } from '../smtp/connection.js'
import { streamError } from '../smtp/data.js'
import { dsnParameters } from '../smtp/envelope.js'
import { StuffedMessage } from '../smtp/stuffing.js'
import { replyTimeouts } from '../smtp/timeouts.js'
import { composeAtOnce, composeEncoded, contentSize, hasBytes } from './compose.js'
import type { MailNode, MailToSend } from './types.js'

type MimeNode = MailNode

export class Message {
  readonly source: MessageSource
  readonly demand: TlsDemand
  /** Aborted with the signal of the user's, on which it is one listener, however many domains */
  readonly signal: AbortSignal | undefined
  /** With all recipients */
  readonly envelope: ReturnType<MimeNode['getEnvelope']>
  readonly #dsn: SmtpEnvelope['dsn']
  readonly #hasBytes: boolean
  #release = () => {}

  /** @throws SmtpError `EENVELOPE` for DSN options that no host can get */
  constructor(mail: MailToSend) {
    const { data } = mail
    this.#dsn = dsnOf(data.dsn || ofEnvelope(data, 'dsn'))
    // Before any connection
    dsnParameters(this.#dsn)
    // Addresses are parsed for it: once, and not for every domain and attempt
    this.envelope = mail.message.getEnvelope()
    this.#hasBytes = hasBytes(mail.message)
    this.source = new MessageSource(mail.message)
    this.demand = demandOf(mail)
    if (mail.data.signal) this.signal = this.#follow(mail.data.signal)
  }

  /** Lets go of the user's signal. */
  release(): void {
    this.#release()
  }

  #follow(signal: AbortSignal): AbortSignal {
    const controller = new AbortController()
    this.#release = onAbort(signal, () => controller.abort(signal.reason))
    return controller.signal
  }

  /** Returns the envelope for these recipients. */
  envelopeFor(recipients: readonly string[], { content, size }: Body): SmtpEnvelope {
    return {
      from: this.envelope.from,
      to: recipients,
      use8BitMime: this.#may8Bit(content),
      ...(size === undefined ? {} : { size }),
      ...(this.#dsn === undefined ? {} : { dsn: this.#dsn }),
      ...(this.demand === 'require' ? { requireTls: true } : {}),
    }
  }

  #may8Bit(content: Body['content']): boolean {
    if (content instanceof Readable) return this.#hasBytes
    return !(content instanceof StuffedMessage ? content.isAscii : isAscii(content))
  }

  /** Returns the body for one attempt; ends the delivery when it cannot be read any more. */
  open(context: DeliveryContext): Body {
    try {
      return this.source.open()
    } catch (error) {
      return context.stop(error)
    }
  }
}

/** Returns delivery status options by their SMTP names (RFC 3461); Nodemailer has its own, too. */
function dsnOf(dsn: unknown): SmtpEnvelope['dsn'] {
  if (!dsn) return undefined
  // Anything wrong is refused by dsnParameters
  if (typeof dsn !== 'object') return dsn as object
  const { ret, return: returned, envid, id, notify, orcpt, recipient } = dsn as DsnOptions
  const asked = String(ret ?? returned ?? '').toUpperCase()
  const part = asked === '' ? undefined : (RETURNED[asked] ?? (asked as 'FULL'))
  const original = recipient ?? orcpt
  const name = envid ?? id
  return {
    ...(part === undefined ? {} : { ret: part }),
    ...(name === undefined ? {} : { envid: typeof name === 'number' ? `${name}` : name }),
    ...(notify === undefined ? {} : { notify }),
    ...(original === undefined ? {} : { orcpt: original }),
  }
}

type DsnOptions = NonNullable<SmtpEnvelope['dsn']> & {
  return?: string
  id?: string
  recipient?: string
}

/** Returns a field that Nodemailer also takes in the envelope of a message. */
function ofEnvelope({ envelope }: Pick<MailToSend['data'], 'envelope'>, field: string): unknown {
  return envelope ? Reflect.get(Object(envelope), field) : undefined
}

const RETURNED: Record<string, 'HDRS' | 'FULL'> = {
  HDRS: 'HDRS',
  HEADERS: 'HDRS',
  FULL: 'FULL',
  BODY: 'FULL',
}

/** The errors of a message that cannot be sent to any host: about its envelope or its content. */
export function isOwnFault(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false
  const replied = 'responseCode' in error && error.responseCode !== undefined
  return !replied && OWN_FAULTS.has(String(error.code))
}

const OWN_FAULTS = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS'])

/** The parts of a mail that say what it asks of TLS. */
interface MailAsking {
  data?: Pick<MailToSend['data'], 'requireTLSExtensionEnabled' | 'envelope'>
  message: { getHeader?(name: string): unknown }
}

/** Returns what a mail asks of TLS itself: RFC 8689 §2 and §3; REQUIRETLS wins where both are asked for. */
export function demandOf({ data, message }: MailAsking): TlsDemand {
  const field = 'requireTLSExtensionEnabled'
  if (data && (data[field] || ofEnvelope(data, field))) return 'require'
  const header: unknown = message.getHeader?.('TLS-Required')
  return typeof header === 'string' && /^\s*no\s*$/i.test(header) ? 'optional' : 'policy'
}

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
  readonly #message: MimeNode
  readonly #hasStream: boolean
  /** Whether the message can be composed only once */
  readonly #once: boolean
  #reading: Promise<void> | undefined
  #copy: Body | undefined
  #error: Error | undefined
  #begun = false

  constructor(message: MimeNode) {
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
      // Files and downloads are opened only for a host that takes the message: opened and not read
      // to their end, they would stay open
      if (!whole && (contentSize(this.#message) ?? Number.POSITIVE_INFINITY) > SMALL)
        return undefined
      this.#copy = this.#composed(whole)
      if (this.#copy) return undefined
      this.#reading = this.#read(whole)
    }
    return this.#reading
  }

  #composed(whole: boolean): Body | undefined {
    try {
      const bytes = composeAtOnce(this.#message)
      return bytes && bodyOf([bytes], whole)
    } catch {
      // The stream ends with the same error
      return undefined
    }
  }

  async #read(whole: boolean): Promise<void> {
    try {
      const chunks =
        (await composeEncoded(this.#message)) ?? (await readAll(this.#message.createReadStream()))
      this.#copy = bodyOf(chunks, whole)
    } catch (error) {
      // Else the attempt reads it again and ends with the same error
      if (this.#once) this.#error = streamError('API', error)
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
        return this.#message.createReadStream()
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

/** Reads a stream to its end. One that stalls would hold the message for ever. */
function readAll(stream: Readable): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const { message } = replyTimeouts(undefined)
    const late = () => stream.destroy(new Error(`nothing came for ${message} ms`))
    let timer = startTimer(late, message)
    stream.on('error', reject)
    stream.once('end', () => resolve(chunks))
    stream.once('close', () => {
      clearTimeout(timer)
      reject(new Error('The message was closed before its end'))
    })
    stream.on('data', (chunk: Buffer | string) => {
      clearTimeout(timer)
      timer = startTimer(late, message)
      chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    })
  })
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
function isChangedByComposing(message: MimeNode): boolean {
  const headers: unknown = Reflect.get(message, '_headers')
  if (!Array.isArray(headers)) return false
  return headers.filter((header) => Object(header).key === 'Content-Type').length > 1
}

/** Whether a part of the message, or the whole, is a stream of the user's: it can be read once. */
function hasStream(node: MimeNode): boolean {
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

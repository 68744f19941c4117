/**
 * The message as it is sent: its body, streamed where one delivery needs it and copied where
 * several do; its envelope; and what it asks of TLS itself (RFC 8689).
 *
 * @module
 */
import { setMaxListeners } from 'node:events'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { MailMessage, SMTPEnvelope } from 'nodemailer'
import type { DeliveryContext } from '../delivery/deliver.js'
import type { Candidate, TlsDemand } from '../delivery/plan.js'
import { MtaStsError } from '../errors.js'
import { TlsFailureError } from '../tls/failures.js'

type MimeNode = MailMessage['message']

export class Message {
  readonly source: MessageSource
  readonly demand: TlsDemand
  /** Aborted with the signal of the user's, on which it is one listener, however many domains */
  readonly signal: AbortSignal | undefined
  /** With all recipients */
  readonly envelope: ReturnType<MimeNode['getEnvelope']>
  readonly #mail: MailMessage
  #release = () => {}

  constructor(mail: MailMessage) {
    this.#mail = mail
    // Addresses are parsed for it: once, and not for every domain and attempt
    this.envelope = mail.message.getEnvelope()
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
    setMaxListeners(0, controller.signal)
    const onAbort = () => controller.abort(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#release = () => signal.removeEventListener('abort', onAbort)
    return controller.signal
  }

  /** For these recipients; a new object each time, since SMTPConnection writes to it (D10). */
  envelopeFor(recipients: string[]): SMTPEnvelope {
    const { dsn } = this.#mail.data
    const envelope: SMTPEnvelope = { ...this.envelope, to: recipients }
    if (dsn !== undefined) envelope.dsn = dsn
    if (this.demand === 'require') envelope.requireTLSExtensionEnabled = true
    return envelope
  }

  /** The body for one attempt; ends the delivery when there is none to be had any more. */
  open(context: DeliveryContext): Readable {
    try {
      return this.source.open()
    } catch (error) {
      return context.stop(error)
    }
  }

  /** What an error of Nodemailer's means for the delivery; no other host mends a broken message. */
  fault(error: unknown, { mxHost }: Candidate, context: DeliveryContext): unknown {
    const code = codeOf(error)
    if (code === 'EREQUIRETLS') {
      return new TlsFailureError({
        resultType: 'validation-failure',
        reason: 'requiretls-not-offered',
        mxHost,
        cause: error,
      })
    }
    if (!OWN_FAULTS.has(code)) return error
    // A file or a URL may be there tomorrow; no later attempt mends an envelope
    if (code === 'EENVELOPE') Object.assign(Object(error), { permanent: true })
    return context.stop(error)
  }
}

/** Errors of Nodemailer about the message or the envelope, when no host replied anything. */
const OWN_FAULTS = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS'])

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const replied = 'responseCode' in error && error.responseCode !== undefined
  return 'code' in error && !replied ? String(error.code) : ''
}

/** RFC 8689 §2 and §3; REQUIRETLS wins where both are asked for. */
function demandOf({ data, message }: MailMessage): TlsDemand {
  if (data.requireTLSExtensionEnabled) return 'require'
  const header: unknown = message.getHeader('TLS-Required')
  return typeof header === 'string' && /^\s*no\s*$/i.test(header) ? 'optional' : 'policy'
}

export class MessageSource {
  readonly #message: MimeNode
  #copy: Buffer | undefined
  #begun = false

  constructor(message: MimeNode) {
    this.#message = message
  }

  /** Reads the whole message into memory, so that any number of deliveries can send it. */
  async hold(): Promise<void> {
    this.#copy = await buffer(this.#message.createReadStream())
  }

  /**
   * The message for one attempt. Of a stream of the user's nothing is read before somebody reads
   * this one: the next attempt can still have it when this one gets no further than MAIL FROM.
   *
   * @throws MtaStsError `ESTREAM` when part of it came from a stream that has been read
   */
  open(): Readable {
    if (this.#copy) return Readable.from(this.#copy)
    if (!hasStream(this.#message)) return this.#message.createReadStream()
    if (this.#begun) {
      throw new MtaStsError(
        'The message cannot be sent a second time: part of it is a stream that has been read. Give it as a string, a Buffer or a path instead, or send it again.',
        'ESTREAM',
      )
    }
    return new LazyReadable(() => {
      this.#begun = true
      return this.#message.createReadStream()
    })
  }
}

/** A stream that is not opened before somebody reads it. */
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

/** Nodemailer can read a message again unless a part of it, or the whole, is somebody's stream. */
function hasStream(node: MimeNode): boolean {
  const raw: unknown = Reflect.get(node, '_raw')
  return isStream(node.content) || isStream(raw) || node.childNodes.some(hasStream)
}

function isStream(content: unknown): boolean {
  return (
    typeof content === 'object' &&
    content !== null &&
    'pipe' in content &&
    !('_resolvedValue' in content)
  )
}

/**
 * Messages that MX hosts accepted, and their parsed contents.
 *
 * @module
 */
import type { Attachment, Email } from 'postal-mime'
import { MtaStsError } from '../errors.js'
import type { DkimResult } from './dkim.js'
import { verifyDkim } from './dkim.js'
import { codeIn, linksIn } from './extract.js'
import type { TlsFacts } from './log.js'
import { isTextOrPattern, matchesText, shown } from './named.js'
import type { Parser } from './optional-packages.js'
import type { Zone } from './zone.js'

/** A file in a message. */
export interface MailAttachment {
  /** Its name; undefined when it has none */
  filename: string | undefined
  /** `application/pdf` */
  mimeType: string
  /** Its content, decoded */
  content: Buffer
  /** `Content-ID` without its angle brackets, for images in HTML */
  contentId: string | undefined
}

/** The contents of a message that are the same in each run: for `toMatchSnapshot()`. */
export interface MailSnapshot {
  /** The addresses of the header field From */
  from: string[]
  /** The addresses of the header field To */
  to: string[]
  /** The addresses of the header field Cc */
  cc: string[]
  /** Decoded */
  subject: string | undefined
  /** The text of the message */
  text: string | undefined
  /** The HTML of the message */
  html: string | undefined
  /** The files in it, without their contents */
  attachments: AttachmentSnapshot[]
}

/** A file in a message, without its content. */
export interface AttachmentSnapshot {
  /** Its name; undefined when it has none */
  filename: string | undefined
  /** `application/pdf` */
  mimeType: string
  /** Bytes of its content, decoded */
  size: number
}

/** A message that an MX host accepted. */
export interface ReceivedMessage {
  /** The addresses of MAIL FROM and of each RCPT TO that was accepted */
  envelope: { from: string; to: string[] }
  /** Header and body as UTF-8; `bytes` has them unchanged */
  raw: string
  /** The MX host that accepted it */
  mx: string
  /** The address of that host that was used */
  address: string
  /** Facts of its TLS session; false for plaintext */
  tls: TlsFacts | false
  /** Whether MAIL FROM had REQUIRETLS (RFC 8689) */
  requireTls: boolean
  /** World time, epoch milliseconds */
  at: number
  /** Header and body, unchanged. Not enumerable, like all fields below: they are not compared */
  readonly bytes: Buffer
  /** The login of its sender */
  readonly user: string | undefined
  /** The subject, decoded; undefined without one */
  readonly subject: string | undefined
  /** The text; undefined without one */
  readonly text: string | undefined
  /** The HTML; undefined without one */
  readonly html: string | undefined
  /**
   * Header fields, undecoded, by names in lower case; fields of one name are joined by line breaks
   */
  readonly headers: ReadonlyMap<string, string>
  /** The addresses of the header field From */
  readonly from: string[]
  /** The addresses of the header field To */
  readonly to: string[]
  /** The addresses of the header field Cc */
  readonly cc: string[]
  /** The files in it */
  readonly attachments: MailAttachment[]
  /** Web addresses in HTML and text, each once */
  readonly links: URL[]
  /** The first one-time code, such as 123456, in subject and text */
  readonly code: string | undefined
  /**
   * Returns the first link that contains the text, or matches; without `match`, the first.
   *
   * @throws Error that lists the links
   */
  link(match?: string | RegExp): URL
  /** Verifies its DKIM signatures with the keys in the DNS of the world; needs `mailauth` */
  dkim(): Promise<DkimResult[]>
  /** Returns the contents that are the same in each run */
  snapshot(): MailSnapshot
  /** Parses the message. Only messages of more than 256 KiB need it, and not after `next()` */
  parse(): Promise<void>
}

/** Messages up to this size are parsed when they arrive, so that reading them needs no `await`. */
export const PARSED_AT_ONCE = 262_144

export interface MessageFields
  extends Pick<
    ReceivedMessage,
    'envelope' | 'bytes' | 'mx' | 'address' | 'user' | 'tls' | 'requireTls' | 'at'
  > {
  zone: Zone
  /** Undefined when postal-mime is not installed */
  parser: Parser | undefined
}

/** Computed fields are getters of the prototype: they are neither printed nor compared. */
export class Message implements ReceivedMessage {
  readonly envelope: { from: string; to: string[] }
  readonly raw: string
  readonly mx: string
  readonly address: string
  readonly tls: TlsFacts | false
  readonly requireTls: boolean
  readonly at: number
  readonly #fields: MessageFields
  #email: Email | undefined
  #parsing: Promise<void> | undefined

  constructor(fields: MessageFields) {
    this.#fields = fields
    this.envelope = fields.envelope
    this.raw = fields.bytes.toString()
    this.mx = fields.mx
    this.address = fields.address
    this.tls = fields.tls
    this.requireTls = fields.requireTls
    this.at = fields.at
  }

  get bytes(): Buffer {
    return this.#fields.bytes
  }

  get user(): string | undefined {
    return this.#fields.user
  }

  get subject(): string | undefined {
    return this.#read.subject
  }

  get text(): string | undefined {
    return this.#read.text
  }

  get html(): string | undefined {
    return this.#read.html
  }

  get from(): string[] {
    return addresses([this.#read.from])
  }

  get to(): string[] {
    return addresses(this.#read.to)
  }

  get cc(): string[] {
    return addresses(this.#read.cc)
  }

  get headers(): ReadonlyMap<string, string> {
    const headers = new Map<string, string>()
    for (const { key, value } of this.#read.headers) {
      const before = headers.get(key)
      headers.set(key, before === undefined ? value : `${before}\n${value}`)
    }
    return headers
  }

  get attachments(): MailAttachment[] {
    return this.#read.attachments.map((attachment) => ({
      filename: attachment.filename ?? undefined,
      mimeType: attachment.mimeType,
      content: contentOf(attachment),
      contentId: attachment.contentId?.replace(/^<|>$/g, ''),
    }))
  }

  get links(): URL[] {
    return linksIn({ html: this.html, text: this.text })
  }

  get code(): string | undefined {
    return codeIn([this.subject, this.text])
  }

  dkim(): Promise<DkimResult[]> {
    const { bytes, zone } = this.#fields
    return verifyDkim(bytes, zone)
  }

  async parse(): Promise<void> {
    const { parser, bytes } = this.#fields
    if (parser === undefined) throw missingParser()
    this.#parsing ??= parser(bytes).then((email) => {
      this.#email = email
    })
    await this.#parsing
  }

  link(match: string | RegExp = ''): URL {
    isTextOrPattern('link(): the match', match)
    const { links } = this
    const found = links.find(({ href }) => matchesText(match, href))
    if (found !== undefined) return found
    const list = links.map(({ href }) => href).join(', ') || 'none'
    throw new Error(`No link of the message has ${shown(match)} in it; its links: ${list}`)
  }

  snapshot(): MailSnapshot {
    const { from, to, cc, subject, text, html } = this
    const attachments = this.attachments.map(({ filename, mimeType, content }) => ({
      filename,
      mimeType,
      size: content.length,
    }))
    return { from, to, cc, subject, text, html, attachments }
  }

  get #read(): Email {
    if (this.#email !== undefined) return this.#email
    if (this.#fields.parser === undefined) throw missingParser()
    throw new Error('A message of this size is read by `await message.parse()` or `inbox.next()`')
  }
}

function contentOf({ content }: Attachment): Buffer {
  if (typeof content === 'string') return Buffer.from(content)
  return content instanceof Uint8Array ? Buffer.from(content) : Buffer.from(content)
}

function addresses(list: readonly (Email['from'] | undefined)[] | undefined): string[] {
  return (list ?? []).flatMap((one) => {
    if (one === undefined) return []
    return one.address === undefined ? addresses(one.group) : [one.address]
  })
}

function missingParser(): MtaStsError {
  return new MtaStsError(
    'To read messages, mta-sts/testing needs the package postal-mime: npm install --save-dev postal-mime',
    'EPEER',
  )
}

/**
 * Finds the reports in the bytes of one file: decompresses, distinguishes JSON, mails and
 * mailboxes, and reads the parts of mails.
 *
 * @module
 */
import { escapeRemoteText } from '../text.js'
import { decode, isPacked, type SizeBudget, tooLarge, unpack } from './read-bytes.js'
import { ReportSyntaxError } from './read-error.js'
import {
  namesReportFields,
  REPORT_FIELDS,
  type Report,
  type ReportHints,
  readFileName,
  readReport,
} from './read-fields.js'
import { type JsonBudget, JsonReader } from './read-json.js'
import { type MailPart, mailBudget, type ParsedMail, parseMail } from './read-mail.js'
import { isMbox, mailsOf } from './read-mbox.js'

/** Options of `parseReport`. */
export interface ParseReportOptions {
  /** Bound of the input and of decompressed data, in bytes; default 16777216, 16 MiB */
  maxSize?: number | undefined
}

/** Options of `readReports`. */
export interface ReadOptions extends ParseReportOptions {
  /** The name of the file, which may hold the domain and the day if the report does not */
  fileName?: string | undefined
  /**
   * Called for each unreadable report next to readable ones. Without it they are noted in the first
   * readable report.
   */
  onUnreadable?: ((error: ReportSyntaxError) => void) | undefined
}

const MAX_SIZE = 16 * 1024 * 1024

/** Maximum number of JSON values in one file. A failure takes some eight of them. */
const MAX_VALUES = 1_000_000

/** Maximum number of objects and lists among them. A failure takes one. */
const MAX_CONTAINERS = 250_000

/** Maximum number of reports in one file. */
const MAX_REPORTS = 20_000

/** Maximum number of unreadable reports in one file, each an error with a stack trace. */
const MAX_ERRORS = 10_000

/** Ends the search; reports found before remain. */
class LimitError extends ReportSyntaxError {}

/** Maximum nesting of mails. */
const MAX_MAIL_DEPTH = 4

/** Maximum number of mails in one file, including nested ones. */
const MAX_MAILS = 3000

const NEITHER = 'it is neither JSON nor gzip, nor a mail with either of them'

/** A position in a file. */
interface Place extends ReportHints {
  /** Number of mails around it */
  depth: number
}

/** One search through one file. */
export class Search {
  readonly #options: ReadOptions
  readonly #sizes: SizeBudget
  readonly #values: JsonBudget = { values: MAX_VALUES, containers: MAX_CONTAINERS }
  readonly #mailBudget = mailBudget()
  #mails = 0
  readonly #reports: Report[] = []
  readonly #errors: ReportSyntaxError[] = []

  constructor(options: ReadOptions) {
    this.#options = options
    const { maxSize = MAX_SIZE } = options
    this.#sizes = { maxSize, unpacked: 2 * maxSize }
  }

  file(bytes: Uint8Array | string): void {
    const { fileName } = this.#options
    const isDeclared = readFileName(fileName ?? '') !== undefined
    try {
      const data = bufferOf(bytes)
      const { maxSize } = this.#sizes
      if (data.length === 0) throw new ReportSyntaxError(NEITHER)
      if (data.length > maxSize) throw tooLarge(`${data.length} bytes`, maxSize)
      this.#read(data, { fileName, depth: 0 })
    } catch (error) {
      if (!(error instanceof ReportSyntaxError)) throw error
      this.#errors.push(isDeclared ? declared(error) : error)
    }
  }

  result(): Report[] {
    const [first] = this.#reports
    if (first === undefined) throw this.#worst()
    const { onUnreadable } = this.#options
    const errors = this.#errors.filter(({ looksLikeReport }) => looksLikeReport)
    if (onUnreadable !== undefined) for (const error of errors) onUnreadable(error)
    else if (errors[0] !== undefined) {
      const others = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
      const text = `another report cannot be read${others}: ${errors[0].message}`
      const note = { code: 'other-report-unreadable', text } as const
      this.#reports[0] = { ...first, notes: [...first.notes, note] }
    }
    return this.#reports
  }

  #worst(): ReportSyntaxError {
    const worst = this.#errors.find(({ looksLikeReport }) => looksLikeReport) ?? this.#errors[0]
    return worst ?? new ReportSyntaxError('it holds no report')
  }

  /** Reads one place; its failure does not affect the others. */
  #try(read: () => void, isDeclared = false): void {
    try {
      read()
    } catch (error) {
      if (!(error instanceof ReportSyntaxError) || error instanceof LimitError) throw error
      this.#errors.push(isDeclared ? declared(error) : error)
    }
    const { length } = this.#errors
    if (length > MAX_ERRORS) throw limit(`more than ${MAX_ERRORS} unreadable reports`)
  }

  #read(bytes: Buffer, place: Place): void {
    const data = unpack(bytes, this.#sizes)
    if (isMbox(data)) {
      for (const mail of mailsOf(data)) this.#try(() => this.#mail(mail, place))
      return
    }
    const text = decode(data)
    if (/^\s*[{[]/.test(text)) this.#json(text, place)
    else if (looksLikeMail(text)) this.#mail(data, place)
    else throw new ReportSyntaxError(NEITHER)
  }

  /** Reads the values in order: a report, a list of reports, or one on each line. */
  #json(text: string, place: Place): void {
    const reader = new JsonReader(text, REPORT_FIELDS, this.#values)
    const before = this.#reports.length
    const errors: ReportSyntaxError[] = []
    while (reader.hasNext()) {
      try {
        const value = reader.next()
        for (const item of isList(value) ? value : [value]) {
          this.#try(() => this.#reports.push(readReport(item, place)))
          if (this.#reports.length > MAX_REPORTS) throw limit(`more than ${MAX_REPORTS} reports`)
        }
      } catch (error) {
        if (!(error instanceof ReportSyntaxError) || error instanceof LimitError) throw error
        // The footer of a mailing list may also begin with a bracket
        const isFooter = this.#reports.length > before && !beginsJson(reader.lastValue)
        if (!isFooter) errors.push(error)
        if (!reader.skipToNextLine()) break
      }
    }
    const [first] = errors
    if (this.#reports.length > before) this.#errors.push(...errors.map(declared))
    else if (first) throw namesReportFields(text.slice(0, 65_536)) ? declared(first) : first
  }

  #mail(bytes: Buffer, place: Place): void {
    if (++this.#mails > MAX_MAILS) throw limit(`more than ${MAX_MAILS} mails`)
    const mail = parseMail(bytes, this.#mailBudget)
    const { depth, fileName } = place
    const reportDomain = mail.reportDomain || place.reportDomain
    const inside = { reportDomain, fileName, depth: depth + 1 }
    const found = this.#reports.length
    const failed = this.#errors.length
    for (const part of mail.parts) this.#part(part, inside)
    // JSON in the text of a mail: of type text/plain, or after a greeting
    const json = /^[{[]/m.exec(mail.text)
    if (json !== null && namesReportFields(mail.text)) {
      this.#try(() => this.#json(mail.text.slice(json.index), inside))
    }
    if (this.#reports.length > found) return
    const errors = this.#errors.splice(failed)
    const error = errors.find(({ looksLikeReport }) => looksLikeReport) ?? errors[0]
    const unread = unreadPart(mail)
    if (unread !== undefined) throw declared(new ReportSyntaxError(unread))
    const final = error ?? new ReportSyntaxError(NEITHER)
    throw isReportMail(mail) ? declared(final) : final
  }

  #mailInside(data: Buffer, around: Place): void {
    if (around.depth < MAX_MAIL_DEPTH) this.#read(data, around)
    else
      throw declared(new ReportSyntaxError(`more than ${MAX_MAIL_DEPTH} mails inside each other`))
  }

  #part({ type, fileName, content }: MailPart, around: Place): void {
    const isMail = /^message\/(?:rfc822|global)$/.test(type) || /\.eml$/i.test(fileName)
    const isDeclared = type.startsWith('application/tlsrpt') || readFileName(fileName) !== undefined
    const data = bufferOf(content)
    if (isMail) this.#try(() => this.#mailInside(data, around))
    else if (isDeclared || /\.(?:json|gz)$/i.test(fileName) || looksPacked(data)) {
      const place = { ...around, fileName: fileName || around.fileName }
      this.#try(() => this.#read(data, place), isDeclared)
    }
  }
}

/** Whether a value that is damaged or cut off was JSON, and no other text in brackets. */
function beginsJson(text: string): boolean {
  return /^[[{\s]*(?:"|$)/.test(text.slice(0, 100))
}

function limit(what: string): LimitError {
  return new LimitError(`it has ${what}`, { looksLikeReport: true })
}

function looksPacked(data: Buffer): boolean {
  return isPacked(data) || /^\s*[{[]/.test(decode(data.subarray(0, 1024)))
}

function declared(error: ReportSyntaxError): ReportSyntaxError {
  if (error.looksLikeReport) return error
  const message = error.message.replace(/^This is not a TLS report: /, '')
  return new ReportSyntaxError(message, { cause: error, looksLikeReport: true })
}

function bufferOf(bytes: Uint8Array | string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** Whether the first line is a header field, and the second one a header field or empty. */
function looksLikeMail(text: string): boolean {
  return /^[\r\n]*[!-9;-~]+[ \t]*:[^\n]*(?:\r?\n(?:[ \t]|[!-9;-~]+[ \t]*:|\r?\n|$)|$)/.test(
    text.slice(0, 10_000),
  )
}

/**
 * Whether a mail carries a report, by the media type of RFC 8460 §5.3, its header fields, or the
 * form of its Subject.
 */
function isReportMail({ contentType, reportDomain, subject }: ParsedMail): boolean {
  if (/report-type\s*=\s*"?tlsrpt\b/i.test(contentType) || reportDomain !== '') return true
  return /^\W*(?:\w+: *)*report domain:/i.test(subject)
}

/** Returns the name of a part that may hold a report but is not read. */
function unreadPart({ contentType, parts }: ParsedMail): string | undefined {
  if (/^\s*multipart\/encrypted\b/i.test(contentType)) return 'the mail is encrypted'
  for (const { type, fileName } of parts) {
    if (/^application\/(?:pgp-encrypted|(?:x-)?pkcs7-mime)$/.test(type))
      return 'the mail is encrypted'
    if (type === 'application/ms-tnef' || /^winmail\.dat$/i.test(fileName)) {
      return `the mail has a part that only Outlook reads, ${escapeRemoteText(fileName || type)}`
    }
  }
  return undefined
}

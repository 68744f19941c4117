/**
 * Reads reports from files, one after the other. The event loop gets its turn every few files.
 *
 * @module
 */
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import type { Report } from '../../tlsrpt/parse.js'
import type { CliContext } from '../context.js'
import { type FailedPath, listFiles, type ReportFile, STDIN } from './files.js'

/** A file, or a mail in a mailbox, that could not be read. */
export interface UnreadFile {
  file: string
  /** In words, fit for a terminal */
  error: string
  /** `EREPORTSYNTAX`, `EPEER`, `ENOENT` and the like */
  code: string
  /** It was named on the command line */
  named: boolean
  /** It does not look like a report, and was found in a directory: nothing is lost */
  skipped: boolean
}

export interface Outcome {
  /** Number of files, standard input included */
  files: number
  unread: UnreadFile[]
}

/** Events during the reading. */
export interface Listener {
  report(file: string, report: Report): void
  progress(done: number, total: number): void
}

/** A file that is longer holds no report, unless it is a mailbox. In bytes. */
const MAX_FILE = 16 * 1024 * 1024

const STDIN_NAME = 'standard input'

/** Time of reading without a break, in milliseconds. */
const TURN = 20

type Library = typeof import('../../tlsrpt/parse.js')

/** Reads everything that is named, and hands each report to the listener. */
export async function readFiles(
  paths: readonly string[],
  context: Pick<CliContext, 'stdin'>,
  listener: Listener,
): Promise<Outcome> {
  const { files, failed } = listFiles(paths)
  // Most users of the command have no use for this part of the package
  const library = await import('../../tlsrpt/parse.js')
  const reader = new Reader(library, listener)
  for (const path of failed) reader.fail(path)
  let turn = performance.now()
  for (const [index, file] of files.entries()) {
    listener.progress(index, files.length)
    await reader.read(file, context)
    if (performance.now() - turn < TURN) continue
    await setImmediate()
    turn = performance.now()
  }
  return { files: files.length + failed.length, unread: reader.unread }
}

class Reader {
  readonly unread: UnreadFile[] = []
  readonly #library: Library
  readonly #listener: Listener

  constructor(library: Library, listener: Listener) {
    this.#library = library
    this.#listener = listener
  }

  async read(file: ReportFile, context: Pick<CliContext, 'stdin'>): Promise<void> {
    const { path, named } = file
    try {
      // Standard input is opened by looking at it
      if (path === STDIN) await this.#stream(context.stdin ?? [], { path: STDIN_NAME, named })
      else await this.#file(file)
    } catch (error) {
      this.fail({ path, named, error })
    }
  }

  fail({ path, named, error }: FailedPath): void {
    const { ReportSyntaxError } = this.#library
    const unrelated = error instanceof ReportSyntaxError && !error.looksLikeReport
    this.unread.push({
      file: path,
      error: escapeRemoteText(textOfThrown(error)),
      code: codeOf(error),
      named,
      skipped: unrelated && !named,
    })
  }

  async #file(file: ReportFile): Promise<void> {
    const found = statSync(file.path)
    if (found.isFile() && found.size <= MAX_FILE) {
      // Small files are read faster so than by way of another thread
      const bytes = readFileSync(file.path)
      if (!isMbox(bytes)) return this.#bytes(bytes, file)
    }
    await this.#stream(createReadStream(file.path, { highWaterMark: 1024 * 1024 }), file)
  }

  /** A mailbox, of any size, or bytes whose size is not known before. */
  async #stream(
    chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array>,
    file: ReportFile,
  ): Promise<void> {
    let held: Buffer = Buffer.alloc(0)
    let mails = 0
    for await (const chunk of chunks) {
      held = Buffer.concat([held, typeof chunk === 'string' ? Buffer.from(chunk) : chunk])
      if (!isMbox(held)) {
        if (held.length <= MAX_FILE) continue
        throw new this.#library.ReportSyntaxError(`it has more than ${MAX_FILE} bytes`)
      }
      for (let next = nextMail(held); next >= 0; next = nextMail(held)) {
        this.#mailOf(held.subarray(0, next), file, ++mails)
        held = held.subarray(next)
      }
      if (held.length > MAX_FILE) {
        throw new this.#library.ReportSyntaxError(
          `mail ${mails + 1} has more than ${MAX_FILE} bytes`,
        )
      }
    }
    if (mails === 0) this.#bytes(held, file)
    else this.#mailOf(held, file, mails + 1)
  }

  #mailOf(bytes: Buffer, { path }: ReportFile, number: number): void {
    // A mailbox that is named may hold other mails, too
    const place = { path: `${path} (mail ${number})`, named: false }
    try {
      this.#bytes(bytes, place)
    } catch (error) {
      // Without the package that reads mails, one error for the mailbox is enough
      if (!(error instanceof this.#library.ReportSyntaxError)) throw error
      this.fail({ ...place, error })
    }
  }

  #bytes(bytes: Buffer, { path, named }: ReportFile): void {
    const reports = this.#library.readReports(bytes, {
      fileName: path,
      onUnreadable: (error) => this.fail({ path, named, error }),
    })
    for (const report of reports) this.#listener.report(path, report)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}

const FROM = Buffer.from('From ')
const NEXT = Buffer.from('\nFrom ')

function isMbox(bytes: Buffer): boolean {
  return bytes.subarray(0, FROM.length).equals(FROM)
}

/** Where the second mail begins, or -1. */
function nextMail(bytes: Buffer): number {
  const at = bytes.indexOf(NEXT)
  return at < 0 ? -1 : at + 1
}

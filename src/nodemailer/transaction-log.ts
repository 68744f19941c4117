/**
 * Writes the dialogue of SMTP sessions to Nodemailer's logger, as its own transports do with
 * `transactionLog` and `debug`.
 *
 * @module
 */
import { Readable } from 'node:stream'
import type { SmtpLog } from '../smtp/connection.js'
import { StuffedMessage } from '../smtp/stuffing.js'
import type { StsOptions } from './core.js'
import { type Logger, loadGetLogger } from './load-nodemailer.js'

/** The options that decide what is logged. */
export interface TransactionLogOptions extends Pick<StsOptions, 'logger'> {
  /** Logs the dialogue, and the message with it */
  debug?: boolean | undefined
  /** Logs the dialogue: commands and replies */
  transactionLog?: boolean | undefined
}

type Content = Uint8Array | Readable | StuffedMessage

/** Logs the sessions of one transport. */
export class TransactionLogger {
  readonly #logger: Logger | undefined
  readonly #debug: boolean
  #sessions = 0

  constructor({ logger, debug, transactionLog }: TransactionLogOptions) {
    this.#debug = logger !== undefined && logger !== false && debug === true
    if (logger && (debug || transactionLog)) {
      this.#logger = loadGetLogger()({ logger }, { component: 'smtp-connection' })
    }
  }

  /** Returns the log of a new session; undefined when nothing is logged. */
  forSession(): { log?: SmtpLog } {
    const logger = this.#logger
    if (!logger) return {}
    this.#sessions++
    const sid = `mta-sts-${this.#sessions}`
    return { log: (tnx, text) => void logger.debug({ tnx, sid }, '%s', text) }
  }

  /** Returns the body; with `debug` it is logged while it is read. */
  body(content: Content): Content {
    const logger = this.#logger
    if (!this.#debug || !logger) return content
    const log = (chunk: Uint8Array) =>
      void logger.debug({ tnx: 'message' }, '%s', Buffer.from(chunk).toString('latin1'))
    if (!(content instanceof Readable)) {
      for (const block of content instanceof StuffedMessage ? content.blocks : [content]) log(block)
      return content
    }
    // A stream behind it would read it before DATA, and know nothing of its errors
    const read = content[Symbol.asyncIterator].bind(content)
    return Object.defineProperty(content, Symbol.asyncIterator, {
      async *value() {
        for await (const chunk of read()) {
          log(chunk)
          yield chunk
        }
      },
    })
  }
}

/**
 * The error of all report readers.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'

/** Options of {@link ReportSyntaxError}. */
export interface ReportSyntaxErrorOptions extends ErrorOptions {
  /** Default false */
  looksLikeReport?: boolean | undefined
}

/** The bytes hold no report, or one that is damaged or too large. */
export class ReportSyntaxError extends MtaStsError {
  /**
   * Whether the bytes look like a damaged report, not like something unrelated: by a media type, a
   * header field, a file name or a field of the JSON.
   */
  readonly looksLikeReport: boolean

  constructor(message: string, options: ReportSyntaxErrorOptions = {}) {
    super(`This is not a TLS report: ${message}`, 'EREPORTSYNTAX', options)
    this.name = 'ReportSyntaxError'
    this.looksLikeReport = options.looksLikeReport ?? false
  }
}

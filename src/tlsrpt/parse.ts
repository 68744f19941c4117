/**
 * Reads reports (RFC 8460 §4.4, §5): JSON, compressed or not, one report or many; and mails with
 * reports in them, also inside other mails, and mailboxes of such mails.
 *
 * Input that is too large, nested too deeply or in too many pieces is refused early: within {@link
 * ReadOptions.maxSize}, any input takes about a second and 200 MiB at most.
 *
 * @module
 */
import { argumentError, checkKnown } from '../option-checks.js'
import { ReportSyntaxError } from './read-error.js'
import type { Report } from './read-fields.js'
import { type ParseReportOptions, type ReadOptions, Search } from './read-search.js'
import type { TlsReport } from './report.js'

export { ReportSyntaxError } from './read-error.js'
export type { NoteCode, Report, ReportNote } from './read-fields.js'
export type { ParseReportOptions, ReadOptions } from './read-search.js'

/**
 * Reads every report in the bytes of a file or a mail. Texts are as sent: escape them before you
 * show them. DKIM signatures are not verified; a report without a signature of the submitter must
 * be ignored (RFC 8460 §3).
 *
 * ```ts
 * const reports = readReports(await readFile('2026-08.mbox'))
 * ```
 *
 * Mails need the package `postal-mime`.
 *
 * @throws ReportSyntaxError if there is no readable report; MtaStsError of code `EPEER` if there is
 * a mail, and `postal-mime` is not installed
 */
export function readReports(bytes: Uint8Array | string, options: ReadOptions = {}): Report[] {
  if (typeof bytes !== 'string' && !(bytes instanceof Uint8Array)) {
    throw argumentError(
      ['readReports()', 'bytes'],
      'must be the bytes of a file, or its text',
      bytes,
    )
  }
  checkKnown(options, ['maxSize', 'fileName', 'onUnreadable'], { call: 'readReports()' })
  const search = new Search(options)
  search.file(bytes)
  return search.result()
}

/**
 * Reads the one report in the bytes of a file or a mail, or the first of several: see
 * {@link readReports}.
 *
 * ```ts
 * const { policies } = parseReport(await readFile('google.com!example.com!...json.gz'))
 * ```
 *
 * @throws ReportSyntaxError
 */
export function parseReport(
  bytes: Uint8Array | string,
  options: ParseReportOptions = {},
): TlsReport {
  const [first] = readReports(bytes, options)
  if (first === undefined) throw new ReportSyntaxError('it is empty')
  const { notes: _, ...report } = first
  return report
}

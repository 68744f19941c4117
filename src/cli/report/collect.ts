/**
 * Collects what the command needs of each report, and no more: a month of reports may be large.
 *
 * @module
 */
import { Assessor, identityOf, senderOf } from '../../tlsrpt/assess.js'
import type { DomainAssessment } from '../../tlsrpt/assess-types.js'
import type { NoteCode, Report } from '../../tlsrpt/parse.js'
import { type Selection, select } from './select.js'

export interface FoundReport {
  file: string
  report: Report
}

export interface Totals {
  reports: number
  sessions: number
  failed: number
}

/** A kind of note, and how many reports have it. */
export interface NoteCount {
  code: NoteCode
  /** Text of the first report that has the note */
  text: string
  file: string
  reports: number
}

export class Collection {
  readonly totals: Totals = { reports: 0, sessions: 0, failed: 0 }
  /** Reports that came twice */
  copies = 0
  /** Reports that the options leave out */
  leftOut = 0
  readonly senders = new Set<string>()
  /** In the order of files; empty unless they are kept */
  readonly reports: FoundReport[] = []
  readonly #notes = new Map<NoteCode, NoteCount>()
  readonly #selection: Selection
  readonly #keepsReports: boolean
  readonly #assessor = new Assessor()
  readonly #seen = new Set<string>()

  constructor(selection: Selection, keepsReports: boolean) {
    this.#selection = selection
    this.#keepsReports = keepsReports
  }

  add(file: string, found: Report): void {
    const identity = identityOf(found)
    if (this.#seen.has(identity)) {
      this.copies++
      return
    }
    this.#seen.add(identity)
    const report = select(found, this.#selection)
    if (report === undefined) {
      this.leftOut++
      return
    }
    this.#assessor.add(report)
    this.totals.reports++
    for (const policy of report.policies) {
      const failed = policy.totalFailureSessionCount
      this.totals.sessions += policy.totalSuccessfulSessionCount + failed
      this.totals.failed += failed
    }
    this.senders.add(senderOf(report))
    this.#countNotes(file, report)
    if (this.#keepsReports) this.reports.push({ file, report })
  }

  #countNotes(file: string, { notes }: Report): void {
    for (const { code, text } of notes) {
      const count = this.#notes.get(code) ?? { code, text, file, reports: 0 }
      count.reports++
      this.#notes.set(code, count)
    }
  }

  get notes(): NoteCount[] {
    return [...this.#notes.values()]
  }

  assess(): DomainAssessment[] {
    return this.#assessor.result()
  }
}

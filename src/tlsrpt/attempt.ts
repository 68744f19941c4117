/**
 * One attempt to send a claimed report to all destinations that do not have it yet.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { MtaStsError } from '../errors.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import type { Destination } from './destination.js'
import type { GuardedReportStore } from './guarded-store.js'
import { Handover } from './handover.js'
import type { ReporterSettings } from './options.js'
import { lookupDestinations } from './record.js'
import { makeFile, type ReportFile } from './report-file.js'
import { CLAIM_EXTENSION, CLAIM_TIME } from './schedule.js'
import type { ClaimedReport, Progress } from './store.js'

/**
 * The end of an attempt: every destination has the report, the domain wants none, something failed,
 * the process stops, or another process has the report.
 */
export type AttemptEnd =
  | { end: 'sent' | 'unwanted' | 'stopped' | 'taken-over'; progress: Progress }
  | { end: 'failed'; progress: Progress; problem: MtaStsError }

/** Maximum number of URIs of one record: more would let it direct a flood at others. */
const MAX_DESTINATIONS = 10

/** Waits before a failed save of a delivery is repeated, in milliseconds. */
const SAVE_AGAIN = [50, 250, 1000]

export class Attempts {
  readonly #settings: ReporterSettings
  readonly #store: GuardedReportStore
  readonly #handover: Handover
  readonly #isStopping: () => boolean
  /** By report: URIs that have it, although the store may not know */
  readonly #unsaved = new Map<string, Set<string>>()
  /** Called when a destination accepts a report after the end of its attempt */
  readonly #onLateSuccess: (id: string, uri: string) => void

  constructor(
    settings: ReporterSettings,
    store: GuardedReportStore,
    hooks: { isStopping: () => boolean; onLateSuccess: (id: string, uri: string) => void },
  ) {
    this.#settings = settings
    this.#store = store
    this.#handover = new Handover(settings)
    this.#isStopping = hooks.isStopping
    this.#onLateSuccess = hooks.onLateSuccess
  }

  /** Returns the progress, with deliveries that the store does not know. */
  known(id: string, progress: Progress): Progress {
    const unsaved = this.#unsaved.get(id)
    if (unsaved === undefined) return progress
    return { ...progress, done: [...new Set([...progress.done, ...unsaved])] }
  }

  /** Records that the store has the progress, or that the report is gone. */
  saved(id: string): void {
    this.#unsaved.delete(id)
  }

  /** @throws the error of the store */
  async run(report: ClaimedReport, begun: Progress): Promise<AttemptEnd> {
    if (report.unreadable) return { end: 'failed', progress: begun, problem: report.unreadable }
    const found = await lookupDestinations(report.domain, this.#settings.post)
    if (found.kind === 'none') return { end: 'unwanted', progress: begun }
    if (found.kind === 'failed') {
      const why = escapeRemoteText(found.error.message)
      const message = `its _smtp._tls record could not be looked up: ${why}`
      const problem = new MtaStsError(message, 'EDNS', { cause: found.error })
      return { end: 'failed', progress: begun, problem }
    }
    const file = readFile(report, this.#settings)
    if (file instanceof MtaStsError) return { end: 'failed', progress: begun, problem: file }
    return this.#visit(report, begun, { file, destinations: found.destinations })
  }

  async #visit(
    report: ClaimedReport,
    begun: Progress,
    { file, destinations }: { file: ReportFile; destinations: readonly Destination[] },
  ): Promise<AttemptEnd> {
    let progress = begun
    let problem: MtaStsError | undefined
    for (const destination of destinations.slice(0, MAX_DESTINATIONS)) {
      const { uri } = destination
      if (progress.done.includes(uri)) continue
      if (this.#isStopping()) return { end: 'stopped', progress }
      try {
        await this.#sendTo(report, progress, { destination, file })
        progress = { ...progress, done: [...progress.done, uri] }
        this.#remember(report.id, uri)
      } catch (cause) {
        problem = notTaken(destination, cause)
      }
      // Also extends the claim for the next destination
      if (!(await this.#saveAgain(report, progress))) return { end: 'taken-over', progress }
    }
    return problem ? { end: 'failed', progress, problem } : { end: 'sent', progress }
  }

  /** Sends to one destination, and extends the claim meanwhile. */
  async #sendTo(
    report: ClaimedReport,
    progress: Progress,
    { destination, file }: { destination: Destination; file: ReportFile },
  ): Promise<void> {
    const { id } = report
    const extending = setInterval(() => {
      this.#store.save(report, progress, this.#claimEnd()).catch(() => undefined)
    }, CLAIM_EXTENSION)
    extending.unref()
    try {
      await this.#handover.send(id, destination, file, () => {
        this.#remember(id, destination.uri)
        this.#onLateSuccess(id, destination.uri)
      })
    } finally {
      clearInterval(extending)
    }
  }

  /** Saves again after a failure: a report that was delivered must not be sent again. */
  async #saveAgain(report: ClaimedReport, progress: Progress): Promise<boolean> {
    for (const wait of [...SAVE_AGAIN, undefined]) {
      try {
        const isOurs = await this.#store.save(report, progress, this.#claimEnd())
        this.saved(report.id)
        return isOurs
      } catch (error) {
        if (wait === undefined || this.#isStopping()) throw error
      }
      await sleep(wait)
    }
    return false
  }

  #claimEnd(): number {
    return this.#settings.now() + CLAIM_TIME
  }

  #remember(id: string, uri: string): void {
    this.#unsaved.set(id, (this.#unsaved.get(id) ?? new Set()).add(uri))
  }
}

/** Returns the file of a report; counts that make no report are as bad as unreadable ones. */
function readFile(report: ClaimedReport, { mail }: ReporterSettings): ReportFile | MtaStsError {
  try {
    return makeFile(report, mail)
  } catch (error) {
    return error instanceof MtaStsError
      ? error
      : new MtaStsError(
          `no report can be made of its counts: ${textOfThrown(error)}`,
          'ESTOREVALUE',
          {
            cause: error,
          },
        )
  }
}

function notTaken(destination: Destination, cause: unknown): MtaStsError {
  const why = textOfThrown(cause)
  return new MtaStsError(
    `${escapeRemoteText(destination.uri)} did not take it: ${escapeRemoteText(why)}`,
    'EREPORT',
    { cause },
  )
}

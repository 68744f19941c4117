/**
 * Sends reports: closes days, claims the reports in turn, and sends each to its destinations. Every
 * step is stored before the next one, so that another process can continue after any of them:
 *
 * | the process dies | the next process |
 * | --- | --- |
 * | before the day was closed | closes it |
 * | after it has claimed a report | sends it when the claim has expired |
 * | after a destination accepted the report, before that is stored | sends it there again, with the same report-id |
 * | after that was stored | continues with the next destination |
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { MtaStsError } from '../errors.js'
import { publish, type TlsReportOutcome, type TlsReportsEvent } from '../events.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { Attempts } from './attempt.js'
import type { GuardedReportStore } from './guarded-store.js'
import type { ReporterSettings } from './options.js'
import { hasFailures } from './report-file.js'
import { CLAIM_TIME, CLOCK_DIFFERENCE, nextAttempt, openDay, sendingTime } from './schedule.js'
import type { ClaimedReport, Progress } from './store.js'

/** The number of due reports, by outcome. */
export type SendSummary = Omit<TlsReportsEvent, 'reports'>

type Outcome = keyof SendSummary

/** Maximum number of reports sent at once. */
const CONCURRENCY = 8

/** Maximum number of outcomes in an event. */
const MAX_OUTCOMES = 10_000

/** Maximum number of unreadable reports, or reports claimed just before, that a run claims. */
const MAX_UNREADABLE = 1000

/** Shortest claim of a report, postponed or being sent, in milliseconds. */
const SHORTEST_CLAIM = 60_000

interface Run {
  summary: SendSummary
  reports: TlsReportOutcome[]
  /** When each report was last claimed, by the clock of `performance` */
  claimed: Map<string, number>
  unreadable: number
}

export class Sender {
  readonly #settings: ReporterSettings
  readonly #store: GuardedReportStore
  readonly #attempts: Attempts
  /** Postponed reports, as saved: a late answer changes them */
  readonly #postponed = new Map<string, { report: ClaimedReport; until: number }>()
  #stopping = false

  constructor(settings: ReporterSettings, store: GuardedReportStore) {
    this.#settings = settings
    this.#store = store
    this.#attempts = new Attempts(settings, store, {
      isStopping: () => this.#stopping,
      onLateSuccess: (id) => void this.#saveLate(id),
    })
  }

  /**
   * Sends the reports that are due. `early`: also those that would be sent automatically in the
   * next hours.
   *
   * @throws the error of the store, after the current reports are finished
   */
  async run({ early }: { early: boolean }): Promise<SendSummary> {
    const run: Run = {
      summary: { sent: 0, postponed: 0, abandoned: 0, unwanted: 0 },
      reports: [],
      claimed: new Map(),
      unreadable: 0,
    }
    // A day that cannot be closed must not delay reports of other days
    const [sealing] = await Promise.allSettled([this.#seal(early)])
    const work = Array.from({ length: CONCURRENCY }, () => this.#work(run, early))
    const workers = await Promise.allSettled(work)
    publish('mta-sts:tlsrpt', () => ({ ...run.summary, reports: run.reports }))
    for (const result of [sealing, ...workers]) {
      if (result.status === 'rejected') throw result.reason
    }
    return run.summary
  }

  /** Stops before the next report or destination. */
  stop(): void {
    this.#stopping = true
  }

  async #seal(early: boolean): Promise<void> {
    if (this.#stopping) return
    const { now, spread, random } = this.#settings
    await this.#store.seal(openDay(now() - CLOCK_DIFFERENCE), (day) => ({
      // Permanent, and unique among all reports to the domain
      id: randomUUID().replaceAll('-', ''),
      notBefore: early ? 0 : sendingTime(day, spread, random()),
    }))
  }

  async #work(run: Run, early: boolean): Promise<void> {
    while (!this.#stopping) {
      const report = await this.#claim(run, early)
      if (report === undefined) return
      if (report === 'unreadable') continue
      const done = await this.#process(report)
      if (done === undefined) continue
      run.summary[done.outcome]++
      if (run.reports.length < MAX_OUTCOMES) run.reports.push(done)
    }
  }

  async #claim(run: Run, early: boolean): Promise<ClaimedReport | 'unreadable' | undefined> {
    const now = this.#settings.now()
    try {
      const report = await this.#store.claim({ now, until: now + CLAIM_TIME, early })
      // null is what many a database has for "nothing"
      if (!report) return undefined
      const ticks = performance.now()
      const before = run.claimed.get(report.id) ?? Number.NEGATIVE_INFINITY
      if (ticks - before < SHORTEST_CLAIM) throw claimedAgain(report)
      run.claimed.set(report.id, ticks)
      return report
    } catch (error) {
      // A third-party store may reject for one report; the next claim is for another one
      const isOne = error instanceof Error && 'code' in error && error.code === 'ESTOREVALUE'
      if (!isOne || ++run.unreadable > MAX_UNREADABLE) throw error
      publish('mta-sts:store-failure', () => ({ operation: 'tlsrpt claim', error }))
      return 'unreadable'
    }
  }

  /** Processes a report; undefined: another process has taken it over, or will do so. */
  async #process(report: ClaimedReport): Promise<TlsReportOutcome | undefined> {
    const { now, days } = this.#settings
    if (days === 'with-failures' && !report.unreadable && !hasFailures(report)) {
      return this.#end(report, 'unwanted')
    }
    const { problem: _, ...progress } = this.#attempts.known(report.id, report.progress)
    const begun: Progress = {
      ...progress,
      // Not later than now: a fast clock must not make the attempts endless
      firstAttemptAt: Math.min(progress.firstAttemptAt ?? now(), now()),
      attempts: progress.attempts + 1,
    }
    if (!(await this.#store.save(report, begun, now() + CLAIM_TIME))) return undefined
    const attempt = await this.#attempts.run(report, begun)
    switch (attempt.end) {
      case 'taken-over':
        return undefined
      case 'stopped':
        await this.#store.save(report, attempt.progress, now())
        return undefined
      case 'failed':
        return this.#postpone(report, attempt.progress, attempt.problem)
      default:
        return this.#end(report, attempt.end)
    }
  }

  /** Removes a report. It may be gone already: an earlier reply of the store was lost. */
  async #end(
    report: ClaimedReport,
    outcome: Outcome,
    error?: MtaStsError,
  ): Promise<TlsReportOutcome> {
    const { id, day, domain } = report
    await this.#store.remove(report)
    this.#attempts.saved(id)
    this.#postponed.delete(id)
    return { id, day, domain, outcome, ...(error ? { error } : {}) }
  }

  async #postpone(
    report: ClaimedReport,
    progress: Progress,
    problem: MtaStsError,
  ): Promise<TlsReportOutcome | undefined> {
    const { now, random } = this.#settings
    const { firstAttemptAt = now(), attempts } = progress
    const next = nextAttempt({ firstAttemptAt, attempts }, now(), random())
    this.#tell(report, problem, next)
    if (next === undefined) return this.#end(report, 'abandoned', problem)
    const failed = { ...progress, problem: escapeRemoteText(problem.message) }
    if (!(await this.#store.save(report, failed, next))) return undefined
    const { id, day, domain } = report
    this.#postponed.set(id, { report: { ...report, progress: failed }, until: next })
    const nextAttemptAt = new Date(next)
    return { id, day, domain, outcome: 'postponed', error: problem, nextAttemptAt }
  }

  /**
   * Saves that a destination accepted the report after its limit: it must not be sent there again.
   */
  async #saveLate(id: string): Promise<void> {
    const postponed = this.#postponed.get(id)
    if (postponed === undefined) return
    const { report, until } = postponed
    const progress = this.#attempts.known(id, report.progress)
    this.#postponed.set(id, { report: { ...report, progress }, until })
    try {
      await this.#store.save(report, progress, until)
      this.#attempts.saved(id)
    } catch (error) {
      // This process remembers it, and saves it with the next attempt
      publish('mta-sts:store-failure', () => ({ operation: 'tlsrpt save', error }))
    }
  }

  #tell(report: ClaimedReport, problem: MtaStsError, next: number | undefined): void {
    const { domain, day, id } = report
    // Some domains have broken DNS every day, and may not even want reports
    const level = problem.code === 'EDNS' ? 'debug' : 'warn'
    this.#settings.logger?.[level](
      { tnx: 'tlsrpt', policyDomain: domain, day, reportId: id, err: problem },
      'The TLS report for %s of %s was not delivered (%s); %s',
      domain,
      day,
      textOfThrown(problem),
      next === undefined
        ? 'it is given up'
        : `it is tried again at ${new Date(next).toISOString()}`,
    )
  }
}

/** A store that keeps no claim, or a clock that was set: the report must not be sent twice. */
function claimedAgain({ id }: ClaimedReport): MtaStsError {
  const message = `The report ${escapeRemoteText(String(id))} was claimed, and can be claimed again`
  return new MtaStsError(message, 'ESTOREVALUE')
}

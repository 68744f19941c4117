/**
 * Sends reports: closes days, claims one report after the other, and takes each through its
 * destinations. Every step is stored before the next one begins, so that another process can go on
 * after any of them:
 *
 * | the process dies | the next process |
 * | --- | --- |
 * | before the day was closed | closes it |
 * | after it has claimed a report | sends it when the claim has run out |
 * | after a destination took the report, before that is stored | sends it there again, under the same report-id |
 * | after that was stored | goes on with the next destination |
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

/** The number of reports that were due, by what became of them. */
export type SendSummary = Omit<TlsReportsEvent, 'reports'>

type Outcome = keyof SendSummary

/** Reports on their way at the same time. */
const CONCURRENCY = 8

/** Outcomes that an event names. */
const MAX_OUTCOMES = 10_000

/** Reports that a run claims though they cannot be read, or were claimed just before. */
const MAX_UNREADABLE = 1000

/** In milliseconds: nobody may claim a report for less, whether it is postponed or being sent. */
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
  /** Reports that are to be tried again, as they were saved: a late answer changes them */
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
   * Sends what is due. `early`: also what would be sent automatically in the hours to come.
   *
   * @throws what the store rejects with; what is under way comes to its end before
   */
  async run({ early }: { early: boolean }): Promise<SendSummary> {
    const run: Run = {
      summary: { sent: 0, postponed: 0, abandoned: 0, unwanted: 0 },
      reports: [],
      claimed: new Map(),
      unreadable: 0,
    }
    // A day that cannot be closed is no reason to keep reports of other days
    const [sealing] = await Promise.allSettled([this.#seal(early)])
    const work = Array.from({ length: CONCURRENCY }, () => this.#work(run, early))
    const workers = await Promise.allSettled(work)
    publish('mta-sts:tlsrpt', () => ({ ...run.summary, reports: run.reports }))
    for (const result of [sealing, ...workers]) {
      if (result.status === 'rejected') throw result.reason
    }
    return run.summary
  }

  /** No other report, and no other destination, is begun from here on. */
  stop(): void {
    this.#stopping = true
  }

  async #seal(early: boolean): Promise<void> {
    if (this.#stopping) return
    const { now, spread, random } = this.#settings
    await this.#store.seal(openDay(now() - CLOCK_DIFFERENCE), (day) => ({
      // Never changes from here on, and unique among all that report to the domain
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
      // A store of others may reject for one report; the next claim is about the next one
      const isOne = error instanceof Error && 'code' in error && error.code === 'ESTOREVALUE'
      if (!isOne || ++run.unreadable > MAX_UNREADABLE) throw error
      publish('mta-sts:store-failure', () => ({ operation: 'tlsrpt claim', error }))
      return 'unreadable'
    }
  }

  /** Undefined: another process has taken the report over in between, or is to do so. */
  async #process(report: ClaimedReport): Promise<TlsReportOutcome | undefined> {
    const { now, days } = this.#settings
    if (days === 'with-failures' && !report.unreadable && !hasFailures(report)) {
      return this.#end(report, 'unwanted')
    }
    const { problem: _, ...progress } = this.#attempts.known(report.id, report.progress)
    const begun: Progress = {
      ...progress,
      // Not later than now: a process whose clock is fast must not make the attempts endless
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

  /** Whether the store had to remove it does not matter: a reply that was lost came too late only. */
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

  /** A destination took the report after its time was over: it is not to be sent there again. */
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
      // This process still knows it, and says so with the next attempt
      publish('mta-sts:store-failure', () => ({ operation: 'tlsrpt save', error }))
    }
  }

  #tell(report: ClaimedReport, problem: MtaStsError, next: number | undefined): void {
    const { domain, day, id } = report
    // Every day there are domains whose DNS is broken, and they may not even want reports
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

/**
 * Sends reports: closes days, claims one report after the other, and takes each through its
 * destinations. Every step is written down before the next one begins, so that another process can
 * go on after any of them:
 *
 * | the process dies | and the next one |
 * | --- | --- |
 * | before the day was closed | closes it |
 * | after it has claimed a report | sends it when the claim has run out |
 * | after a destination has the report, before that is kept | sends it there again, under the same report-id |
 * | after that was kept | goes on with the next destination |
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { MtaStsError } from '../errors.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import type { Destination } from './destination.js'
import { mailReport } from './mail-report.js'
import type { ReporterSettings } from './options.js'
import { asOwnTraffic } from './own-traffic.js'
import { postReport } from './post-report.js'
import { lookupDestinations } from './record.js'
import { hasFailures, makeFile, type ReportFile } from './report-file.js'
import { CLAIM_TIME, nextAttempt, openDay, sendingTime } from './schedule.js'
import type { ClaimedReport, Progress } from './store.js'

/** What became of the reports that were due, by their number. */
export interface SendSummary {
  /** Every destination has it */
  sent: number
  /** A destination could not be reached; it is tried again later */
  postponed: number
  /** It could not be delivered within 24 hours, and is not tried again */
  abandoned: number
  /** The domain does not ask for reports, or nothing failed and only failures are reported */
  unwanted: number
}

type Outcome = keyof SendSummary

/** Reports on their way at the same time. */
const CONCURRENCY = 8

/** URIs of one record that are sent to: who asks for more would have us flood somebody. */
const MAX_DESTINATIONS = 10

export class Sender {
  readonly #settings: ReporterSettings
  #stopping = false

  constructor(settings: ReporterSettings) {
    this.#settings = settings
  }

  /**
   * Sends what is due. `early`: also what would be sent by itself in the hours to come.
   *
   * @throws what the store rejects with; what is under way comes to its end before
   */
  async run({ early }: { early: boolean }): Promise<SendSummary> {
    const { store, now } = this.#settings
    await store.seal(openDay(now()), (day) => ({
      // Kept from here on, and unique among all who report to the domain
      id: randomUUID().replaceAll('-', ''),
      notBefore: early ? 0 : sendingTime(day, this.#settings.spread, this.#settings.random()),
    }))
    const summary = { sent: 0, postponed: 0, abandoned: 0, unwanted: 0 }
    const worker = async () => {
      for (;;) {
        const report = await this.#claim(early)
        if (report === undefined) return
        const outcome = await this.#process(report)
        if (outcome !== undefined) summary[outcome]++
      }
    }
    const workers = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker))
    for (const result of workers) if (result.status === 'rejected') throw result.reason
    return summary
  }

  /** No other report is begun from here on. */
  stop(): void {
    this.#stopping = true
  }

  async #claim(early: boolean): Promise<ClaimedReport | undefined> {
    if (this.#stopping) return undefined
    const now = this.#settings.now()
    return this.#settings.store.claim({ now, until: now + CLAIM_TIME, early })
  }

  /** Undefined: another process has taken the report over in between. */
  async #process(report: ClaimedReport): Promise<Outcome | undefined> {
    const { store, now, days } = this.#settings
    if (days === 'with-failures' && !hasFailures(report)) return this.#end(report, 'unwanted')
    const begun: Progress = {
      ...report.progress,
      firstAttemptAt: report.progress.firstAttemptAt ?? now(),
      attempts: report.progress.attempts + 1,
    }
    if (!(await store.save(report, begun, now() + CLAIM_TIME))) return undefined
    const attempt = await this.#deliver(report, begun)
    if (attempt === undefined) return undefined
    if (attempt.problem === undefined) return this.#end(report, attempt.outcome)
    return this.#postpone(report, attempt.progress, attempt.problem)
  }

  async #end(report: ClaimedReport, outcome: Outcome): Promise<Outcome | undefined> {
    return (await this.#settings.store.remove(report)) ? outcome : undefined
  }

  async #postpone(
    report: ClaimedReport,
    progress: Progress,
    problem: MtaStsError,
  ): Promise<Outcome | undefined> {
    const { store, now, random } = this.#settings
    const { firstAttemptAt = now(), attempts } = progress
    const next = nextAttempt({ firstAttemptAt, attempts }, now(), random())
    this.#tell(report, problem, next)
    if (next === undefined) return this.#end(report, 'abandoned')
    return (await store.save(report, progress, next)) ? 'postponed' : undefined
  }

  /** One attempt at all destinations that do not have it yet. */
  async #deliver(report: ClaimedReport, begun: Progress): Promise<Attempt | undefined> {
    const found = await lookupDestinations(report.domain, this.#settings.post)
    if (found.kind === 'none') return { progress: begun, outcome: 'unwanted' }
    if (found.kind === 'failed') {
      const problem = new MtaStsError(
        `its _smtp._tls record could not be looked up: ${escapeRemoteText(found.error.message)}`,
        'EDNS',
        { cause: found.error },
      )
      return { progress: begun, outcome: 'postponed', problem }
    }
    const file = makeFile(report, this.#settings.mail)
    const attempt: Attempt = { progress: begun, outcome: 'sent' }
    for (const destination of found.destinations.slice(0, MAX_DESTINATIONS)) {
      if (attempt.progress.done.includes(destination.uri)) continue
      if (!(await this.#sendTo(destination, file, { report, attempt }))) return undefined
    }
    return attempt
  }

  /** False: another process has taken the report over in between. */
  async #sendTo(
    destination: Destination,
    file: ReportFile,
    { report, attempt }: { report: ClaimedReport; attempt: Attempt },
  ): Promise<boolean> {
    const { store, now } = this.#settings
    try {
      await this.#send(destination, file)
      const done = [...attempt.progress.done, destination.uri]
      attempt.progress = { ...attempt.progress, done }
    } catch (cause) {
      attempt.problem = notTaken(destination, cause)
    }
    // Also makes the claim last for the next one
    return store.save(report, attempt.progress, now() + CLAIM_TIME)
  }

  async #send(destination: Destination, file: ReportFile): Promise<void> {
    const { mail, post } = this.#settings
    if (destination.kind === 'https') return postReport(destination.url, file.bytes, post)
    // Counted by nobody: RFC 8460 §3
    return asOwnTraffic(() => mailReport(destination.mailbox, file, mail))
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
      problem.message,
      next === undefined
        ? 'it is given up'
        : `it is tried again at ${new Date(next).toISOString()}`,
    )
  }
}

/** How far an attempt came. */
interface Attempt {
  progress: Progress
  outcome: Outcome
  /** Why it is not over: the last thing that went wrong */
  problem?: MtaStsError
}

function notTaken(destination: Destination, cause: unknown): MtaStsError {
  const why = textOfThrown(cause)
  return new MtaStsError(
    `${escapeRemoteText(destination.uri)} did not take it: ${escapeRemoteText(why)}`,
    'EREPORT',
    { cause },
  )
}

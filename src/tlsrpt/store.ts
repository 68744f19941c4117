/**
 * Where counts and reports outlive the process, and where many processes become one sender.
 *
 * Counts are added up by day and domain. When the day is over, `seal` makes a report of them, with
 * an id that it keeps for good; counts that come later make another report, so that each session
 * is in one report and no more. A report is claimed by one process for a while, the claim is made
 * longer while it works, and the report is removed when every destination has it. A process that
 * dies leaves the claim to run out; the next one goes on where the progress says.
 *
 * To write a store of your own, implement {@link ReportStore}; `test/tlsrpt/conformance.ts` asks
 * of every store what it must do. Every method may reject; none may block.
 *
 * @module
 */
import type { CountLimits, DomainCounts, PolicyCounts } from './counts.js'
import type { Day } from './day.js'

/** What has become of a report so far. */
export interface Progress {
  /** Epoch milliseconds; undefined: nobody has tried to send it */
  firstAttemptAt?: number
  /** How often it was tried */
  attempts: number
  /** The URIs that have it */
  done: readonly string[]
}

/** A report that this process may send, and no other while the claim lasts. */
export interface ClaimedReport {
  /** Letters and digits; unique, and the same after a crash */
  id: string
  /** The UTC day that it is about */
  day: Day
  /** The Policy Domain that it is about: A-labels, lower case */
  domain: string
  /** What was counted */
  policies: readonly PolicyCounts[]
  /** How far it has come */
  progress: Progress
  /** Tells this claim from those before and after it */
  claim: string
}

/** What a report is called, and when it goes out. */
export interface ReportPlan {
  /** Letters and digits; its `report-id` */
  id: string
  /** Not sent by itself before this point in time, epoch milliseconds */
  notBefore: number
}

/** Where counts and reports are kept; see `sqliteReportStore` and `redisReportStore`. */
export interface ReportStore {
  /** Adds to what is kept: all of it, or on rejection nothing */
  add(counts: readonly DomainCounts[], limits: CountLimits): Promise<void>
  /**
   * Makes a report of each domain's counts of each day before `day`. Where several processes do
   * so at once, one of them succeeds.
   *
   * @param plan called for each report that may come to be
   */
  seal(day: Day, plan: (day: Day, domain: string) => ReportPlan): Promise<void>
  /**
   * Claims one report until `until`, of those whose time has come and whose claim, if there was
   * one, is over. `early`: a report that nobody has claimed yet is taken before its time, too.
   * Undefined: there is none.
   */
  claim(request: { now: number; until: number; early: boolean }): Promise<ClaimedReport | undefined>
  /**
   * Keeps the progress, and the report from being claimed again before `until`. False: the claim
   * has run out and another process has the report, or it is gone; nothing was changed.
   */
  save(report: ClaimedReport, progress: Progress, until: number): Promise<boolean>
  /** Forgets it. False: as with `save` */
  remove(report: ClaimedReport): Promise<boolean>
  /** Called by `TlsReporter.close()` */
  close?(): Promise<void>
}

export const NO_PROGRESS: Progress = { attempts: 0, done: [] }

/** What a store has kept as JSON. Undefined: it is none; the report is sent from the beginning. */
export function readProgress(text: string | undefined): Progress {
  try {
    const { firstAttemptAt, attempts, done } = JSON.parse(text ?? '') as Record<string, unknown>
    if (typeof attempts !== 'number' || !Array.isArray(done)) return NO_PROGRESS
    const uris = done.filter((uri) => typeof uri === 'string')
    return {
      attempts,
      done: uris,
      ...(typeof firstAttemptAt === 'number' ? { firstAttemptAt } : {}),
    }
  } catch {
    return NO_PROGRESS
  }
}

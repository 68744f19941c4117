/**
 * The interface of a report store, in which counts and reports outlive the process, and which many
 * processes share as one sender.
 *
 * Counts are added up by day and domain. When the day is over, `seal` makes a report of them, with
 * an id that never changes; later counts make another report, so that each session is in exactly
 * one. A process claims a report for a while, extends the claim while it works, and removes the
 * report when every destination has it. The claim of a process that dies expires; the next process
 * continues with the stored progress.
 *
 * To write a store of your own, implement {@link ReportStore}, and check it with
 * `reportStoreConformance` of `mta-sts/testing`. Every method may reject; none may block.
 *
 * @module
 */
import type { MtaStsError } from '../errors.js'
import type { CountLimits, DomainCounts, PolicyCounts } from './counts.js'
import type { Day } from './day.js'

/**
 * Identifies an addition, so that it is added once, however often it is sent: replies get lost, and
 * clients of databases repeat commands.
 */
export interface Portion {
  /** The counting process; any text */
  writer: string
  /**
   * Grows with each portion of a writer. A writer repeats a portion until the store has
   * acknowledged it; only then it sends the next one
   */
  number: number
}

/** The progress of a report. */
export interface Progress {
  /** Epoch milliseconds; undefined: no process has tried to send it */
  firstAttemptAt?: number
  /** Number of attempts */
  attempts: number
  /** The URIs that have received it */
  done: readonly string[]
  /** The reason of the last failure; undefined during an attempt */
  problem?: string
}

/** A report that only this process may send while the claim lasts. */
export interface ClaimedReport {
  /** Letters and digits; unique, and the same after a crash */
  id: string
  /** The UTC day of the report */
  day: Day
  /** The Policy Domain of the report: A-labels, lower case */
  domain: string
  /** The counts */
  policies: readonly PolicyCounts[]
  /** Its progress */
  progress: Progress
  /** Distinguishes this claim from earlier and later ones */
  claim: string
  /** Set if the stored counts are unreadable: there is nothing to send */
  unreadable?: MtaStsError
}

/** The id and the schedule of a report. */
export interface ReportPlan {
  /** Letters and digits; its `report-id` */
  id: string
  /** Earliest automatic sending, epoch milliseconds */
  notBefore: number
}

/** The stored data of one domain and day, without the counts. */
export interface StoredReport {
  /** Undefined while the day is counted */
  id?: string
  /** UTC day of the report */
  day: Day
  /** Policy Domain */
  domain: string
  /**
   * `counting`: the day is not closed; `waiting`: not tried yet; `claimed`: a process is sending
   * it, or has died doing so; `failed`: it is tried again at `notBefore`
   */
  state: 'counting' | 'waiting' | 'claimed' | 'failed'
  /** Its progress */
  progress: Progress
  /** The time at which it is sent, its claim ends, or it is tried again: epoch milliseconds */
  notBefore?: number
}

/** A store of counts and reports; see `sqliteReportStore` and `redisReportStore`. */
export interface ReportStore {
  /**
   * Adds counts: all of them, or on rejection none. A portion whose number is not greater than the
   * last one of its writer was added before: the store resolves without adding it again. Counts
   * without a portion are always added.
   *
   * Rejects with code `ESTOREVALUE` if the stored counts of a domain cannot be added to: the
   * reporter then adds each domain separately.
   */
  add(counts: readonly DomainCounts[], limits: CountLimits, portion?: Portion): Promise<void>
  /**
   * Makes a report of each domain's counts of each day before `day`. Of several processes that do
   * so at once, one succeeds.
   *
   * @param plan called for each possible report
   */
  seal(day: Day, plan: (day: Day, domain: string) => ReportPlan): Promise<void>
  /**
   * Claims until `until` one report that is due and not claimed. `early`: a report that was never
   * claimed may be claimed before it is due. A claim more than six hours into the future is
   * ignored. Resolves to undefined if there is no such report. An unreadable one is claimed like
   * any other, with `unreadable` set.
   */
  claim(request: { now: number; until: number; early: boolean }): Promise<ClaimedReport | undefined>
  /**
   * Stores the progress, and prevents another claim before `until`. False: the claim has expired
   * and another process has the report, or it is gone; nothing was changed.
   */
  save(report: ClaimedReport, progress: Progress, until: number): Promise<boolean>
  /** Removes the report. False: as with `save` */
  remove(report: ClaimedReport): Promise<boolean>
  /** Iterates over counts and reports, in any order */
  list?(): AsyncIterable<StoredReport>
  /** Makes a report due at `time`, unless it is claimed. False: there is no such report */
  makeDue?(id: string, time: number): Promise<boolean>
  /** Removes a report in any state. False: there is no such report */
  drop?(id: string): Promise<boolean>
  /** Called by `TlsReporter.close()` */
  close?(): Promise<void>
}

/**
 * Longest claim, and longest wait for the next attempt, in milliseconds. A process with a wrong
 * clock wrote a later time.
 */
export const LONGEST_CLAIM = 6 * 3_600_000

export const NO_PROGRESS: Progress = { attempts: 0, done: [] }

/** Reads stored JSON. Anything invalid counts as no progress: sending starts again. */
export function readProgress(text: string | undefined): Progress {
  try {
    const { firstAttemptAt, attempts, done, problem } = JSON.parse(text ?? '') as Record<
      string,
      unknown
    >
    if (typeof attempts !== 'number' || !Array.isArray(done)) return NO_PROGRESS
    return {
      attempts,
      done: done.filter((uri) => typeof uri === 'string'),
      ...(typeof firstAttemptAt === 'number' ? { firstAttemptAt } : {}),
      ...(typeof problem === 'string' ? { problem } : {}),
    }
  } catch {
    return NO_PROGRESS
  }
}

/** Returns the state of a report whose day is closed. */
export function stateOf(progress: Progress, claimed: boolean): StoredReport['state'] {
  if (progress.problem !== undefined) return 'failed'
  return claimed ? 'claimed' : 'waiting'
}

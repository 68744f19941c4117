/**
 * The interface of a report store: where counts and reports outlive the process, and where many
 * processes become one sender.
 *
 * Counts are added up by day and domain. When the day is over, `seal` makes a report of them, with
 * an id that never changes; counts that come later make another report, so that each session is in
 * exactly one. A report is claimed by one process for a while, the claim is extended while the
 * process works, and the report is removed when every destination has it. The claim of a process
 * that dies runs out; the next process continues where the progress says.
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
 * Identifies what is added, so that it is added once, however often it is sent: replies get lost,
 * and clients of databases send commands again.
 */
export interface Portion {
  /** The process that has counted; any text */
  writer: string
  /**
   * Grows with each portion of a writer. A writer sends a portion again and again until the store
   * has acknowledged it, and only then the next one
   */
  number: number
}

/** What has become of a report so far. */
export interface Progress {
  /** Epoch milliseconds; undefined: no process has tried to send it */
  firstAttemptAt?: number
  /** Number of attempts */
  attempts: number
  /** The URIs that have it */
  done: readonly string[]
  /** Why the last attempt failed; undefined while one is under way */
  problem?: string
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
  /** Set where the stored counts cannot be read: there is nothing to send */
  unreadable?: MtaStsError
}

/** What a report is called, and when it goes out. */
export interface ReportPlan {
  /** Letters and digits; its `report-id` */
  id: string
  /** Not sent automatically before this point in time, epoch milliseconds */
  notBefore: number
}

/** What a store holds for one domain and day, without the counts. */
export interface StoredReport {
  /** Undefined while the day is counted */
  id?: string
  /** UTC day of the report */
  day: Day
  /** Policy Domain */
  domain: string
  /**
   * `counting`: the day is not closed; `waiting`: not tried yet; `claimed`: a process is sending it,
   * or has died doing so; `failed`: it is tried again at `notBefore`
   */
  state: 'counting' | 'waiting' | 'claimed' | 'failed'
  /** How far its sending is */
  progress: Progress
  /** When it is sent, its claim ends, or it is tried again: epoch milliseconds */
  notBefore?: number
}

/** Where counts and reports are stored; see `sqliteReportStore` and `redisReportStore`. */
export interface ReportStore {
  /**
   * Adds counts: all of them, or on rejection none. A portion whose number is not greater than the
   * last one of its writer was added before: the store resolves without adding it again. What comes
   * without a portion is always added.
   *
   * Rejects with code `ESTOREVALUE` where what is stored for one of the domains cannot be added to:
   * the reporter then adds each domain by itself.
   */
  add(counts: readonly DomainCounts[], limits: CountLimits, portion?: Portion): Promise<void>
  /**
   * Makes a report of each domain's counts of each day before `day`. Where several processes do
   * so at once, one of them succeeds.
   *
   * @param plan called for each report that may come to be
   */
  seal(day: Day, plan: (day: Day, domain: string) => ReportPlan): Promise<void>
  /**
   * Claims one report until `until`, of those whose time has come and whose claim, if there was
   * one, is over. `early`: a report that was never claimed is taken before its time, too. A claim
   * that reaches further than six hours into the future is not believed. Resolves to
   * undefined where there is no such report. One that cannot be read is claimed like any other,
   * with `unreadable` set.
   */
  claim(request: { now: number; until: number; early: boolean }): Promise<ClaimedReport | undefined>
  /**
   * Stores the progress, and keeps the report from being claimed again before `until`. False: the
   * claim has run out and another process has the report, or it is gone; nothing was changed.
   */
  save(report: ClaimedReport, progress: Progress, until: number): Promise<boolean>
  /** Removes it. False: as with `save` */
  remove(report: ClaimedReport): Promise<boolean>
  /** Iterates over what is counted and what waits, in any order */
  list?(): AsyncIterable<StoredReport>
  /** Makes a report due at `time`, whatever its state but claimed. False: there is no such report */
  makeDue?(id: string, time: number): Promise<boolean>
  /** Removes a report, whatever its state. False: there is no such report */
  drop?(id: string): Promise<boolean>
  /** Called by `TlsReporter.close()` */
  close?(): Promise<void>
}

/**
 * No claim, and no wait for the next attempt, is longer, in milliseconds. What reaches further was
 * written by a process whose clock is wrong.
 */
export const LONGEST_CLAIM = 6 * 3_600_000

export const NO_PROGRESS: Progress = { attempts: 0, done: [] }

/** Reads what a store holds as JSON. What is no progress stands for none: sending begins anew. */
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

/** Returns the state of a report that is not being counted any more. */
export function stateOf(progress: Progress, claimed: boolean): StoredReport['state'] {
  if (progress.problem !== undefined) return 'failed'
  return claimed ? 'claimed' : 'waiting'
}

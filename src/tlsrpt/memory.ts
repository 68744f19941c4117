/**
 * A report store in memory: for one process that may lose a day's counts when it ends.
 *
 * @module
 */

import { randomUUID } from 'node:crypto'
import { checkKnown, number } from '../option-checks.js'
import { Tally } from './counts.js'
import type { Day } from './day.js'
import {
  type ClaimedReport,
  LONGEST_CLAIM,
  NO_PROGRESS,
  type Portion,
  type Progress,
  type ReportStore,
  type StoredReport,
  stateOf,
} from './store.js'

/** Options of {@link memoryReportStore}. */
export interface MemoryReportStoreOptions {
  /** Maximum number of domains and days; the oldest are dropped. Default 100000 */
  maxDomains?: number | undefined
}

interface Counted {
  day: Day
  domain: string
  tally: Tally
}

interface Report extends Counted {
  id: string
  notBefore: number
  progress: Progress
  /** Undefined: never claimed */
  claim?: string
}

/** Maximum number of writers whose last portion is remembered. */
const MAX_WRITERS = 10_000

/**
 * Makes a report store in memory. Its content ends with the process: use it in tests, and where a
 * domain may miss a report now and then.
 *
 * @example
 * const reporter = new TlsReporter({ ...options, store: memoryReportStore() })
 */
export function memoryReportStore(options: MemoryReportStoreOptions = {}): ReportStore {
  checkKnown(options, ['maxDomains'], { call: 'memoryReportStore()' })
  const maxDomains = number(options, 'maxDomains', { default: 100_000, min: 1 })
  const counted = new Map<string, Counted>()
  const reports = new Map<string, Report>()
  const writers = new Map<string, number>()

  const claimedBy = ({ id, claim }: ClaimedReport) => {
    const report = reports.get(id)
    return report?.claim === claim ? report : undefined
  }

  /** Records a portion. Returns false if it was added before. */
  const isNew = ({ writer, number }: Portion) => {
    const last = writers.get(writer)
    if (last !== undefined && number <= last) return false
    // Deleted first, so that the writer becomes the newest one
    writers.delete(writer)
    writers.set(writer, number)
    dropOldest(writers, MAX_WRITERS)
    return true
  }

  return {
    async add(counts, limits, portion) {
      if (portion !== undefined && !isNew(portion)) return
      for (const { day, domain, policies } of counts) {
        const key = `${day} ${domain}`
        const kept = counted.get(key) ?? { day, domain, tally: new Tally() }
        counted.set(key, kept)
        kept.tally.add(policies, limits)
      }
      dropOldest(counted, maxDomains)
    },

    async seal(day, plan) {
      for (const [key, sealed] of counted) {
        if (sealed.day >= day) continue
        const planned = plan(sealed.day, sealed.domain)
        counted.delete(key)
        reports.set(planned.id, { ...planned, ...sealed, progress: NO_PROGRESS })
      }
      dropOldest(reports, maxDomains)
    },

    async claim({ now, until, early }) {
      for (const report of reports.values()) {
        if (!isClaimable(report, now, early)) continue
        const mine = randomUUID()
        report.claim = mine
        report.notBefore = until
        const { id, day, domain, tally, progress } = report
        return { id, day, domain, policies: tally.policies(), progress, claim: mine }
      }
      return undefined
    },

    async save(claimed, progress, until) {
      const report = claimedBy(claimed)
      if (report === undefined) return false
      report.progress = { ...progress, done: [...progress.done] }
      report.notBefore = until
      return true
    },

    async remove(claimed) {
      return claimedBy(claimed) !== undefined && reports.delete(claimed.id)
    },

    async *list() {
      const all: StoredReport[] = [
        ...[...counted.values()].map(
          ({ day, domain }) => ({ day, domain, state: 'counting', progress: NO_PROGRESS }) as const,
        ),
        ...[...reports.values()].map(({ id, day, domain, progress, notBefore, claim }) => {
          const state = stateOf(progress, claim !== undefined)
          return { id, day, domain, state, progress, notBefore }
        }),
      ]
      yield* all
    },

    async makeDue(id, time) {
      const report = reports.get(id)
      if (report === undefined) return false
      const isClaimed = stateOf(report.progress, report.claim !== undefined) === 'claimed'
      if (!isClaimed) report.notBefore = Math.min(report.notBefore, time)
      return !isClaimed
    },

    drop: async (id) => reports.delete(id),

    async close() {},
  }
}

function isClaimable({ claim, notBefore }: Report, now: number, early: boolean): boolean {
  if (notBefore <= now) return true
  return claim === undefined ? early : notBefore > now + LONGEST_CLAIM
}

/** Drops the first entries of a Map, which iterates in insertion order. */
function dropOldest(map: Map<string, unknown>, limit: number): void {
  for (const key of map.keys()) {
    if (map.size <= limit) return
    map.delete(key)
  }
}

/**
 * A report store in memory: for one process that may lose a day's counts when it ends.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { addCounts, type PolicyCounts } from './counts.js'
import type { Day } from './day.js'
import { type ClaimedReport, NO_PROGRESS, type Progress, type ReportStore } from './store.js'

/** Options of {@link memoryReportStore}. */
export interface MemoryReportStoreOptions {
  /** Domains and days that are kept at a time; beyond, the oldest are forgotten. Default 100000 */
  maxDomains?: number | undefined
}

interface Counted {
  day: Day
  domain: string
  policies: readonly PolicyCounts[]
}

interface Report extends Counted {
  id: string
  notBefore: number
  progress: Progress
  /** Undefined: nobody has claimed it yet */
  claim?: string
}

/**
 * A report store in memory. What it holds is lost with the process: use it in tests, and where a
 * domain may miss a report now and then.
 *
 * @example
 * const reporter = new TlsReporter({ ...options, store: memoryReportStore() })
 */
export function memoryReportStore(options: MemoryReportStoreOptions = {}): ReportStore {
  const { maxDomains = 100_000 } = options
  const counted = new Map<string, Counted>()
  const reports = new Map<string, Report>()

  const held = ({ id, claim }: ClaimedReport) => {
    const report = reports.get(id)
    return report?.claim === claim ? report : undefined
  }

  return {
    async add(counts, limits) {
      for (const { day, domain, policies } of counts) {
        const key = `${day} ${domain}`
        const kept = counted.get(key)?.policies ?? []
        counted.set(key, { day, domain, policies: addCounts(kept, policies, limits) })
      }
      dropOldest(counted, maxDomains)
    },

    async seal(day, plan) {
      for (const [key, { day: of, domain, policies }] of counted) {
        if (of >= day) continue
        const planned = plan(of, domain)
        counted.delete(key)
        reports.set(planned.id, { ...planned, day: of, domain, policies, progress: NO_PROGRESS })
      }
      dropOldest(reports, maxDomains)
    },

    async claim({ now, until, early }) {
      for (const report of reports.values()) {
        const { claim, notBefore } = report
        if (notBefore > now && !(early && claim === undefined)) continue
        const mine = randomUUID()
        Object.assign(report, { claim: mine, notBefore: until })
        const { id, day, domain, policies, progress } = report
        return { id, day, domain, policies, progress, claim: mine }
      }
      return undefined
    },

    async save(claimed, progress, until) {
      const report = held(claimed)
      if (report === undefined) return false
      report.progress = { ...progress, done: [...progress.done] }
      report.notBefore = until
      return true
    },

    async remove(claimed) {
      return held(claimed) !== undefined && reports.delete(claimed.id)
    },

    async close() {},
  }
}

/** Entries of a Map come in the order in which they were first set. */
function dropOldest(map: Map<string, unknown>, limit: number): void {
  for (const key of map.keys()) {
    if (map.size <= limit) return
    map.delete(key)
  }
}

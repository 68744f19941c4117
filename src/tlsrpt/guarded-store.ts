/**
 * A report store with time limits: a call that never settles must not keep other reports from being
 * sent, nor a process from ending.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { type TimeLimit, withinTime } from '../net/deadline.js'
import type { NumberedCounts } from './backlog.js'
import type { CountLimits } from './counts.js'
import type { Day } from './day.js'
import type { ClaimedReport, Progress, ReportPlan, ReportStore } from './store.js'

/** Limit of a call, in milliseconds: longer than this package's stores wait for other processes. */
const CALL_TIME = 10_000

/** Limit of closing days, which takes many steps. */
const SEAL_TIME = 60_000

export class GuardedReportStore {
  readonly #store: ReportStore

  constructor(store: ReportStore) {
    this.#store = store
  }

  add({ counts, portion }: NumberedCounts, limits: CountLimits): Promise<void> {
    return bounded(CALL_TIME, 'add', async () => this.#store.add(counts, limits, portion))
  }

  seal(day: Day, plan: (day: Day, domain: string) => ReportPlan): Promise<void> {
    return bounded(SEAL_TIME, 'seal', async () => this.#store.seal(day, plan))
  }

  /** Claims a report. A claim after the limit is released for other processes. */
  async claim(request: {
    now: number
    until: number
    early: boolean
  }): Promise<ClaimedReport | undefined> {
    let late = false
    const claiming = async () => {
      const report = await this.#store.claim(request)
      if (late && report) void this.save(report, report.progress, request.now).catch(ignore)
      return report
    }
    try {
      return await bounded(CALL_TIME, 'claim', claiming)
    } catch (error) {
      late = true
      throw error
    }
  }

  save(report: ClaimedReport, progress: Progress, until: number): Promise<boolean> {
    return bounded(CALL_TIME, 'save', async () => this.#store.save(report, progress, until))
  }

  remove(report: ClaimedReport): Promise<boolean> {
    return bounded(CALL_TIME, 'remove', async () => this.#store.remove(report))
  }

  async close(time: number): Promise<void> {
    await withinTime(storeLimit(time, 'close'), async () => this.#store.close?.())
  }
}

/** A call in the background: its time limit keeps no process alive. */
function bounded<T>(time: number, operation: string, call: () => Promise<T>): Promise<T> {
  return withinTime({ ...storeLimit(time, operation), background: true }, call)
}

/** Returns the time limit of one operation of a report store. */
export function storeLimit(milliseconds: number, operation: string): TimeLimit {
  const message = `The report store did not answer within ${milliseconds} ms (${operation})`
  return { milliseconds, late: () => new MtaStsError(message, 'ESTORE') }
}

function ignore(): void {}

/**
 * Many domains beside each other: none holds another back, and each has its time.
 *
 * @module
 */
import { Deadline, onAbort, unlessAborted } from '../../net/deadline.js'
import { escapeRemoteText, textOfThrown } from '../../text.js'
import { noDomain } from '../arguments.js'
import { complain } from '../complain.js'
import { type CliContext, EXIT, type ExitStatus, worstOf } from '../context.js'
import { progressOn } from '../terminal.js'
import { span } from '../time.js'
import type { Listed } from './domains.js'
import { examine, type Run } from './examine.js'
import type { CheckReport } from './findings.js'
import { InOrder } from './in-order.js'
import { noReport } from './no-report.js'
import { type CheckPrinter, grouped } from './outputs.js'

export interface ManyOptions {
  run: Run
  context: CliContext
  printer: CheckPrinter
  /** Domains that are looked at beside each other */
  concurrency: number
  /** For each domain, in milliseconds */
  deadline: number
}

/** The time for which results wait for those in front of them, in milliseconds. */
const PATIENCE = 150

/** Looks at all domains, and prints each as soon as possible. Resolves to the worst status. */
export function checkMany(list: readonly Listed[], options: ManyOptions): Promise<ExitStatus> {
  return new Many(list, options).run()
}

class Many {
  readonly #list: readonly Listed[]
  readonly #options: ManyOptions
  readonly #ordered: InOrder<CheckReport>
  readonly #steps = new Map<string, string>()
  readonly #counts = { fine: 0, refused: 0, unprotected: 0, unknown: 0 }
  readonly #statuses = new Set<ExitStatus>()
  readonly #progress
  #begun = 0
  #done = 0

  constructor(list: readonly Listed[], options: ManyOptions) {
    const { printer, context } = options
    this.#list = list
    this.#options = options
    this.#progress = progressOn(context)
    const patience = printer.strict ? Number.POSITIVE_INFINITY : PATIENCE
    this.#ordered = new InOrder(patience, (report) => {
      this.#progress.clear()
      printer.add(report)
    })
  }

  async run(): Promise<ExitStatus> {
    const { printer, concurrency } = this.#options
    printer.begin?.()
    const workers = Math.min(concurrency, this.#list.length)
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#work()))
    } finally {
      this.#ordered.flush()
      this.#progress.clear()
    }
    printer.end?.({ total: this.#done, counts: this.#counts })
    if (this.#interrupted()) this.#sayInterrupted()
    return worstOf(this.#statuses)
  }

  async #work(): Promise<void> {
    const { signal } = this.#options.context
    while (this.#begun < this.#list.length && !signal?.aborted) {
      const number = this.#begun++
      const listed = this.#list[number]
      if (listed === undefined) return
      const report = await this.#look(listed)
      if (report === undefined) return
      this.#done++
      this.#counts[report.verdict.status]++
      this.#statuses.add(report.verdict.exitStatus)
      if (report.cached !== null) this.#statuses.add(report.cached.exitStatus)
      this.#ordered.add(number, report)
      this.#show()
    }
  }

  /** Returns undefined where Ctrl-C came first. */
  async #look({ domain, written }: Listed): Promise<CheckReport | undefined> {
    if (domain === undefined) return noReport(written, noDomain(written).replace(/\.$/, ''))
    const { run, deadline: milliseconds } = this.#options
    const stop = new AbortController()
    const { signal } = this.#options.context
    const release = onAbort(signal, () => {
      if (this.#interrupted()) stop.abort(signal?.reason)
    })
    const deadline = new Deadline(milliseconds, `the look at ${domain}`, stop.signal)
    const onStep = (what: string) => {
      this.#steps.set(domain, what)
      this.#show()
    }
    try {
      return await unlessAborted(
        // The work may be in a step that does not look at the signal
        examine(domain, run, { onStep, signal: deadline.signal }),
        deadline.signal,
      )
    } catch (error) {
      if (!deadline.signal.aborted) return this.#failed(domain, error)
      if (stop.signal.aborted) return undefined
      const step = this.#steps.get(domain) ?? 'DNS'
      return noReport(domain, `no result within ${span(milliseconds)} (${step})`)
    } finally {
      deadline.clear()
      release()
      this.#steps.delete(domain)
    }
  }

  /** One domain that throws must not end the others. */
  #failed(domain: string, error: unknown): CheckReport {
    if (this.#list.length === 1) throw error
    return noReport(domain, `it could not be looked at: ${escapeRemoteText(textOfThrown(error))}`)
  }

  /** Tells whether Ctrl-C was pressed. A closed pipe is no such end: the status is still found out. */
  #interrupted(): boolean {
    const { signal } = this.#options.context
    const reason: unknown = signal?.reason
    const isPipe = reason instanceof Error && 'code' in reason && reason.code === 'EPIPE'
    return signal?.aborted === true && !isPipe
  }

  #sayInterrupted(): void {
    const total = this.#list.length
    if (this.#done === total) return
    this.#statuses.add(EXIT.unknown)
    const text = `Interrupted: ${grouped(this.#done)} of ${grouped(total)} were looked at.`
    complain(text, this.#options.context)
  }

  #show(): void {
    const [oldest] = this.#steps
    if (oldest === undefined) return
    const [domain, step] = oldest
    const total = this.#list.length
    const count = total > 1 ? `${grouped(this.#done)} of ${grouped(total)}, ` : ''
    this.#progress.show(`${count}${escapeRemoteText(domain)}: ${step}`)
  }
}

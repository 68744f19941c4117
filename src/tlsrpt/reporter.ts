/**
 * The front of SMTP TLS Reporting (RFC 8460): listens to published sessions, writes the counts to
 * the store in the background, and sends each day's reports.
 *
 * @module
 */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { MtaStsError } from '../errors.js'
import { type EventName, publish } from '../events.js'
import { withinTime } from '../net/deadline.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { Backlog } from './backlog.js'
import { Collector } from './collector.js'
import { GuardedReportStore, storeLimit } from './guarded-store.js'
import {
  type ReporterSettings,
  resolveReporterOptions,
  type TlsReporterOptions,
} from './options.js'
import { Sender, type SendSummary } from './sender.js'

/** Interval of the search for due reports, in milliseconds, plus or minus a fifth. */
const LOOK_INTERVAL = 60_000

/** Time for which `close()` waits for the last counts to be stored, in milliseconds. */
const LAST_FLUSH_TIME = 5000

/** Waits of `close()` between tries to store the last counts, in milliseconds. */
const FLUSH_AGAIN = [50, 250, 1000]

/** Time for which `close()` waits for reports that are being sent, in milliseconds. */
const LAST_SENDING_TIME = 3000

/** Time for which `close()` waits for the store to close, in milliseconds. */
const CLOSE_TIME = 2000

/** Number of domains converted for the store in one turn of the event loop. */
const DOMAINS_A_TURN = 100

/**
 * Reports the outcome of TLS to the recipients' domains: once for each day, by mail or HTTPS, as
 * their `_smtp._tls` record demands.
 *
 * @example
 * const reporter = new TlsReporter({
 * organizationName: 'Example Ltd',
 * contactInfo: 'postmaster@sender.example',
 * submitter: 'sender.example',
 * store: sqliteReportStore('/var/lib/mailer/tls-reports.db'),
 * transporter: nodemailer.createTransport(mtaStsTransport({ name: 'mail.sender.example' })),
 * dkim: { domainName: 'sender.example', keySelector: 'reports', privateKey },
 * })
 * // ... and when the process ends
 * await reporter.close()
 */
export class TlsReporter implements AsyncDisposable {
  readonly #settings: ReporterSettings
  /** Subscribed to while the reporter counts */
  readonly #channel: string
  readonly #store: GuardedReportStore
  readonly #collector: Collector
  readonly #sender: Sender
  readonly #flushTimer: NodeJS.Timeout
  #sendTimer: NodeJS.Timeout | undefined
  readonly #backlog: Backlog
  #flushing: Promise<void> | undefined
  #sending: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  /**
   * Starts counting at once, and sending if `sending` is `automatic`.
   *
   * @throws TypeError that names the wrong option. MtaStsError `EREPORTER`: this process already
   * has a reporter for the submitter, and two would count every session twice
   */
  constructor(options: TlsReporterOptions) {
    this.#settings = resolveReporterOptions(options)
    this.#channel = REPORTER + this.#settings.mail.submitter
    refuseSecondReporter(this.#channel, this.#settings.mail.submitter)
    this.#store = new GuardedReportStore(this.#settings.store)
    this.#collector = new Collector(this.#settings.collector)
    this.#backlog = new Backlog(this.#settings.collector)
    this.#sender = new Sender(this.#settings, this.#store)
    subscribe(this.#channel, ignore)
    subscribe(SESSION, this.#collector.onSession)
    subscribe(POLICY_FAILURE, this.#collector.onPolicyFailure)
    this.#flushTimer = setInterval(() => void this.#flushBeside(), this.#settings.flushInterval)
    this.#flushTimer.unref()
    if (this.#settings.sending === 'automatic') this.#lookLater()
  }

  /**
   * Writes the counts so far to the store. This happens automatically every few seconds: a process
   * that dies in between loses only the counts of those seconds.
   *
   * @throws the error of the store; the counts are written with the next ones
   */
  flush(): Promise<void> {
    // After the current flush, which has taken only the counts at its start
    const flushing = (this.#flushing ?? Promise.resolve()).catch(ignore).then(() => this.#flush())
    this.#flushing = flushing
    return flushing.finally(() => {
      if (this.#flushing === flushing) this.#flushing = undefined
    })
  }

  /**
   * Sends the reports of all days that ended at least fifteen minutes ago, and those whose next
   * attempt is due. For cron, once an hour or a day; any number of processes may call it at once.
   *
   * @throws the error of the store. Failures of destinations are in the summary
   */
  async sendReports(): Promise<SendSummary> {
    await this.flush()
    return this.#inTurn(() => this.#sender.run({ early: true }))
  }

  /**
   * Stops counting, writes the last counts to the store, waits a few seconds for the reports that
   * are being sent, and closes the store. Ends within ten seconds, even if something never answers:
   * the next process sends unfinished reports again. The transporter is yours to close.
   *
   * @throws the error of the store: the last counts are lost then
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    unsubscribe(SESSION, this.#collector.onSession)
    unsubscribe(POLICY_FAILURE, this.#collector.onPolicyFailure)
    unsubscribe(this.#channel, ignore)
    clearInterval(this.#flushTimer)
    clearTimeout(this.#sendTimer)
    this.#sender.stop()
    try {
      await withinTime(storeLimit(LAST_FLUSH_TIME, 'add'), () => this.#lastFlush())
    } finally {
      await withinTime(storeLimit(LAST_SENDING_TIME, 'send'), () => this.#sending).catch(ignore)
      await this.#store.close(CLOSE_TIME)
    }
  }

  /** Stores the last counts. Tries again, since a store that fails for a moment must not lose them. */
  async #lastFlush(): Promise<void> {
    for (const wait of FLUSH_AGAIN) {
      try {
        return await this.flush()
      } catch {
        await sleep(wait)
      }
    }
    await this.flush()
  }

  /** Runs one call at a time: the next one starts after the previous one. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#sending.catch(ignore).then(run)
    this.#sending = result
    return result
  }

  #lookLater(): void {
    const { random } = this.#settings
    this.#sendTimer = setTimeout(() => void this.#look(), LOOK_INTERVAL * (0.8 + 0.4 * random()))
    this.#sendTimer.unref()
  }

  async #look(): Promise<void> {
    try {
      await this.#inTurn(() => this.#sender.run({ early: false }))
    } catch (error) {
      this.#storeFailed('send', error)
    }
    if (this.#closed === undefined) this.#lookLater()
  }

  async #flushBeside(): Promise<void> {
    if (this.#flushing) return
    try {
      await this.flush()
    } catch (error) {
      this.#storeFailed('add', error)
    }
  }

  async #flush(): Promise<void> {
    await this.#takeCounts()
    this.#backlog.offerRefused()
    for (;;) {
      const next = this.#backlog.next()
      if (next === undefined) return
      try {
        await this.#store.add(next, this.#settings.collector)
        this.#backlog.acknowledge()
      } catch (error) {
        if (!isRefusal(error)) throw error
        const lost = this.#backlog.refuse()
        if (next.counts.length === 1) this.#storeFailed('add', error)
        if (lost > 0) this.#tellUncounted(lost)
      }
    }
  }

  async #takeCounts(): Promise<void> {
    const taken = this.#collector.drain()
    let lost = 0
    let domains = 0
    for (const counts of taken.counts) {
      lost += this.#backlog.add(counts)
      if (++domains % DOMAINS_A_TURN === 0) await nextTurn()
    }
    lost += taken.uncounted
    if (lost > 0) this.#tellUncounted(lost)
  }

  #storeFailed(operation: string, error: unknown): void {
    publish('mta-sts:store-failure', () => ({ operation: `tlsrpt ${operation}`, error }))
    const message = textOfThrown(error)
    this.#settings.logger?.error(
      { tnx: 'tlsrpt', operation, err: error },
      'The store of TLS reports failed (%s): %s',
      operation,
      escapeRemoteText(message),
    )
  }

  #tellUncounted(sessions: number): void {
    this.#settings.logger?.warn(
      { tnx: 'tlsrpt', sessions },
      '%d sessions were not counted for TLS reports: more than maxDomains domains at a time, events of another shape, or counts that the store has refused for a day',
      sessions,
    )
  }
}

const SESSION: EventName = 'mta-sts:session'
const POLICY_FAILURE: EventName = 'mta-sts:policy-failure'

/** Prefix of a channel without events: its subscriber is the submitter's reporter. */
const REPORTER = 'mta-sts:tlsrpt:reporter:'

/**
 * Throws if the submitter has a reporter. Uses a channel, because a process may have loaded this
 * file twice, as ESM and as CommonJS.
 */
function refuseSecondReporter(name: string, submitter: string): void {
  if (!channel(name).hasSubscribers) return
  throw new MtaStsError(
    `This process has a TlsReporter for ${submitter} already, and a second one would count every session twice. Use the first one, or close it before.`,
    'EREPORTER',
  )
}

/** Whether the store added nothing and would refuse the same counts again. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ESTOREVALUE'
}

function ignore(): void {}

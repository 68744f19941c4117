/**
 * The front of SMTP TLS Reporting: listens to what the package publishes, writes the counts down
 * in the background, and sends each day's reports (RFC 8460).
 *
 * @module
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type EventName, publish } from '../events.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { Backlog } from './backlog.js'
import { Collector } from './collector.js'
import {
  type ReporterSettings,
  resolveReporterOptions,
  type TlsReporterOptions,
} from './options.js'
import { Sender, type SendSummary } from './sender.js'

/** How often is looked for reports that are due, in milliseconds, give or take a fifth. */
const LOOK_INTERVAL = 60_000

/**
 * Reports to the domains that mail was sent to how TLS fared: on each of their days, once, by mail
 * or HTTPS, as their `_smtp._tls` record asks for.
 *
 * @example
 * const reporter = new TlsReporter({
 *   organizationName: 'Example Ltd',
 *   contactInfo: 'postmaster@sender.example',
 *   submitter: 'sender.example',
 *   store: sqliteReportStore('/var/lib/mailer/tls-reports.db'),
 *   transporter: nodemailer.createTransport(mtaStsTransport({ name: 'mail.sender.example' })),
 *   dkim: { domainName: 'sender.example', keySelector: 'reports', privateKey },
 * })
 * // ... and when the process ends
 * await reporter.close()
 */
export class TlsReporter implements AsyncDisposable {
  readonly #settings: ReporterSettings
  readonly #collector: Collector
  readonly #sender: Sender
  readonly #flushTimer: NodeJS.Timeout
  #sendTimer: NodeJS.Timeout | undefined
  readonly #backlog: Backlog
  #flushing: Promise<void> | undefined
  #sending: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  /**
   * Begins to count at once, and where `sending` is `automatic`, to send.
   *
   * @throws TypeError that names the option which is wrong
   */
  constructor(options: TlsReporterOptions) {
    this.#settings = resolveReporterOptions(options)
    this.#collector = new Collector(this.#settings.collector)
    this.#backlog = new Backlog(this.#settings.collector)
    this.#sender = new Sender(this.#settings)
    subscribe(SESSION, this.#collector.onSession)
    subscribe(POLICY_FAILURE, this.#collector.onPolicyFailure)
    this.#flushTimer = setInterval(() => void this.#flushBeside(), this.#settings.flushInterval)
    this.#flushTimer.unref()
    if (this.#settings.sending === 'automatic') this.#lookLater()
  }

  /**
   * Writes what was counted so far to the store. Happens by itself every few seconds: a process
   * that dies in between loses the counts of those seconds, and nothing else.
   *
   * @throws what the store rejects with; the counts are kept and written with the next ones
   */
  flush(): Promise<void> {
    // After the one that is under way, which has taken only what was there when it began
    const flushing = (this.#flushing ?? Promise.resolve()).catch(ignore).then(() => this.#flush())
    this.#flushing = flushing
    return flushing.finally(() => {
      if (this.#flushing === flushing) this.#flushing = undefined
    })
  }

  /**
   * Sends the reports of all days that ended at least five minutes ago, and what is to be tried
   * again by now. For cron, once an hour or a day; any number of processes may do it at once.
   *
   * @throws what the store rejects with. What destinations do is in the summary
   */
  async sendReports(): Promise<SendSummary> {
    await this.flush()
    return this.#inTurn(() => this.#sender.run({ early: true }))
  }

  /**
   * Stops counting, writes down what was counted, lets the reports that are under way arrive, and
   * closes the store. The transporter is yours to close.
   *
   * @throws what the store rejects with: the last counts are lost then
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
    clearInterval(this.#flushTimer)
    clearTimeout(this.#sendTimer)
    this.#sender.stop()
    await this.#sending.catch(ignore)
    try {
      await this.flush()
    } finally {
      await this.#settings.store.close?.()
    }
  }

  /** One run at a time: the next begins when the one before is over. */
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
    const { store, collector } = this.#settings
    const { counts, uncounted } = this.#collector.take()
    const lost = uncounted + this.#backlog.add(counts)
    if (lost > 0) this.#tellUncounted(lost)
    for (;;) {
      const portion = this.#backlog.take()
      if (portion === undefined) return
      try {
        await store.add(portion, collector)
      } catch (error) {
        this.#backlog.add(portion)
        throw error
      }
    }
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
      '%d sessions were not counted for TLS reports: more than maxDomains domains at a time, or events of another shape',
      sessions,
    )
  }
}

const SESSION: EventName = 'mta-sts:session'
const POLICY_FAILURE: EventName = 'mta-sts:policy-failure'

function ignore(): void {}

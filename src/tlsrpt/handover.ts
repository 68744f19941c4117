/**
 * Sends one report to one destination.
 *
 * A server may take 10 minutes to reply to the end of a message (RFC 5321 §4.5.3.2.6), and a sender
 * that gives up earlier sends a second copy. So a mail gets half an hour; a later answer still
 * counts, and no second mail is sent meanwhile.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { type TimeLimit, withinTime } from '../net/deadline.js'
import type { Destination } from './destination.js'
import { mailReport } from './mail-report.js'
import type { ReporterSettings } from './options.js'
import { asOwnTraffic } from './own-traffic.js'
import { postReport } from './post-report.js'
import type { ReportFile } from './report-file.js'

/** Limit of a transporter for one message, in milliseconds. */
const MAIL_TIME = 30 * 60_000

const MAIL_LIMIT: TimeLimit = {
  milliseconds: MAIL_TIME,
  late: () => {
    const message = `The transporter did not send the report within ${MAIL_TIME} ms`
    return new MtaStsError(message, 'EREPORTMAIL')
  },
  background: true,
}

export class Handover {
  readonly #settings: Pick<ReporterSettings, 'mail' | 'post'>
  /** By report and URI: mails still being sent after their limit */
  readonly #late = new Map<string, Promise<void>>()

  constructor(settings: Pick<ReporterSettings, 'mail' | 'post'>) {
    this.#settings = settings
  }

  /**
   * Resolves when the destination has accepted the report.
   *
   * @param onLateSuccess called when it accepts the report after this promise was rejected
   * @throws the cause of the failure; MtaStsError `EREPORTMAIL` when a mail takes too long
   */
  async send(
    id: string,
    destination: Destination,
    file: ReportFile,
    onLateSuccess: () => void,
  ): Promise<void> {
    const { mail, post } = this.#settings
    if (destination.kind === 'https') return postReport(destination.url, file.bytes, post)
    const key = `${id} ${destination.uri}`
    const sending =
      this.#late.get(key) ??
      // RFC 8460 §3: reporters do not count the session
      asOwnTraffic(async () => mailReport(destination.mailbox, file, mail))
    this.#late.set(key, sending)
    const forget = () => this.#late.delete(key)
    sending.then(forget, forget)
    let isLate = false
    sending.then(
      () => isLate && onLateSuccess(),
      () => undefined,
    )
    try {
      await withinTime(MAIL_LIMIT, () => sending)
    } catch (error) {
      isLate = true
      throw error
    }
  }
}

/**
 * A Nodemailer transport that delivers straight to the recipients' MX hosts, each held to the
 * policy of its Policy Domain (RFC 8461).
 *
 * @module
 */
import { EventEmitter } from 'node:events'
import type { DeliveryContext } from '../delivery/attempt.js'
import type { Candidate } from '../delivery/candidate.js'
import type { DeliverySummary } from '../delivery/record.js'
import { MtaStsError } from '../errors.js'
import { eitherOf, unlessAborted } from '../net/deadline.js'
import { flag } from '../option-checks.js'
import type { OpenOptions, SendResult } from '../smtp/connection.js'
import { isStaleConnection } from '../smtp/error-meaning.js'
import { VERSION } from '../version.js'
import { checkStsOptions, refuseUncalled, type StsInUse, stsOf } from './core.js'
import { errorOf, settle } from './errors.js'
import { type DomainOutcome, describeDelivery, mergeOutcomes, type SentInfo } from './info.js'
import { isOwnFault, Message } from './message.js'
import { type Body, isUnread } from './message-body.js'
import { type DomainGroup, groupByDomain } from './recipients.js'
import { SessionPool } from './session-pool.js'
import { TransactionLogger } from './transaction-log.js'
import {
  ELSEWHERE,
  type MtaStsTransportOptions,
  OWN_NAMES,
  openOptions,
  poolLimits,
  stsOptions,
} from './transport-options.js'
import type { MailToSend, MailTransport } from './types.js'

/** The number of domains of one message that are delivered to at the same time. */
const DOMAINS_AT_ONCE = 20

/**
 * Makes a Nodemailer transport that delivers to the recipients' MX hosts.
 *
 * @example
 * const transporter = nodemailer.createTransport(mtaStsTransport({ name: 'mail.sender.example' }))
 *
 * @throws TypeError that names the option which is wrong
 */
export function mtaStsTransport(options: MtaStsTransportOptions = {}): MailTransport<SentInfo> {
  return new MtaStsTransport(options) as MailTransport<SentInfo>
}

refuseUncalled(mtaStsTransport, 'options')

class MtaStsTransport extends EventEmitter {
  readonly name = 'MTA-STS'
  readonly version = VERSION
  readonly supportsAbortSignal = true
  readonly #sts: StsInUse
  readonly #pool: SessionPool
  /** Aborted when the transport is closed by force */
  readonly #forced = new AbortController()
  /** Reject the deliveries under way. Making a signal for each would take a twentieth of its time */
  readonly #endings = new Set<() => void>()
  readonly #open: OpenOptions
  readonly #log: TransactionLogger
  readonly #maxConnections: number
  #sending = 0
  #closed = false

  constructor(options: MtaStsTransportOptions) {
    super()
    // Before the rest: nothing is begun with options that are wrong
    checkStsOptions(options, { call: 'mtaStsTransport()', own: OWN_NAMES, elsewhere: ELSEWHERE })
    const limits = poolLimits(options)
    this.#open = openOptions(options)
    for (const field of ['debug', 'transactionLog'] as const) flag(options, field)
    this.#log = new TransactionLogger(options)
    this.#sts = stsOf(stsOptions(options))
    this.#maxConnections = limits.maxConnections
    this.#pool = new SessionPool(limits)
    // As Nodemailer's pool does, once there can be listeners
    setImmediate(() => this.#emitIdle())
  }

  /** Settles by the callback: Nodemailer ignores a promise. */
  send(mail: MailToSend, callback: (error: Error | null, info?: SentInfo) => void): void {
    this.#sending++
    settle(
      this.#send(mail).finally(() => this.#sent()),
      callback,
    )
  }

  /** Whether another message would be sent at once: there are more connections than messages. */
  isIdle(): boolean {
    return !this.#closed && this.#sending < this.#maxConnections
  }

  /** Checks the resolver and the store. Sends nothing. */
  verify(callback?: (error: Error | null, success?: true) => void): Promise<true> | undefined {
    const verified = this.#sts.sts.verify()
    if (!callback) return verified
    settle(verified, callback)
    return undefined
  }

  /** Lets messages under way finish; with `force`, ends them too. */
  close(options: { force?: boolean } = {}): void {
    this.#closed = true
    if (options.force) {
      this.#forced.abort(closedError())
      for (const end of this.#endings) end()
    }
    this.#pool.close(options)
    // Messages under way may still need the policy lookup
    if (this.#sending === 0 || options.force) this.#sts.close()
    this.emit('close')
  }

  #sent(): void {
    this.#sending--
    this.#emitIdle()
    if (this.#sending > 0) return
    this.emit('clear')
    if (this.#closed) this.#sts.close()
  }

  #emitIdle(): void {
    if (this.isIdle()) this.emit('idle')
  }

  async #send(mail: MailToSend): Promise<SentInfo> {
    if (this.#closed) throw closedError()
    const message = new Message(mail)
    try {
      const groups = groupByDomain(message.envelope.to)
      void message.source.prepare({ whole: groups.length > 1 })
      const outcomes = await mapBounded(groups, DOMAINS_AT_ONCE, (group) =>
        this.#deliver(group, message),
      )
      const { envelope } = message
      return mergeOutcomes(outcomes, { envelope, messageId: mail.message.messageId() })
    } finally {
      message.release()
    }
  }

  /** Delivers one domain's share of a message. Never rejects. */
  async #deliver(group: DomainGroup, message: Message): Promise<DomainOutcome> {
    const { demand, signal } = message
    let summary: DeliverySummary | undefined
    const onEnd = (account: DeliverySummary) => {
      summary = account
    }
    try {
      this.#throwIfForced()
      const delivery = this.#sts.sts.deliver(
        group.domain,
        (candidate, context) => this.#attempt(candidate, context, { group, message }),
        { demand, signal, onEnd },
      )
      const result = await this.#unlessForced(delivery)
      return { delivery: describeDelivery(group, summary), result }
    } catch (thrown) {
      return { delivery: describeDelivery(group, summary, errorOf(thrown, signal)) }
    }
  }

  /** Settles as a delivery does, but rejects at once when the transport is closed by force. */
  #unlessForced<T>(delivery: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = () => reject(closedError())
      this.#endings.add(end)
      delivery.finally(() => this.#endings.delete(end)).then(resolve, reject)
    })
  }

  #throwIfForced(): void {
    if (this.#forced.signal.aborted) throw closedError()
  }

  /** Sends to one candidate: on a kept connection, and on a new one if that has gone stale. */
  async #attempt(
    candidate: Candidate,
    context: DeliveryContext,
    { group, message }: Share,
  ): Promise<SendResult> {
    const { signal } = message
    const check = () => {
      this.#throwIfForced()
      context.assertCurrent()
    }
    // The content may come from a stream that stalls
    const preparing = message.source.prepare()
    if (preparing) await unlessAborted(preparing, signal)
    for (let fresh = false; ; fresh = true) {
      const { connection, reused } = await this.#pool.acquire(candidate, {
        open: () => this.#openFor(context, signal),
        check,
        fresh,
        signal,
      })
      let body: Body | undefined
      try {
        if (reused) context.use(connection)
        body = message.open(context)
        const envelope = message.envelopeFor(group.recipients, body)
        const content = this.#log.body(body.content)
        // The pool closes the connection when the transport is closed by force
        const result = await connection.send(envelope, content, { signal, check })
        this.#pool.release(connection)
        return result
      } catch (error) {
        this.#pool.discard(connection)
        if (isOwnFault(error)) context.stop(error)
        // The host ended the kept connection, or does not want another message on it
        const isRead = body && !isUnread(body)
        const again = reused && isStaleConnection(error) && !isRead && !signal?.aborted
        if (!again) throw error
      }
    }
  }

  async #openFor(context: DeliveryContext, signal: AbortSignal | undefined) {
    const ending = eitherOf(this.#forced.signal, signal)
    try {
      const options = { ...this.#open, signal: ending.signal, ...this.#log.forSession() }
      return await context.open(options)
    } finally {
      ending.release()
    }
  }
}

/** One domain's share of a message. */
interface Share {
  group: DomainGroup
  message: Message
}

/** A new error for each message. */
function closedError(): MtaStsError {
  return new MtaStsError('The transport was closed', 'ECONNECTION')
}

/** Like Promise.all over a map, with no more than `limit` under way. */
async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const [only] = items
  if (items.length === 1 && only !== undefined) return [await map(only)]
  if (items.length <= limit) return Promise.all(items.map(map))
  const results = new Array<R>(items.length)
  const entries = items.entries()
  const worker = async () => {
    for (const [index, item] of entries) results[index] = await map(item)
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return results
}

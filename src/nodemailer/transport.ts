/**
 * A Nodemailer transport that delivers straight to the recipients' MX hosts, each held to the
 * policy of its Policy Domain (RFC 8461).
 *
 * @module
 */
import { EventEmitter } from 'node:events'
import { isIP } from 'node:net'
import type { DeliveryContext } from '../delivery/deliver.js'
import type { Candidate } from '../delivery/plan.js'
import type { DeliverySummary } from '../delivery/record.js'
import { MtaStsError } from '../errors.js'
import { eitherOf, unlessAborted } from '../net/deadline.js'
import { flag, MAX_TIMER, namesOf, number, optionalNumber, optionError } from '../option-checks.js'
import type { OpenOptions, SendResult } from '../smtp/connection.js'
import { checkEhloName } from '../smtp/hello.js'
import { isStaleConnection } from '../smtp/reply.js'
import { VERSION } from '../version.js'
import { checkStsOptions, refuseUncalled, type StsInUse, type StsOptions, stsOf } from './core.js'
import { errorOf, settle } from './errors.js'
import { type DomainOutcome, describeDelivery, mergeOutcomes, type SentInfo } from './info.js'
import { type Body, isOwnFault, isUnread, Message } from './message.js'
import { type DomainGroup, groupByDomain } from './recipients.js'
import { type PoolLimits, SessionPool } from './session-pool.js'
import { TransactionLogger, type TransactionLogOptions } from './transaction-log.js'
import type { MailToSend, MailTransport } from './types.js'

/** Options of {@link mtaStsTransport}: those of `MtaSts` and those of SMTP sessions. Durations are in milliseconds. */
export interface MtaStsTransportOptions extends StsOptions, TransactionLogOptions {
  /** The host name sent in EHLO; default: the machine's */
  name?: string | undefined
  /** The address that SMTP connections are made from */
  localAddress?: string | undefined
  /** For the TCP connection to one address, and again for STARTTLS with its handshake; default 30000 */
  connectionTimeout?: number | undefined
  /** Open connections in all; default 50 */
  maxConnections?: number | undefined
  /** Open connections to one MX host; default 5 */
  maxConnectionsPerHost?: number | undefined
  /** Messages sent over one connection before it is closed; default 100 */
  maxMessages?: number | undefined
  /** The time for which a connection is kept without a message; default 60000 */
  idleTimeout?: number | undefined
  /** For the greeting; default 300000 (RFC 5321 §4.5.3.2.1) */
  greetingTimeout?: number | undefined
  /** For any other reply; default: RFC 5321 §4.5.3.2's for each command */
  socketTimeout?: number | undefined
}

const OWN_NAMES = namesOf<Exclude<keyof MtaStsTransportOptions, keyof StsOptions> | 'logger'>({
  name: true,
  localAddress: true,
  connectionTimeout: true,
  maxConnections: true,
  maxConnectionsPerHost: true,
  maxMessages: true,
  idleTimeout: true,
  greetingTimeout: true,
  socketTimeout: true,
  debug: true,
  transactionLog: true,
  logger: true,
})

const SMART_HOST =
  'this transport connects to the MX hosts itself; for a smart host use withMtaSts()'
const DECIDED = 'the policy decides what TLS must prove; use "minimumSecurity" to demand more'
const MESSAGE = 'it belongs to messages: use the second argument of createTransport()'

/** Options of Nodemailer's own transports, which would have no effect here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  host: SMART_HOST,
  servername: SMART_HOST,
  service: SMART_HOST,
  url: SMART_HOST,
  auth: `MX hosts take no login; ${SMART_HOST}`,
  authMethod: `MX hosts take no login; ${SMART_HOST}`,
  tls: `${DECIDED}; for trusted roots use "ca"`,
  secure: DECIDED,
  requireTLS: DECIDED,
  ignoreTLS: DECIDED,
  opportunisticTLS: DECIDED,
  pool: 'connections are kept without it; use "maxConnections", "maxMessages" and "idleTimeout"',
  rateLimit: 'use "maxConnections" and "maxConnectionsPerHost"',
  rateDelta: 'use "maxConnections" and "maxConnectionsPerHost"',
  proxy: 'use "connect"',
  socket: 'use "connect"',
  connection: 'use "connect"',
  getSocket: 'use "connect"',
  dkim: `${MESSAGE}, or the field "dkim" of a message`,
  from: MESSAGE,
  to: MESSAGE,
  headers: MESSAGE,
  disableFileAccess: MESSAGE,
  disableUrlAccess: MESSAGE,
}

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

  /** Everything goes through the callback: Nodemailer looks at nothing else. */
  send(mail: MailToSend, callback: (error: Error | null, info?: SentInfo) => void): void {
    this.#sending++
    settle(
      this.#send(mail).finally(() => this.#sent()),
      callback,
    )
  }

  /** Whether fewer messages than connections are being sent: another one would not only wait. */
  isIdle(): boolean {
    return !this.#closed && this.#sending < this.#maxConnections
  }

  /** Checks the resolver and the store, as the options have been already. Sends nothing. */
  verify(callback?: (error: Error | null, success?: true) => void): Promise<true> | undefined {
    const verified = this.#sts.sts.verify()
    if (!callback) return verified
    settle(verified, callback)
    return undefined
  }

  /** Lets what is being sent come to its end; with `force`, ends that too. */
  close(options: { force?: boolean } = {}): void {
    this.#closed = true
    if (options.force) this.#forced.abort(closedError())
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
    const forced = this.#forced.signal
    const ending = eitherOf(forced, signal)
    try {
      const result = await this.#sts.sts.deliver(
        group.domain,
        (candidate, context) =>
          this.#attempt(candidate, context, { group, message, signal: ending.signal }),
        { demand, signal: ending.signal, onEnd },
      )
      return { delivery: describeDelivery(group, summary), result }
    } catch (thrown) {
      const error = forced.aborted && thrown === forced.reason ? closedError() : thrown
      return { delivery: describeDelivery(group, summary, errorOf(error, signal)) }
    } finally {
      ending.release()
    }
  }

  /** One candidate: on a kept connection, and on a new one when that has gone stale. */
  async #attempt(
    candidate: Candidate,
    context: DeliveryContext,
    { group, message, signal }: Share,
  ): Promise<SendResult> {
    // The content may come from a stream that stalls
    const preparing = message.source.prepare()
    if (preparing) await unlessAborted(preparing, signal)
    for (let fresh = false; ; fresh = true) {
      const { connection, reused } = await this.#pool.acquire(candidate, {
        open: () => context.open({ ...this.#open, signal, ...this.#log.forSession() }),
        check: () => context.assertCurrent(),
        fresh,
        signal,
      })
      let body: Body | undefined
      try {
        if (reused) context.use(connection)
        body = message.open(context)
        const envelope = message.envelopeFor(group.recipients, body)
        const content = this.#log.body(body.content)
        const check = () => context.assertCurrent()
        const result = await connection.send(envelope, content, { signal, check })
        this.#pool.release(connection)
        return result
      } catch (error) {
        this.#pool.discard(connection)
        if (isOwnFault(error)) context.stop(error)
        // The host ended the kept connection, or does not want another message on it
        const isRead = body && !isUnread(body)
        const again = reused && isStaleConnection(error) && !isRead && !signal.aborted
        if (!again) throw error
      }
    }
  }
}

/** One domain's share of a message. */
interface Share {
  group: DomainGroup
  message: Message
  /** Ends the delivery: the message's own, or a transport closed by force */
  signal: AbortSignal
}

/** A new error for each message. */
function closedError(): MtaStsError {
  return new MtaStsError('The transport was closed', 'ECONNECTION')
}

function poolLimits(options: MtaStsTransportOptions): PoolLimits {
  return {
    maxConnections: number(options, 'maxConnections', { default: 50, min: 1 }),
    maxConnectionsPerHost: number(options, 'maxConnectionsPerHost', { default: 5, min: 1 }),
    maxMessages: number(options, 'maxMessages', { default: 100, min: 1 }),
    idleTimeout: number(options, 'idleTimeout', { default: 60_000, min: 1, max: MAX_TIMER }),
  }
}

function openOptions(options: MtaStsTransportOptions): OpenOptions {
  const timer = { min: 1, max: MAX_TIMER }
  return {
    name: checkEhloName(options.name),
    localAddress: localAddressOf(options),
    connectionTimeout: number(options, 'connectionTimeout', { default: 30_000, ...timer }),
    greetingTimeout: number(options, 'greetingTimeout', { default: 300_000, ...timer }),
    commandTimeout: optionalNumber(options, 'socketTimeout', timer),
  }
}

/** The options that are the core's, and not the transport's. */
function stsOptions(options: MtaStsTransportOptions): StsOptions {
  const { name, localAddress, connectionTimeout, maxConnections, ...rest } = options
  const { maxConnectionsPerHost, maxMessages, idleTimeout, ...more } = rest
  const { greetingTimeout, socketTimeout, debug, transactionLog, ...sts } = more
  return sts
}

function localAddressOf(options: MtaStsTransportOptions): string | undefined {
  const value: unknown = options.localAddress
  if (value === undefined || (typeof value === 'string' && isIP(value))) return value
  throw optionError('localAddress', 'must be an IPv4 or IPv6 address', value)
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

/**
 * A Nodemailer transport that delivers straight to the recipients' MX hosts, each held to the
 * policy of its Policy Domain (RFC 8461).
 *
 * @module
 */
import { EventEmitter } from 'node:events'
import { connect as connectTcp, isIP } from 'node:net'
import type { MailMessage, Transport } from 'nodemailer'
import type { DeliveryContext } from '../delivery/deliver.js'
import type { Candidate } from '../delivery/plan.js'
import { MtaStsError } from '../errors.js'
import type { MtaSts } from '../mta-sts.js'
import type { Connect } from '../net/connect.js'
import { MAX_TIMER, number, optionError } from '../option-checks.js'
import { appliedPolicy } from '../policy/lookup.js'
import type { TlsFailure } from '../tls/failures.js'
import { VERSION } from '../version.js'
import { type StsInUse, type StsOptions, stsOf } from './core.js'
import { errorOf, settle } from './errors.js'
import { type DomainOutcome, describeDelivery, mergeOutcomes, type SentInfo } from './info.js'
import { Message } from './message.js'
import { type DomainGroup, groupByDomain } from './recipients.js'
import type { SendResult, SessionFacts, SessionOptions } from './session.js'
import { type PoolLimits, SessionPool } from './session-pool.js'

/** Those of `MtaSts`, and those of SMTP sessions. Durations are in milliseconds. */
export interface MtaStsTransportOptions extends StsOptions {
  /** The host name that EHLO says; default: the machine's */
  name?: string | undefined
  /** The address that SMTP connections are made from */
  localAddress?: string | undefined
  /** For an address to be connected to, and again from there to the end of STARTTLS; default 30000 */
  connectionTimeout?: number | undefined
  /** Open connections in all; default 50 */
  maxConnections?: number | undefined
  /** Open connections to one MX host; default 5 */
  maxConnectionsPerHost?: number | undefined
  /** Messages sent over one connection before it is closed; default 100 */
  maxMessages?: number | undefined
  /** How long a connection is kept without a message; default 60000 */
  idleTimeout?: number | undefined
  /** For the greeting; default 30000 */
  greetingTimeout?: number | undefined
  /** For any reply; default 600000 */
  socketTimeout?: number | undefined
  /** Logs the whole of a session, the message with it */
  debug?: boolean | undefined
  /** Logs commands and replies */
  transactionLog?: boolean | undefined
}

/** How many domains of one message are delivered to at the same time. */
const DOMAINS_AT_ONCE = 20

/**
 * @example
 * const transporter = nodemailer.createTransport(mtaStsTransport({ name: 'mail.sender.example' }))
 *
 * @throws TypeError that names the option which is wrong
 */
export function mtaStsTransport(options: MtaStsTransportOptions = {}): Transport<SentInfo> {
  return new MtaStsTransport(options)
}

class MtaStsTransport extends EventEmitter implements Transport<SentInfo> {
  readonly name = 'MTA-STS'
  readonly version = VERSION
  readonly supportsAbortSignal = true
  readonly #sts: StsInUse
  readonly #pool: SessionPool
  #sending = 0
  #closed = false

  constructor(options: MtaStsTransportOptions) {
    super()
    if (typeof options !== 'object' || options === null) {
      throw optionError('options', 'must be an object', options)
    }
    // Before the rest: what is wrong with an option must be known before anything is begun
    const limits = poolLimits(options)
    this.#sts = stsOf(options)
    this.#pool = new SessionPool(limits, sessionOptions(options, this.#sts.sts))
  }

  /** Everything goes through the callback: Nodemailer looks at nothing else. */
  send(
    mail: MailMessage<SentInfo>,
    callback: (error: Error | null, info?: SentInfo) => void,
  ): void {
    this.#sending++
    settle(
      this.#send(mail).finally(() => this.#sent()),
      callback,
    )
  }

  /** Whether a connection is free, or may be opened, for another message. */
  isIdle(): boolean {
    return !this.#closed && !this.#pool.full
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
    this.#pool.close(options)
    // What is being sent may have yet to learn its policy
    if (this.#sending === 0 || options.force) this.#sts.close()
    this.emit('close')
  }

  #sent(): void {
    this.#sending--
    if (this.isIdle()) this.emit('idle')
    if (this.#sending > 0) return
    this.emit('clear')
    if (this.#closed) this.#sts.close()
  }

  async #send(mail: MailMessage<SentInfo>): Promise<SentInfo> {
    if (this.#closed) throw new MtaStsError('The transport was closed', 'ECONNECTION')
    const message = new Message(mail)
    try {
      const groups = groupByDomain(message.envelope.to)
      if (groups.length > 1) await message.source.hold()
      const outcomes = await mapBounded(groups, DOMAINS_AT_ONCE, (group) =>
        this.#deliver(group, message),
      )
      const { envelope } = message
      return mergeOutcomes(outcomes, { envelope, messageId: mail.message.messageId() })
    } finally {
      message.release()
    }
  }

  /** One domain's share of a message. Never rejects. */
  async #deliver(group: DomainGroup, message: Message): Promise<DomainOutcome> {
    const { demand, signal } = message
    const known: { context?: DeliveryContext; facts?: Partial<SessionFacts> } = {}
    try {
      const result = await this.#sts.sts.deliver(
        group.domain,
        (candidate, context) => {
          known.context = context
          known.facts = { mxHost: candidate.mxHost }
          return this.#attempt(candidate, {
            context,
            message,
            recipients: group.recipients,
            tell: (facts) => {
              known.facts = facts
            },
          })
        },
        { demand, signal },
      )
      return { delivery: describeDelivery(group, known), result }
    } catch (thrown) {
      return { delivery: describeDelivery(group, { ...known, error: errorOf(thrown, signal) }) }
    }
  }

  /** One candidate: on a session that is kept, and on a new one when that has gone stale. */
  async #attempt(candidate: Candidate, share: Share): Promise<SendResult> {
    const { context, message } = share
    const { policyDomain, lookup } = context.plan
    const purpose = {
      policy: appliedPolicy(policyDomain, lookup),
      signal: message.signal,
      note: (failure: TlsFailure) => context.note(failure),
    }
    for (;;) {
      const { session, reused } = await this.#pool.acquire(candidate, purpose)
      share.tell(session.facts)
      const body = message.open(context)
      try {
        const result = await session.send(
          message.envelopeFor(share.recipients),
          body,
          message.signal,
        )
        this.#pool.release(session)
        return result
      } catch (error) {
        this.#pool.discard(session)
        // The peer had closed it; nothing of the message was read, let alone sent
        if (reused && isLost(error) && !body.readableDidRead && !message.signal?.aborted) continue
        throw message.fault(error, candidate, context)
      }
    }
  }
}

/** What an attempt needs to know of the delivery that it is part of. */
interface Share {
  context: DeliveryContext
  message: Message
  recipients: string[]
  tell(facts: SessionFacts): void
}

/** The connection ended, or the host said that it is about to (RFC 5321 §3.8). */
function isLost(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  return !('responseCode' in error) || error.responseCode === 421
}

function poolLimits(options: MtaStsTransportOptions): PoolLimits {
  return {
    maxConnections: number(options, 'maxConnections', { default: 50, min: 1 }),
    maxConnectionsPerHost: number(options, 'maxConnectionsPerHost', { default: 5, min: 1 }),
    maxMessages: number(options, 'maxMessages', { default: 100, min: 1 }),
    idleTimeout: number(options, 'idleTimeout', { default: 60_000, min: 1, max: MAX_TIMER }),
  }
}

function sessionOptions(options: MtaStsTransportOptions, sts: MtaSts): SessionOptions {
  return {
    connect: connectOf(options, sts),
    name: text(options, 'name'),
    localAddress: localAddressOf(options),
    connectionTimeout: number(options, 'connectionTimeout', {
      default: 30_000,
      min: 1,
      max: MAX_TIMER,
    }),
    greetingTimeout: number(options, 'greetingTimeout', {
      default: 30_000,
      min: 1,
      max: MAX_TIMER,
    }),
    socketTimeout: number(options, 'socketTimeout', { default: 600_000, min: 1, max: MAX_TIMER }),
    logger: options.logger,
    debug: options.debug,
    transactionLog: options.transactionLog,
  }
}

function connectOf({ connect, localAddress }: MtaStsTransportOptions, sts: MtaSts): Connect {
  if (connect || !localAddress) return connect ?? sts.connect
  return ({ address, port }) => connectTcp({ host: address, port, localAddress })
}

function localAddressOf(options: MtaStsTransportOptions): string | undefined {
  const value = text(options, 'localAddress')
  if (value === undefined || isIP(value)) return value
  throw optionError('localAddress', 'must be an IPv4 or IPv6 address', value)
}

function text(options: MtaStsTransportOptions, field: 'name' | 'localAddress') {
  const value: unknown = options[field]
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw optionError(field, 'must be text that is not empty', value)
}

/** Like Promise.all over a map, with no more than `limit` under way. */
async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  if (items.length <= limit) return Promise.all(items.map(map))
  const results = new Array<R>(items.length)
  const entries = items.entries()
  const worker = async () => {
    for (const [index, item] of entries) results[index] = await map(item)
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return results
}

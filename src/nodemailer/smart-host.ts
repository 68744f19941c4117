/**
 * A Nodemailer SMTP transport that talks to a smart host, held to the smart host's own policy: the
 * Policy Domain is the configured name, and no recipient's policy is asked for (RFC 8461 §3.4).
 *
 * @module
 */
import { EventEmitter } from 'node:events'
import { BlockList, isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import nodemailer, {
  type MailMessage,
  type SMTPPoolOptions,
  type SMTPSentMessageInfo,
  type SMTPTransportOptions,
  type Transport,
  type Transporter,
} from 'nodemailer'
import type { DeliveryContext } from '../delivery/deliver.js'
import { RecipientError } from '../delivery/errors.js'
import type { Candidate } from '../delivery/plan.js'
import type { DeliverySummary } from '../delivery/record.js'
import { lookupAddresses } from '../dns/addresses.js'
import { toALabels } from '../dns/domain-name.js'
import { defaultResolver } from '../dns/resolver.js'
import { type Connect, connectFirst } from '../net/connect.js'
import { optionError } from '../option-checks.js'
import { TlsFailureError } from '../tls/failures.js'
import { checkServerIdentity } from '../tls/identity.js'
import { failedHandshake, isHandshakeError } from '../tls/verdict.js'
import { VERSION } from '../version.js'
import { type StsInUse, type StsOptions, stsOf } from './core.js'
import { errorOf, settle, withPermanence } from './errors.js'
import { type DomainDelivery, describeDelivery } from './info.js'
import { isOwnFault, Message } from './message.js'
import { NO_RECIPIENTS } from './recipients.js'

/** Nodemailer's `info`, and what became of the smart host's policy. */
export interface SmartHostInfo extends SMTPSentMessageInfo {
  /** One, about the smart host: its Policy Domain is the configured name (RFC 8461 §3.4) */
  deliveries: DomainDelivery[]
}

/** An SMTP or pool transport, which keep what they were made with */
type SmtpTransporter = Transporter<SMTPSentMessageInfo, SMTPTransportOptions> & {
  transporter: Transport<SMTPSentMessageInfo> & { options: SMTPTransportOptions }
}

/**
 * Holds a smart host to its own policy. Everything else about the transport stays as it is: auth,
 * ports, pool, proxies.
 *
 * @example
 * const smartHost = { host: 'smtp.example.com', port: 587, auth: { user, pass } }
 * const transporter = nodemailer.createTransport(withMtaSts(smartHost))
 *
 * @param transport options of an SMTP or pool transport, or a transporter made of them
 * @throws TypeError when the transport is not SMTP, or an option is wrong
 */
export function withMtaSts(
  transport: SMTPTransportOptions | SMTPPoolOptions | Transporter,
  options: StsOptions = {},
): Transport<SmartHostInfo> {
  return new SmartHostTransport(smtpTransporter(transport), options)
}

class SmartHostTransport extends EventEmitter implements Transport<SmartHostInfo> {
  readonly name = 'MTA-STS (smart host)'
  readonly version = VERSION
  readonly supportsAbortSignal = true
  readonly #base: SmtpTransporter
  readonly #host: string
  readonly #sts: StsInUse
  readonly #ca: StsOptions['ca']
  /** The base's twin that verifies; made when a policy asks for it */
  #verified: SmtpTransporter | undefined
  #sending = 0
  #closed = false

  constructor(base: SmtpTransporter, options: StsOptions) {
    super()
    this.#base = base
    this.#host = policyDomainOf(base.transporter.options)
    this.#sts = stsOf(options)
    this.#ca = options.ca
    if (options.connect) connectBy(options.connect, base, options)
    this.#forward(base)
  }

  send(
    mail: MailMessage<SmartHostInfo>,
    callback: (error: Error | null, info?: SmartHostInfo) => void,
  ): void {
    this.#sending++
    settle(
      this.#send(mail).finally(() => this.#sent()),
      callback,
    )
  }

  isIdle(): boolean {
    const { transporter } = this.#verified ?? this.#base
    return transporter.isIdle?.() ?? true
  }

  /** Connects and logs in as the policy asks for; sends nothing. */
  verify(callback?: (error: Error | null, success?: true) => void): Promise<true> | undefined {
    const attempt = (candidate: Candidate) => this.#verify(candidate)
    const verified = this.#sts.sts.deliver(this.#host, attempt, { route: 'smart-host' })
    if (!callback) return verified
    settle(verified, callback)
    return undefined
  }

  close(options: { force?: boolean } = {}): void {
    this.#base.close(options)
    this.#verified?.close(options)
    this.#closed = true
    // What is being sent may have yet to learn the policy
    if (this.#sending === 0 || options.force) this.#sts.close()
  }

  #sent(): void {
    this.#sending--
    if (this.#sending === 0 && this.#closed) this.#sts.close()
  }

  async #send(mail: MailMessage<SmartHostInfo>): Promise<SmartHostInfo> {
    const message = new Message(mail)
    if (message.envelope.to.length === 0) throw new RecipientError(NO_RECIPIENTS)
    const group = { domain: this.#host, recipients: message.envelope.to }
    let summary: DeliverySummary | undefined
    const onEnd = (account: DeliverySummary) => {
      summary = account
    }
    const describe = (error?: Error) => {
      const delivery = describeDelivery(group, summary, error)
      delete delivery.tls
      return Object.assign(delivery, { mxHost: this.#host })
    }
    try {
      const { info, proved } = await this.#sts.sts.deliver(
        this.#host,
        (candidate, context) => this.#attempt(candidate, { mail, context }),
        { route: 'smart-host', demand: message.demand, signal: message.signal, onEnd },
      )
      return { ...info, deliveries: [{ ...describe(), proved }] }
    } catch (thrown) {
      const error = errorOf(thrown, message.signal)
      throw Object.assign(error, { deliveries: [describe(error)] })
    } finally {
      message.release()
    }
  }

  async #attempt(
    candidate: Candidate,
    { mail, context }: { mail: MailMessage; context: DeliveryContext },
  ): Promise<{ info: SMTPSentMessageInfo; proved: 'nothing' | 'sts' }> {
    const { transporter } = this.#transporterFor(candidate)
    // Nodemailer's transports ask their Mail for OAuth2 tokens, and tell it of new ones
    transporter.mailer = mail.mailer as SmtpTransporter
    for (const [key, value] of mail.mailer.meta) this.#base.meta.set(key, value)
    try {
      const info = await sendOver(transporter, mail)
      const proved = candidate.security.level === 'authenticated' ? 'sts' : 'nothing'
      return { info, proved }
    } catch (error) {
      if (isOwnFault(error)) context.stop(error)
      throw refusalOf(error, candidate)
    }
  }

  async #verify(candidate: Candidate): Promise<true> {
    try {
      return await this.#transporterFor(candidate).verify()
    } catch (error) {
      throw refusalOf(error, candidate)
    }
  }

  /** What the policy asks for is said in TLS options; they are decided for each message anew. */
  #transporterFor({ mxHost, security }: Candidate): SmtpTransporter {
    if (security.level === 'opportunistic') return this.#base
    if (!this.#verified) {
      this.#verified = verifyingTwin(this.#base, mxHost, this.#ca)
      this.#forward(this.#verified)
    }
    return this.#verified
  }

  #forward({ transporter }: SmtpTransporter): void {
    for (const event of ['idle', 'clear', 'error', 'log']) {
      transporter.on?.(event, (...args: unknown[]) => this.emit(event, ...args))
    }
  }
}

/** The same transport, but TLS is a must and the peer has to prove that it is `host`. */
function verifyingTwin(base: SmtpTransporter, host: string, ca: StsOptions['ca']): SmtpTransporter {
  // What these two say has been read already, and would be read over ours once more
  const { url: _, service: __, secured: ___, ...options } = base.transporter.options
  const tls: ConnectionOptions = {
    ...options.tls,
    ...(ca === undefined ? {} : { ca }),
    host,
    servername: host,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    checkServerIdentity,
  }
  delete tls.session
  const twin = nodemailer.createTransport({
    ...options,
    requireTLS: true,
    ignoreTLS: false,
    opportunisticTLS: false,
    tls,
  }) as SmtpTransporter
  twin.meta = base.meta
  useSocketsOf(base, twin)
  return twin
}

/** Proxies and the like: the socket and nothing else, which might bring options that prove less. */
function useSocketsOf(base: SmtpTransporter, twin: SmtpTransporter): void {
  // Its own handler would take the place of this one
  twin.getSocket = false
  // One that was set, not the placeholder of the class
  if (!Object.hasOwn(base.transporter, 'getSocket')) return
  const { getSocket } = base.transporter
  if (!getSocket) return
  twin.transporter.getSocket = (options, callback) =>
    getSocket(options, (error, given) =>
      callback(error, given ? { connection: given.connection } : false),
    )
}

/** Lets the option `connect` open the smart host's connections too, where no proxy does. */
function connectBy(connect: Connect, { transporter }: SmtpTransporter, options: StsOptions): void {
  if (Object.hasOwn(transporter, 'getSocket')) return
  const { host = 'localhost', port, secure, connectionTimeout } = transporter.options
  const target = { purpose: 'smtp', host, port: Number(port) || (secure ? 465 : 587) } as const
  const timeout = connectionTimeout ?? 30_000
  const addressesOf = async (): Promise<string[]> => {
    if (isIP(host)) return [host]
    const resolver = options.resolver ?? defaultResolver(timeout)
    // The operator chose this host: it may stand in the operator's own network
    const blockedAddresses = new BlockList()
    const lookup = await lookupAddresses(host, { resolver, dnsTimeout: timeout, blockedAddresses })
    return lookup.addresses
  }
  transporter.getSocket = (_, callback) => {
    addressesOf()
      .then((addresses) => addresses.map((address) => ({ ...target, address })))
      .then((targets) => connectFirst(targets, { connect, timeout }))
      .then(
        ({ socket }) => process.nextTick(callback, null, { connection: socket }),
        (error) => process.nextTick(callback, error),
      )
  }
}

const SMTP_TRANSPORTS = ['SMTP', 'SMTP (pool)']

/** @throws TypeError when it is not SMTP */
function smtpTransporter(
  transport: SMTPTransportOptions | SMTPPoolOptions | Transporter,
): SmtpTransporter {
  if (typeof transport !== 'object' || transport === null) {
    throw optionError(
      'transport',
      'must be options of an SMTP transport, or a transporter',
      transport,
    )
  }
  const transporter = isTransporter(transport) ? transport : nodemailer.createTransport(transport)
  const { name } = transporter.transporter
  if (!isSmtp(transporter)) {
    throw new TypeError(
      `withMtaSts() takes an SMTP transport, and ${name} is none: MTA-STS is about the TLS of SMTP connections, and that transport makes none of its own`,
    )
  }
  // What sendMail() would do: here nobody calls it
  if (transporter.getSocket) transporter.transporter.getSocket = transporter.getSocket
  return transporter
}

function isTransporter(transport: object): transport is Transporter {
  return 'sendMail' in transport && 'transporter' in transport
}

function isSmtp(transporter: Transporter): transporter is SmtpTransporter {
  return SMTP_TRANSPORTS.includes(transporter.transporter.name)
}

/** The configured name; with an address, the name that its certificate is configured to have. */
function policyDomainOf({ host = 'localhost', tls }: SMTPTransportOptions): string {
  const name = isIP(host) && tls?.servername ? tls.servername : host
  if (isIP(name)) return isIP(name) === 6 ? `[IPv6:${name}]` : `[${name}]`
  const policyDomain = toALabels(name)
  if (policyDomain !== undefined) return policyDomain
  throw optionError('host', 'must be a host name or an address', host)
}

function sendOver(
  transporter: SmtpTransporter['transporter'],
  mail: MailMessage,
): Promise<SMTPSentMessageInfo> {
  return new Promise((resolve, reject) => {
    transporter.send(mail as MailMessage<SMTPSentMessageInfo>, (error, info) =>
      error || !info ? reject(error) : resolve(info),
    )
  })
}

/** What an error of the verifying twin means: a host that proved too little, or something else. */
function refusalOf(error: unknown, { mxHost, security }: Candidate): Error {
  const known = withPermanence(errorOf(error, undefined))
  if (security.level === 'opportunistic') return known
  const command = 'command' in known ? known.command : undefined
  // A refused STARTTLS is known by its command, see deliver.ts
  if (command === 'STARTTLS') return known
  if (isHandshakeError(known)) return new TlsFailureError({ ...failedHandshake(known), mxHost })
  // Whatever is said before the login may have been said by somebody in between (D6)
  const early = command === 'CONN' || command === 'EHLO' || command === 'HELO'
  return early ? Object.assign(known, { permanent: false }) : known
}

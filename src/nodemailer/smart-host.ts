/**
 * A Nodemailer SMTP transport that talks to a smart host, held to the smart host's own policy: the
 * Policy Domain is the configured name, and no recipient's policy is asked for (RFC 8461 §3.4).
 *
 * The transport stays Nodemailer's own `SMTPTransport` or `SMTPPool`: queue, login, pool, proxies,
 * events and errors are its own. Two things are changed. Its connections come from `getSocket`,
 * brought to the verdict by `smtp/open` where something must be proved. And each message passes a
 * gate right before MAIL FROM, which compares what the connection has proved with what the
 * policy asks for at that moment.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { configError } from '../option-checks.js'
import type { SmtpConnection } from '../smtp/connection.js'
import { checkStsOptions, refuseUncalled, type StsInUse, type StsOptions, stsOf } from './core.js'
import { errorOf, settle } from './errors.js'
import { type DomainDelivery, describeDelivery } from './info.js'
import { demandOf } from './message.js'
import { meets, openedFor, SmartHostConnector, type Turn } from './smart-host-connect.js'
import {
  asConnectionError,
  failSession,
  settledError,
  unknownNodemailer,
} from './smart-host-errors.js'
import { guardedLogin, type LoginGuard } from './smart-host-login.js'
import {
  adopt,
  checkVersion,
  isMail,
  policyDomainOf,
  recipientsOf,
  smtpTransportOf,
  type Wrapped,
} from './smart-host-mail.js'
import { Shipment } from './smart-host-shipment.js'
import type {
  GetSocket,
  Mail,
  MailObject,
  PoolResource,
  SendCallback,
  SmtpTransport,
  SocketCallback,
} from './smart-host-types.js'
import type { MailInfo, MailTransport, MailTransporter, SmartHostOptions } from './types.js'

/** Nodemailer's `info`, and what became of the smart host's policy. */
export interface SmartHostInfo extends MailInfo {
  /** One, about the smart host: its Policy Domain is the configured name (RFC 8461 §3.4) */
  deliveries: DomainDelivery[]
}

/**
 * Holds a smart host to its own policy. Everything else about the transport stays as it is: auth,
 * ports, pool, proxies, plugins.
 *
 * @example
 * const smartHost = { host: 'smtp.example.com', port: 587, auth: { user, pass } }
 * const transporter = nodemailer.createTransport(withMtaSts(smartHost))
 *
 * @param transport a URL or options of an SMTP or pool transport, or a transporter made of them
 * @returns the transport itself, Nodemailer's `SMTPTransport` or `SMTPPool`
 * @throws TypeError when the transport is not SMTP, or an option is wrong
 */
export function withMtaSts<Options extends SmartHostOptions>(
  transport: string | Options | MailTransporter,
  options: StsOptions = {},
): MailTransport<SmartHostInfo> {
  checkStsOptions(options, { call: 'withMtaSts()', own: OWN_NAMES, elsewhere: ELSEWHERE })
  const wrapped = smtpTransportOf(transport)
  new SmartHost(wrapped, options).install()
  return wrapped.transport as unknown as MailTransport<SmartHostInfo>
}

refuseUncalled(withMtaSts, 'smartHost')

/** Options that are used for the smart host's own connections too, whoever knows its policy. */
const OWN_NAMES = ['connect', 'resolver', 'ca']

const FIRST = 'it belongs to the first argument of withMtaSts(), the options of the smart host'

/** Options of the smart host, which would have no effect here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  host: FIRST,
  auth: FIRST,
  secure: FIRST,
  requireTLS: FIRST,
  ignoreTLS: FIRST,
  pool: FIRST,
  service: FIRST,
  proxy: FIRST,
  dkim: FIRST,
  tls: `${FIRST}; for trusted roots use "ca"`,
}

/** Marks a transport that is held to a policy. */
const HELD = Symbol.for('mta-sts.smart-host')

class SmartHost {
  readonly #transport: SmtpTransport
  readonly #mail: MailObject | undefined
  readonly #host: string
  readonly #sts: StsInUse
  readonly #connector: SmartHostConnector
  /** The transport's methods as Nodemailer has them */
  readonly #plain: Pick<SmtpTransport, 'send' | 'verify' | 'close'>
  #getSocket: GetSocket | undefined
  #mailer: object | undefined
  /** The check or the single message for which the plain transport asks for a socket */
  #asking: Asking | undefined
  /** Messages by the mail that the plain transport has */
  readonly #shipments = new WeakMap<object, Shipment>()
  /** Connections of a pool that have asked for a socket */
  readonly #served = new WeakSet<PoolResource>()
  /** The single message for which the plain transport reads its login */
  #loggingIn: Shipment | undefined
  /** The checks under way */
  readonly #checks = new Set<Check>()
  #sending = 0
  #closed = false

  constructor({ transport, mail }: Wrapped, options: StsOptions) {
    if (HELD in transport) {
      throw configError('withMtaSts() was given a transport that is held to its policy already')
    }
    checkVersion(transport)
    this.#transport = transport
    this.#mail = mail
    this.#host = policyDomainOf(transport.options)
    this.#sts = stsOf(options)
    const { send, verify, close } = transport
    this.#plain = {
      send: send.bind(transport),
      verify: verify.bind(transport),
      close: close.bind(transport),
    }
    // The class has a placeholder of this name
    if (Object.hasOwn(transport, 'getSocket')) this.#getSocket = transport.getSocket
    this.#mailer = transport.mailer
    this.#connector = new SmartHostConnector({
      options: () => transport.options,
      getSocket: () => this.#userSocket(),
      sts: options,
    })
  }

  /** Puts this object before the plain transport's methods. */
  install(): void {
    const method = (value: unknown) => ({ value, writable: true, configurable: true })
    const getSocket: GetSocket = (options, callback) => this.#onGetSocket(options, callback)
    Object.defineProperties(this.#transport, {
      [HELD]: method(true),
      send: method((mail: Mail, callback: SendCallback<object>) => this.#send(mail, callback)),
      verify: method((callback?: (error: Error | null, success?: true) => void) =>
        this.#verify(callback),
      ),
      close: method((options?: { force?: boolean }) => this.#close(options)),
      // Nodemailer's Mail assigns a proxy to it
      getSocket: {
        configurable: true,
        get: () => getSocket,
        set: (given: GetSocket | false) => {
          this.#getSocket = given || undefined
        },
      },
      // Nodemailer's Mail assigns itself to it, before it reads its own options
      mailer: {
        configurable: true,
        enumerable: true,
        get: () => this.#mailer,
        set: (mailer: object | undefined) => this.#onMailer(mailer),
      },
    })
    this.#takeSocketOfMail()
    this.#guardLogins(this.#transport)
  }

  /** A host can hold a reply until a policy is known: no password under an old one. */
  #guardLogins(transport: SmtpTransport): void {
    const { getAuth } = transport
    if (typeof getAuth !== 'function') return
    const value = (given: unknown) => {
      const guard = this.#loginGuard()
      if (!guard.may()) {
        guard.onBarred()
        return false
      }
      // Without an argument it is the transport's own
      return guardedLogin(getAuth.call(transport, given), guard, !given)
    }
    Object.defineProperty(transport, 'getAuth', { value, writable: true, configurable: true })
  }

  /** Returns the guard for the message, or else the checks, that a transport logs in for. */
  #loginGuard(): LoginGuard {
    const shipment = this.#loggingIn
    this.#loggingIn = undefined
    if (!shipment) return guardOf([...this.#checks])
    const { opened } = shipment
    return shipment.loginGuard(() => opened)
  }

  /** Guards the login on a connection of a pool. */
  #guardPoolLogin(resource: PoolResource, shipment: Shipment | undefined): void {
    const { auth } = resource
    if (!auth || !shipment) return
    const guard = shipment.loginGuard(() => openedFor(resource.connection?.options))
    const guarded = guardedLogin(auth, guard, false)
    Object.defineProperty(resource, 'auth', { get: () => (guard.may() ? guarded : false) })
  }

  #onMailer(mailer: object | undefined): void {
    this.#mailer = mailer
    if (this.#mail && mailer !== this.#mail && isMail(mailer)) adopt(mailer, this.#mail)
  }

  #userSocket(): GetSocket | undefined {
    this.#takeSocketOfMail()
    return this.#getSocket
  }

  /** Replaces a step of `sendMail` and `verify` of the wrapped transporter, which are not called here. */
  #takeSocketOfMail(): void {
    const mail = this.#mail
    if (!mail || typeof mail.getSocket !== 'function') return
    this.#getSocket = mail.getSocket
    mail.getSocket = false
  }

  #send(mail: Mail, callback: SendCallback<object>): unknown {
    if (this.#closed && this.#isPool) {
      // Nodemailer 8 and 9 would never call back
      const message = 'Connection pool was closed'
      setImmediate(() => callback(Object.assign(new Error(message), { code: 'ECONNECTION' })))
      return false
    }
    this.#sending++
    const shipment = new Shipment(mail, {
      dispatch: (...what) => this.#dispatch(...what),
      connectionOf: (one) => this.#connectionOf(one),
      onLogin: (one) => {
        this.#loggingIn = one
      },
    })
    this.#shipments.set(shipment.mail, shipment)
    const delivering = this.#deliver(shipment, mail)
    shipment.begin()
    delivering
      .finally(() => this.#sent())
      .then(
        (info) => this.#callBack(callback, null, info),
        (error) => this.#callBack(callback, error),
      )
    return true
  }

  /** Calls back outside of promises. As the plain transport does, an error of a callback is logged. */
  #callBack(callback: SendCallback<object>, error: Error | null, info?: object): void {
    process.nextTick(() => {
      try {
        if (error) callback(error)
        else callback(null, info)
      } catch (thrown) {
        const { message } = errorOf(thrown, undefined)
        this.#transport.logger.error(
          { err: thrown, tnx: 'callback' },
          'Callback error: %s',
          message,
        )
      }
    })
  }

  async #deliver(shipment: Shipment, mail: Mail): Promise<object> {
    let summary: DeliverySummary | undefined
    const onEnd = (account: DeliverySummary) => {
      summary = account
    }
    const describe = (error?: Error): DomainDelivery => {
      const recipients = shipment.recipients ?? recipientsOf(mail)
      const delivery = describeDelivery({ domain: this.#host, recipients }, summary, error)
      // The address that Nodemailer has connected to by itself is not known here
      if (delivery.address === undefined) delete delivery.tls
      return Object.assign(delivery, { mxHost: this.#host })
    }
    const signal = mail.data?.signal
    try {
      const info = await this.#sts.sts.deliver(
        this.#host,
        (candidate, context) => shipment.attempt(candidate, context),
        { route: 'smart-host', demand: demandOf(mail), signal, onEnd },
      )
      return Object.assign(info, { deliveries: [describe()] })
    } catch (thrown) {
      shipment.abandon(thrown)
      await shipment.ended()
      const error = asConnectionError(errorOf(thrown, signal))
      throw Object.assign(error, { deliveries: [describe(error)] })
    }
  }

  #dispatch(shipment: Shipment, callback: (error: Error | null, info?: object) => void): void {
    if (this.#closed && this.#isPool) {
      callback(Object.assign(new Error('Connection pool was closed'), { code: 'ECONNECTION' }))
      return
    }
    // A single transport asks for its socket at once, a pool when there is a place
    this.#asking = this.#isPool ? undefined : shipment
    try {
      this.#plain.send(shipment.mail, callback)
    } finally {
      this.#asking = undefined
    }
  }

  #verify(callback?: (error: Error | null, success?: true) => void): Promise<true> | undefined {
    const verified = this.#sts.sts
      .deliver(this.#host, (candidate, context) => this.#check({ candidate, context }), {
        route: 'smart-host',
      })
      .catch((error) => {
        throw asConnectionError(errorOf(error, undefined))
      })
    if (!callback) return verified
    settle(verified, callback)
    return undefined
  }

  /** One attempt of a check. Under a policy that came meanwhile, the delivery plans anew. */
  async #check(turn: Turn): Promise<true> {
    const check = new Check(turn)
    this.#checks.add(check)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#asking = check
        try {
          this.#verifyPlainly((error) => (error ? reject(settledError(error)) : resolve()))
        } finally {
          this.#asking = undefined
        }
      })
    } catch (error) {
      if (check.isBarred) turn.context.assertCurrent()
      throw error
    } finally {
      this.#checks.delete(check)
    }
    if (!check.meetsPolicy) turn.context.assertCurrent()
    // It was kept back for another check, which is planned anew
    return check.isBarred ? this.#check(turn) : true
  }

  /** A pool reads its login before it connects: its check is made by a single transport. */
  #verifyPlainly(callback: (error: Error | null) => void): void {
    if (!this.#isPool) {
      this.#plain.verify(callback)
      return
    }
    const { transport: single } = smtpTransportOf({
      ...this.#transport.options,
      component: 'smtp-pool',
      pool: false,
      url: undefined,
    })
    single.on('error', () => {})
    single.mailer = this.#mailer
    single.getSocket = this.#transport.getSocket
    this.#guardLogins(single)
    single.verify(callback)
  }

  #close(options?: { force?: boolean }): unknown {
    this.#closed = true
    const result = this.#plain.close(options)
    // Messages under way may still need the policy lookup
    if (this.#sending === 0 || options?.force) this.#sts.close()
    return result
  }

  #sent(): void {
    this.#sending--
    if (this.#sending === 0 && this.#closed) this.#sts.close()
  }

  /** The plain transport asks for a socket: for a check, a single message, or a place in the pool. */
  #onGetSocket(options: object, callback: SocketCallback): void {
    const asking = this.#asking ?? this.#askingInPool()
    this.#open(asking, options).then(
      (given) => process.nextTick(callback, null, given),
      (error) => process.nextTick(callback, null, failSession(error)),
    )
  }

  async #open(asking: Asking | undefined, options: object) {
    if (!asking) throw unknownNodemailer()
    const turn =
      asking instanceof Shipment ? (asking.now ?? (await asking.turn)) : await asking.turn
    // The message may have waited in the queue since it was planned: no login under an old policy
    turn.context.assertCurrent()
    const given = await this.#connector.open(turn, options)
    if (given && turn.context.outdated) {
      given.connection.destroy()
      turn.context.assertCurrent()
    }
    asking.opened = openedFor(given)
    return given
  }

  get #isPool(): boolean {
    return this.#transport.name === 'SMTP (pool)'
  }

  /** The message for which a pool has just made a place. */
  #askingInPool(): Shipment | undefined {
    for (const resource of this.#transport._connections ?? []) {
      const { queueEntry } = resource
      if (!queueEntry || resource.connection || this.#served.has(resource)) continue
      this.#served.add(resource)
      const shipment = this.#shipments.get(Object(queueEntry.mail))
      this.#guardPoolLogin(resource, shipment)
      return shipment
    }
    return undefined
  }

  /** Returns the connection that a message is about to be sent on; undefined: it has proved nothing. */
  #connectionOf(shipment: Shipment): SmtpConnection | undefined {
    if (!this.#isPool) return shipment.opened
    const resources = this.#transport._connections ?? []
    const resource = resources.find(
      ({ queueEntry }) => queueEntry && queueEntry.mail === shipment.mail,
    )
    const connection = openedFor(resource?.connection?.options)
    const security = shipment.now?.candidate.security
    // Not this message, and none of those that wait, is sent on what has proved too little
    if (security) {
      for (const one of resources) {
        const mayClose = one === resource || one.available
        if (mayClose && !meets(openedFor(one.connection?.options), security))
          one.connection?.close()
      }
    }
    return connection
  }
}

/** One attempt of `verify()`. */
class Check {
  readonly turn: Promise<Turn>
  opened: SmtpConnection | undefined
  /** Whether its login was kept back */
  isBarred = false
  readonly #turn: Turn

  constructor(turn: Turn) {
    this.#turn = turn
    this.turn = Promise.resolve(turn)
  }

  get meetsPolicy(): boolean {
    const { context, candidate } = this.#turn
    return !context.outdated && meets(this.opened, candidate.security)
  }
}

/** A transport does not say for which of several checks it logs in: all of them must meet the policy. */
function guardOf(checks: readonly Check[]): LoginGuard {
  return {
    may: () => checks.every(({ meetsPolicy }) => meetsPolicy),
    onBarred: () => {
      for (const check of checks) check.isBarred = true
    },
  }
}

type Asking = Shipment | Check

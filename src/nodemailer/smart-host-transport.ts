/**
 * A plain transport of Nodemailer's whose sockets, messages, checks and logins pass the policy of its
 * smart host.
 *
 * @module
 */
import type { DeliverySummary } from '../delivery/record.js'
import { configError } from '../option-checks.js'
import { type StsInUse, type StsOptions, stsOf } from './core.js'
import { errorOf, settle } from './errors.js'
import { type DomainDelivery, describeDelivery } from './info.js'
import { demandOf } from './message.js'
import { type Check, Checks } from './smart-host-check.js'
import { openedFor, SmartHostConnector } from './smart-host-connect.js'
import { asConnectionError, failSession, unknownNodemailer } from './smart-host-errors.js'
import {
  adopt,
  checkVersion,
  isMail,
  policyDomainOf,
  recipientsOf,
  type Wrapped,
} from './smart-host-mail.js'
import { PoolPlaces } from './smart-host-pool.js'
import { Shipment } from './smart-host-shipment.js'
import type {
  GetSocket,
  Mail,
  MailObject,
  SendCallback,
  SmtpTransport,
  SocketCallback,
} from './smart-host-types.js'

/** Marks a transport that is held to a policy. */
const HELD = Symbol.for('mta-sts.smart-host')

/** A plain transport, and the policy that it is held to. */
export class SmartHost {
  readonly #transport: SmtpTransport
  readonly #mail: MailObject | undefined
  readonly #host: string
  readonly #sts: StsInUse
  readonly #connector: SmartHostConnector
  /** The transport's methods as Nodemailer has them */
  readonly #plain: Pick<SmtpTransport, 'send' | 'close'>
  #getSocket: GetSocket | undefined
  #mailer: object | undefined
  /** The check or the single message for which the plain transport asks for a socket */
  #asking: Asking | undefined
  /** Undefined in a single transport */
  readonly #pool: PoolPlaces | undefined
  readonly #checks: Checks
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
    const { send, verify, close, getAuth } = transport
    this.#plain = {
      send: send.bind(transport),
      close: close.bind(transport),
    }
    const isPool = transport.name === 'SMTP (pool)'
    this.#pool = isPool ? new PoolPlaces(transport) : undefined
    this.#checks = new Checks({
      transport,
      plain: { verify, ...(getAuth ? { getAuth } : {}) },
      isPool,
      asking: (check, begin) => this.#whileAsking(check, begin),
    })
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
    this.#checks.guardLogins(this.#transport)
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
    if (this.#closed && this.#pool) {
      // Nodemailer 8 and 9 would never call back
      const message = 'Connection pool was closed'
      setImmediate(() => callback(Object.assign(new Error(message), { code: 'ECONNECTION' })))
      return false
    }
    this.#sending++
    const shipment = new Shipment(mail, {
      dispatch: (...what) => this.#dispatch(...what),
      connectionOf: (one) => (this.#pool ? this.#pool.connectionOf(one) : one.opened),
      onLogin: (one) => {
        this.#checks.loggingIn = one
      },
    })
    this.#pool?.add(shipment)
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
    if (this.#closed && this.#pool) {
      callback(Object.assign(new Error('Connection pool was closed'), { code: 'ECONNECTION' }))
      return
    }
    // A single transport asks for its socket at once, a pool when there is a place
    const asking = this.#pool ? undefined : shipment
    this.#whileAsking(asking, () => this.#plain.send(shipment.mail, callback))
  }

  #whileAsking(asking: Asking | undefined, begin: () => void): void {
    this.#asking = asking
    try {
      begin()
    } finally {
      this.#asking = undefined
    }
  }

  #verify(callback?: (error: Error | null, success?: true) => void): Promise<true> | undefined {
    const verified = this.#sts.sts
      .deliver(this.#host, (candidate, context) => this.#checks.check({ candidate, context }), {
        route: 'smart-host',
      })
      .catch((error) => {
        throw asConnectionError(errorOf(error, undefined))
      })
    if (!callback) return verified
    settle(verified, callback)
    return undefined
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
    const asking = this.#asking ?? this.#pool?.asking()
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
}

type Asking = Shipment | Check

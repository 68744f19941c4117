/**
 * One message on its way through a plain SMTP transport, and the delivery that it belongs to: the
 * transport's queue decides when it is sent, the delivery whether it may be sent.
 *
 * @module
 */
import { Readable } from 'node:stream'
import type { DeliveryContext } from '../delivery/attempt.js'
import type { Candidate } from '../delivery/candidate.js'
import { MtaStsError } from '../errors.js'
import type { SmtpConnection } from '../smtp/connection.js'
import { meets, type Turn } from './smart-host-connect.js'
import { settledError, settledInfo } from './smart-host-errors.js'
import { type LoginGuard, policyChanged } from './smart-host-login.js'
import type { Mail } from './smart-host-types.js'
import { withChanges } from './with-changes.js'

type Info = object

type Envelope = ReturnType<Mail['message']['getEnvelope']>

type Outcome = { info: Info } | { error: Error } | { barred: true }

/** Functions of the transport that its shipments call. */
export interface ShipmentHooks {
  /** Hands the mail to the plain transport, which calls back */
  dispatch(shipment: Shipment, callback: (error: Error | null, info?: Info) => void): void
  /** Returns the connection that the transport is about to send this message on */
  connectionOf(shipment: Shipment): SmtpConnection | undefined
  /** Called when a single transport reads the message's login, right before it logs in */
  onLogin(shipment: Shipment): void
}

/** The number of times that a message is queued again when no connection fits. */
const MAX_ROUNDS = 100

export class Shipment {
  /** The mail as it is given to the plain transport */
  readonly mail: Mail
  /** Resolves when the delivery has been planned; rejects when it has ended before that */
  readonly turn: Promise<Turn>
  /** With all recipients; undefined until the transport asks for it */
  recipients: string[] | undefined
  /** The connection that was opened for this message */
  opened: SmtpConnection | undefined
  readonly #hooks: ShipmentHooks
  #resolveTurn: (turn: Turn) => void = () => {}
  #rejectTurn: (reason: unknown) => void = () => {}
  #current: Turn | undefined
  #outcome: Promise<Outcome> | undefined
  #barred = false
  /** Counts the times that the transport was given the message */
  #round = 0
  /** The body, once the transport has it */
  #stream: Readable | undefined

  constructor(mail: Mail, hooks: ShipmentHooks) {
    this.#hooks = hooks
    this.turn = new Promise((resolve, reject) => {
      this.#resolveTurn = resolve
      this.#rejectTurn = reject
    })
    this.turn.catch(() => {})
    this.mail = this.#guarded(mail)
  }

  /** The proofs that are demanded now; a new plan of the delivery changes them. */
  get now(): Turn | undefined {
    return this.#current
  }

  /** True once the gate has refused a connection for the message, in this round. */
  get barred(): boolean {
    return this.#barred
  }

  /** Hands the message to the transport: at once, so that its queue counts it. */
  begin(): void {
    this.#round++
    this.#barred = false
    this.opened = undefined
    this.#outcome = new Promise((resolve) => {
      this.#hooks.dispatch(this, (error, info) => {
        if (error && this.#barred) resolve({ barred: true })
        else if (error) resolve({ error: settledError(error) })
        else resolve({ info: settledInfo(info ?? {}) })
      })
    })
  }

  /** Ends the wait for a plan, since the delivery has ended. */
  abandon(reason: unknown): void {
    this.#rejectTurn(reason)
  }

  /** Resolves when the transport has called back. */
  async ended(): Promise<void> {
    await this.#outcome
  }

  /** Makes one attempt of the delivery: waits for the transport to send the message. */
  async attempt(candidate: Candidate, context: DeliveryContext): Promise<Info> {
    this.#current = { candidate, context, signal: this.mail.data?.signal }
    this.#resolveTurn(this.#current)
    for (let round = 0; round < MAX_ROUNDS; round++) {
      context.assertCurrent()
      if (!this.#outcome) this.begin()
      const outcome: Outcome = (await this.#outcome) ?? { barred: true }
      this.#outcome = undefined
      if ('info' in outcome) return outcome.info
      if ('error' in outcome) throw outcome.error
    }
    const message = 'No connection of the pool has proved what this message needs. Try again later.'
    throw new MtaStsError(message, 'ECONNECTION')
  }

  /** Returns the mail with two gates: its envelope, which is read right before MAIL FROM, and its body. */
  #guarded(mail: Mail): Mail {
    const message = withChanges(mail.message, {
      getEnvelope: () => this.#gate(mail.message),
      createReadStream: () => {
        this.#stream = Readable.from(this.#body(mail.message), { objectMode: false })
        return this.#stream
      },
    })
    const { data } = mail
    if (data === undefined) return withChanges(mail, { message })
    const onLogin = () => this.#hooks.onLogin(this)
    const login = {
      get auth() {
        onLogin()
        return data.auth
      },
    }
    return withChanges(mail, { message, data: withChanges(data, login) })
  }

  /**
   * Returns the guard of the login on a connection: it must have proved what must be proved now.
   * Without a login, the message comes to the gate, which turns it away.
   */
  loginGuard(connection: () => SmtpConnection | undefined): LoginGuard {
    const round = this.#round
    return {
      may: () => this.#mayPass(connection()),
      onBarred: () => {
        if (round === this.#round) this.#barred = true
      },
    }
  }

  /**
   * Returns the envelope if the connection has proved what must be proved now. Without recipients,
   * every version of Nodemailer reports EENVELOPE before it sends anything.
   */
  #gate(message: Mail['message']): Envelope {
    const envelope = message.getEnvelope()
    this.recipients = [envelope.to ?? []].flat()
    const connection = this.#hooks.connectionOf(this)
    if (this.#mayPass(connection)) {
      if (connection && connection !== this.opened) this.#current?.context.use(connection)
      return this.#watched(envelope, connection)
    }
    this.#barred = true
    return { from: envelope.from, to: [] }
  }

  /**
   * Returns a copy of the envelope that ends the transaction when a policy has come since MAIL FROM that
   * the connection does not meet. Nodemailer reads `dsn` before each RCPT TO, and closes a connection
   * whose message breaks.
   */
  #watched(envelope: Envelope, connection: SmtpConnection | undefined): Envelope {
    let { dsn } = envelope
    const stop = () => {
      if (this.#mayPass(connection)) return
      this.#barred = true
      // At once, and not in the next turn: the command would be on its way
      this.#stream?.emit('error', policyChanged())
    }
    return Object.defineProperty({ ...envelope }, 'dsn', {
      enumerable: true,
      get: () => {
        stop()
        return dsn
      },
      set: (given: unknown) => {
        dsn = given
      },
    })
  }

  /**
   * Yields the message; nothing of it is read before DATA was accepted. When a policy has come since MAIL
   * FROM that the connection does not meet, it breaks before the first byte: the transport then closes
   * the connection, and the host has got no message.
   */
  async *#body(message: Mail['message']): AsyncGenerator<unknown> {
    if (!this.#mayPass(this.#hooks.connectionOf(this))) {
      this.#barred = true
      throw policyChanged()
    }
    yield* message.createReadStream()
  }

  #mayPass(connection: SmtpConnection | undefined): boolean {
    const turn = this.#current
    return (
      turn !== undefined && !turn.context.outdated && meets(connection, turn.candidate.security)
    )
  }
}

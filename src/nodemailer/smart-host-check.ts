/**
 * `verify()` of a transport that is held to a policy, and the login of its messages and checks.
 *
 * @module
 */
import type { SmtpConnection } from '../smtp/connection.js'
import { meets, type Turn } from './smart-host-connect.js'
import { settledError } from './smart-host-errors.js'
import { guardedLogin, type LoginGuard, policyChanged } from './smart-host-login.js'
import { smtpTransportOf } from './smart-host-mail.js'
import type { Shipment } from './smart-host-shipment.js'
import type { SmtpTransport } from './smart-host-types.js'
import { withChanges } from './with-changes.js'

/** Functions and data of the transport that its checks use. */
export interface CheckHooks {
  transport: SmtpTransport
  /** The transport's own methods */
  plain: Pick<SmtpTransport, 'getAuth' | 'verify'>
  isPool: boolean
  /** Runs `begin`, which asks for a socket at once: it is for this check */
  asking(check: Check, begin: () => void): void
}

export class Checks {
  /** The single message for which the plain transport reads its login */
  loggingIn: Shipment | undefined
  readonly #hooks: CheckHooks

  constructor(hooks: CheckHooks) {
    this.#hooks = hooks
  }

  /** Makes one attempt of a check. If the policy has changed meanwhile, the delivery plans anew. */
  async check(turn: Turn): Promise<true> {
    const check = new Check(turn)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#hooks.asking(check, () =>
          this.#verify(check, (error) => (error ? reject(settledError(error)) : resolve())),
        )
      })
    } catch (error) {
      if (check.isBarred) turn.context.assertCurrent()
      throw error
    }
    if (check.may()) return true
    turn.context.assertCurrent()
    throw policyChanged()
  }

  /**
   * Runs the plain transport's check with a login of its own: Nodemailer does not say for which of
   * several checks it logs in. A pool reads its login before it connects: its check is made by a
   * single transport.
   */
  #verify(check: Check, callback: (error: Error | null) => void): void {
    const { transport, plain, isPool } = this.#hooks
    const single = isPool ? singleOf(transport) : transport
    const { getAuth, verify } = isPool ? single : plain
    const login = getAuth && {
      getAuth: (given: unknown) => loginUnder(check, () => getAuth.call(single, given)),
    }
    verify.call(withChanges(single, { ...login }), callback)
  }

  /** Guards logins: a host may delay a reply until the policy has changed. */
  guardLogins(transport: SmtpTransport): void {
    const { getAuth } = transport
    if (typeof getAuth !== 'function') return
    const value = (given: unknown) => {
      const shipment = this.loggingIn
      this.loggingIn = undefined
      const read = () => getAuth.call(transport, given)
      if (!shipment) return read()
      const { opened } = shipment
      return loginUnder(
        shipment.loginGuard(() => opened),
        read,
      )
    }
    Object.defineProperty(transport, 'getAuth', { value, writable: true, configurable: true })
  }
}

/** Returns a single transport with the options of a pool. */
function singleOf(pool: SmtpTransport): SmtpTransport {
  const { transport } = smtpTransportOf({
    ...pool.options,
    component: 'smtp-pool',
    pool: false,
    url: undefined,
  })
  transport.on('error', () => {})
  transport.mailer = pool.mailer
  transport.getSocket = pool.getSocket
  return transport
}

/** Returns the login of a transport, or false where the guard says no. */
function loginUnder(guard: LoginGuard, read: () => unknown): unknown {
  if (guard.may()) return guardedLogin(read(), guard)
  guard.onBarred()
  return false
}

/** One attempt of `verify()`, and the guard of its login. */
export class Check implements LoginGuard {
  readonly turn: Promise<Turn>
  opened: SmtpConnection | undefined
  /** Whether its login was kept back */
  isBarred = false
  readonly #turn: Turn

  constructor(turn: Turn) {
    this.#turn = turn
    this.turn = Promise.resolve(turn)
  }

  may(): boolean {
    const { context, candidate } = this.#turn
    return !context.outdated && meets(this.opened, candidate.security)
  }

  onBarred(): void {
    this.isBarred = true
  }
}

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

/** What the checks need of their transport. */
export interface CheckHooks {
  transport: SmtpTransport
  /** The transport's own check */
  verify: SmtpTransport['verify']
  isPool: boolean
  /** Runs `begin`, which asks for a socket at once: it is for this check */
  asking(check: Check, begin: () => void): void
}

export class Checks {
  /** The single message for which the plain transport reads its login */
  loggingIn: Shipment | undefined
  readonly #hooks: CheckHooks
  /** Those under way */
  readonly #checks = new Set<Check>()

  constructor(hooks: CheckHooks) {
    this.#hooks = hooks
  }

  /** One attempt of a check. Under a policy that came meanwhile, the delivery plans anew. */
  async check(turn: Turn): Promise<true> {
    const check = new Check(turn)
    this.#checks.add(check)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#hooks.asking(check, () =>
          this.#verify((error) => (error ? reject(settledError(error)) : resolve())),
        )
      })
    } catch (error) {
      if (check.isBarred) turn.context.assertCurrent()
      throw error
    } finally {
      this.#checks.delete(check)
    }
    if (!check.meetsPolicy) {
      turn.context.assertCurrent()
      throw policyChanged()
    }
    // It was kept back for another check, which is planned anew
    return check.isBarred ? this.check(turn) : true
  }

  /** A pool reads its login before it connects: its check is made by a single transport. */
  #verify(callback: (error: Error | null) => void): void {
    const { transport, verify, isPool } = this.#hooks
    if (!isPool) {
      verify(callback)
      return
    }
    const { transport: single } = smtpTransportOf({
      ...transport.options,
      component: 'smtp-pool',
      pool: false,
      url: undefined,
    })
    single.on('error', () => {})
    single.mailer = transport.mailer
    single.getSocket = transport.getSocket
    this.guardLogins(single)
    single.verify(callback)
  }

  /** A host can hold a reply until a policy is known: no password under an old one. */
  guardLogins(transport: SmtpTransport): void {
    const { getAuth } = transport
    if (typeof getAuth !== 'function') return
    const value = (given: unknown) => {
      const guard = this.#loginGuard()
      if (!guard.may()) {
        guard.onBarred()
        return false
      }
      return guardedLogin(getAuth.call(transport, given), guard)
    }
    Object.defineProperty(transport, 'getAuth', { value, writable: true, configurable: true })
  }

  /** Returns the guard for the message, or else the checks, that a transport logs in for. */
  #loginGuard(): LoginGuard {
    const shipment = this.loggingIn
    this.loggingIn = undefined
    if (!shipment) return guardOf([...this.#checks])
    const { opened } = shipment
    return shipment.loginGuard(() => opened)
  }
}

/** One attempt of `verify()`. */
export class Check {
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

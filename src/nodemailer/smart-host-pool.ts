/**
 * The places of a Nodemailer pool: which message each of them has, and the connection that it is
 * sent on. None of it is public.
 *
 * @module
 */
import type { SmtpConnection } from '../smtp/connection.js'
import { meets, openedFor } from './smart-host-connect.js'
import { guardedLogin } from './smart-host-login.js'
import type { Shipment } from './smart-host-shipment.js'
import type { PoolResource, SmtpTransport } from './smart-host-types.js'

export class PoolPlaces {
  readonly #transport: SmtpTransport
  /** Messages by the mail that the plain transport has */
  readonly #shipments = new WeakMap<object, Shipment>()
  /** Connections that have asked for a socket */
  readonly #served = new WeakSet<PoolResource>()

  constructor(transport: SmtpTransport) {
    this.#transport = transport
  }

  add(shipment: Shipment): void {
    this.#shipments.set(shipment.mail, shipment)
  }

  /** Returns the message for which the pool has just made a place. */
  asking(): Shipment | undefined {
    for (const resource of this.#transport._connections ?? []) {
      const { queueEntry } = resource
      if (!queueEntry || resource.connection || this.#served.has(resource)) continue
      this.#served.add(resource)
      const shipment = this.#shipments.get(Object(queueEntry.mail))
      this.#guardLogin(resource, shipment)
      return shipment
    }
    return undefined
  }

  /** Returns the connection that a message is about to be sent on; undefined: it has proved nothing. */
  connectionOf(shipment: Shipment): SmtpConnection | undefined {
    const resources = this.#transport._connections ?? []
    const resource = resources.find(
      ({ queueEntry }) => queueEntry && queueEntry.mail === shipment.mail,
    )
    const connection = openedFor(resource?.connection?.options)
    const security = shipment.now?.candidate.security
    // No message is sent on a connection that has proved too little
    if (security) {
      for (const one of resources) {
        const mayClose = one === resource || one.available
        if (mayClose && !meets(openedFor(one.connection?.options), security))
          one.connection?.close()
      }
    }
    return connection
  }

  /** Guards the login on a connection of a pool. */
  #guardLogin(resource: PoolResource, shipment: Shipment | undefined): void {
    const { auth } = resource
    if (!auth || !shipment) return
    const guard = shipment.loginGuard(() => openedFor(resource.connection?.options))
    const guarded = guardedLogin(auth, guard)
    Object.defineProperty(resource, 'auth', { get: () => (guard.may() ? guarded : false) })
  }
}

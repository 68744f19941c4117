/**
 * `tls.connect` that remembers which host the certificate names, so that the verdict need not take
 * the certificate apart a second time.
 *
 * @module
 */
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { builtins } from '../builtins.js'
import { checkServerIdentity } from './identity.js'

/** On a socket: the host that {@link checkServerIdentity} has found in its certificate. */
const NAMED = Symbol('host that the certificate names')

/** Begins a handshake with options of `tlsOptions` or `verifiedTls`. */
export function connectTls(options: ConnectionOptions): TLSSocket {
  if (options.checkServerIdentity !== checkServerIdentity) return builtins.tls.connect(options)
  let named: string | undefined
  const socket = builtins.tls.connect({
    ...options,
    checkServerIdentity(host, cert) {
      const error = checkServerIdentity(host, cert)
      named = error === undefined ? host : undefined
      return error
    },
  })
  return Object.defineProperty(socket, NAMED, { get: () => named })
}

/** Whether the certificate of a finished handshake was found to name this host, and no other was asked for. */
export function isNamed(socket: TLSSocket, host: string): boolean {
  return Reflect.get(socket, NAMED) === host
}

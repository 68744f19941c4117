/**
 * `tls.connect` that remembers which host the certificate names, so that the verdict need not take
 * the certificate apart a second time.
 *
 * @module
 */
import type { ConnectionOptions, PeerCertificate, TLSSocket } from 'node:tls'
import { builtins } from '../builtins.js'
import { checkServerIdentity, namesOnly } from './identity.js'

/** On a socket: the {@link Knowledge} of its handshake. */
const KNOWN = Symbol('what is known of the handshake')

/** On trusted roots: the certificates that were found to name a host, by the host. */
const FOUND = Symbol('certificates that name a host')

/** Hosts whose certificate is remembered. */
const MAX_HOSTS = 1000

/** What is known of a handshake: one object, since accessors of its own make a socket slow in V8. */
interface Knowledge {
  /** The host that the certificate names */
  named?: string
  /** When the certificate expires: see {@link expiryOf} */
  expires?: number
  /** While Node compares the name: only the peer's own certificate is read */
  ownOnly: boolean
}

/** Begins a handshake with options of `tlsOptions` or `verifiedTls`. */
export function connectTls(options: ConnectionOptions): TLSSocket {
  const known: Knowledge = { ownOnly: true }
  const socket: TLSSocket = builtins.tls.connect({
    ...options,
    checkServerIdentity(host, cert) {
      known.ownOnly = false
      const compare = options.checkServerIdentity ?? checkServerIdentity
      if (compare !== checkServerIdentity) return compare(host, socket.getPeerCertificate(true))
      if (!namesOnly(cert, host) && !isFound(options.secureContext, host, cert)) {
        const error = compare(host, cert)
        // With the chain, as Node has it
        if (error) return compare(host, socket.getPeerCertificate(true))
        remember(options.secureContext, host, cert)
      }
      known.named = host
      known.expires = endOf(cert)
      return undefined
    },
  })
  readOwnOnly(socket, known)
  return Object.defineProperty(socket, KNOWN, { value: known })
}

/**
 * Has Node read the certificate of the peer, and not each one of its chain, to compare the name:
 * it takes every certificate apart, which costs as much as a third of the handshake.
 */
function readOwnOnly(socket: TLSSocket, known: Knowledge): void {
  const read = socket.getPeerCertificate
  Object.defineProperty(socket, 'getPeerCertificate', {
    value: (detailed = false) => read.call(socket, detailed && !known.ownOnly),
    configurable: true,
  })
  // Node's listener, which compares, comes first
  socket.once('secure', () => {
    known.ownOnly = false
  })
}

type Found = Map<string, string>

/** Whether a host has shown this certificate before. Its chain and dates are verified each time. */
function isFound(roots: object | undefined, host: string, cert: PeerCertificate): boolean {
  const found: Found | undefined = roots && Reflect.get(roots, FOUND)
  return (
    found !== undefined &&
    cert.fingerprint256 !== undefined &&
    found.get(host) === cert.fingerprint256
  )
}

function remember(roots: object | undefined, host: string, cert: PeerCertificate): void {
  if (!roots || cert.fingerprint256 === undefined) return
  const found: Found = Reflect.get(roots, FOUND) ?? new Map()
  if (found.size >= MAX_HOSTS) found.clear()
  found.set(host, cert.fingerprint256)
  Object.defineProperty(roots, FOUND, { value: found })
}

/** Whether the certificate of a finished handshake was found to name this host, and no other was asked for. */
export function isNamed(socket: TLSSocket, host: string): boolean {
  const known: Knowledge | undefined = Reflect.get(socket, KNOWN)
  return known?.named === host
}

/**
 * Returns when the peer's certificate expires, in epoch milliseconds; Infinity for one that had
 * expired and was accepted (RFC 7672 §3.1.1). The first call must come before the verdict of DANE,
 * after which Node 20 to 24 may have no certificate.
 */
export function expiryOf(socket: TLSSocket): number {
  const known: Knowledge | undefined = Reflect.get(socket, KNOWN)
  if (known === undefined) return endOf(socket.getPeerCertificate())
  known.expires ??= endOf(socket.getPeerCertificate())
  return known.expires
}

function endOf(cert: PeerCertificate | undefined): number {
  const end = Date.parse(cert?.valid_to ?? '')
  return end > Date.now() ? end : Number.POSITIVE_INFINITY
}

/**
 * Compares a certificate with a host name by DNS-ID only (RFC 8461 §4.2, RFC 6125). Node's
 * `tls.checkServerIdentity` accepts more: a common name, and a `*` beside other characters.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { builtins } from '../builtins.js'
import { isHostName, toALabels } from '../dns/domain-name.js'
import { escapeRemoteText } from '../text.js'

/**
 * Checks a certificate for `tls.connect`, as its option of the same name. Returns undefined when
 * one of the certificate's DNS names is the host, or is a wildcard for its left-most label; else
 * the error that ends the handshake. Names compare without case; a common name or an address never
 * counts. As with Node's own function, the host may carry the root dot or be written in U-labels.
 *
 * @example
 * tls.connect({ socket, servername: mxHost, checkServerIdentity })
 */
export function checkServerIdentity(host: string, cert: PeerCertificate): Error | undefined {
  const name = typeof host === 'string' ? toALabels(host) : undefined
  // checkHost would read '.example.com' as "any host below", so only host names are passed to it
  if (name === undefined || !isHostName(name))
    return mismatch(`${escapeRemoteText(String(host))} is not a host name`, host, cert)
  if (!cert?.raw) return mismatch('the peer sent no certificate', host, cert)
  if (hasDnsId(cert.raw, name)) return undefined
  const names = escapeRemoteText(cert.subjectaltname || 'no DNS name at all')
  return mismatch(`the certificate is for ${names}, not for ${host}`, host, cert)
}

const DNS_ID = {
  subject: 'never',
  partialWildcards: false,
  multiLabelWildcards: false,
} as const

/** Whether one of the certificate's DNS names is the host. */
function hasDnsId(raw: Buffer, name: string): boolean {
  try {
    const certificate = new builtins.crypto.X509Certificate(raw)
    // Needed besides checkHost: Deno's accepts a common name, whatever `subject` is
    return listsName(certificate, name) && certificate.checkHost(name, DNS_ID) !== undefined
  } catch {
    // An invalid certificate names no host
    return false
  }
}

/**
 * Whether the alternative names include the host as a DNS name, or a wildcard for its left-most
 * label. Names of other kinds are quoted if they hold a comma, and do not match.
 */
function listsName({ subjectAltName = '' }: X509Certificate, name: string): boolean {
  const names = new Set(subjectAltName.toLowerCase().split(', '))
  const parent = name.slice(name.indexOf('.') + 1)
  return names.has(`dns:${name}`) || names.has(`dns:*.${parent}`)
}

/**
 * Whether the host is the only name in a certificate that was read from a socket. A list of several
 * has two meanings in Deno, which quotes no comma: {@link checkServerIdentity} reads the certificate
 * again, for a tenth of the processor time of a policy's discovery.
 */
export function namesOnly({ subjectaltname }: PeerCertificate, host: string): boolean {
  return isHostName(host) && subjectaltname?.toLowerCase() === `dns:${host}`
}

/** Creates an error in the shape of Node's own. */
function mismatch(reason: string, host: string, cert: PeerCertificate): Error {
  const error = new Error(`Certificate does not match the host: ${reason}`)
  const code = 'ERR_TLS_CERT_ALTNAME_INVALID'
  // Nodemailer overwrites `code`; its newer versions keep the original under this name
  Object.assign(error, { code, originalCode: code, reason, host })
  // Not enumerable: the certificate has its whole chain, whose root is its own issuer, so
  // JSON.stringify() would throw
  return Object.defineProperty(error, 'cert', { value: cert, writable: true, configurable: true })
}

/**
 * What a host's TLS is like: versions, ciphers, whether it wants a certificate of the client.
 *
 * @module
 */
import type { SecureVersion } from 'node:tls'
import { checkKeys, checkName, shown } from './named.js'

/** What `tls()` takes. What is left out is Node's default. */
export interface TlsSettings {
  /** The lowest version */
  minVersion?: SecureVersion
  /** The highest version */
  maxVersion?: SecureVersion
  /** As OpenSSL writes them, of TLS 1.2 and TLS 1.3 alike */
  ciphers?: string
  /** Whether a certificate of the client is asked for, or the handshake fails without one */
  clientCertificate?: 'request' | 'require'
}

/** The part of it that Node's TLS options are made of. */
export interface TlsServerOptions {
  minVersion?: SecureVersion
  maxVersion?: SecureVersion
  ciphers?: string
  requestCert?: boolean
  rejectUnauthorized?: boolean
}

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/** Throws a TypeError that names what is wrong. */
export function checkTls(settings: TlsSettings): void {
  checkKeys('tls()', settings, ['minVersion', 'maxVersion', 'ciphers', 'clientCertificate'])
  const { minVersion, maxVersion, ciphers, clientCertificate } = settings
  if (minVersion !== undefined) checkName('tls(): minVersion', minVersion, VERSIONS)
  if (maxVersion !== undefined) checkName('tls(): maxVersion', maxVersion, VERSIONS)
  if (ciphers !== undefined && typeof ciphers !== 'string') {
    throw new TypeError(`tls(): ciphers must be a string, but it is ${shown(ciphers)}`)
  }
  if (clientCertificate !== undefined) {
    checkName('tls(): clientCertificate', clientCertificate, ['request', 'require'])
  }
}

/** Returns Node's options for a server with these settings. */
export function tlsServerOptions(settings: TlsSettings): TlsServerOptions {
  const { clientCertificate, ...rest } = settings
  const old = isOld(rest.minVersion) || isOld(rest.maxVersion)
  return {
    // OpenSSL 3 signs nothing for TLS 1.1 above this level
    ...(old ? { minVersion: rest.maxVersion ?? 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
    ...rest,
    ...(clientCertificate === undefined
      ? {}
      : { requestCert: true, rejectUnauthorized: clientCertificate === 'require' }),
  }
}

function isOld(version: SecureVersion | undefined): boolean {
  return version === 'TLSv1' || version === 'TLSv1.1'
}

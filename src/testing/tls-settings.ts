/**
 * TLS settings of a host: versions, ciphers, client certificates.
 *
 * @module
 */
import { createSecureContext, type SecureVersion } from 'node:tls'
import { checkFields, must, oneOf, shown } from './named.js'

/** Options of `tls()`. Default of each: Node's. */
export interface TlsSettings {
  /** The lowest version */
  minVersion?: SecureVersion
  /** The highest version */
  maxVersion?: SecureVersion
  /** In OpenSSL's names, of TLS 1.2 and TLS 1.3 */
  ciphers?: string
  /** `request` asks for a client certificate; without one, `require` fails the handshake */
  clientCertificate?: 'request' | 'require'
}

/** Node's options for these settings. */
export interface TlsServerOptions {
  minVersion?: SecureVersion
  maxVersion?: SecureVersion
  ciphers?: string
  requestCert?: boolean
  rejectUnauthorized?: boolean
}

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

const TLS = {
  minVersion: oneOf(VERSIONS),
  maxVersion: oneOf(VERSIONS),
  ciphers: must('names of ciphers that OpenSSL knows', areCiphers),
  clientCertificate: oneOf(['request', 'require']),
}

/** Throws a TypeError for wrong options. */
export function checkTls(settings: TlsSettings): void {
  checkFields('tls()', settings, TLS)
  const { minVersion, maxVersion } = settings
  if (minVersion === undefined || maxVersion === undefined || minVersion <= maxVersion) return
  throw new TypeError(`tls(): minVersion ${shown(minVersion)} is above ${shown(maxVersion)}`)
}

function areCiphers(value: unknown): boolean {
  if (typeof value !== 'string' || value === '') return false
  try {
    return Boolean(createSecureContext({ ciphers: value }))
  } catch {
    return false
  }
}

/** Returns Node's options for a server with these settings. */
export function tlsServerOptions(settings: TlsSettings): TlsServerOptions {
  const { clientCertificate, ...rest } = settings
  const old = isOld(rest.minVersion) || isOld(rest.maxVersion)
  return {
    // OpenSSL 3 signs for TLS 1.1 only at this level
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

/**
 * What a host's TLS is like: versions, ciphers, whether it wants a certificate of the client.
 *
 * @module
 */
import { createSecureContext, type SecureVersion } from 'node:tls'
import { checkFields, must, oneOf, shown } from './named.js'

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

const TLS = {
  minVersion: oneOf(VERSIONS),
  maxVersion: oneOf(VERSIONS),
  ciphers: must('names of ciphers that OpenSSL knows', areCiphers),
  clientCertificate: oneOf(['request', 'require']),
}

/** Throws a TypeError that names what is wrong. */
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

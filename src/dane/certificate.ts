/**
 * Certificates, anchors and failures, as the search for a path and its checks share them.
 *
 * @module
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import type { FailureReason, ResultType } from '../tls/failures.js'
import type { TlsaRecord } from '../tls/security.js'
import { type CertificateFields, readCertificate } from './x509-der.js'

/** Why a path, or a peer, proves nothing. */
export interface PathFailure {
  resultType: ResultType
  reason?: FailureReason
}

/** A certificate with all that is known of it. */
export interface Certificate extends CertificateFields {
  raw: Uint8Array
  x509: X509Certificate
}

/** The end of a path: a certificate, or a bare key where the record carries no more. */
export type Anchor = { record: TlsaRecord } & ({ certificate: Certificate } | { key: KeyObject })

/** @throws when the bytes are no certificate */
export function readPeerCertificate(raw: Uint8Array): Certificate {
  return { ...readCertificate(raw), raw, x509: new X509Certificate(raw) }
}

/**
 * Certificates, anchors and failures, shared by the path search and its checks.
 *
 * @module
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import type { FailureReason, ResultType } from '../tls/failures.js'
import type { TlsaRecord } from '../tls/security.js'
import { type CertificateFields, readCertificate } from './x509-der.js'

/** The reason why a path or a peer proves nothing. */
export interface PathFailure {
  resultType: ResultType
  reason?: FailureReason
}

/** A certificate with its parsed fields. */
export interface Certificate extends CertificateFields {
  raw: Uint8Array
  x509: X509Certificate
}

/** The end of a path: a certificate, or a bare key if the record holds no more. */
export type Anchor = { record: TlsaRecord } & ({ certificate: Certificate } | { key: KeyObject })

/** @throws when the bytes are not a certificate */
export function readPeerCertificate(raw: Uint8Array): Certificate {
  return { ...readCertificate(raw), raw, x509: new X509Certificate(raw) }
}

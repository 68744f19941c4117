/**
 * The vocabulary of failures: every result type (RFC 8460 §4.3) and every reason.
 *
 * @module
 */
import { MtaStsError } from '../errors.js'
import { escapeRemoteText } from '../text.js'

/** The result types of RFC 8460 §4.3: failures of a TLS session or a policy. */
export const RESULT_TYPES = [
  'starttls-not-supported',
  'certificate-host-mismatch',
  'certificate-expired',
  'certificate-not-trusted',
  'validation-failure',
  'tlsa-invalid',
  'dnssec-invalid',
  'dane-required',
  'sts-policy-fetch-error',
  'sts-policy-invalid',
  'sts-webpki-invalid',
] as const

/** One of the result types of RFC 8460 §4.3. */
export type ResultType = (typeof RESULT_TYPES)[number]

/**
 * Reasons in addition to the result type. Decisions are made on these words, never on the text of
 * an error.
 */
export type FailureReason =
  // STARTTLS
  | 'not-offered'
  | 'refused'
  | 'no-answer'
  | 'early-data'
  // The handshake
  | 'tls-version'
  | 'handshake-failed'
  | 'handshake-timeout'
  // The certificate of an MX host or a policy host
  | 'self-signed'
  | 'unknown-authority'
  | 'incomplete-chain'
  | 'untrusted'
  | 'rejected'
  | 'revoked'
  | 'chain-too-long'
  | 'bad-signature'
  | 'invalid-authority'
  | 'path-length-exceeded'
  | 'wrong-purpose'
  | 'weak-key'
  | 'certificate-not-yet-valid'
  | 'unspecified'
  | 'not-authorized'
  // The policy host; there the result type `sts-webpki-invalid` names the kind of fault in these
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'connection-failed'
  | 'timeout'
  | `http-status-${number}`
  | 'media-type'
  | 'content-encoding'
  | 'transfer-encoding'
  | 'no-length'
  | 'truncated'
  | 'too-large'
  // The MTA-STS TXT record
  | 'record-gone'
  | 'several-records'
  | 'malformed-record'
  // The MX host
  | 'mx-mismatch'
  | 'invalid-mx-host'
  | 'nxdomain'
  | 'no-address'
  | 'dns-failure'
  | 'blocked-address'
  | 'null-mx'
  // The message
  | 'requiretls-without-policy'
  | 'requiretls-not-offered'
  // DANE
  | 'tlsa-mismatch'
  | 'tlsa-unusable'
  | 'tlsa-lookup-failed'
  | 'dnssec-bogus'
  | 'dane-not-available'
  // The certificates of an MX host under DANE
  | 'no-certificate'
  | 'unreadable-certificate'
  | 'unknown-critical-extension'
  | 'name-constraints'
  | 'weak-signature'

/** One failure, in the terms of a report to the receiver. */
export interface TlsFailure {
  /** RFC 8460 §4.3 */
  resultType: ResultType
  /** A more specific reason, where there is one */
  reason?: FailureReason
  /** The MX host of the failure */
  mxHost?: string
  /** The address of the failure, as text */
  address?: string
  /** The error of Node or OpenSSL, or the reply of the peer */
  cause?: unknown
}

/**
 * A connection did not prove what it had to. Attempts throw it: `MtaSts.deliver` records the
 * failure and tries the next host.
 */
export class TlsFailureError extends MtaStsError {
  /** The check that the host failed */
  readonly failure: TlsFailure
  /** A refusal is never final: RFC 8461 §5.1 */
  readonly permanent: false

  constructor(failure: TlsFailure) {
    super(describeFailure(failure), 'ETLSFAILURE', { cause: failure.cause })
    this.name = 'TlsFailureError'
    this.permanent = false
    this.failure = failure
  }
}

/** Returns `mx.example.com: certificate-expired (reason)`, for messages and logs. */
export function describeFailure(failure: TlsFailure): string {
  const where = failure.mxHost === undefined ? '' : `${escapeRemoteText(failure.mxHost)}: `
  const reason = failure.reason === undefined ? '' : ` (${escapeRemoteText(failure.reason)})`
  return `${where}${failure.resultType}${reason}`
}

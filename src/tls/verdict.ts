/**
 * The verdict on a finished or failed handshake, in the result types of RFC 8460 §4.3: the chain
 * first, then the name.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls'
import type { FailureReason, ResultType, TlsFailure } from './failures.js'
import { expiryOf, isNamed } from './handshake.js'
import { checkServerIdentity } from './identity.js'
import type { DaneProof, Proof, Security } from './security.js'

interface Verdict {
  resultType: ResultType
  reason?: FailureReason
}

const notTrusted = (reason: FailureReason): Verdict => ({
  resultType: 'certificate-not-trusted',
  reason,
})
const invalid = (reason: FailureReason): Verdict => ({ resultType: 'validation-failure', reason })

/** Node's names for OpenSSL's X509_V_ERR_*, and its own. */
const CERTIFICATE_VERDICTS: ReadonlyMap<string, Verdict> = new Map([
  ['CERT_HAS_EXPIRED', { resultType: 'certificate-expired' }],
  ['CERT_NOT_YET_VALID', invalid('certificate-not-yet-valid')],
  ['ERR_TLS_CERT_ALTNAME_INVALID', { resultType: 'certificate-host-mismatch' }],
  ['HOSTNAME_MISMATCH', { resultType: 'certificate-host-mismatch' }],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', notTrusted('self-signed')],
  ['SELF_SIGNED_CERT_IN_CHAIN', notTrusted('unknown-authority')],
  ['UNABLE_TO_GET_ISSUER_CERT', notTrusted('unknown-authority')],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', notTrusted('unknown-authority')],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', notTrusted('incomplete-chain')],
  ['CERT_UNTRUSTED', notTrusted('untrusted')],
  ['CERT_REJECTED', notTrusted('rejected')],
  ['CERT_REVOKED', notTrusted('revoked')],
  ['CERT_CHAIN_TOO_LONG', notTrusted('chain-too-long')],
  ['CERT_SIGNATURE_FAILURE', notTrusted('bad-signature')],
  ['INVALID_CA', notTrusted('invalid-authority')],
  ['PATH_LENGTH_EXCEEDED', notTrusted('path-length-exceeded')],
  ['INVALID_PURPOSE', notTrusted('wrong-purpose')],
  // Any other objection of OpenSSL: name constraints, unknown critical extensions
  ['UNSPECIFIED', notTrusted('unspecified')],
])

/**
 * OpenSSL's codes for a peer without a common TLS version. ERR_SSL_WRONG_VERSION_NUMBER is not
 * among them: it means plaintext.
 */
const VERSION_CODES = new Set([
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_WRONG_SSL_VERSION',
  'ERR_SSL_UNKNOWN_PROTOCOL',
])

/** Whether an error of `tls.connect` is about the certificate, not the connection. */
export function isCertificateError(error: unknown): boolean {
  return CERTIFICATE_VERDICTS.has(codeOf(error))
}

/** Whether an error means that a handshake was not completed, for any reason. */
export function isHandshakeError(error: unknown): boolean {
  if (isCertificateError(error) || /^ERR_(?:SSL|TLS)_/.test(codeOf(error))) return true
  return error instanceof Error && 'code' in error && error.code === 'ETLS'
}

/** Returns the failure for an error that ended a handshake. */
export function failedHandshake(error: unknown): TlsFailure {
  const code = codeOf(error)
  return { ...verdictOfCode(code), cause: error }
}

function verdictOfCode(code: string): Verdict {
  const verdict = CERTIFICATE_VERDICTS.get(code)
  if (verdict) return verdict
  if (VERSION_CODES.has(code)) return invalid('tls-version')
  if (code === 'ETIMEDOUT') return invalid('handshake-timeout')
  return invalid('handshake-failed')
}

/** The verdict on a finished handshake with an MX host. Fields without a failure are omitted. */
export interface Judgement {
  /** A demanded proof is missing: the connection must not be used */
  refusal?: TlsFailure
  /** An audited proof is missing: recorded, and the connection is used */
  audited?: TlsFailure
  /** The failure of each missing proof, demanded or audited */
  failed?: { [By in Proof['by']]?: TlsFailure }
}

/** Judges a finished handshake by TLSA records (RFC 7672 §3). */
export type DaneJudge = (socket: TLSSocket, proof: DaneProof) => TlsFailure | undefined

/** Judges a finished handshake with `host` by the demanded and the audited proofs. */
export function assess(
  socket: TLSSocket,
  host: string,
  security: Security,
  judgeDane?: DaneJudge,
): Judgement {
  const proofs = security.level === 'authenticated' ? security.proofs : []
  const { audit } = security
  const failures = new Map<Proof, TlsFailure | undefined>()
  if (proofs.length > 0) expiryOf(socket)
  // MTA-STS first: reading the chain for DANE empties getPeerCertificate() on Node 20 to 24
  for (const proof of [...proofs, ...(audit ? [audit] : [])].sort(stsFirst)) {
    failures.set(proof, failureOf(socket, host, { proof, judgeDane }))
  }
  const refusal = proofs.map((proof) => failures.get(proof)).find((failure) => failure)
  const audited = audit && failures.get(audit)
  return {
    ...(refusal ? { refusal } : {}),
    ...(audited ? { audited } : {}),
    failed: Object.fromEntries([...failures].map(([{ by }, failure]) => [by, failure])),
  }
}

function stsFirst(a: Proof, b: Proof): number {
  return Number(b.by === 'sts') - Number(a.by === 'sts')
}

function failureOf(
  socket: TLSSocket,
  host: string,
  { proof, judgeDane }: { proof: Proof; judgeDane: DaneJudge | undefined },
): TlsFailure | undefined {
  if (proof.by === 'sts') return judgePkix(socket, host)
  return judgeDane ? judgeDane(socket, proof) : invalid('dane-not-available')
}

/** Returns the first failure of a handshake, demanded or audited; undefined without one. */
export function judge(socket: TLSSocket, host: string, security: Security): TlsFailure | undefined {
  const { refusal, audited } = assess(socket, host, security)
  return refusal ?? audited
}

/** Judges by RFC 8461 §4.2 and §7.2: trusted, not expired, names the host, TLS 1.2 or higher. */
function judgePkix(socket: TLSSocket, host: string): TlsFailure | undefined {
  const version = socket.getProtocol()
  if (version !== 'TLSv1.2' && version !== 'TLSv1.3') return invalid('tls-version')
  // Node checks the name only when the chain is valid, so authorizationError is about the chain
  const chainError: unknown = socket.authorizationError
  if (chainError) {
    const code = typeof chainError === 'string' ? chainError : codeOf(chainError)
    const verdict = CERTIFICATE_VERDICTS.get(code) ?? notTrusted('unspecified')
    return { ...verdict, cause: chainError }
  }
  const nameError = isNamed(socket, host)
    ? undefined
    : checkServerIdentity(host, socket.getPeerCertificate())
  if (nameError) return { resultType: 'certificate-host-mismatch', cause: nameError }
  // Both are valid, but Node did not authorize it: for example, a resumed session
  return socket.authorized ? undefined : notTrusted('not-authorized')
}

/**
 * Returns Node's code of an error. Nodemailer overwrites it: since version 10 it keeps the original
 * in another field, earlier versions leave only OpenSSL's text.
 */
function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { code, originalCode, reason, message } = error as Record<string, unknown>
  if (typeof originalCode === 'string') return originalCode
  if (typeof code === 'string' && !NODEMAILER_CODES.has(code)) return code
  if (typeof reason === 'string') return `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`
  // Node 24 adds advice after a semicolon
  const text = typeof message === 'string' ? (message.split(';', 1)[0] ?? '') : ''
  const known = OPENSSL_TEXTS.get(text)
  return known ?? (typeof code === 'string' ? code : '')
}

const NODEMAILER_CODES = new Set(['ESOCKET', 'ETLS', 'ECONNECTION'])

/** X509_verify_cert_error_string of OpenSSL 3 */
const OPENSSL_TEXTS: ReadonlyMap<string, string> = new Map([
  ['certificate has expired', 'CERT_HAS_EXPIRED'],
  ['certificate is not yet valid', 'CERT_NOT_YET_VALID'],
  ['self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['self-signed certificate in certificate chain', 'SELF_SIGNED_CERT_IN_CHAIN'],
  ['unable to get issuer certificate', 'UNABLE_TO_GET_ISSUER_CERT'],
  ['unable to get local issuer certificate', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ['unable to verify the first certificate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['certificate signature failure', 'CERT_SIGNATURE_FAILURE'],
  ['invalid CA certificate', 'INVALID_CA'],
  ['path length constraint exceeded', 'PATH_LENGTH_EXCEEDED'],
  ['unsuitable certificate purpose', 'INVALID_PURPOSE'],
])

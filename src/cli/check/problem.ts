/**
 * Failures of the core in words.
 *
 * @module
 */

import { PolicySyntaxError } from '../../errors.js'
import { ConnectError } from '../../net/connect.js'
import { escapeRemoteText } from '../../text.js'
import type { TlsFailure } from '../../tls/failures.js'
import { listed } from '../layout.js'
import { NameServerError } from '../name-servers.js'
import { span } from '../time.js'
import type { CertificateFacts, Problem } from './findings.js'

/** The circumstances of a failure. */
export interface Circumstances {
  certificate: CertificateFacts | null
  now: number
}

export function problemOf(failure: TlsFailure, circumstances: Circumstances): Problem {
  const { resultType, reason = null } = failure
  return { resultType, reason, detail: detailOf(failure, circumstances) }
}

/** `certificate-expired, 3 days ago`, `validation-failure (mx-mismatch)` */
export function describeProblem({ resultType, reason, detail }: Problem): string {
  const word = reason === null ? '' : ` (${escapeRemoteText(reason)})`
  return `${resultType}${word}${detail === null ? '' : `, ${detail}`}`
}

/** Returns the same in few words, for a sentence. */
export function briefly(problem: Problem): string {
  const { resultType, reason } = problem
  const aboutCertificate = resultType.startsWith('certificate-') && reason === null
  return describeProblem(aboutCertificate ? problem : { ...problem, detail: null })
}

function detailOf(failure: TlsFailure, { certificate, now }: Circumstances): string | null {
  const { resultType, reason, cause } = failure
  // The policy host's failures are all sts-webpki-invalid, and carry the other type as reason
  const kinds: ReadonlyArray<string | undefined> = [resultType, reason]
  if (certificate !== null) {
    if (kinds.includes('certificate-expired')) return expired(certificate, now)
    if (kinds.includes('certificate-host-mismatch')) return naming(certificate)
    if (reason === 'certificate-not-yet-valid') {
      return `valid in ${span(Date.parse(certificate.notBefore) - now)}`
    }
    if (resultType === 'certificate-not-trusted' || resultType === 'sts-webpki-invalid') {
      return certificate.issuer && `issued by ${escapeRemoteText(certificate.issuer)}`
    }
  }
  if (cause instanceof PolicySyntaxError) {
    return `${cause.line > 0 ? `line ${cause.line}: ` : ''}${cause.message}`
  }
  // The words of the type and the reason say it all, but for what the network said
  return reason === undefined || TELLING.has(reason) ? causeOf(cause) : null
}

const TELLING = new Set([
  'connection-failed',
  'dns-failure',
  'handshake-failed',
  'malformed-record',
])

function expired({ notAfter }: CertificateFacts, now: number): string {
  const since = now - Date.parse(notAfter)
  // The leaf may be good, and one above it expired
  return since >= 0 ? `${span(since)} ago` : 'one of the chain'
}

function naming({ names, commonName }: CertificateFacts): string {
  if (names.length > 0) return `it names ${listed(names.map(escapeRemoteText), 3)}`
  if (commonName === null) return 'it names no host'
  return `it names no host, only the common name ${escapeRemoteText(commonName)}`
}

export function causeOf(cause: unknown): string | null {
  if (cause === undefined || cause === null) return null
  if (cause instanceof NameServerError) return cause.message
  if (cause instanceof ConnectError) return causeOf(cause.errors[0]?.error)
  if (!(cause instanceof Error)) return escapeRemoteText(String(cause))
  const known = codesOf(cause).map((code) => CODES.get(code))
  // OpenSSL's messages begin with an address in memory; what it says for people is this
  const reason = 'reason' in cause && typeof cause.reason === 'string' ? cause.reason : undefined
  return known.find(Boolean) ?? escapeRemoteText(reason ?? cause.message)
}

/** An AggregateError of `net.connect` has one for each address. */
function codesOf(error: Error): string[] {
  const code = 'code' in error && typeof error.code === 'string' ? [error.code] : []
  const inner = error instanceof AggregateError ? error.errors : []
  return [...code, ...inner.flatMap((one) => (one instanceof Error ? codesOf(one) : []))]
}

const CODES: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ECONNRESET', 'connection reset'],
  ['ENETUNREACH', 'no route from this machine'],
  ['EADDRNOTAVAIL', 'no route from this machine'],
  ['EHOSTUNREACH', 'host unreachable'],
  ['ETIMEOUT', 'no answer in time'],
  ['ETIMEDOUT', 'no answer in time'],
  ['ESERVFAIL', 'the name servers fail (SERVFAIL)'],
  ['EREFUSED', 'the name server refuses to answer (REFUSED)'],
])

const NO_ROUTE = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'])

export function isTimeout(cause: unknown): boolean {
  if (cause instanceof ConnectError) return cause.errors.every(({ error }) => isTimeout(error))
  return cause instanceof Error && codesOf(cause).includes('ETIMEDOUT')
}

/** Tells whether this machine has no route to the address, which says nothing about the host. */
export function isNoRoute(cause: unknown): boolean {
  if (cause instanceof ConnectError) return cause.errors.every(({ error }) => isNoRoute(error))
  return cause instanceof Error && codesOf(cause).some((code) => NO_ROUTE.has(code))
}

/**
 * The error classes, and the vocabulary in which a failed TLS session is described.
 *
 * @module
 */

/** What went wrong with a TLS session or a policy: the result types of RFC 8460 §4.3. */
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

/** One failure, as a report to the receiver would name it. */
export interface TlsFailure {
  /** RFC 8460 §4.3 */
  resultType: ResultType
  /** A short kebab-case word where the type alone does not say it: `mx-mismatch`, `not-offered` */
  reason?: string
  /** The MX host it happened with */
  mxHost?: string
  /** The address it happened with, as text */
  address?: string
  /** What Node, OpenSSL or the peer said */
  cause?: unknown
}

/** The base of every error that this package makes itself. */
export class MtaStsError extends Error {
  /** A stable word for programs: `EMTASTS`, `EDNS`, `EENVELOPE`, ... */
  readonly code: string

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MtaStsError'
    this.code = code
  }
}

/** A TXT record that breaks the ABNF of RFC 8461 §3.1. */
export class RecordSyntaxError extends MtaStsError {
  constructor(message: string) {
    super(message, 'ERECORDSYNTAX')
    this.name = 'RecordSyntaxError'
  }
}

/** A policy file that breaks the ABNF of RFC 8461 §3.2. */
export class PolicySyntaxError extends MtaStsError {
  /** The line that is wrong, counted from 1; 0 where the whole file is */
  readonly line: number

  constructor(message: string, line: number) {
    super(message, 'EPOLICYSYNTAX')
    this.name = 'PolicySyntaxError'
    this.line = line
  }
}

/**
 * No host could be found to deliver to: the MX lookup failed (temporary), or the domain says that
 * it takes no mail (permanent: RFC 7505) or does not exist (permanent).
 */
export class RoutingError extends MtaStsError {
  /** True: trying again is of no use */
  readonly permanent: boolean
  /** The domain that mail was for: A-labels in lower case, or an address literal */
  readonly policyDomain: string

  constructor(
    message: string,
    details: {
      code: 'EDNS' | 'ENULLMX'
      permanent: boolean
      policyDomain: string
      cause?: unknown
    },
  ) {
    super(message, details.code, { cause: details.cause })
    this.name = 'RoutingError'
    this.permanent = details.permanent
    this.policyDomain = details.policyDomain
  }
}

/**
 * A connection that did not prove what it had to. Thrown by an attempt to say: not this MX host,
 * the next one; `MtaSts.deliver` puts the failure down and goes on.
 */
export class TlsFailureError extends MtaStsError {
  /** What the host failed to prove */
  readonly failure: TlsFailure
  /** A refusal is never the receiver's final word: RFC 8461 §5.1 */
  readonly permanent: false

  constructor(failure: TlsFailure) {
    super(describeFailure(failure), 'ETLSFAILURE', { cause: failure.cause })
    this.name = 'TlsFailureError'
    this.permanent = false
    this.failure = failure
  }
}

/**
 * Every MX host was refused: none of them proved what the policy of the domain asks for. The
 * message was not sent. Queue it and try again: a refusal is temporary (RFC 8461 §5.1).
 */
export class DeliveryRefusedError extends MtaStsError {
  declare readonly code: 'EMTASTS'
  /** Always false: whatever a server replied, somebody in between may have said it */
  readonly permanent: false
  /** Whose policy it is: A-labels in lower case */
  readonly policyDomain: string
  /** Of the policy; `none` where there is none, and the sender's own options refused */
  readonly mode: 'enforce' | 'testing' | 'none'
  /** The id of the policy; undefined where there is none */
  readonly policyId: string | undefined
  /** What went wrong with each MX host and address, in order */
  readonly failures: TlsFailure[]

  constructor(details: {
    policyDomain: string
    mode: 'enforce' | 'testing' | 'none'
    policyId?: string | undefined
    failures: readonly TlsFailure[]
    cause?: unknown
  }) {
    const why =
      details.mode === 'enforce'
        ? 'what its MTA-STS policy asks for'
        : 'what the sender asks for (minimumSecurity or REQUIRETLS)'
    const list = details.failures.map(describeFailure).join('; ')
    super(
      `Not delivered to ${escapeRemoteText(details.policyDomain)}: no host proved ${why} (${list}). Nothing was sent; try again later.`,
      'EMTASTS',
      { cause: details.cause },
    )
    this.name = 'DeliveryRefusedError'
    this.permanent = false
    this.policyDomain = details.policyDomain
    this.mode = details.mode
    this.policyId = details.policyId
    this.failures = [...details.failures]
  }
}

/** `mx.example.com: certificate-expired (reason)`, for messages and logs. */
export function describeFailure(failure: TlsFailure): string {
  const where = failure.mxHost === undefined ? '' : `${escapeRemoteText(failure.mxHost)}: `
  const reason = failure.reason === undefined ? '' : ` (${escapeRemoteText(failure.reason)})`
  return `${where}${failure.resultType}${reason}`
}

/** What was thrown, as text; anything can be. */
export function textOfThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return typeof thrown
  }
}

/** What was thrown, if it is an error, or else one that says it. */
export function errorOfThrown(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOfThrown(thrown))
}

const REMOTE_TEXT_LIMIT = 200

/**
 * Text from a remote party, made fit for a message or a log: control characters, bidirectional
 * overrides and line separators are escaped, and it is cut after 200 characters.
 */
export function escapeRemoteText(text: string): string {
  const cut = text.length > REMOTE_TEXT_LIMIT ? `${text.slice(0, REMOTE_TEXT_LIMIT)}…` : text
  return cut.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

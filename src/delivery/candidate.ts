/**
 * An MX host that may get a message once it has proved what it must.
 *
 * @module
 */
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { TlsFailure } from '../tls/failures.js'
import { type TrustedRoots, tlsOptions } from '../tls/options.js'
import type { Security } from '../tls/security.js'
import { assess, type DaneJudge } from '../tls/verdict.js'
import type { MxHost } from './mx-hosts.js'

/** A host that may get a message once it has proved what `security` demands. */
export interface Candidate {
  /** A-labels, lower case, no root dot; the address itself for an address literal */
  mxHost: string
  /** The preference of the MX record; lower is tried first */
  preference: number
  /** In the order of trying, without addresses that must not be contacted */
  addresses: readonly string[]
  /** TCP port of the SMTP server */
  port: number
  /** The proofs that a connection must give before MAIL FROM */
  security: Security
  /** For `tls.connect`, besides the socket */
  tls: ConnectionOptions
  /**
   * Judges a finished handshake: undefined when it gives the demanded and the audited
   * proofs
   */
  verify(socket: TLSSocket): TlsFailure | undefined
  /** Mode `testing`: the failure of this host that is known before connecting */
  failure?: TlsFailure
}

/** The options of a candidate, which are the same for every host. */
export interface CandidateOptions {
  roots: TrustedRoots
  port: number
  /** Judges proofs by DANE; undefined without the option `dane` */
  judgeDane?: DaneJudge | undefined
}

/** Creates the candidate for a host with known addresses. */
export function candidate(
  host: MxHost & { addresses: readonly string[] },
  security: Security,
  options: CandidateOptions,
): Candidate {
  const { mxHost } = host
  return {
    ...host,
    port: options.port,
    security,
    tls: tlsOptions(mxHost, security, options.roots),
    verify(socket) {
      const { refusal, audited } = assess(socket, mxHost, security, options.judgeDane)
      const failure = refusal ?? audited
      return failure && { ...failure, mxHost }
    },
  }
}

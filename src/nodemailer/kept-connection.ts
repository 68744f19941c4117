/**
 * A connection that is kept for the next message, and whether it may carry it: one that proved nothing
 * never carries a message that needs proof, also when a policy has arrived since it was opened.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util'
import type { Candidate } from '../delivery/candidate.js'
import type { SmtpConnection } from '../smtp/connection.js'
import { includesProofs, type Security } from '../tls/security.js'

/** A connection, and what the pool knows of it. */
export interface Kept {
  connection: SmtpConnection
  /** The proofs that were demanded when it was opened */
  security: Security
  /** Messages that were sent over it, or tried */
  messages: number
  timer?: NodeJS.Timeout | undefined
}

/**
 * Whether a kept connection may carry a message for the candidate: the same host at an address that
 * is still its own, nothing to prove that was not proved when it was opened, and no failed audit
 * of another domain.
 */
export function fits({ connection, security }: Kept, candidate: Candidate): boolean {
  const { port, addresses } = candidate
  if (connection.closed || port !== connection.port) return false
  if (!addresses.includes(connection.address)) return false
  if (security === candidate.security) return true
  if (connection.failures.length === 0 && provesEnough(security, candidate.security)) return true
  return isDeepStrictEqual(security, candidate.security)
}

/** Whether what one connection had to prove includes all that another would have to. */
function provesEnough(own: Security, asked: Security): boolean {
  const proofs = asked.level === 'authenticated' ? asked.proofs : []
  const all = asked.audit ? [...proofs, asked.audit] : proofs
  return own.level === 'authenticated' && includesProofs(own, all)
}

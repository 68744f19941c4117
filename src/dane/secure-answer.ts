/**
 * DNS answers together with what DNSSEC says of them.
 *
 * @module
 */
import type { Resolver } from '../dns/resolver.js'
import type { MxRecord } from '../dns/shared-lookups.js'
import type { TlsaRecord } from '../tls/security.js'

/** The record types that are asked for, and how a record of each is represented. */
export interface RecordData {
  /** IPv4 address */
  A: string
  /** IPv6 address */
  AAAA: string
  /** Target name */
  CNAME: string
  /** Exchange and preference */
  MX: MxRecord
  /** Record of RFC 6698 */
  TLSA: TlsaRecord
  /** Strings of one record */
  TXT: string[]
}

/**
 * The answer to one question. `secure`: a resolver whose AD bit is trusted has validated the whole
 * answer, CNAME records on the way included (RFC 6840 §5.7). A denial can be secure too.
 */
export type SecureAnswer<T> =
  | {
      kind: 'found'
      records: T[]
      secure: boolean
      /** The name that owns the records: the end of the CNAME chain, lower case, no root dot */
      name: string
    }
  | { kind: 'absent'; nxdomain: boolean; secure: boolean; name: string }
  | {
      kind: 'failed'
      /** With `code`, as `node:dns` has it: ESERVFAIL, ETIMEOUT, EREFUSED, ... */
      error: Error
      /** The resolver said that DNSSEC validation failed (RFC 8914); it need not say so */
      bogus: boolean
    }

/** A resolver that says of each answer whether DNSSEC proves it. */
export interface DnssecResolver extends Resolver {
  /** Asks one question. Never rejects: a lookup that failed is an answer too. */
  query<T extends keyof RecordData>(name: string, type: T): Promise<SecureAnswer<RecordData[T]>>
  /**
   * Returns whether the resolver validates: the root's NS records must be secure. Asks once;
   * undefined: no answer came, and the next call asks again.
   */
  validates(): Promise<boolean | undefined>
}

/**
 * DNS answers with their DNSSEC status.
 *
 * @module
 */
import type { Resolver } from '../dns/resolver.js'
import type { MxRecord } from '../dns/shared-lookups.js'
import type { TlsaRecord } from '../tls/security.js'

/** The record types that are used, and the shape of their records. */
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
 * answer, its CNAME records included (RFC 6840 §5.7). A denial can be secure too.
 */
export type SecureAnswer<T> =
  | {
      kind: 'found'
      records: T[]
      secure: boolean
      /** The owner of the records: the end of the CNAME chain, lower case, no root dot */
      name: string
    }
  | { kind: 'absent'; nxdomain: boolean; secure: boolean; name: string }
  | {
      kind: 'failed'
      /** With a `code` as in `node:dns`: ESERVFAIL, ETIMEOUT, EREFUSED, ... */
      error: Error
      /** The resolver reported that DNSSEC validation failed (RFC 8914); not all resolvers do */
      bogus: boolean
    }

/** A resolver that returns with each answer whether DNSSEC proves it. */
export interface DnssecResolver extends Resolver {
  /** Asks one question. Never rejects: a failed lookup is an answer too. */
  query<T extends keyof RecordData>(name: string, type: T): Promise<SecureAnswer<RecordData[T]>>
  /**
   * Returns whether the resolver validates: the root's NS records must be secure. Asks once;
   * undefined: no answer came, and the next call asks again.
   */
  validates(): Promise<boolean | undefined>
}

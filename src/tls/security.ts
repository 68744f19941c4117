/**
 * What a connection to an MX host must prove. It is decided once, in `delivery/plan.ts`, and
 * carried to the socket; nothing else may say how safe a connection has to be.
 *
 * @module
 */

/** A TLSA record as DANE matches it (RFC 6698 §2.1). */
export interface TlsaRecord {
  /** 2 (DANE-TA) or 3 (DANE-EE); RFC 7672 §3.1 */
  usage: number
  /** 0: the whole certificate, 1: its SubjectPublicKeyInfo */
  selector: number
  /** 0: exact, 1: SHA-256, 2: SHA-512 */
  matchingType: number
  /** What the certificate, or its key, or a hash of it must be equal to */
  data: Uint8Array
}

/** Judge as if `authenticated` by this, report, and deliver all the same: mode `testing`. */
export type Audit = 'sts'

/**
 * - `opportunistic`: STARTTLS if it works, nothing proved; plaintext otherwise
 * - `encrypted`: TLS is a must, nothing is proved about the peer
 * - `authenticated` by `sts`: a chain to a trusted root, a DNS-ID for the MX host, not expired,
 *   TLS 1.2 or higher (RFC 8461 §4)
 * - `authenticated` by `dane`: one of the TLSA records matches (RFC 7672)
 */
export type Security =
  | { level: 'opportunistic'; audit?: Audit }
  | { level: 'encrypted'; audit?: Audit }
  | { level: 'authenticated'; by: 'sts' }
  | { level: 'authenticated'; by: 'dane'; tlsa: readonly TlsaRecord[] }

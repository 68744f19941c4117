/**
 * The proofs that a connection to an MX host must give. They are decided once, in
 * `delivery/plan.ts`, and passed on to the socket; no other code may decide how safe a connection
 * must be.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util'

/** A TLSA record (RFC 6698 §2.1). */
export interface TlsaRecord {
  /** 2 (DANE-TA) or 3 (DANE-EE); RFC 7672 §3.1 */
  usage: number
  /** 0: the whole certificate, 1: its SubjectPublicKeyInfo */
  selector: number
  /** 0: exact, 1: SHA-256, 2: SHA-512 */
  matchingType: number
  /** The certificate, its key, or a hash of either */
  data: Uint8Array
}

/**
 * One way to authenticate an MX host:
 * - `sts`: a chain to a trusted root, a DNS-ID for the MX host, not expired, TLS 1.2 or higher
 *   (RFC 8461 §4)
 * - `dane`: one of the TLSA records matches (RFC 7672 §3)
 */
export type Proof =
  | { by: 'sts' }
  | {
      by: 'dane'
      /** The usable records of the host: never empty */
      tlsa: readonly TlsaRecord[]
      /** The TLSA base domain, sent as SNI (RFC 7672 §8.1) */
      base: string
      /** Reference identifiers for DANE-TA (RFC 7672 §3.2.2) */
      names: readonly string[]
    }

/**
 * - `opportunistic`: STARTTLS if it works, nothing proved; plaintext otherwise
 * - `encrypted`: TLS is required, the peer proves nothing
 * - `authenticated`: every one of `proofs` must hold
 *
 * `audit` is judged and recorded, and never stops a delivery: mode `testing`.
 */
export type Security =
  | { level: 'opportunistic'; audit?: Proof }
  | { level: 'encrypted'; audit?: Proof }
  | { level: 'authenticated'; proofs: readonly [Proof, ...Proof[]]; audit?: Proof }

/** A proof by DANE. */
export type DaneProof = Extract<Proof, { by: 'dane' }>

/** The names of the proofs that a connection gave. */
export type Proved = readonly Proof['by'][]

/** Whether the proofs that a connection had to give include all of these. */
export function includesProofs(own: Security | undefined, asked: readonly Proof[]): boolean {
  const given = own?.level === 'authenticated' ? own.proofs : []
  return asked.every((proof) => given.some((one) => isSameProof(one, proof)))
}

/** Whether two proofs are the same. DANE-EE ignores the names, which differ by domain (RFC 7672 §3.1.1). */
function isSameProof(own: Proof, asked: Proof): boolean {
  if (own.by === 'sts' || asked.by === 'sts') return own.by === asked.by
  const isNamed = asked.tlsa.some(({ usage }) => usage !== DANE_EE)
  if (isNamed && !isDeepStrictEqual(own.names, asked.names)) return false
  if (own.base !== asked.base) return false
  return own.tlsa === asked.tlsa || isDeepStrictEqual(own.tlsa, asked.tlsa)
}

const DANE_EE = 3

/**
 * Returns the reference identifiers for DANE-TA (RFC 7672 §3.2.2): the TLSA base domain, the next-hop
 * domain and its alias target.
 */
export function referenceNames(base: string, domain: string, alias = domain): string[] {
  return [...new Set([base, domain, alias])]
}

/**
 * Paths from a peer's certificate to a trust anchor that a TLSA record names (RFC 7671 §5.2), built
 * by signatures among the certificates that the peer sent.
 *
 * @module
 */
import { KeyObject } from 'node:crypto'
import type { TlsaRecord } from '../tls/security.js'
import {
  type Anchor,
  type Certificate,
  type PathFailure,
  readPeerCertificate,
} from './certificate.js'
import { checkPath, type PathDemand } from './path-check.js'
import { fullData, isFull, matches } from './tlsa-records.js'

export interface PathFound {
  anchor: Anchor
  /** Number of certificates below the anchor */
  depth: number
}

/** Maximum number of certificates in a path. */
const MAX_DEPTH = 10

/** Bound of the work: a peer can send certificates that all seem to have issued each other. */
const MAX_SIGNATURE_CHECKS = 100

/**
 * Returns the anchors of the DANE-TA records: matching certificates of the peer, and the data of
 * matching type 0 records that the peer did not send (RFC 7671 §5.2.2).
 *
 * @param issuers the peer's certificates, without its own
 */
export function findAnchors(
  records: readonly TlsaRecord[],
  issuers: readonly Certificate[],
): Anchor[] {
  return records.flatMap((record): Anchor[] => {
    const sent = issuers.filter((certificate) => matches(record, certificate))
    if (sent.length > 0) return sent.map((certificate) => ({ record, certificate }))
    const carried = isFull(record) ? fullData(record) : undefined
    if (carried === undefined) return []
    if (carried instanceof KeyObject) return [{ record, key: carried }]
    return [{ record, certificate: readPeerCertificate(record.data) }]
  })
}

/** Searches a path from a certificate to one of the anchors that passes the path check. */
export class PathSearch {
  readonly #issuers: readonly Certificate[]
  readonly #anchors: readonly Anchor[]
  readonly #check: (path: readonly Certificate[], anchor: Anchor) => PathFailure | undefined
  #checksLeft = MAX_SIGNATURE_CHECKS
  #failure: PathFailure | undefined

  constructor(
    sent: { issuers: readonly Certificate[]; anchors: readonly Anchor[] },
    demand: PathDemand,
  ) {
    this.#issuers = sent.issuers
    this.#anchors = sent.anchors
    this.#check = (path, anchor) => checkPath(path, anchor, demand)
  }

  /** The failure of the first path that led to an anchor but failed the check. */
  get failure(): PathFailure | undefined {
    return this.#failure
  }

  find(leaf: Certificate): PathFound | undefined {
    return this.#extend([leaf], leaf)
  }

  #extend(path: readonly Certificate[], last: Certificate): PathFound | undefined {
    for (const anchor of this.#anchors) {
      const whole = this.#reach(path, last, anchor)
      if (whole === undefined) continue
      const failure = this.#check(whole, anchor)
      if (failure === undefined) return { anchor, depth: path.length }
      this.#failure ??= failure
    }
    if (path.length >= MAX_DEPTH) return undefined
    for (const issuer of this.#issuers) {
      if (path.includes(issuer) || !this.#issued(last, issuer)) continue
      const found = this.#extend([...path, issuer], issuer)
      if (found) return found
    }
    return undefined
  }

  /** Returns the path with its anchor, if the anchor signed the last certificate. */
  #reach(
    path: readonly Certificate[],
    last: Certificate,
    anchor: Anchor,
  ): readonly Certificate[] | undefined {
    if ('key' in anchor) return this.#signed(last, anchor.key) ? path : undefined
    const { certificate } = anchor
    if (path.includes(certificate) || !this.#issued(last, certificate)) return undefined
    return [...path, certificate]
  }

  #issued(certificate: Certificate, issuer: Certificate): boolean {
    // Names, key identifiers and key usage first, which are cheap to compare
    if (!certificate.x509.checkIssued(issuer.x509)) return false
    return this.#signed(certificate, issuer.x509.publicKey)
  }

  #signed({ x509 }: Certificate, key: KeyObject): boolean {
    const { publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
    // RSA with large exponents takes long to check
    if (this.#checksLeft === 0 || publicExponent >> 31n > 0n) return false
    this.#checksLeft--
    try {
      return x509.verify(key)
    } catch {
      // The key has another algorithm
      return false
    }
  }
}

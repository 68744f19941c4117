/**
 * The verdict of TLSA records on the peer of a finished TLS handshake (RFC 7672 §3).
 *
 * @module
 */

import type { TLSSocket } from 'node:tls'
import { argumentError } from '../option-checks.js'
import type { FailureReason, ResultType } from '../tls/failures.js'
import type { TlsaRecord } from '../tls/security.js'
import { type PathFailure, readPeerCertificate } from './certificate.js'
import { findAnchors, PathSearch } from './certificate-path.js'
import type { PathDemand } from './path-check.js'
import { isUsable, matches, USAGE, withStrongestDigest } from './tlsa-records.js'
import { readPublicKey, sameBytes } from './x509-der.js'

/**
 * - `match`: the record authenticates the peer
 * - `unusable`: no record can match; TLS is required, the peer proves nothing (RFC 7672 §2.2)
 * - `fail`: no usable record matches; the host must not be used
 */
export type DaneVerdict =
  | {
      outcome: 'match'
      record: TlsaRecord
      /** Position of the certificate that matched: 0 is the peer's own */
      depth: number
    }
  | { outcome: 'unusable' }
  | { outcome: 'fail'; resultType: ResultType; reason?: FailureReason }

/** Maximum number of certificates to read; real paths have two to five. */
const MAX_CERTIFICATES = 20

/**
 * Judges the peer of a finished handshake by TLSA records.
 *
 * Read everything else of the peer first: for DANE-TA records this reads the chain as it was sent,
 * which works once on Node 20 to 24 and leaves `socket.getPeerCertificate()` empty. Further calls
 * for the same socket work.
 *
 * @param tlsa the TLSA records of the host; unusable ones among them are ignored
 * @param names the reference identifiers for DANE-TA (RFC 7672 §3.2.2), the TLSA base domain first
 * @param now epoch milliseconds; default: the clock
 *
 * @example
 * const verdict = verifyPeer(socket, records, ['mx.example.com', 'example.com'])
 * if (verdict.outcome === 'fail') socket.destroy()
 */
export function verifyPeer(
  socket: TLSSocket,
  tlsa: readonly TlsaRecord[],
  names: readonly string[],
  now: number = Date.now(),
): DaneVerdict {
  if (typeof socket?.getPeerCertificate !== 'function') {
    throw argumentError(['verifyPeer()', 'socket'], 'must be a tls.TLSSocket', socket)
  }
  return judgeCertificates(certificatesOf(socket), tlsa, { names, now })
}

/** The peer's own certificate, and on demand all that it sent, its own first. */
export interface PeerCertificates {
  own: Uint8Array | undefined
  all(): readonly Uint8Array[]
}

/** Judges certificates from any source as {@link verifyPeer} does. */
export function judgeCertificates(
  { own, all }: PeerCertificates,
  tlsa: readonly TlsaRecord[],
  demand: PathDemand,
): DaneVerdict {
  const usable = withStrongestDigest(tlsa.filter(isUsable))
  if (usable.length === 0) return { outcome: 'unusable' }
  if (own === undefined) return NO_CERTIFICATE
  // DANE-EE ignores names, dates and the chain (RFC 7672 §3.1.1)
  const record = matchingEndEntity(usable, own)
  if (record) return { outcome: 'match', record, depth: 0 }
  const anchoring = usable.filter(({ usage }) => usage === USAGE.daneTa)
  return anchoring.length === 0 ? NO_MATCH : verifyPath(all(), anchoring, demand)
}

/** Returns the record that matches the peer's certificate, which need not be readable in full. */
function matchingEndEntity(
  records: readonly TlsaRecord[],
  raw: Uint8Array,
): TlsaRecord | undefined {
  const publicKey = attempt(() => readPublicKey(raw)) ?? new Uint8Array()
  return records.find(
    (record) => record.usage === USAGE.daneEe && matches(record, { raw, publicKey }),
  )
}

/** Searches a path by signatures to an anchor that a DANE-TA record names (RFC 7672 §3.1.2). */
function verifyPath(
  chain: readonly Uint8Array[],
  records: readonly TlsaRecord[],
  demand: PathDemand,
): DaneVerdict {
  // A copy of the peer's own certificate must not pass for its issuer
  const distinct = chain.filter(
    (raw, at) => chain.findIndex((other) => sameBytes(other, raw)) === at,
  )
  const [leaf, ...others] = distinct
    .slice(0, MAX_CERTIFICATES)
    .map((raw) => attempt(() => readPeerCertificate(raw)))
  if (leaf === undefined) {
    return { outcome: 'fail', ...NOT_TRUSTED, reason: 'unreadable-certificate' }
  }
  const issuers = others.filter((certificate) => certificate !== undefined)
  const anchors = findAnchors(records, issuers)
  const search = new PathSearch({ issuers, anchors }, demand)
  const found = search.find(leaf)
  if (found) return { outcome: 'match', record: found.anchor.record, depth: found.depth }
  return { outcome: 'fail', ...(search.failure ?? NOT_TRUSTED) }
}

const NO_MATCH: DaneVerdict = {
  outcome: 'fail',
  resultType: 'validation-failure',
  reason: 'tlsa-mismatch',
}

const NO_CERTIFICATE: DaneVerdict = {
  outcome: 'fail',
  resultType: 'validation-failure',
  reason: 'no-certificate',
}

const NOT_TRUSTED: PathFailure = { resultType: 'certificate-not-trusted', reason: 'tlsa-mismatch' }

/** Property of a socket that holds the peer's chain once it was read. */
const CHAIN = Symbol('mta-sts.dane.chain')

function certificatesOf(socket: TLSSocket): PeerCertificates {
  const chain = keptChain(socket)
  const own = chain?.[0] ?? socket.getPeerCertificate()?.raw
  return { own, all: () => chain ?? readChain(socket, own) }
}

/**
 * Returns the certificates that the peer sent, its own first. The chain that Node links
 * (`getPeerCertificate(true)`) differs: it lacks certificates out of order, and adds some of this
 * machine's trust store, which a digest in the DNS must not turn into an anchor.
 */
function readChain(socket: TLSSocket, own: Uint8Array | undefined): readonly Uint8Array[] {
  const chain = own === undefined ? [] : [own]
  let next = socket.getPeerX509Certificate()
  for (let seen = 0; next && seen < MAX_CERTIFICATES; seen++) {
    chain.push(next.raw)
    next = next.issuerCertificate
  }
  Object.defineProperty(socket, CHAIN, { value: chain })
  return chain
}

function keptChain(socket: TLSSocket & { [CHAIN]?: readonly Uint8Array[] }) {
  return socket[CHAIN]
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

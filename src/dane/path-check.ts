/**
 * The checks of RFC 5280 §6.1 on a path to a trust anchor, and of the leaf's name (RFC 7672 §3.2).
 * Each returns the failure, or undefined.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { isHostName } from '../dns/domain-name.js'
import type { FailureReason } from '../tls/failures.js'
import type { Anchor, Certificate, PathFailure } from './certificate.js'
import { isWithinConstraints, namesOf } from './name-constraints.js'
import {
  type Der,
  hasBit,
  readAll,
  readOid,
  readOnly,
  sameBytes,
  TAG,
  unsigned,
} from './x509-der.js'

const EXTENSION = {
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const

/**
 * Extensions that may be critical: those checked here, the alternative names, and the policy
 * extensions, which matter only to relying parties that demand policies.
 */
const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  ...Object.values(EXTENSION),
  '2.5.29.17',
  '2.5.29.32',
  '2.5.29.33',
  '2.5.29.36',
  '2.5.29.54',
])

/** serverAuth and anyExtendedKeyUsage (RFC 5280 §4.2.1.12) */
const SERVER_PURPOSES: ReadonlySet<string> = new Set(['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'])

/** Bits of keyUsage (RFC 5280 §4.2.1.3) */
const KEY_USAGE = { digitalSignature: 0, keyEncipherment: 2, keyAgreement: 4, certSign: 5 } as const

/** Signatures over MD2, MD4, MD5, SHA-1 or RIPEMD-160 can be forged */
const WEAK_SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.2',
  '1.2.840.113549.1.1.3',
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.10040.4.3',
  '1.2.840.10045.4.1',
  '1.3.14.3.2.3',
  '1.3.14.3.2.27',
  '1.3.14.3.2.29',
  '1.3.36.3.3.1.2',
])

const RSA_PSS = '1.2.840.113549.1.1.10'

/** SHA-224 to SHA-512 and their variants (NIST's arc for hash algorithms) */
const STRONG_HASHES = /^2\.16\.840\.1\.101\.3\.4\.2\.\d+$/

const MIN_RSA_BITS = 1024

/** The demands of a path check. */
export interface PathDemand {
  /** The reference identifiers; one of them must be the leaf's (RFC 7672 §3.2.2) */
  names: readonly string[]
  /** Epoch milliseconds */
  now: number
}

/**
 * @param path the leaf first, each signed by the next; the anchor's certificate, if it has one, last
 */
export function checkPath(
  path: readonly Certificate[],
  anchor: Anchor,
  { names, now }: PathDemand,
): PathFailure | undefined {
  try {
    if ('key' in anchor && isWeakKey(anchor.key)) return notTrusted('weak-key')
    // RFC 5280 §6.1.4: only issuers that are not self-issued count for a path length
    let issuers = 0
    for (const [depth, certificate] of path.entries()) {
      const isAnchor = 'certificate' in anchor && anchor.certificate === certificate
      const failure =
        checkOne(certificate, { isAnchor, now }) ??
        (depth === 0
          ? checkLeafUsage(certificate)
          : checkIssuer(certificate, { isAnchor, below: path.slice(0, depth), issuers }))
      if (failure) return failure
      if (depth > 0 && !isSelfIssued(certificate)) issuers++
    }
    return checkName(path, names)
  } catch {
    // Unreadable DER inside an extension
    return notTrusted('unreadable-certificate')
  }
}

function notTrusted(reason: FailureReason): PathFailure {
  return { resultType: 'certificate-not-trusted', reason }
}

/** Checks that apply to every certificate of a path. */
function checkOne(
  certificate: Certificate,
  { isAnchor, now }: { isAnchor: boolean; now: number },
): PathFailure | undefined {
  for (const [oid, { critical }] of certificate.extensions) {
    if (critical && !KNOWN_EXTENSIONS.has(oid)) return notTrusted('unknown-critical-extension')
  }
  // An anchor is trusted for its key; its signature does not count
  if (!isAnchor && isWeakSignature(certificate)) return notTrusted('weak-signature')
  if (isWeakKey(certificate.x509.publicKey)) return notTrusted('weak-key')
  if (!isForServers(certificate)) return notTrusted('wrong-purpose')
  if (certificate.notBefore > now) {
    return { resultType: 'validation-failure', reason: 'certificate-not-yet-valid' }
  }
  return certificate.notAfter < now ? { resultType: 'certificate-expired' } : undefined
}

function isWeakSignature({ signatureAlgorithm: { oid, parameters } }: Certificate): boolean {
  return WEAK_SIGNATURES.has(oid) || (oid === RSA_PSS && !hasStrongHash(parameters))
}

/**
 * Whether RSASSA-PSS uses a strong hash. Without a hash algorithm in the parameters it is SHA-1
 * (RFC 4055 §3.1).
 */
function hasStrongHash(parameters: Der | undefined): boolean {
  if (parameters?.tag !== TAG.sequence) return false
  const hash = readAll(parameters.value).find(({ tag }) => tag === 0xa0)
  if (hash === undefined) return false
  const [oid] = readAll(readOnly(hash.value, TAG.sequence).value)
  return STRONG_HASHES.test(readOid(oid))
}

function isWeakKey(key: KeyObject): boolean {
  const bits = key.asymmetricKeyDetails?.modulusLength
  return bits !== undefined && bits < MIN_RSA_BITS
}

function isForServers({ extensions }: Certificate): boolean {
  const extension = extensions.get(EXTENSION.extendedKeyUsage)
  if (extension === undefined) return true
  const purposes = readAll(readOnly(extension.value, TAG.sequence).value)
  return purposes.some((purpose) => SERVER_PURPOSES.has(readOid(purpose)))
}

/** Checks that the leaf's key may sign, encrypt keys or agree on them (RFC 5280 §4.2.1.3). */
function checkLeafUsage(leaf: Certificate): PathFailure | undefined {
  const usage = keyUsage(leaf)
  if (usage === undefined) return undefined
  const { digitalSignature, keyEncipherment, keyAgreement } = KEY_USAGE
  const forTls = [digitalSignature, keyEncipherment, keyAgreement].some((bit) => hasBit(usage, bit))
  return forTls ? undefined : notTrusted('wrong-purpose')
}

function keyUsage({ extensions }: Certificate): Der | undefined {
  const extension = extensions.get(EXTENSION.keyUsage)
  return extension && readOnly(extension.value, TAG.bitString)
}

/** Checks of a certificate that has issued another (RFC 5280 §6.1.4 (k) to (n)). */
function checkIssuer(
  certificate: Certificate,
  place: { isAnchor: boolean; below: readonly Certificate[]; issuers: number },
): PathFailure | undefined {
  const usage = keyUsage(certificate)
  if (usage && !hasBit(usage, KEY_USAGE.certSign)) return notTrusted('invalid-authority')
  const constraints = certificate.extensions.get(EXTENSION.basicConstraints)
  if (constraints === undefined) {
    // Version 1 has no extensions; as an anchor, such a root has the rights that the record gives
    // it
    const isOldRoot = place.isAnchor && certificate.version === 1 && isSelfIssued(certificate)
    if (!isOldRoot) return notTrusted('invalid-authority')
  } else {
    const { isAuthority, pathLength } = basicConstraints(constraints.value)
    if (!isAuthority) return notTrusted('invalid-authority')
    if (place.issuers > pathLength) return notTrusted('path-length-exceeded')
  }
  return areNamesAllowed(certificate, place.below) ? undefined : notTrusted('name-constraints')
}

function basicConstraints(value: Uint8Array): { isAuthority: boolean; pathLength: number } {
  const parts = readAll(readOnly(value, TAG.sequence).value)
  const length = parts.find(({ tag }) => tag === TAG.integer)
  const [first] = parts
  return {
    isAuthority: first?.tag === TAG.boolean && first.value[0] !== 0,
    pathLength: length === undefined ? Number.POSITIVE_INFINITY : unsigned(length.value),
  }
}

/**
 * Whether name constraints allow the certificates below (RFC 5280 §6.1.3 (b)): self-issued issuers
 * are exempt, the leaf never is.
 */
function areNamesAllowed(issuer: Certificate, below: readonly Certificate[]): boolean {
  const constraints = issuer.extensions.get(EXTENSION.nameConstraints)
  if (constraints === undefined) return true
  return below.every(
    (certificate, depth) =>
      (depth > 0 && isSelfIssued(certificate)) ||
      isWithinConstraints(constraints.value, namesOf(certificate)),
  )
}

/**
 * Checks the leaf's name (RFC 7672 §3.2.3): a DNS-ID, or the common name if there is no DNS-ID; a
 * `*` only as the whole left-most label. Constraints must allow the reference name too: a wildcard
 * can cover an excluded one.
 */
function checkName(
  path: readonly Certificate[],
  names: readonly string[],
): PathFailure | undefined {
  const leaf = path[0]?.x509
  const own = names.filter(
    (name) => isHostName(name) && leaf?.checkHost(name, CHECK_HOST) !== undefined,
  )
  if (own.length === 0) return { resultType: 'certificate-host-mismatch' }
  const constraints = path.flatMap(
    ({ extensions }) => extensions.get(EXTENSION.nameConstraints) ?? [],
  )
  const allowed = own.some((name) =>
    constraints.every(({ value }) => isWithinConstraints(value, [dnsName(name)])),
  )
  return allowed ? undefined : notTrusted('name-constraints')
}

const CHECK_HOST = {
  subject: 'default',
  partialWildcards: false,
  multiLabelWildcards: false,
} as const

function dnsName(name: string): Der {
  const value = Buffer.from(name, 'latin1')
  return { tag: 0x82, raw: value, value }
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return sameBytes(issuer, subject)
}

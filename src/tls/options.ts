/**
 * `tls.connect` options for the proof that a connection must give, and the trusted roots.
 *
 * @module
 */
import type { ConnectionOptions, SecureContext } from 'node:tls'
import { builtins } from '../builtins.js'
import { checkServerIdentity } from './identity.js'
import type { DaneProof, Proof, Security } from './security.js'

/** The trusted roots and the lowest TLS version, read once for all connections. */
export type TrustedRoots = SecureContext

/**
 * @param ca the roots, as PEM; undefined: the roots that Node trusts
 * @throws TypeError when one of them is not a certificate
 */
export function trustedRoots(
  ca: string | Buffer | ReadonlyArray<string | Buffer> | undefined,
): TrustedRoots {
  const { createSecureContext } = builtins.tls
  const minVersion = 'TLSv1.2' // RFC 8461 §7.2
  if (ca === undefined) return createSecureContext({ minVersion })
  const roots = Array.isArray(ca) ? [...ca] : [ca]
  if (roots.length === 0) throw new TypeError('it holds no certificate')
  for (const root of roots) checkPem(root)
  return createSecureContext({ ca: roots, minVersion })
}

/** Throws for invalid PEM: OpenSSL ignores it, and the missing root would be noticed much later. */
function checkPem(root: unknown): void {
  const text = Buffer.isBuffer(root) ? root.toString('latin1') : root
  if (typeof text !== 'string' || !text.includes('-----BEGIN')) {
    throw new TypeError('it is not PEM: "-----BEGIN CERTIFICATE-----" is missing')
  }
  const { X509Certificate } = builtins.crypto
  try {
    for (const block of text.split(/(?=-----BEGIN )/)) {
      if (block.startsWith('-----BEGIN')) new X509Certificate(block)
    }
  } catch (cause) {
    throw new TypeError('it holds no certificate that can be read', { cause })
  }
}

/**
 * Options of a handshake that fails unless the peer proves to be `host` (RFC 8461 §3.3, §4.2, §7).
 */
export function verifiedTls(host: string, roots: TrustedRoots): ConnectionOptions {
  return {
    host,
    // RFC 8461 §7.1; an address literal is not sent as SNI (RFC 6066 §3)
    ...(builtins.net.isIP(host) ? {} : { servername: host }),
    secureContext: roots,
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment has no effect
    rejectUnauthorized: true,
    checkServerIdentity,
  }
}

/**
 * Options of a handshake that accepts any peer (RFC 7435): nothing is demanded of it, or it is only
 * audited, and unverified TLS is better than the plaintext that would follow. The certificate can
 * be judged afterwards. No other place in the package allows this.
 */
function unverifiedTls(host: string, roots: TrustedRoots): ConnectionOptions {
  return { ...verifiedTls(host, roots), rejectUnauthorized: false }
}

function isSts({ by }: Proof): boolean {
  return by === 'sts'
}

function isDane(proof: Proof): proof is DaneProof {
  return proof.by === 'dane'
}

/** Returns the options for an MX host. Sessions are never resumed: Node would skip the check. */
export function tlsOptions(
  host: string,
  security: Security,
  roots: TrustedRoots,
): ConnectionOptions {
  const proofs: readonly Proof[] = security.level === 'authenticated' ? security.proofs : []
  const options = proofs.some(isSts) ? verifiedTls(host, roots) : unverifiedTls(host, roots)
  const base = proofs.find(isDane)?.base ?? host
  if (base === host) return options
  return {
    ...options,
    // RFC 7672 §8.1. Node would compare the certificate with this name
    servername: base,
    checkServerIdentity: (_, cert) => checkServerIdentity(host, cert),
  }
}

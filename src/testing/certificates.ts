/**
 * The certificate a host shows, right or wrong.
 *
 * @module
 */
import type { CertificateSpec } from './authority.js'

/** For a fault that is not about the certificate: `good`, or else the one that names the host. */
export function certificateFor(
  host: string,
  fault: unknown,
  good: CertificateSpec | undefined,
): CertificateSpec {
  const right = { san: [`DNS:${host}`] }
  switch (fault) {
    case 'wrong-name':
      return { cn: 'wrong-name.example', san: ['DNS:wrong-name.example'], key: 'other' }
    case 'cn-only':
      return { cn: host }
    case 'partial-wildcard':
      return { san: [`DNS:${host.slice(0, 1)}*${host.slice(host.indexOf('.'))}`] }
    case 'self-signed':
      return { ...right, cn: host, signedBy: 'itself', key: 'other' }
    case 'unknown-authority':
      return { ...right, signedBy: 'stranger', key: 'other' }
    case 'missing-intermediate':
      return { ...right, chain: false }
    case 'expired':
      return { ...right, validity: 'past' }
    case 'not-yet-valid':
      return { ...right, validity: 'future' }
    default:
      return good ?? right
  }
}

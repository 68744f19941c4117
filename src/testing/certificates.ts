/**
 * The certificates of hosts, right or wrong.
 *
 * @module
 */
import type { CertificateSpec } from './authority.js'

export interface CertificateChoice {
  /** The name of the host, then its other names */
  names: readonly string[]
  fault: unknown
  /** The certificate that a test has set */
  good: CertificateSpec | undefined
}

/** Returns the contents of a certificate. */
export function certificateFor({ names, fault, good }: CertificateChoice): CertificateSpec {
  const [host = '', ...others] = names
  const loopback = others.length > 0 ? ['IP:127.0.0.1', 'IP:::1'] : []
  const right = { san: [...names.map((name) => `DNS:${name}`), ...loopback] }
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
      return { ...(good?.cn === undefined ? right : {}), ...good }
  }
}

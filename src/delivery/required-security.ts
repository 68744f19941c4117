/**
 * Decides what a connection must prove before it carries a message, by what the policy, DANE, the
 * message and the operator demand. The decision is made only here, and passed on as `Security`.
 *
 * @module
 */
import type { DaneDemand } from '../dane/dane.js'
import type { FoundPolicy, PolicyLookup } from '../policy/lookup.js'
import type { Proof, Security } from '../tls/security.js'

/** The minimum that a connection must prove, where no policy demands more. */
export type MinimumSecurity = 'opportunistic' | 'encrypted' | 'authenticated'

/**
 * The TLS that a message itself demands, in addition to the policy (RFC 8689):
 * - `policy`: exactly what the policy demands
 * - `require`: REQUIRETLS; only an authenticated MX host that a policy or DANE names
 * - `optional`: `TLS-Required: No`; delivery goes on despite failures, which are recorded
 */
export type TlsDemand = 'policy' | 'require' | 'optional'

/** The demands of a message and of the operator. */
export interface Demands {
  minimumSecurity: MinimumSecurity
  demand: TlsDemand
  /** Treats mode `enforce` as `testing` */
  reportOnly: boolean
}

const STS: Proof = Object.freeze({ by: 'sts' })

/**
 * Decides what a connection must prove: what the policy's mode (RFC 8461 §5) and DANE (RFC 7672
 * §2.2) demand, and at least the operator's minimum. Where both apply, both must hold (RFC 8461
 * §2).
 */
export function requiredSecurity(
  lookup: PolicyLookup,
  options: Demands,
  dane: DaneDemand = { kind: 'none' },
): Security {
  const { minimumSecurity, demand } = options
  // RFC 8689 §3: the sender prefers delivery over protection
  if (demand === 'optional') return audited({ level: 'opportunistic' }, lookup)
  const daneProof = dane.kind === 'dane' ? dane.proof : undefined
  if (isBinding(lookup, options)) return authenticated(STS, daneProof)
  if (daneProof) return audited(authenticated(daneProof), lookup)
  if (demand === 'require' || minimumSecurity === 'authenticated') return authenticated(STS)
  const level = dane.kind === 'tls-required' ? 'encrypted' : minimumSecurity
  return audited({ level }, lookup)
}

const BY_STS = provedBy([STS])

function authenticated(first: Proof, second?: Proof): Security {
  if (second) return provedBy([first, second])
  return first === STS ? BY_STS : provedBy([first])
}

function provedBy(proofs: readonly [Proof, ...Proof[]]): Security {
  return Object.freeze({ level: 'authenticated', proofs: Object.freeze(proofs) })
}

/** Adds an audit: failures under a policy that does not bind are recorded. */
function audited(security: Security, lookup: PolicyLookup): Security {
  return hasPolicy(lookup) ? { ...security, audit: STS } : security
}

/** Whether a policy demands anything; mode `none` does not (RFC 8461 §5). */
export function hasPolicy(lookup: PolicyLookup): lookup is FoundPolicy {
  return lookup.status === 'found' && lookup.policy.mode !== 'none'
}

/** Whether an MX host outside the policy is excluded; under mode `testing` it is not. */
export function isBinding(
  lookup: PolicyLookup,
  { demand, reportOnly }: Omit<Demands, 'minimumSecurity'>,
): lookup is FoundPolicy {
  if (!hasPolicy(lookup) || demand === 'optional') return false
  return demand === 'require' || (lookup.policy.mode === 'enforce' && !reportOnly)
}

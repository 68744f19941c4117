/**
 * The key of a plan's requirements: messages with the same key may share a connection.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import type { DeliveryPlan } from '../delivery/plan.js'
import type { PolicyLookup } from '../policy/lookup.js'

/**
 * Returns a key of the domain, the policy with its id and text, and the proofs demanded of each
 * candidate. A connection that was opened under another policy, or with fewer proofs, has another
 * key.
 */
export function requirementKey({ policyDomain, lookup, candidates }: DeliveryPlan): string {
  const hosts = candidates.map(({ mxHost, port, security }) => [mxHost, port, security])
  const text = JSON.stringify([policyKey(lookup), hosts], (_, value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  )
  const digest = createHash('sha256').update(text).digest('base64url').slice(0, 22)
  const { mode, id } = modeAndId(lookup)
  return ['mta-sts', policyDomain, mode, id, digest].join(':')
}

/** Returns a key that distinguishes policies from each other and from none. */
export function policyKey(lookup: PolicyLookup): string {
  return lookup.status === 'found' ? `${lookup.id} ${lookup.body}` : ''
}

/** Whether nothing has to be proved or recorded: no policy, no DANE, no option. */
export function asksForNothing({ candidates, refused }: DeliveryPlan): boolean {
  const isFree = candidates.every(
    ({ security }) => security.level === 'opportunistic' && !security.audit,
  )
  return isFree && candidates.length > 0 && refused.every(({ reason }) => reason !== 'mx-mismatch')
}

function modeAndId(lookup: PolicyLookup): { mode: string; id: string } {
  if (lookup.status !== 'found') return { mode: 'none', id: '' }
  return { mode: lookup.policy.mode, id: lookup.id }
}

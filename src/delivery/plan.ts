/**
 * Plans a delivery: which hosts may get a message for a domain, in which order, and what each must
 * prove. A host that the policy does not name, or whose address is blocked, is refused (RFC 8461
 * §4.1, §5).
 *
 * @module
 */
import type { BlockList } from 'node:net'
import { toALabels } from '../dns/domain-name.js'
import { isBlocked } from '../net/blocked-addresses.js'
import { isSameEntry, type PolicyLookup } from '../policy/lookup.js'
import { matchesMx } from '../policy/mx-pattern.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { type Candidate, type CandidateOptions, candidate } from './candidate.js'
import type { Destination } from './destination.js'
import type { HostLookups, HostQuestion, MxAnswer } from './host-lookups.js'
import { inOrder, type MxHost, mxHostsOf, requireExistence } from './mx-hosts.js'
import { type Demands, hasPolicy, isBinding, requiredSecurity } from './required-security.js'

/** The hosts that a message for a domain may be sent to, and the policy: see `MtaSts.plan`. */
export interface DeliveryPlan {
  /** A-labels, lower case */
  policyDomain: string
  /** The policy that the plan follows, or the reason for its absence */
  lookup: PolicyLookup
  /** In the order of trying */
  candidates: readonly Candidate[]
  /** Hosts of MX records that are not candidates, with the reasons */
  refused: readonly TlsFailure[]
}

/** The options of a plan, which are the same for every destination. */
export interface PlanOptions extends CandidateOptions, Demands {
  lookups: HostLookups
  blockedAddresses: BlockList
  /** Plans made with these options */
  shared?: SharedPlans
}

/** The input of a plan. */
export interface PlanInput {
  destination: Destination
  lookup: PolicyLookup
  /** The MX lookup of a domain, started together with the policy's */
  mxHosts: MxAnswer | Promise<MxAnswer>
}

/**
 * Plans that overlapping deliveries to a domain share, by the MX answer they were made from, which
 * is forgotten within a second.
 */
export type SharedPlans = WeakMap<MxAnswer, DeliveryPlan>

/**
 * Plans a delivery.
 *
 * @throws RoutingError when the destination has no host for mail, or its lookup failed
 */
export async function planDelivery(
  { destination, lookup, mxHosts }: PlanInput,
  options: PlanOptions,
): Promise<DeliveryPlan> {
  switch (destination.kind) {
    case 'literal':
      return planForLiteral(destination, lookup, options)
    case 'smart-host':
      return planForSmartHost(destination.name, lookup, options)
    case 'domain':
      return planForDomain({ policyDomain: destination.name, mx: await mxHosts }, lookup, options)
  }
}

async function planForDomain(
  { policyDomain, mx }: { policyDomain: string; mx: MxAnswer },
  lookup: PolicyLookup,
  options: PlanOptions,
): Promise<DeliveryPlan> {
  const known = options.shared?.get(mx)
  if (known?.policyDomain === policyDomain && isSameEntry(known.lookup, lookup)) {
    return copyOf({ ...known, lookup })
  }
  const hosts = mxHostsOf(policyDomain, mx, lookup)
  const from = { domain: policyDomain, mx, port: options.port }
  const considered = await Promise.all(
    hosts.map((host) => consider({ ...host, ...from }, lookup, options)),
  )
  const candidates = considered.flatMap((entry) => entry.candidate ?? [])
  const refused = considered.flatMap((entry) => entry.refused)
  if (candidates.length === 0) requireExistence(policyDomain, lookup, refused)
  const plan = { policyDomain, lookup, candidates, refused }
  // The next delivery repeats failed lookups
  const isSound = refused.length === 0 && candidates.every(({ failure }) => failure === undefined)
  if (isSound) options.shared?.set(mx, plan)
  return copyOf(plan)
}

/** Returns a separate plan, with hosts of equal preference shuffled. */
function copyOf(plan: DeliveryPlan): DeliveryPlan {
  const candidates = plan.candidates.map((one) => ({
    ...one,
    addresses: [...one.addresses],
    tls: { ...one.tls },
  }))
  return { ...plan, candidates: candidates.length > 1 ? inOrder(candidates) : candidates }
}

/**
 * Plans for a smart host: it is its own Policy Domain and only host (RFC 8461 §3.4). Its addresses
 * are resolved when connecting, and may be internal: the operator chose it.
 */
function planForSmartHost(
  policyDomain: string,
  lookup: PolicyLookup,
  options: PlanOptions,
): DeliveryPlan {
  const mismatch = mxMismatch(policyDomain, lookup)
  if (mismatch && isBinding(lookup, options)) {
    return { policyDomain, lookup, candidates: [], refused: [mismatch] }
  }
  const host = { mxHost: policyDomain, preference: 0, addresses: [] }
  const found = candidate(host, requiredSecurity(lookup, options), options)
  const candidates = [mismatch ? { ...found, failure: mismatch } : found]
  return { policyDomain, lookup, candidates, refused: [] }
}

/** Plans for `user@[192.0.2.1]`: mail goes to that address, without a policy (RFC 8461 §3.4). */
function planForLiteral(
  { name, address, configured }: Extract<Destination, { kind: 'literal' }>,
  lookup: PolicyLookup,
  options: PlanOptions,
): DeliveryPlan {
  const nowhere = { policyDomain: name, lookup, candidates: [] }
  if (options.demand === 'require') {
    return { ...nowhere, refused: [unusable(address, 'requiretls-without-policy')] }
  }
  // A remote party chose the address: it must not lead into the sender's own network
  if (!configured && isBlocked(address, options.blockedAddresses)) {
    return { ...nowhere, refused: [unusable(address, 'blocked-address', { address })] }
  }
  const security = requiredSecurity(lookup, options)
  const host = { mxHost: address, preference: 0, addresses: [address] }
  return { ...nowhere, candidates: [candidate(host, security, options)], refused: [] }
}

interface Considered {
  candidate?: Candidate
  /** The host, or its addresses that must not be contacted */
  refused: TlsFailure[]
}

async function consider(
  { domain, mx, ...host }: MxHost & HostQuestion,
  lookup: PolicyLookup,
  options: PlanOptions,
): Promise<Considered> {
  const { mxHost } = host
  const mismatch = mxMismatch(mxHost, lookup)
  if (mismatch && isBinding(lookup, options)) return { refused: [mismatch] }
  // An invalid host name can neither be looked up nor be sent as SNI
  if (toALabels(mxHost) === undefined) return { refused: [unusable(mxHost, 'invalid-mx-host')] }
  const found = await options.lookups.host(mxHost, { domain, mx, port: options.port })
  const { addresses, blocked, problem, cause } = found.addresses
  const refused = blocked.map((address) => unusable(mxHost, 'blocked-address', { address }))
  if (problem) {
    return { refused: blocked.length > 0 ? refused : [unusable(mxHost, problem, { cause })] }
  }
  const { demand } = found
  if (demand.kind === 'skip') return { refused: [...refused, { mxHost, ...demand.failure }] }
  if (options.demand === 'require' && !hasPolicy(lookup) && demand.kind !== 'dane') {
    return { refused: [unusable(mxHost, 'requiretls-without-policy')] }
  }
  const security = requiredSecurity(lookup, options, demand)
  const usable = candidate({ ...host, addresses }, security, options)
  const unusableRecords = demand.kind === 'tls-required' ? demand.failure : undefined
  const failure = mismatch ?? unusableRecords
  return { candidate: failure ? { ...usable, failure } : usable, refused }
}

/** Compares the name in the MX record itself, not the target of a CNAME (RFC 8461 §4.1). */
function mxMismatch(mxHost: string, lookup: PolicyLookup): TlsFailure | undefined {
  if (!hasPolicy(lookup) || matchesMx(mxHost, lookup.policy.mx)) return undefined
  return unusable(mxHost, 'mx-mismatch')
}

function unusable(
  mxHost: string,
  reason: FailureReason,
  details: { address?: string; cause?: unknown } = {},
): TlsFailure {
  return { resultType: 'validation-failure', reason, mxHost, ...details }
}

/**
 * Which hosts a message for a domain may be handed to, in which order, and what each of them must
 * prove: RFC 5321 §5.1 for the order, RFC 8461 §4.1 and §5 for the rest. What is decided here is
 * carried to the socket and decided nowhere else.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { parseAddressLiteral, toALabels } from '../dns/domain-name.js'
import type { Lookups } from '../dns/shared-lookups.js'
import { isBlocked } from '../net/blocked-addresses.js'
import type { FoundPolicy, PolicyLookup } from '../policy/lookup.js'
import { matchesMx } from '../policy/mx-pattern.js'
import { escapeRemoteText } from '../text.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { type TrustedRoots, tlsOptions } from '../tls/options.js'
import type { Security } from '../tls/security.js'
import { judge } from '../tls/verdict.js'
import { RoutingError } from './errors.js'

/** What a connection must prove where no policy asks for more. */
export type MinimumSecurity = 'opportunistic' | 'encrypted' | 'authenticated'

/**
 * What a message itself asks of TLS, beside the policy (RFC 8689):
 * - `policy`: what the policy asks for, no more and no less
 * - `require`: REQUIRETLS; only an MX host that a policy names, and that proves to be it
 * - `optional`: `TLS-Required: No`; delivery goes on despite failures, which are put down
 */
export type TlsDemand = 'policy' | 'require' | 'optional'

/** A host that a message may be handed to, once it has proved what `security` says. */
export interface Candidate {
  /** A-labels, lower case, no root dot; the address itself for an address literal */
  mxHost: string
  /** Of the MX record; lower is tried first */
  preference: number
  /** In the order in which they are to be tried; those that may not be contacted are left out */
  addresses: readonly string[]
  /** TCP port of the SMTP server */
  port: number
  /** What a connection must prove before anything of a message is said on it */
  security: Security
  /** For `tls.connect`, beside the socket */
  tls: ConnectionOptions
  /** What a finished handshake amounts to: undefined when it proves what it has to */
  verify(socket: TLSSocket): TlsFailure | undefined
  /** Mode `testing`: what speaks against this host before it is connected to */
  failure?: TlsFailure
}

/** Who a message for a domain may be handed to, and under which policy: `MtaSts.plan`. */
export interface DeliveryPlan {
  /** A-labels, lower case */
  policyDomain: string
  /** The policy that the plan was made by, or why there is none */
  lookup: PolicyLookup
  /** In the order in which they are to be tried */
  candidates: readonly Candidate[]
  /** Hosts of MX records that are no candidates, and why */
  refused: readonly TlsFailure[]
}

export interface PlanOptions {
  lookups: Lookups
  blockedAddresses: BlockList
  minimumSecurity: MinimumSecurity
  roots: TrustedRoots
  port: number
  demand: TlsDemand
}

interface MxHost {
  mxHost: string
  preference: number
}

/** More MX hosts than this are never tried; a domain could list thousands. */
const MAX_MX_HOSTS = 20

/**
 * @param policyDomain A-labels, lower case
 * @throws RoutingError when the domain has no host for mail, or that cannot be found out
 */
export async function planDelivery(
  policyDomain: string,
  policy: PolicyLookup | Promise<PolicyLookup>,
  options: PlanOptions,
): Promise<DeliveryPlan> {
  const [lookup, hosts] = await Promise.all([policy, lookupMxHosts(policyDomain, options)])
  const considered = await Promise.all(hosts.map((host) => consider(host, lookup, options)))
  const candidates = considered.flatMap((entry) => entry.candidate ?? [])
  const refused = considered.flatMap((entry) => entry.refused)
  if (candidates.length === 0) requireExistence(policyDomain, lookup, refused)
  return { policyDomain, lookup, candidates, refused }
}

/**
 * A smart host is its own Policy Domain, and its only host (RFC 8461 §3.4). Its addresses are
 * left to whoever connects: the operator chose it, it may stand in the operator's own network.
 */
export function planForSmartHost(
  policyDomain: string,
  lookup: PolicyLookup,
  options: PlanOptions,
): DeliveryPlan {
  const mismatch = mxMismatch(policyDomain, lookup)
  if (mismatch && isBinding(lookup, options.demand)) {
    return { policyDomain, lookup, candidates: [], refused: [mismatch] }
  }
  const host = { mxHost: policyDomain, preference: 0, addresses: [] }
  const found = candidate(host, requiredSecurity(lookup, options), options)
  const candidates = [mismatch ? { ...found, failure: mismatch } : found]
  return { policyDomain, lookup, candidates, refused: [] }
}

/** Mail for `user@[192.0.2.1]` goes to that address; it has no policy (RFC 8461 §3.4). */
export function planForLiteral(
  literal: string,
  lookup: PolicyLookup,
  options: PlanOptions,
): DeliveryPlan {
  const address = parseAddressLiteral(literal) ?? literal
  const nowhere = { policyDomain: literal, lookup, candidates: [] }
  if (options.demand === 'require') {
    return { ...nowhere, refused: [unusable(address, 'requiretls-without-policy')] }
  }
  // Whoever wrote the recipient chose the address: it must not lead into the sender's own network
  if (isBlocked(address, options.blockedAddresses)) {
    return { ...nowhere, refused: [unusable(address, 'blocked-address', { address })] }
  }
  const security = requiredSecurity(lookup, options)
  const host = { mxHost: address, preference: 0, addresses: [address] }
  return { ...nowhere, candidates: [candidate(host, security, options)], refused: [] }
}

/** RFC 5321 §5.1 and RFC 7505: by preference, equal ones shuffled; no MX means the domain itself. */
async function lookupMxHosts(policyDomain: string, options: PlanOptions): Promise<MxHost[]> {
  const answer = await options.lookups.mx(policyDomain)
  if (answer.kind === 'absent') return [{ mxHost: policyDomain, preference: 0 }]
  if (answer.kind === 'failed') {
    throw new RoutingError(
      `The MX records of ${escapeRemoteText(policyDomain)} could not be looked up (${answer.error.message}). Try again later.`,
      { code: 'EDNS', permanent: false, policyDomain, cause: answer.error },
    )
  }
  const hosts = answer.records.map(({ exchange, priority }) => ({
    mxHost: toALabels(String(exchange)) ?? String(exchange),
    preference: Number(priority) || 0,
  }))
  if (hosts.every(({ mxHost }) => mxHost === '' || mxHost === '.')) {
    throw new RoutingError(
      `${escapeRemoteText(policyDomain)} takes no mail: it has a null MX record (RFC 7505).`,
      { code: 'ENULLMX', permanent: true, policyDomain },
    )
  }
  return inOrder(hosts).slice(0, MAX_MX_HOSTS)
}

function inOrder(hosts: readonly MxHost[]): MxHost[] {
  const sorted = shuffled(hosts).sort((a, b) => a.preference - b.preference)
  const seen = new Set<string>()
  return sorted.filter(({ mxHost }) => !seen.has(mxHost) && seen.add(mxHost))
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

interface Considered {
  candidate?: Candidate
  /** The host, or those of its addresses that may not be contacted */
  refused: TlsFailure[]
}

async function consider(
  host: MxHost,
  lookup: PolicyLookup,
  options: PlanOptions,
): Promise<Considered> {
  const { mxHost } = host
  const security = requiredSecurity(lookup, options)
  const mismatch = mxMismatch(mxHost, lookup)
  if (mismatch && isBinding(lookup, options.demand)) return { refused: [mismatch] }
  if (options.demand === 'require' && !hasPolicy(lookup)) {
    return { refused: [unusable(mxHost, 'requiretls-without-policy')] }
  }
  // A name that is none can neither be looked up nor be sent as SNI
  if (toALabels(mxHost) === undefined) return { refused: [unusable(mxHost, 'invalid-mx-host')] }
  const { addresses, blocked, problem, cause } = await options.lookups.addresses(mxHost)
  const refused = blocked.map((address) => unusable(mxHost, 'blocked-address', { address }))
  if (problem) {
    return { refused: blocked.length > 0 ? refused : [unusable(mxHost, problem, { cause })] }
  }
  const found = candidate({ ...host, addresses }, security, options)
  return { candidate: mismatch ? { ...found, failure: mismatch } : found, refused }
}

/** RFC 8461 §4.1: the name in the MX record, not what it is a CNAME for. */
function mxMismatch(mxHost: string, lookup: PolicyLookup): TlsFailure | undefined {
  if (!hasPolicy(lookup) || matchesMx(mxHost, lookup.policy.mx)) return undefined
  return unusable(mxHost, 'mx-mismatch')
}

/** A policy of mode `none` is none (RFC 8461 §5). */
function hasPolicy(lookup: PolicyLookup): lookup is FoundPolicy {
  return lookup.status === 'found' && lookup.policy.mode !== 'none'
}

/** Whether an MX host outside the policy is no candidate; under mode `testing` it is one. */
function isBinding(lookup: PolicyLookup, demand: TlsDemand): boolean {
  if (!hasPolicy(lookup) || demand === 'optional') return false
  return demand === 'require' || lookup.policy.mode === 'enforce'
}

function unusable(
  mxHost: string,
  reason: FailureReason,
  details: { address?: string; cause?: unknown } = {},
): TlsFailure {
  return { resultType: 'validation-failure', reason, mxHost, ...details }
}

const AUTHENTICATED: Security = Object.freeze({
  level: 'authenticated',
  proofs: [{ by: 'sts' }] as const,
})

/** RFC 8461 §5: what the policy's mode asks for, and never less than the operator does. */
export function requiredSecurity(
  lookup: PolicyLookup,
  { minimumSecurity, demand }: Pick<PlanOptions, 'minimumSecurity' | 'demand'>,
): Security {
  if (demand === 'require') return AUTHENTICATED
  // RFC 8689 §3: the sender of this message would rather have it delivered than protected
  if (demand === 'optional') return audited({ level: 'opportunistic' }, lookup)
  if (minimumSecurity === 'authenticated') return AUTHENTICATED
  if (hasPolicy(lookup) && lookup.policy.mode === 'enforce') return AUTHENTICATED
  return audited({ level: minimumSecurity }, lookup)
}

/** Under a policy that does not bind, what it would have refused is put down all the same. */
function audited(
  security: { level: 'opportunistic' } | { level: 'encrypted' },
  lookup: PolicyLookup,
): Security {
  return hasPolicy(lookup) ? { ...security, audit: { by: 'sts' } } : security
}

export function candidate(
  host: MxHost & { addresses: readonly string[] },
  security: Security,
  options: Pick<PlanOptions, 'roots' | 'port'>,
): Candidate {
  const { mxHost } = host
  return {
    ...host,
    port: options.port,
    security,
    tls: tlsOptions(mxHost, security, options.roots),
    verify(socket) {
      const failure = judge(socket, mxHost, security)
      return failure && { ...failure, mxHost }
    },
  }
}

/**
 * Without a policy, a domain that does not exist is a permanent error, as with every sender. Under
 * a policy it is not: who can forge DNS must not be able to bounce mail.
 */
function requireExistence(
  policyDomain: string,
  lookup: PolicyLookup,
  refused: readonly TlsFailure[],
): void {
  const nxdomain = refused.every(
    ({ mxHost, reason }) => mxHost === policyDomain && reason === 'nxdomain',
  )
  if (!nxdomain || lookup.status === 'found') return
  throw new RoutingError(
    `The domain ${escapeRemoteText(policyDomain)} does not exist. Check the recipient's address.`,
    { code: 'EDNS', permanent: true, policyDomain },
  )
}

/**
 * Decides which hosts may get a message for a domain, in which order, and what each must prove: RFC
 * 5321 §5.1 for the order, RFC 8461 §4.1 and §5 for the rest. The decision is made only here, and
 * passed on as `Security`.
 *
 * @module
 */
import type { BlockList } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { DaneDemand } from '../dane/dane.js'
import { toALabels } from '../dns/domain-name.js'
import { isBlocked } from '../net/blocked-addresses.js'
import { type FoundPolicy, isSameEntry, type PolicyLookup } from '../policy/lookup.js'
import { matchesMx } from '../policy/mx-pattern.js'
import { escapeRemoteText } from '../text.js'
import type { FailureReason, TlsFailure } from '../tls/failures.js'
import { type TrustedRoots, tlsOptions } from '../tls/options.js'
import type { Proof, Security } from '../tls/security.js'
import { assess, type DaneJudge } from '../tls/verdict.js'
import type { Destination } from './destination.js'
import { RoutingError } from './errors.js'
import type { HostLookups, HostQuestion, MxAnswer } from './host-lookups.js'

/** The minimum that a connection must prove, where no policy demands more. */
export type MinimumSecurity = 'opportunistic' | 'encrypted' | 'authenticated'

/**
 * The TLS that a message itself demands, in addition to the policy (RFC 8689):
 * - `policy`: exactly what the policy demands
 * - `require`: REQUIRETLS; only an authenticated MX host that a policy or DANE names
 * - `optional`: `TLS-Required: No`; delivery goes on despite failures, which are recorded
 */
export type TlsDemand = 'policy' | 'require' | 'optional'

/** A host that may get a message once it has proved what `security` demands. */
export interface Candidate {
  /** A-labels, lower case, no root dot; the address itself for an address literal */
  mxHost: string
  /** The preference of the MX record; lower is tried first */
  preference: number
  /** In the order of trying, without addresses that must not be contacted */
  addresses: readonly string[]
  /** TCP port of the SMTP server */
  port: number
  /** The proofs that a connection must give before MAIL FROM */
  security: Security
  /** For `tls.connect`, besides the socket */
  tls: ConnectionOptions
  /**
   * Judges a finished handshake: undefined when it gives the demanded and the audited
   * proofs
   */
  verify(socket: TLSSocket): TlsFailure | undefined
  /** Mode `testing`: the failure of this host that is known before connecting */
  failure?: TlsFailure
}

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
export interface PlanOptions {
  lookups: HostLookups
  blockedAddresses: BlockList
  minimumSecurity: MinimumSecurity
  roots: TrustedRoots
  port: number
  demand: TlsDemand
  /** Treats mode `enforce` as `testing` */
  reportOnly: boolean
  /** Plans made with these options */
  shared?: SharedPlans
  /** Judges proofs by DANE; undefined without the option `dane` */
  judgeDane?: DaneJudge | undefined
}

interface MxHost {
  mxHost: string
  preference: number
}

/** Maximum number of MX hosts to try; a domain could list thousands. */
const MAX_MX_HOSTS = 20

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

/**
 * Sorts the MX hosts by preference, equal ones at random; without MX records, the domain itself is
 * the host (RFC 5321 §5.1, RFC 7505).
 */
function mxHostsOf(policyDomain: string, answer: MxAnswer, lookup: PolicyLookup): MxHost[] {
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
    throw nullMx(policyDomain, isProtected(lookup))
  }
  return inOrder(hosts).slice(0, MAX_MX_HOSTS)
}

/**
 * Returns the error for a null MX. It may be forged while a policy may apply, and then bounces no
 * mail.
 */
function nullMx(policyDomain: string, mayBeForged: boolean): RoutingError {
  const what = `${escapeRemoteText(policyDomain)} takes no mail: it has a null MX record (RFC 7505)`
  const why = 'An MTA-STS policy of it may apply, so the record may be forged. Try again later.'
  return new RoutingError(mayBeForged ? `${what}. ${why}` : `${what}.`, {
    code: 'ENULLMX',
    permanent: !mayBeForged,
    policyDomain,
  })
}

function inOrder<T extends MxHost>(hosts: readonly T[]): T[] {
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

/** Whether a policy demands anything; mode `none` does not (RFC 8461 §5). */
function hasPolicy(lookup: PolicyLookup): lookup is FoundPolicy {
  return lookup.status === 'found' && lookup.policy.mode !== 'none'
}

/**
 * Whether an unexpired policy is cached, or a store that did not answer may hold one. Forged DNS
 * answers must not bounce mail then.
 */
function isProtected(lookup: PolicyLookup): boolean {
  return lookup.status === 'found' || lookup.storeFailed === true
}

type Demands = Pick<PlanOptions, 'minimumSecurity' | 'demand' | 'reportOnly'>

/** Whether an MX host outside the policy is excluded; under mode `testing` it is not. */
function isBinding(
  lookup: PolicyLookup,
  { demand, reportOnly }: Omit<Demands, 'minimumSecurity'>,
): lookup is FoundPolicy {
  if (!hasPolicy(lookup) || demand === 'optional') return false
  return demand === 'require' || (lookup.policy.mode === 'enforce' && !reportOnly)
}

function unusable(
  mxHost: string,
  reason: FailureReason,
  details: { address?: string; cause?: unknown } = {},
): TlsFailure {
  return { resultType: 'validation-failure', reason, mxHost, ...details }
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

/** Creates the candidate for a host with known addresses. */
export function candidate(
  host: MxHost & { addresses: readonly string[] },
  security: Security,
  options: Pick<PlanOptions, 'roots' | 'port' | 'judgeDane'>,
): Candidate {
  const { mxHost } = host
  return {
    ...host,
    port: options.port,
    security,
    tls: tlsOptions(mxHost, security, options.roots),
    verify(socket) {
      const { refusal, audited } = assess(socket, mxHost, security, options.judgeDane)
      const failure = refusal ?? audited
      return failure && { ...failure, mxHost }
    },
  }
}

/**
 * Throws for a domain that does not exist. Without a policy this is permanent, as in every sender.
 * Under a policy it is temporary: forged DNS answers must not bounce mail.
 */
function requireExistence(
  policyDomain: string,
  lookup: PolicyLookup,
  refused: readonly TlsFailure[],
): void {
  const nxdomain = refused.every(
    ({ mxHost, reason }) => mxHost === policyDomain && reason === 'nxdomain',
  )
  if (!nxdomain || isProtected(lookup)) return
  throw new RoutingError(
    `The domain ${escapeRemoteText(policyDomain)} does not exist. Check the recipient's address.`,
    { code: 'EDNS', permanent: true, policyDomain },
  )
}

/**
 * The MX hosts: their order, whether the policy names them, and, with `--connect`, what each of
 * them proves.
 *
 * @module
 */

import type { Dane, DaneDemand } from '../../dane/dane.js'
import { candidate } from '../../delivery/candidate.js'
import { parseDestination } from '../../delivery/destination.js'
import { RoutingError } from '../../delivery/errors.js'
import { HostLookups } from '../../delivery/host-lookups.js'
import { type DeliveryPlan, planDelivery } from '../../delivery/plan.js'
import { lookupAddresses } from '../../dns/addresses.js'
import { toALabels } from '../../dns/domain-name.js'
import { ask } from '../../dns/resolver.js'
import type { Settings } from '../../options.js'
import type { PolicyLookup } from '../../policy/lookup.js'
import { matchesMx } from '../../policy/mx-pattern.js'
import type { TlsFailure } from '../../tls/failures.js'
import type { Security } from '../../tls/security.js'
import { type DaneInspection, inspectDane } from './dane.js'
import type { DaneCheck, MxCheck, MxHostCheck, MxSession } from './findings.js'
import { outcomeByDane, outcomeUnderEnforce } from './outcome.js'
import { causeOf, problemOf } from './problem.js'
import type { Sessions } from './sessions.js'

export interface MxOptions {
  settings: Settings
  /** Asks for the CNAME of a host, where the resolver can */
  resolveCname(host: string): Promise<string[]>
  /** undefined: the hosts are not connected to */
  sessions: Sessions | undefined
  /** undefined: TLSA records are not asked for */
  dane: Dane | undefined
  signal: AbortSignal | undefined
}

interface MxRecord {
  host: string
  preference: number
}

/** The number of MX hosts that a sender tries. */
const MAX_MX_HOSTS = 20

export async function checkMx(
  policyDomain: string,
  lookup: PolicyLookup,
  options: MxOptions,
): Promise<MxCheck> {
  const { settings } = options
  const [records, plan] = await Promise.all([
    lookupRecords(policyDomain, settings),
    planFor(policyDomain, lookup, settings),
  ])
  if (plan instanceof RoutingError) {
    return { status: statusOf(plan), problem: causeOf(plan.cause), hosts: [] }
  }
  const hosts = await Promise.all(
    records.hosts.map((record) => checkHost(record, { lookup, plan, options })),
  )
  return { status: records.implicit ? 'implicit' : 'found', problem: null, hosts }
}

function statusOf({ code, permanent }: RoutingError): MxCheck['status'] {
  if (code === 'ENULLMX') return 'null-mx'
  return permanent ? 'no-domain' : 'unknown'
}

async function planFor(
  policyDomain: string,
  lookup: PolicyLookup,
  settings: Settings,
): Promise<DeliveryPlan | RoutingError> {
  const lookups = new HostLookups(settings)
  try {
    const destination = parseDestination(policyDomain)
    const mxHosts = lookups.mx(policyDomain, settings.dane !== undefined)
    const options = { ...settings, lookups, demand: 'policy' as const }
    return await planDelivery({ destination, lookup, mxHosts }, options)
  } catch (error) {
    if (error instanceof RoutingError) return error
    throw error
  }
}

/** Looks up the MX records, in an order that is always the same; a sender shuffles equals. */
async function lookupRecords(
  policyDomain: string,
  { resolver, dnsTimeout }: Settings,
): Promise<{ implicit: boolean; hosts: MxRecord[] }> {
  const answer = await ask(() => resolver.resolveMx(policyDomain), dnsTimeout)
  if (answer.kind !== 'found') {
    return { implicit: true, hosts: [{ host: policyDomain, preference: 0 }] }
  }
  const sorted = answer.records
    .map(({ exchange, priority }) => ({
      host: toALabels(exchange) ?? exchange,
      preference: priority,
    }))
    .sort((a, b) => a.preference - b.preference || (a.host < b.host ? -1 : 1))
  const seen = new Set<string>()
  const hosts = sorted.filter(({ host }) => !seen.has(host) && seen.add(host))
  return { implicit: false, hosts: hosts.slice(0, MAX_MX_HOSTS) }
}

async function checkHost(
  { host, preference }: MxRecord,
  context: { lookup: PolicyLookup; plan: DeliveryPlan; options: MxOptions },
): Promise<MxHostCheck> {
  const { lookup, plan, options } = context
  const { settings } = options
  const found =
    toALabels(host) === undefined
      ? { addresses: [], blocked: [] }
      : await lookupAddresses(host, settings)
  const failure = objection(host, plan)
  const cname = toALabels(host) === undefined ? null : await cnameOf(host, options)
  const facts = {
    host,
    cname,
    preference,
    inPolicy: isNamed(host, lookup),
    addresses: found.addresses,
    blocked: found.blocked,
    problem:
      failure === undefined ? null : problemOf(failure, { certificate: null, now: settings.now() }),
  }
  const inspected =
    options.dane === undefined || toALabels(host) === undefined
      ? undefined
      : await inspectDane(options.dane, { domain: plan.policyDomain, host }, settings)
  const sessions = await sessionsWith(facts, options, inspected?.demand)
  const dane = inspected === undefined ? null : daneCheck(inspected, { ...facts, sessions })
  const outcome = outcomeUnderEnforce({ ...facts, dane, sessions })
  return { ...facts, dane, sessions, outcome }
}

function daneCheck(
  { check, demand }: DaneInspection,
  facts: Pick<MxHostCheck, 'problem' | 'sessions'>,
): DaneCheck {
  return { ...check, outcome: outcomeByDane(demand.kind, facts) }
}

function isNamed(host: string, lookup: PolicyLookup): boolean | null {
  if (lookup.status === 'none' || lookup.policy.mode === 'none') return null
  return matchesMx(host, lookup.policy.mx)
}

/** Returns why the plan refuses a host; single addresses that are blocked do not count. */
function objection(host: string, plan: DeliveryPlan): TlsFailure | undefined {
  const usable = plan.candidates.find(({ mxHost }) => mxHost === host)
  return usable ? usable.failure : plan.refused.find(({ mxHost }) => mxHost === host)
}

/** Resolvers follow a CNAME without a word; senders do, too (RFC 5321 §5.1 forbids it). */
async function cnameOf(
  host: string,
  { settings, resolveCname }: MxOptions,
): Promise<string | null> {
  const answer = await ask(() => resolveCname(host), settings.dnsTimeout)
  return answer.kind === 'found' ? (answer.records[0] ?? null) : null
}

const SECURITY: Security = { level: 'authenticated', proofs: [{ by: 'sts' }] }

async function sessionsWith(
  { host, preference, addresses }: Pick<MxHostCheck, 'host' | 'preference' | 'addresses'>,
  { settings, sessions, dane, signal }: MxOptions,
  demand: DaneDemand | undefined,
): Promise<MxSession[] | null> {
  if (sessions === undefined) return null
  const tried = {
    candidate: candidate({ mxHost: host, preference, addresses }, SECURITY, settings),
    dane: dane === undefined || demand === undefined ? undefined : { dane, demand },
  }
  return Promise.all(addresses.map((address) => sessions.with(tried, address, signal)))
}

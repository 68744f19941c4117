/**
 * The verdict on a domain: one sentence and an exit status.
 *
 * @module
 */

import type { PolicyMode } from '../../policy/policy-file.js'
import { EXIT, type ExitStatus } from '../context.js'
import type { CheckReport, MxHostCheck, PolicyHostCheck, Problem, Verdict } from './findings.js'
import { briefly } from './problem.js'
import { isDemanded, underDane } from './verdict-dane.js'
import { blame, byOutcome, type Judgement, names } from './verdict-parts.js'

type Findings = Pick<CheckReport, 'record' | 'policyHost' | 'policy' | 'mx'>

export interface VerdictOptions {
  /** The timeouts are shorter than a sender's own: what takes longer was not found out */
  shortened: boolean
}

const EXIT_STATUS = {
  fine: EXIT.fine,
  refused: EXIT.unprotected,
  unprotected: EXIT.unprotected,
  unknown: EXIT.unknown,
} as const

const UNPROTECTED = 'mail would be delivered without protection'
const AND_UNPROTECTED = `; ${UNPROTECTED}`

/** The verdict of a sender that has no policy of the domain cached. */
export function verdictOn(findings: Findings, options: VerdictOptions): Verdict {
  const { status, text } =
    nowhere(findings) ??
    judgeWithoutPolicy(findings, options) ??
    underPolicy(findings.policy?.mode ?? 'none', findings.mx.hosts)
  const mode = findings.record.status === 'found' ? (findings.policy?.mode ?? null) : null
  return { status, exitStatus: EXIT_STATUS[status], mode, text }
}

/** Judges a domain without a host that takes mail, or whose hosts could not be looked up. */
function nowhere({ mx, record, policy }: Findings): Judgement | undefined {
  switch (mx.status) {
    case 'null-mx': {
      // The record may be forged to get round a policy that is known
      const hasPolicy = record.status === 'found' && policy?.valid === true
      const note = hasPolicy ? '; senders that know its policy defer mail and do not return it' : ''
      return { status: 'fine', text: `the domain takes no mail (null MX record, RFC 7505)${note}` }
    }
    case 'no-domain':
      return { status: 'refused', text: 'the domain does not exist: mail would bounce' }
    case 'unknown': {
      const why = mx.problem === null ? '' : `: ${mx.problem}`
      return { status: 'unknown', text: `the MX records could not be looked up${why}` }
    }
    default:
      return mx.hosts.every(hasNoAddress)
        ? { status: 'refused', text: 'no MX host can be reached: mail would not be delivered' }
        : undefined
  }
}

const UNREACHABLE = new Set(['nxdomain', 'no-address', 'blocked-address', 'invalid-mx-host'])

/** Tells whether a host takes no mail, with or without a policy. */
function hasNoAddress({ problem }: MxHostCheck): boolean {
  return problem !== null && problem.reason !== null && UNREACHABLE.has(problem.reason)
}

/** Judges a domain without a usable policy: DANE decides where it demands something. */
function judgeWithoutPolicy(findings: Findings, options: VerdictOptions): Judgement | undefined {
  const lack = withoutPolicy(findings, options)
  if (lack === undefined) return undefined
  const { status, cause, consequence } = lack
  const { hosts } = findings.mx
  if (!isDemanded(hosts)) return { status, text: `${cause}${consequence}${unreached(hosts)}` }
  const judged = underDane(cause, hosts)
  // A policy that is not known may refuse more than DANE does
  return status === 'unknown' && judged.status !== 'refused' ? { ...judged, status } : judged
}

interface Lack {
  status: 'unprotected' | 'unknown'
  cause: string
  consequence: string
}

function withoutPolicy(
  { record, policyHost, policy }: Findings,
  options: VerdictOptions,
): Lack | undefined {
  switch (record.status) {
    case 'none':
      return { status: 'unprotected', cause: 'no policy', consequence: `: ${UNPROTECTED}` }
    case 'unknown':
      return {
        status: 'unknown',
        cause: `the TXT record is not known: ${record.problem}`,
        consequence: '; a sender that gets no answer either delivers without protection',
      }
    case 'several':
    case 'malformed':
      return {
        status: 'unprotected',
        cause: 'the TXT record cannot be used',
        consequence: `: ${UNPROTECTED}`,
      }
    case 'found':
      return policy?.valid
        ? undefined
        : brokenPolicy(policyHost, policy?.problem ?? undefined, options)
  }
}

function brokenPolicy(
  host: PolicyHostCheck | null,
  invalid: Problem | undefined,
  options: VerdictOptions,
): Lack {
  const problem = invalid ?? (host === null ? undefined : hostProblem(host))
  const why = problem === undefined ? '' : `: ${briefly(problem)}`
  if (host !== null && isUnknown(host, options)) {
    const cause = `the policy host could not be reached from here${why}`
    return { status: 'unknown', cause, consequence: '' }
  }
  const cause = `no usable policy${why}`
  return { status: 'unprotected', cause, consequence: AND_UNPROTECTED }
}

/** Returns the failure of a policy host: of an address that could be reached, if there is one. */
export function hostProblem({ problem, addresses }: PolicyHostCheck): Problem | undefined {
  const reached = addresses.find((one) => one.problem !== null && !one.noRoute) ?? addresses[0]
  return problem ?? reached?.problem ?? undefined
}

/** Tells whether it is our own network, name server or timeout that is in the way. */
function isUnknown(
  { problem, addresses }: PolicyHostCheck,
  { shortened }: VerdictOptions,
): boolean {
  if (problem !== null) return problem.reason === 'dns-failure'
  return (
    addresses.length > 0 &&
    addresses.every(({ noRoute, timedOut }) => noRoute || (shortened && timedOut))
  )
}

export function underPolicy(
  mode: PolicyMode,
  hosts: readonly MxHostCheck[],
): Judgement & { exitStatus: ExitStatus } {
  const judgement = judge(mode, hosts)
  return { ...judgement, exitStatus: EXIT_STATUS[judgement.status] }
}

function judge(mode: PolicyMode, hosts: readonly MxHostCheck[]): Judgement {
  if (mode === 'enforce') return enforce(hosts)
  if (mode === 'testing') return testing(hosts)
  const cause = 'none: the policy asks for nothing'
  if (isDemanded(hosts)) return underDane(cause, hosts)
  return { status: 'unprotected', text: `${cause}${AND_UNPROTECTED}${unreached(hosts)}` }
}

/** Says that no MX host could be reached; nothing where one was. */
function unreached(hosts: readonly MxHostCheck[]): string {
  const { unknown } = byOutcome(hosts)
  return unknown.length < hosts.length ? '' : `; could not find out about ${names(unknown)}`
}

function testing(hosts: readonly MxHostCheck[]): Judgement {
  const { refused, unknown, untried } = byOutcome(hosts)
  const parts = [
    refused.length > 0 ? `enforce would refuse ${blame(refused)}` : '',
    unknown.length > 0 ? `could not find out about ${names(unknown)}` : '',
    untried.length > 0 ? `${names(untried)} not tried` : '',
  ].filter(Boolean)
  const rest = parts.length > 0 ? parts.join('; ') : 'enforce would refuse none'
  if (isDemanded(hosts)) return underDane('testing', hosts, rest)
  return {
    status: 'unprotected',
    text: `testing: mail would be delivered whatever fails; ${rest}`,
  }
}

function enforce(hosts: readonly MxHostCheck[]): Judgement {
  const { proved, refused, unknown, untried } = byOutcome(hosts)
  const parts = [
    proved.length > 0 ? `mail would be delivered to ${names(proved)}` : '',
    untried.length > 0 ? `not tried: ${names(untried)} (--connect tries)` : '',
    unknown.length > 0 ? `could not find out about ${names(unknown)}` : '',
    refused.length > 0 ? `a sender refuses ${blame(refused)}` : '',
  ].filter(Boolean)
  if (refused.length === hosts.length) {
    return { status: 'refused', text: `enforce: mail would not be delivered; ${parts.join('; ')}` }
  }
  const status = refused.length > 0 ? 'refused' : unknown.length > 0 ? 'unknown' : 'fine'
  return { status, text: `enforce: ${parts.join('; ')}` }
}

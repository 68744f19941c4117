/**
 * The verdict on a domain: one sentence and an exit status.
 *
 * @module
 */

import type { PolicyMode } from '../../policy/policy-file.js'
import { escapeRemoteText } from '../../text.js'
import { EXIT, type ExitStatus } from '../context.js'
import { listed } from '../layout.js'
import type { CheckReport, MxHostCheck, PolicyHostCheck, Problem, Verdict } from './findings.js'
import { briefly } from './problem.js'

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

/** The verdict of a sender that has no policy of the domain cached. */
export function verdictOn(findings: Findings, options: VerdictOptions): Verdict {
  const { status, text } =
    nowhere(findings) ??
    withoutPolicy(findings, options) ??
    underPolicy(findings.policy?.mode ?? 'none', findings.mx.hosts)
  const mode = findings.record.status === 'found' ? (findings.policy?.mode ?? null) : null
  return { status, exitStatus: EXIT_STATUS[status], mode, text }
}

type Judgement = Pick<Verdict, 'status' | 'text'>

/** There is no host that mail could be handed to, or it is not known whether there is one. */
function nowhere({ mx, record, policy }: Findings): Judgement | undefined {
  switch (mx.status) {
    case 'null-mx': {
      // Under a policy that is known, the record may be forged
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

/** Such a host takes no mail, with or without a policy. */
function hasNoAddress({ problem }: MxHostCheck): boolean {
  return problem !== null && problem.reason !== null && UNREACHABLE.has(problem.reason)
}

function withoutPolicy(
  { record, policyHost, policy }: Findings,
  options: VerdictOptions,
): Judgement | undefined {
  switch (record.status) {
    case 'none':
      return { status: 'unprotected', text: `no policy: ${UNPROTECTED}` }
    case 'unknown':
      return {
        status: 'unknown',
        text: `the TXT record is not known: ${record.problem}; a sender that gets no answer either delivers without protection`,
      }
    case 'several':
    case 'malformed':
      return { status: 'unprotected', text: `the TXT record is of no use: ${UNPROTECTED}` }
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
): Judgement {
  const problem = invalid ?? (host === null ? undefined : hostProblem(host))
  const why = problem === undefined ? '' : `: ${briefly(problem)}`
  if (host !== null && isUnknown(host, options)) {
    return { status: 'unknown', text: `the policy host could not be reached from here${why}` }
  }
  return { status: 'unprotected', text: `the policy cannot be had${why}; ${UNPROTECTED}` }
}

/** Returns the failure of a policy host: of an address that could be reached, if there is one. */
export function hostProblem({ problem, addresses }: PolicyHostCheck): Problem | undefined {
  const reached = addresses.find((one) => one.problem !== null && !one.noRoute) ?? addresses[0]
  return problem ?? reached?.problem ?? undefined
}

/** Our own network, name server or impatience is in the way. */
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

/** The MX hosts under a policy of this mode. */
export function underPolicy(
  mode: PolicyMode,
  hosts: readonly MxHostCheck[],
): Judgement & { exitStatus: ExitStatus } {
  const judgement = judge(mode, hosts)
  return { ...judgement, exitStatus: EXIT_STATUS[judgement.status] }
}

function judge(mode: PolicyMode, hosts: readonly MxHostCheck[]): Judgement {
  if (mode === 'none') {
    return { status: 'unprotected', text: `none: the policy asks for nothing; ${UNPROTECTED}` }
  }
  return mode === 'testing' ? testing(hosts) : enforce(hosts)
}

function testing(hosts: readonly MxHostCheck[]): Judgement {
  const { refused, unknown, untried } = byOutcome(hosts)
  const parts = [
    refused.length > 0 ? `enforce would refuse ${blame(refused)}` : '',
    unknown.length > 0 ? `could not find out about ${names(unknown)}` : '',
    untried.length > 0 ? `${names(untried)} not tried` : '',
  ].filter(Boolean)
  const rest = parts.length > 0 ? parts.join('; ') : 'enforce would refuse none'
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

function byOutcome(hosts: readonly MxHostCheck[]) {
  const having = (outcome: MxHostCheck['outcome']) =>
    hosts.filter((host) => host.outcome === outcome)
  return {
    proved: having('proved'),
    refused: having('refused'),
    unknown: having('unknown'),
    untried: having('not-tried'),
  }
}

function names(hosts: readonly MxHostCheck[]): string {
  return listed(hosts.map(({ host }) => escapeRemoteText(host)))
}

function blame(hosts: readonly MxHostCheck[]): string {
  const each = hosts.map((host) => {
    const problem = host.problem ?? host.sessions?.find((one) => one.problem)?.problem
    const why = problem ? `: ${briefly(problem)}` : ''
    return `${escapeRemoteText(host.host)}${why}`
  })
  return each.join('; ')
}

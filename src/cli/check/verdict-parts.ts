/**
 * Sentences about several MX hosts: the parts that verdicts are made of.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { listed } from '../layout.js'
import type { MxHostCheck, Problem, Verdict } from './findings.js'
import { isSkipped } from './outcome.js'
import { briefly } from './problem.js'

/** A verdict without its exit status. */
export type Judgement = Pick<Verdict, 'status' | 'text'>

export function byOutcome(
  hosts: readonly MxHostCheck[],
  outcomeOf: (host: MxHostCheck) => MxHostCheck['outcome'] | null = ({ outcome }) => outcome,
) {
  const having = (outcome: MxHostCheck['outcome']) =>
    hosts.filter((host) => outcomeOf(host) === outcome)
  return {
    proved: having('proved'),
    refused: having('refused'),
    unknown: having('unknown'),
    untried: having('not-tried'),
  }
}

export function names(hosts: readonly MxHostCheck[]): string {
  return listed(hosts.map(({ host }) => escapeRemoteText(host)))
}

/** Hosts, each with its problem: `mx.example: certificate-expired, 1 day ago` */
export function blame(
  hosts: readonly MxHostCheck[],
  problemOf: (host: MxHostCheck) => Problem | undefined = problemUnderEnforce,
): string {
  const each = hosts.map((host) => {
    const problem = problemOf(host)
    const why = problem ? `: ${briefly(problem)}` : ''
    return `${escapeRemoteText(host.host)}${why}`
  })
  return each.join('; ')
}

/** Returns the problem on account of which a sender refuses a host under mode `enforce`. */
export function problemUnderEnforce(host: MxHostCheck): Problem | undefined {
  const { problem, dane, sessions } = host
  const skipped = isSkipped(host) ? dane?.problem : null
  const ofSession = sessions?.find((one) => one.problem)?.problem
  return problem ?? skipped ?? ofSession ?? undefined
}

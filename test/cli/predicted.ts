/**
 * The course of a delivery as a report of `check` predicts it: the hosts in the order of
 * preference, each with the problems that the report shows, until one takes the message.
 */
import type {
  CachedVerdict,
  CheckReport,
  MxHostCheck,
  MxSession,
  Problem,
  Verdict,
} from '../../src/cli/check/findings.js'
import { matchesMx } from '../../src/policy/mx-pattern.js'
import type { PolicyMode } from '../../src/policy/policy-file.js'

/** The end of a delivery, and the failures that a sender records on the way. */
export interface Outcome {
  /** `reached`: a host that proved what it had to was given MAIL */
  outcome: 'reached' | 'refused' | 'deferred' | 'bounced'
  /** The host that was given MAIL */
  host: string | undefined
  /** Of the MX hosts, sorted: `mx.example certificate-expired` */
  failures: string[]
  /** Of the policy: `sts-policy-fetch-error timeout` */
  policyFailure: string | undefined
}

export interface Prediction extends Outcome {
  status: Verdict['status']
  text: string
}

/**
 * With a store, the outcome for a sender that has its policy cached; else for one that has none.
 *
 * @param stores the `mx` patterns of the policy in the store
 */
export function predictedBy(report: CheckReport, stores: readonly string[] = []): Prediction {
  const { cached, verdict, policy, mx } = report
  // Another id leads a sender to the present policy, if that can be had
  const isSuperseded = report.record.status === 'found' && report.record.id !== cached?.id
  const goesBy = cached?.source === 'store' && !(isSuperseded && policy?.valid)
  const stored = goesBy ? cached : undefined
  const { status, mode, text } = stored ?? verdict
  const policyFailure = stored ? reportedBy(stored) : policyProblem(report)
  const nowhere = { status, text, host: undefined, failures: [], policyFailure }
  // While a policy is known, a null MX may be forged
  const known = stored !== undefined || (report.record.status === 'found' && policy?.valid)
  if (mx.status === 'null-mx') return { ...nowhere, outcome: known ? 'deferred' : 'bounced' }
  if (mx.status === 'no-domain') return { ...nowhere, outcome: 'bounced' }
  if (mx.status === 'unknown') return { ...nowhere, outcome: 'deferred' }
  const hosts = stored ? mx.hosts.map((host) => under(stores, host)) : mx.hosts
  return { status, text, ...through(hosts, mode), policyFailure }
}

/** A store's policy may name other hosts than the present one. */
function under(patterns: readonly string[], host: MxHostCheck): MxHostCheck {
  const isOther = host.problem !== null && host.problem.reason !== 'mx-mismatch'
  if (isOther) return host
  return { ...host, problem: matchesMx(host.host, patterns) ? null : MISMATCH }
}

const MISMATCH: Problem = { resultType: 'validation-failure', reason: 'mx-mismatch', detail: null }

function through(hosts: readonly MxHostCheck[], mode: PolicyMode | null) {
  const failures: string[] = []
  let refusals = 0
  let reached: string | undefined
  const candidates = hosts.filter((host) => {
    const refused = refusedByPlan(host, mode)
    failures.push(...refused.map((problem) => named(problem, host)))
    const isCandidate = refused.length === 0 || (host.problem === null && !isSkipped(host))
    if (!isCandidate && refused.some(isRefusal)) refusals++
    return isCandidate
  })
  for (const host of candidates) {
    if (reached !== undefined) break
    const noted = notedOn(host, mode)
    if (noted !== undefined) failures.push(named(noted, host))
    const end = throughAddresses(host, mode)
    const faults = end.failures.filter((fault) => isRecorded(fault, host, mode))
    failures.push(...faults.map((fault) => named(fault, host)))
    if (end.reached) reached = host.host
    else if (end.failures.length > 0) refusals++
  }
  const outcome: Outcome['outcome'] =
    reached !== undefined ? 'reached' : refusals > 0 ? 'refused' : 'deferred'
  return { outcome, host: reached, failures: failures.sort() }
}

/** The problems of a host that is not connected to, and of its addresses that are not. */
function refusedByPlan(host: MxHostCheck, mode: PolicyMode | null): Problem[] {
  const { problem, blocked, dane } = host
  const byBlocked = blocked.map(() => BLOCKED)
  if (problem !== null && (mode === 'enforce' || problem.reason !== 'mx-mismatch')) {
    return problem.reason === 'blocked-address' ? byBlocked : [problem]
  }
  return isSkipped(host) && dane?.problem ? [...byBlocked, dane.problem] : byBlocked
}

const BLOCKED: Problem = {
  resultType: 'validation-failure',
  reason: 'blocked-address',
  detail: null,
}

function isSkipped({ dane }: MxHostCheck): boolean {
  return dane?.outcome === 'refused' && dane.records === 0 && dane.problem !== null
}

/** A host that could not be looked up was not refused: it is tried again. */
function isRefusal({ resultType, reason }: Problem): boolean {
  return reason === 'mx-mismatch' || resultType === 'dnssec-invalid'
}

/** The problem that is recorded of a host that is tried all the same. */
function notedOn({ problem, dane }: MxHostCheck, mode: PolicyMode | null): Problem | undefined {
  if (mode === 'testing' && problem?.reason === 'mx-mismatch') return problem
  return dane?.problem ?? undefined
}

/** A sender takes the first address that proves what it must. */
function throughAddresses(host: MxHostCheck, mode: PolicyMode | null) {
  const failures: Problem[] = []
  for (const session of host.sessions ?? []) {
    const { stops, problem } = judged(session, mode)
    if (problem !== null) failures.push(problem)
    if (!stops && session.error === null) return { reached: true, failures }
  }
  return { reached: false, failures }
}

function judged({ problem, daneProblem }: MxSession, mode: PolicyMode | null) {
  if (mode === 'enforce') return { stops: problem !== null, problem }
  return { stops: daneProblem !== null, problem: daneProblem ?? problem }
}

/** Without a policy that asks for something, a sender records only the failures of DANE. */
function isRecorded(fault: Problem, { sessions }: MxHostCheck, mode: PolicyMode | null): boolean {
  if (mode === 'enforce' || mode === 'testing') return true
  return (sessions ?? []).some(({ daneProblem }) => daneProblem === fault)
}

function named(problem: Problem, { host }: MxHostCheck): string {
  return `${host} ${words(problem)}`
}

const words = ({ resultType, reason }: { resultType: string | null; reason: string | null }) =>
  [resultType, reason].filter(Boolean).join(' ')

function policyProblem({ record, policyHost }: CheckReport): string | undefined {
  if (record.resultType !== null) return words(record)
  if (record.status !== 'found') return undefined
  const problem = policyHost?.problem ?? policyHost?.addresses[0]?.problem
  return problem ? words(problem) : undefined
}

function reportedBy({ problem }: CachedVerdict): string | undefined {
  return problem ? words(problem) : undefined
}

/** Returns what is wrong with a verdict in view of the outcome; empty: it says the same. */
export function contradictions({ status, text }: Prediction, sent: Outcome): string[] {
  const wrong: string[] = []
  const says = (what: string) => wrong.push(`verdict ${status}, and mail is ${what}`)
  const nullMx = sent.host === undefined && sent.failures.length === 0
  if (status === 'fine' && sent.outcome !== 'reached' && !nullMx) says(sent.outcome)
  const isOpen = sent.outcome === 'deferred' && text.includes('could not find out about')
  if (status === 'unprotected' && sent.outcome !== 'reached' && !isOpen) says(sent.outcome)
  if (sent.outcome === 'refused' && status !== 'refused') says('refused')
  if (status === 'refused' && sent.outcome === 'reached' && sent.failures.length === 0) {
    says('delivered, and nothing has failed')
  }
  return wrong
}

/**
 * The outcome of an attempt to deliver to an MX host: under mode `enforce`, and by DANE alone.
 *
 * @module
 */
import type { DaneDemand } from '../../dane/dane.js'
import type { MxHostCheck, Problem } from './findings.js'

type Looked = Pick<MxHostCheck, 'problem' | 'sessions'>

/** Returns the outcome under mode `enforce`. */
export function outcomeUnderEnforce(host: Looked & Pick<MxHostCheck, 'dane'>): Outcome {
  const outcome = outcomeOf(host)
  // A sender with DANE does not use the host while its lookups fail
  return isSkipped(host) && outcome !== 'refused' ? 'refused' : outcome
}

type Outcome = MxHostCheck['outcome']

/** @param sessions null: the host was not connected to */
function outcomeOf({ problem, sessions }: Looked): Outcome {
  if (problem !== null) return problem.reason === 'dns-failure' ? 'unknown' : 'refused'
  if (sessions === null) return 'not-tried'
  // A sender goes on to the next address of a host
  if (sessions.some((session) => session.problem === null && session.error === null)) {
    return 'proved'
  }
  return sessions.some((session) => session.problem !== null) ? 'refused' : 'unknown'
}

/** Tells whether a sender with DANE must not use the host now (RFC 7672 §2.1). */
export function isSkipped({ dane }: Pick<MxHostCheck, 'dane'>): boolean {
  return dane?.outcome === 'refused' && dane.problem !== null && dane.records === 0
}

/** Returns the outcome where DANE alone decides (RFC 7672 §2.2); null: it demands nothing. */
export function outcomeByDane(
  demand: DaneDemand['kind'],
  { problem, sessions }: Looked,
): Outcome | null {
  if (demand === 'none') return null
  if (demand === 'skip') return 'refused'
  const judged = sessions?.map((one) => ({ ...one, problem: one.daneProblem })) ?? null
  return outcomeOf({ problem: isOfPolicy(problem) ? null : problem, sessions: judged })
}

/** Tells whether a policy refuses a host by its name. */
export function isOfPolicy(problem: Problem | null): boolean {
  return problem?.reason === 'mx-mismatch'
}

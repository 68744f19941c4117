/**
 * What a sender does with an MX host under mode `enforce`.
 *
 * @module
 */
import type { MxHostCheck, MxSession } from './findings.js'

/** @param sessions null: the host was not connected to */
export function outcomeOf(
  problem: MxHostCheck['problem'],
  sessions: readonly MxSession[] | null,
): MxHostCheck['outcome'] {
  if (problem !== null) return problem.reason === 'dns-failure' ? 'unknown' : 'refused'
  if (sessions === null) return 'not-tried'
  // A sender goes on to the next address of a host
  if (sessions.some((session) => session.problem === null && session.error === null)) {
    return 'proved'
  }
  return sessions.some((session) => session.problem !== null) ? 'refused' : 'unknown'
}

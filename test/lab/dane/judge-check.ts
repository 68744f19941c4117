/**
 * Compares the result of `check --dane` for a domain with the outcome of a message.
 *
 * @module
 */
import type { CheckReport } from '../../../src/cli/check/findings.js'
import { predictedBy } from '../../cli/predicted.js'
import { differences } from '../judge-check.js'
import type { SendReply } from '../sender.js'
import type { DaneOutcome } from './domains.js'

/** @param got the outcome of the message */
export function judgeCheck(
  report: CheckReport | undefined,
  reply: SendReply,
  got: DaneOutcome,
): string[] {
  if (report === undefined) return ['check --dane printed no report']
  const predicted = predictedBy(report)
  // Without DANE a sender records what it lets pass, and check says nothing of it
  const isSilent = got === 'opportunistic' && predicted.failures.length === 0
  const wrong = differences(predicted, reply, ['outcome', 'host', ...(isSilent ? [] : FAILURES)])
  const proof = predicted.outcome === 'reached' ? proofOf(report, predicted.host) : got
  if (proof !== got) wrong.push(`check --dane predicted ${proof}; it is ${got}`)
  return wrong
}

const FAILURES = ['failures'] as const

/** Returns what the host that takes the message has proved. */
function proofOf({ mx }: CheckReport, name: string | undefined): DaneOutcome {
  const { dane, sessions } = mx.hosts.find(({ host }) => host === name) ?? {}
  if (dane?.problem?.reason === 'tlsa-unusable') return 'tls'
  const matches = sessions?.some(({ tlsaMatches }) => tlsaMatches === true)
  return dane?.outcome === 'proved' && matches ? 'dane' : 'opportunistic'
}

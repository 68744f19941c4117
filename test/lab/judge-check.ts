/**
 * Compares the result of `check` for a domain with the outcome of a message.
 *
 * @module
 */
import type { CheckReport } from '../../src/cli/check/findings.js'
import { PolicySyntaxError } from '../../src/errors.js'
import { parsePolicy } from '../../src/policy/policy-file.js'
import { type Outcome, predictedBy } from '../cli/predicted.js'
import type { Sent } from './judge.js'
import { nameOf, type PlacedDomain } from './placement.js'
import type { SendReply } from './sender.js'

export function judgeCheck(
  report: CheckReport | undefined,
  sent: Sent,
  domain: PlacedDomain,
): string[] {
  const { spec, hosts } = domain
  // A smart host has no MX record, and the reply to RCPT is not known before
  if (spec.smartHostFor !== undefined || hosts.some(({ reply }) => reply !== undefined)) return []
  if (report === undefined) return ['check printed no report']
  const predicted = predictedBy(report, patternsOf(domain))
  const what: Array<keyof Outcome> = ['outcome', 'host']
  // The sender also records failures without a policy, and after a new id, under the old policy
  const isSilent = predicted.failures.length === 0 && spec.policy?.mode !== 'enforce'
  const isWarm = report.cached?.source === 'store'
  if (!isSilent && !isWarm) what.push('failures')
  if (!isWarm && sent.reply.deliveries.length > 0) what.push('policyFailure')
  return differences(predicted, sent.reply, what)
}

/** Compares these parts of a prediction with what the sender reports. */
export function differences(
  predicted: Outcome,
  reply: SendReply,
  what: ReadonlyArray<keyof Outcome>,
): string[] {
  const got = outcomeOf(reply)
  return what.flatMap((part) => {
    const [said, is] = [String(predicted[part]), String(got[part])]
    return said === is ? [] : [`check predicted ${part}: ${said}; it is: ${is}`]
  })
}

/** Returns the patterns of the domain's policy; none where no sender can read it. */
function patternsOf({ spec, name }: PlacedDomain): readonly string[] {
  const { body, mx = [] } = spec.policy ?? {}
  if (!body) return mx.map((label) => nameOf(label, name))
  try {
    return parsePolicy(body).mx
  } catch (error) {
    if (error instanceof PolicySyntaxError) return []
    throw error
  }
}

function outcomeOf({ deliveries, error }: SendReply): Outcome {
  const [delivery] = deliveries
  const words = (one: { resultType: string; reason?: string; mxHost?: string }) =>
    [one.mxHost, one.resultType, one.reason].filter(Boolean).join(' ')
  const ends = {
    delivered: 'reached',
    refused: 'refused',
    failed: error?.permanent === true ? 'bounced' : 'deferred',
  } as const
  const outcome = ends[delivery?.status ?? 'failed']
  const { policyFailure } = delivery ?? {}
  return {
    outcome,
    host: outcome === 'reached' ? delivery?.mxHost : undefined,
    failures: (delivery?.failures ?? []).map(words).sort(),
    policyFailure: policyFailure && words(policyFailure),
  }
}

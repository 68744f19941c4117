/**
 * The control flow of RFC 8461 §5.1: makes a plan, tries its candidates, and looks for a new policy of
 * the domain before it refuses a delivery.
 *
 * @module
 */
import { unlessAborted } from '../net/deadline.js'
import type { PolicyLookup } from '../policy/lookup.js'
import { isFinalError } from '../smtp/error-meaning.js'
import { escapeRemoteText } from '../text.js'
import type { Attempt } from './attempt.js'
import { CandidateLoop, type CandidateSteps, isMismatch } from './candidate-loop.js'
import { DeliveryRefusedError, PolicyChangedError, RoutingError } from './errors.js'
import type { DeliveryPlan } from './plan.js'
import type { DeliveryRecord } from './record.js'

/** The steps of a delivery that the caller carries out. */
export interface DeliverySteps extends CandidateSteps {
  plan(): Promise<DeliveryPlan>
  /**
   * Looks the TXT record up again; with `mismatch`, also fetches the policy file, whatever the id
   */
  lookAgain(options: { mismatch: boolean }): Promise<PolicyLookup>
}

/**
 * Maximum number of plans in one delivery: a policy that changes more often ends it, temporarily.
 */
const MAX_PLANS = 5

/**
 * Delivers to the first candidate whose attempt succeeds.
 *
 * @throws DeliveryRefusedError when a host was refused and no other accepted the message
 * @throws RoutingError when there is no host to deliver to
 * @throws the attempt's error, when it was final or nothing else is left
 * @throws the signal's reason when it is aborted
 */
export async function deliver<T>(
  steps: DeliverySteps,
  record: DeliveryRecord,
  attempt: Attempt<T>,
): Promise<T> {
  try {
    const value = await throughPlans(steps, record, attempt)
    record.succeed()
    return value
  } catch (error) {
    record.fail(error)
    throw error
  }
}

/** Makes plans until one has a result: delivered, refused or failed. */
async function throughPlans<T>(
  steps: DeliverySteps,
  record: DeliveryRecord,
  attempt: Attempt<T>,
): Promise<T> {
  let lookedAgain = false
  for (let plans = 1; ; plans++) {
    const plan = await unlessAborted(steps.plan(), steps.signal)
    const loop = new CandidateLoop<T>(plan, steps, record)
    const end = await loop.run(attempt)
    if (end.kind === 'delivered') return end.value
    if (plans === MAX_PLANS) throw endOf(plan, record)
    if (end.kind === 'changed') continue
    if (record.refusals > 0 && !lookedAgain) {
      lookedAgain = true
      if (await hasNewPolicy(steps, plan)) continue
    }
    throw endOf(plan, record)
  }
}

/** Whether the domain has published a new policy that could be fetched (RFC 8461 §5.1). */
async function hasNewPolicy(steps: DeliverySteps, plan: DeliveryPlan): Promise<boolean> {
  const { lookup } = plan
  if (lookup.status === 'none') return false
  // The file may have changed under the same id, unless it was just fetched
  const mismatch = lookup.source === 'cache' && plan.refused.some(isMismatch)
  const again = await unlessAborted(steps.lookAgain({ mismatch }), steps.signal)
  return again.status === 'found' && (again.id !== lookup.id || again.body !== lookup.body)
}

/** Returns the error of a delivery that no candidate accepted. */
function endOf({ policyDomain, candidates }: DeliveryPlan, record: DeliveryRecord): unknown {
  const { lookup, refusals, errors } = record
  const failures = [...record.failures]
  if (refusals > 0) {
    const found = lookup.status === 'found' ? lookup : undefined
    return new DeliveryRefusedError({
      policyDomain,
      mode: found?.policy.mode ?? 'none',
      policyId: found?.id,
      failures,
      dane: candidates.some(
        ({ security }) => 'proofs' in security && security.proofs.some(({ by }) => by === 'dane'),
      ),
      cause: errors.at(-1) ?? failures.at(-1)?.cause,
    })
  }
  // A temporary error takes precedence over a final one
  if (errors.length > 0) return errors.findLast((error) => !isFinalError(error)) ?? errors.at(-1)
  if (failures.length === 0) return new PolicyChangedError(policyDomain)
  const why = failures.map(({ mxHost = '', reason }) => `${escapeRemoteText(mxHost)}: ${reason}`)
  return new RoutingError(
    `No MX host of ${policyDomain} can be contacted (${why.join('; ')}). Try again later.`,
    { code: 'EDNS', permanent: false, policyDomain, cause: failures.at(-1)?.cause },
  )
}

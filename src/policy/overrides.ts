/**
 * The operator's overrides: Policy Domains that are exempt, or whose policy is pinned.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import { checkKnown, configError, namesOf, optionError } from '../option-checks.js'
import { escapeRemoteText, textOfThrown } from '../text.js'
import { formatPolicy, type Policy } from './policy-file.js'

/** By Policy Domain, in A-labels and lower case. */
export type Overrides = ReadonlyMap<string, 'off' | Policy>

/** @throws TypeError that names the option `overrides` */
export function checkedOverrides(value: Record<string, 'off' | Policy> | undefined): Overrides {
  const map = new Map<string, 'off' | Policy>()
  if (value === undefined) return map
  // The entries of a Map would be passed over
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) {
    throw optionError('overrides', 'must be an object with a key for each Policy Domain', value)
  }
  for (const [domain, override] of Object.entries(value)) {
    const policyDomain = toALabels(domain)
    if (policyDomain === undefined) {
      throw optionError('overrides', 'must have domain names for its keys', domain)
    }
    if (override !== 'off') checkPinned(domain, override)
    map.set(policyDomain, override)
  }
  return map
}

const POLICY_FIELDS = namesOf<keyof Policy>({
  version: true,
  mode: true,
  mx: true,
  maxAge: true,
  extensions: true,
})

function checkPinned(domain: string, policy: unknown): asserts policy is Policy {
  const must = `must have 'off' or a policy for ${escapeRemoteText(domain)}`
  if (typeof policy !== 'object' || policy === null) throw optionError('overrides', must, policy)
  checkKnown(policy, POLICY_FIELDS, { call: `the policy for ${escapeRemoteText(domain)}` })
  try {
    formatPolicy(policy as Policy)
  } catch (cause) {
    throw configError(`The option "overrides" ${must}: ${textOfThrown(cause)}`, cause)
  }
}

/**
 * Advice on what the policy says.
 *
 * @module
 */
import { escapeRemoteText } from '../../../text.js'
import { explainPattern, oddPatterns } from '../../patterns.js'
import { day, span } from '../../time.js'
import { lastCachedUntil } from '../cached.js'
import { latestTimeOf } from '../id-time.js'
import type { AdviceContext, Finding, Findings } from './finding.js'

export function onPolicy(findings: Findings, context: AdviceContext): Finding[] {
  const { policy } = findings
  if (policy === null || !policy.valid) return []
  return [
    ...onMode(findings, context),
    ...onMaxAge(findings),
    ...onId(findings, context),
    ...onIdField(findings),
    ...onPatterns(findings),
  ]
}

function onMode({ record, policy }: Findings, { now, assessment }: AdviceContext): Finding[] {
  const until = day(new Date(lastCachedUntil(policy, now)))
  if (record.status === 'none') {
    return policy?.mode === 'none' ? [] : [{ code: 'record-gone-policy-cached', facts: { until } }]
  }
  if (policy?.mode === 'none') return [{ code: 'mode-none', facts: { until } }]
  if (record.status !== 'found' || policy?.mode !== 'testing') return []
  if (assessment?.answer === 'ready') {
    return [{ code: 'mode-testing-ready', facts: { detail: assessment.text } }]
  }
  const seen = assessment === undefined ? '' : ` (now: ${assessment.text})`
  const detail = `when the TLS reports of other senders show no failures${seen}`
  return [{ code: 'mode-testing', facts: { detail } }]
}

const DAY_IN_SECONDS = 86_400

/** Exactly a day is what a third of all policies have. */
function onMaxAge({ policy }: Findings): Finding[] {
  const seconds = policy?.maxAge ?? null
  if (seconds === null || seconds > DAY_IN_SECONDS || policy?.mode === 'none') return []
  if (seconds === 0) return [{ code: 'max-age-zero' }]
  const facts = { value: String(seconds), detail: span(seconds * 1000) }
  return [{ code: 'max-age-short', facts }]
}

/** A policy that was changed under its old id: seen in a store, or guessed from the file's date. */
function onId(
  { record, policyHost: check }: Findings,
  { now, cachedDiffers }: AdviceContext,
): Finding[] {
  const { id } = record
  if (id === null) return []
  const rule = 'senders that know a policy fetch it anew at once only for another id'
  if (cachedDiffers) {
    const detail = `The policy has changed, but its id is still ${id}: change the id, for ${rule}.`
    return [{ code: 'id-not-changed', facts: { detail } }]
  }
  const latest = latestTimeOf(id, now)
  const modified = check?.addresses.find(({ lastModified }) => lastModified !== null)?.lastModified
  if (latest === undefined || !modified || Date.parse(modified) <= latest) return []
  const detail = `The policy file is of ${day(new Date(modified))}, later than the id ${id}: if the policy was changed then, change the id too, for ${rule}.`
  return [{ code: 'id-not-changed', facts: { detail } }]
}

function onIdField({ policy }: Findings): Finding[] {
  const line = policy?.lines.find(({ text }) => /^\s*id\s*:/i.test(text))
  if (line === undefined) return []
  const value = escapeRemoteText(line.text.replace(/^[^:]*:\s*/, ''))
  return [{ code: 'policy-id-field', facts: { value } }]
}

const MAX_PATTERNS = 5

function onPatterns({ policy, mx }: Findings): Finding[] {
  if (policy === null || policy.mode === 'none') return []
  if (mx.status !== 'found' && mx.status !== 'implicit') return []
  const odd = oddPatterns(
    policy.mx,
    mx.hosts.map(({ host }) => host),
  )
  return odd.slice(0, MAX_PATTERNS).map((pattern) => ({
    code: 'pattern-unmatched',
    facts: { value: pattern.pattern, detail: explainPattern(pattern) },
  }))
}

/**
 * Names of things in reports, in words that every output uses.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import type { Answer, FailureGroup, PolicyAssessment } from '../../tlsrpt/assess-types.js'
import type { Mark } from '../layout.js'

export const ANSWER_MARKS: Readonly<Record<Answer, Mark>> = {
  ready: 'good',
  'not-yet': 'unknown',
  'would-defer': 'bad',
}

export const WEIGHT_MARKS: Readonly<Record<FailureGroup['weight'], Mark>> = {
  refused: 'bad',
  dane: 'warning',
  'not-refused': 'warning',
}

export const WEIGHT_WORDS: Readonly<Record<FailureGroup['weight'], string>> = {
  refused: 'Mode enforce refuses this',
  dane: 'Senders with DANE refuse this, whatever the mode',
  'not-refused': 'Mode enforce lets this pass',
}

/** `sts testing`, `tlsa`, `no policy` */
export function policyName(policyType: string, mode?: string): string {
  if (policyType === 'no-policy-found') return 'no policy'
  const known = mode === undefined || mode === 'unknown' ? '' : ` ${mode}`
  return escapeRemoteText(`${policyType}${known}`)
}

export function nameOf({ policyType, modes }: PolicyAssessment): string {
  return policyName(policyType, modes[0]?.mode)
}

export function domainName(domain: string): string {
  return escapeRemoteText(domain) || '(no domain)'
}

/** `certificate-expired (reason)` */
export function kindOf({
  resultType,
  reason,
}: Pick<FailureGroup, 'resultType' | 'reason'>): string {
  return escapeRemoteText(resultType) + (reason ? ` (${escapeRemoteText(reason)})` : '')
}

/** `2026-08-01`, or `2026-08-01 to 2026-08-30` */
export function span({ first, last }: { first: string; last: string }): string {
  return first === last ? first : `${first} to ${last}`
}

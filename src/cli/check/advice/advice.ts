/**
 * Advice on the faults of a domain: finders find them, and one table has the urgency and the text of
 * each.
 *
 * @module
 */
import type { Advice } from '../findings.js'
import type { AdviceContext, Finding, Findings } from './finding.js'
import { onMx } from './mx.js'
import { onPolicy } from './policy.js'
import { onPolicyHost } from './policy-host.js'
import { onRecord } from './record.js'
import type { Urgency } from './row.js'
import { RANK, rowOf } from './table.js'

const FINDERS = [onRecord, onPolicyHost, onMx, onPolicy, onTlsRpt]

const URGENCIES: readonly Urgency[] = ['now', 'soon', 'later']

/** Returns advice, the most urgent first. */
export function adviceOn(findings: Findings, context: AdviceContext): Advice[] {
  // A domain that takes no mail has nothing to protect
  if (findings.mx.status === 'null-mx' || findings.mx.status === 'no-domain') return []
  return FINDERS.flatMap((find) => find(findings, context))
    .map((finding) => toAdvice(finding, findings))
    .sort((a, b) => order(a) - order(b))
}

function toAdvice(finding: Finding, findings: Findings): Advice {
  const { code, host, fault } = finding
  const row = rowOf(code)
  const facts = {
    domain: findings.domain,
    host: host ?? findings.domain,
    value: '',
    detail: '',
    until: '',
    ...finding.facts,
  }
  return {
    code,
    urgency: row.urgency === 'now' && code.startsWith('mx-') ? mxUrgency(findings) : row.urgency,
    host: host ?? null,
    resultType: fault?.resultType ?? row.resultType ?? null,
    reason: fault?.reason ?? null,
    text: row.text(facts),
  }
}

/** Faults of MX hosts stop mail only under enforce. */
function mxUrgency({ record, policy }: Findings): Urgency {
  if (record.status !== 'found' || policy === null || policy.mode === 'none') return 'later'
  return policy.mode === 'enforce' ? 'now' : 'soon'
}

function order({ code, urgency }: Advice): number {
  return URGENCIES.indexOf(urgency) * RANK.size + (RANK.get(code) ?? 0)
}

function onTlsRpt({ tlsrpt }: Findings): Finding[] {
  const { status, name: host, problem } = tlsrpt
  if (status === 'several' || status === 'malformed') {
    return [{ code: 'tlsrpt-invalid', host, facts: { detail: problem ?? '' } }]
  }
  return status === 'none' ? [{ code: 'tlsrpt-missing', host }] : []
}

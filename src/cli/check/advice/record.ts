/**
 * Advice on the TXT record.
 *
 * @module
 */
import { escapeRemoteText } from '../../../text.js'
import { isDemanded } from '../verdict-dane.js'
import type { Finding, Findings } from './finding.js'

export function onRecord(findings: Findings): Finding[] {
  const { record } = findings
  const { name: host, status, texts, problem } = record
  const fault = record
  switch (status) {
    case 'found':
      return []
    case 'unknown':
      return [{ code: 'record-unreachable', host, fault, facts: { detail: problem ?? '' } }]
    case 'several':
      return [{ code: 'record-several', host, fault, facts: { value: String(countOf(texts)) } }]
    case 'malformed':
      return [unreadable(findings, texts[0] ?? '', problem ?? '')]
    case 'none':
      return withoutRecord(findings)
  }
}

const VERSION = /^v=STSv1\s*;/

function countOf(texts: readonly string[]): number {
  return texts.filter((text) => VERSION.test(text)).length
}

/** Finds a record with a mistake in its version, which senders do not see as a record. */
function withoutRecord(findings: Findings): Finding[] {
  const { record, policy, domain, mx } = findings
  const meant = record.texts.find((text) => /v\s*=\s*["']?sts/i.test(text))
  if (meant !== undefined) {
    const detail = `it must begin with "v=STSv1;", and is ${escapeRemoteText(meant)}`
    return [unreadable(findings, meant, detail)]
  }
  if (policy === null) {
    const code = isDemanded(mx.hosts) ? 'no-policy-beside-dane' : 'no-policy'
    return [{ code, facts: { domain } }]
  }
  return [{ code: 'record-missing', host: record.name }]
}

function unreadable({ record }: Findings, text: string, problem: string): Finding {
  const { name: host } = record
  const bare = text.replace(/\\?["“”']/g, '')
  if (bare !== text && VERSION.test(bare)) {
    return { code: 'record-quotes', host, fault: record, facts: { value: escapeRemoteText(bare) } }
  }
  return { code: 'record-malformed', host, fault: record, facts: { detail: problem } }
}

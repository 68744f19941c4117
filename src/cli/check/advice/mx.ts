/**
 * Advice on the MX hosts: one for each fault of each host.
 *
 * @module
 */
import { isIP, isIPv6 } from 'node:net'
import { escapeRemoteText } from '../../../text.js'
import { listed } from '../../layout.js'
import { day, span } from '../../time.js'
import { lastCachedUntil } from '../cached.js'
import type { MxHostCheck, MxSession, Problem } from '../findings.js'
import { briefly } from '../problem.js'
import { type AdviceContext, endsSoon, type Finding, type Findings } from './finding.js'
import type { AdviceCode } from './table.js'

export function onMx(findings: Findings, context: AdviceContext): Finding[] {
  const { mx } = findings
  const missing: Finding[] = mx.status === 'implicit' ? [{ code: 'mx-missing' }] : []
  return [
    ...missing,
    ...mx.hosts.flatMap((host) => onHost(host, findings, context)),
    ...onIpv6(findings),
  ]
}

/** Finds a domain without IPv6 at any MX host; no fault while a lookup fails. */
function onIpv6({ domain, mx: { hosts } }: Findings): Finding[] {
  const isKnown = hosts.length > 0 && hosts.every(({ problem }) => !isOfDns(problem))
  if (!isKnown || hosts.some(({ addresses }) => addresses.some(isIPv6))) return []
  return [{ code: 'mx-ipv6-missing', facts: { domain } }]
}

function isOfDns(problem: Problem | null): boolean {
  return problem !== null && problem.reason !== 'mx-mismatch'
}

function onHost(check: MxHostCheck, findings: Findings, context: AdviceContext): Finding[] {
  const byName = onName(check)
  if (byName !== undefined) return [byName]
  return [
    ...onProblem(check, findings, context),
    ...onCname(check),
    ...onDane(check),
    ...onSessions(check, findings),
    ...onKey(check),
    ...onExpiry(check, findings, context),
  ]
}

/** A name that no host can have is the fault, whatever follows from it. */
function onName({ host, problem }: MxHostCheck): Finding | undefined {
  const name = escapeRemoteText(host)
  const fault = problem
  if (host === '' || host === '.') return { code: 'mx-null-beside-others', fault }
  if (isIP(host)) return { code: 'mx-is-address', host: name, fault }
  if (host.includes('_')) return { code: 'mx-underscore', host: name, fault }
  if (problem?.reason === 'invalid-mx-host') return { code: 'mx-invalid-name', host: name, fault }
  return undefined
}

const HOST_CODES: ReadonlyMap<string | null, AdviceCode> = new Map([
  ['nxdomain', 'mx-no-such-host'],
  ['no-address', 'mx-no-address'],
  ['blocked-address', 'mx-private'],
  ['dns-failure', 'mx-lookup'],
])

function onProblem(
  { host, problem, blocked }: MxHostCheck,
  { policy }: Findings,
  { now }: AdviceContext,
): Finding[] {
  if (problem === null) return []
  const name = escapeRemoteText(host)
  if (problem.reason === 'mx-mismatch') {
    const facts = {
      value: `"mx: ${name}"`,
      detail: policy?.mode === 'enforce' ? 'is delivered' : 'would be delivered under enforce',
      until: day(new Date(lastCachedUntil(policy, now))),
    }
    return [{ code: 'mx-not-in-policy', host: name, fault: problem, facts }]
  }
  const code = HOST_CODES.get(problem.reason)
  if (code === undefined) return []
  const facts = { value: listed(blocked), detail: problem.detail ?? 'no answer' }
  return [{ code, host: name, fault: problem, facts }]
}

function onCname({ host, cname }: MxHostCheck): Finding[] {
  if (cname === null) return []
  return [
    { code: 'mx-cname', host: escapeRemoteText(host), facts: { value: escapeRemoteText(cname) } },
  ]
}

function onDane({ host, dane, sessions }: MxHostCheck): Finding[] {
  if (dane === null) return []
  const name = escapeRemoteText(host)
  const facts = {
    value: tlsaName(name),
    detail: dane.problem?.detail ?? dane.problem?.reason ?? '',
  }
  if (dane.problem !== null) {
    const code = dane.records > 0 ? 'mx-dane-unusable' : 'mx-dane-lookup'
    return [{ code, host: name, fault: dane.problem, facts }]
  }
  if (dane.signed && dane.records === 0) return [{ code: 'mx-dane-missing', host: name, facts }]
  // Beside a fault that stops senders without DANE, too
  const { tlsrpt } = dane
  const unreported: Finding[] =
    tlsrpt?.status === 'none' ? [{ code: 'mx-dane-tlsrpt-missing', host: tlsrpt.name }] : []
  const hidden = (sessions ?? []).some(
    ({ tlsaMatches, problem }) => tlsaMatches === false && problem?.reason !== 'tlsa-mismatch',
  )
  return hidden ? [{ code: 'mx-dane-mismatch', host: name, facts }, ...unreported] : unreported
}

function tlsaName(host: string): string {
  return `_25._tcp.${host}`
}

function onSessions(check: MxHostCheck, findings: Findings): Finding[] {
  const sessions = (check.sessions ?? []).filter(({ noRoute }) => !noRoute)
  const failing = sessions.filter(({ problem, error }) => problem !== null || error !== null)
  const [first] = failing.filter(({ problem }) => problem !== null)
  if (failing.length === 0) return []
  const host = escapeRemoteText(check.host)
  if (failing.length < sessions.length) return onSome(host, failing)
  if (first?.problem) return [onFault(check, first.problem, findings)]
  return [{ code: 'mx-down', host, facts: { detail: failing[0]?.error ?? '' } }]
}

/** Some addresses are good, and a sender gets there. */
function onSome(host: string, failing: readonly MxSession[]): Finding[] {
  const value = listed(failing.map(({ address }) => address))
  const unreachable = failing.every(({ address, error }) => isIPv6(address) && error !== null)
  if (unreachable) return [{ code: 'mx-ipv6-unreachable', host, facts: { value } }]
  const [{ problem = null, error = null } = {}] = failing
  const detail = problem === null ? (error ?? '') : briefly(problem)
  return [{ code: 'mx-addresses-differ', host, fault: problem, facts: { value, detail } }]
}

/** NIST SP 800-131A, and the security level of OpenSSL on today's systems. */
const MIN_RSA_BITS = 2048

function onKey({ host, sessions }: MxHostCheck): Finding[] {
  const lengths = (sessions ?? []).flatMap(({ certificate }) => certificate?.rsaBits ?? [])
  const shortest = Math.min(...lengths)
  if (shortest >= MIN_RSA_BITS) return []
  const facts = { detail: `RSA, ${shortest} bits` }
  return [{ code: 'mx-weak-key', host: escapeRemoteText(host), facts }]
}

const FAULT_CODES: ReadonlyMap<string | null, AdviceCode> = new Map([
  ['certificate-host-mismatch', 'mx-certificate-name'],
  ['certificate-expired', 'mx-certificate-expired'],
  ['certificate-not-yet-valid', 'mx-certificate-not-yet-valid'],
  ['incomplete-chain', 'mx-certificate-chain'],
  ['self-signed', 'mx-certificate-self-signed'],
  ['tlsa-mismatch', 'mx-dane-mismatch'],
  ['tls-version', 'mx-tls-version'],
  ['not-offered', 'mx-without-starttls'],
  ['refused', 'mx-starttls-refused'],
  ['no-answer', 'mx-starttls-unanswered'],
  ['early-data', 'mx-plaintext-after-starttls'],
])

function onFault(check: MxHostCheck, problem: Problem, { mx }: Findings): Finding {
  const { resultType, reason, detail } = problem
  const fallback =
    resultType === 'certificate-not-trusted' ? 'mx-certificate-untrusted' : 'mx-handshake'
  const code = FAULT_CODES.get(reason) ?? FAULT_CODES.get(resultType) ?? fallback
  const first = Math.min(...mx.hosts.map(({ preference }) => preference))
  if (code === 'mx-dane-mismatch') {
    const name = escapeRemoteText(check.host)
    return { code, host: name, fault: problem, facts: { value: tlsaName(name) } }
  }
  const facts = {
    'mx-without-starttls': check.preference > first ? 'The backup MX host ' : '',
    'mx-starttls-refused': detail === null ? '' : ` (${detail})`,
    'mx-certificate-name': nameDetail(check.host, check) ?? detail ?? 'it names other hosts',
  }
  const text = code in facts ? facts[code as keyof typeof facts] : (detail ?? reason ?? resultType)
  return { code, host: escapeRemoteText(check.host), fault: problem, facts: { detail: text } }
}

/** A wildcard one level up is the name that people expect to count. */
function nameDetail(host: string, { sessions }: MxHostCheck): string | undefined {
  const names = sessions?.find(({ certificate }) => certificate !== null)?.certificate?.names ?? []
  const deep = names.find((name) => name.startsWith('*.') && host.endsWith(name.slice(1)))
  if (deep === undefined) return undefined
  return `it names ${escapeRemoteText(deep)}, and "*" stands for one label only`
}

function onExpiry(
  { host, sessions }: MxHostCheck,
  { policy }: Findings,
  { now }: AdviceContext,
): Finding[] {
  const good = (sessions ?? []).filter(({ problem, error }) => problem === null && error === null)
  const ends = good.flatMap(({ certificate }) =>
    certificate === null ? [] : [Date.parse(certificate.notAfter)],
  )
  if (ends.length === 0) return []
  const detail = span(Math.min(...ends) - now)
  const name = escapeRemoteText(host)
  if (good.some(({ certificate }) => endsSoon(certificate, now))) {
    return [{ code: 'mx-certificate-expires', host: name, facts: { detail } }]
  }
  const maxAge = policy?.mode === 'none' ? 0 : (policy?.maxAge ?? 0) * 1000
  if (Math.min(...ends) - now >= maxAge) return []
  const facts = { detail, value: span(maxAge) }
  return [{ code: 'certificate-shorter-than-max-age', host: name, facts }]
}

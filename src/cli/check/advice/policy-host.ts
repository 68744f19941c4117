/**
 * Advice on the policy host and on the file that it serves.
 *
 * @module
 */
import { escapeRemoteText } from '../../../text.js'
import { listed } from '../../layout.js'
import { span } from '../../time.js'
import type { PolicyAddressCheck, PolicyHostCheck, Problem } from '../findings.js'
import { type AdviceContext, endsSoon, type Finding, type Findings } from './finding.js'
import type { AdviceCode } from './table.js'

export function onPolicyHost(findings: Findings, { now }: AdviceContext): Finding[] {
  const { policyHost: check, record, policy } = findings
  // No sender asks the host without a record, and it may serve another purpose
  if (check === null || (record.status === 'none' && policy === null)) return []
  const reached = check.addresses.filter(({ noRoute }) => !noRoute)
  const working = reached.filter(({ problem }) => problem === null)
  if (working.length === 0) return onNothing(findings, check)
  return [...onSome(check, reached), ...onExpiry(check.host, working, now)]
}

function onSome({ host }: PolicyHostCheck, reached: readonly PolicyAddressCheck[]): Finding[] {
  const failing = reached.filter(({ problem }) => problem !== null)
  if (failing.length === 0) return []
  const value = listed(failing.map(({ address }) => address))
  return [
    { code: 'policy-host-addresses-differ', host, fault: failing[0]?.problem, facts: { value } },
  ]
}

function onExpiry(host: string, working: readonly PolicyAddressCheck[], now: number): Finding[] {
  const ending = working.find(({ certificate }) => endsSoon(certificate, now))
  if (!ending?.certificate) return []
  const detail = span(Date.parse(ending.certificate.notAfter) - now)
  return [{ code: 'policy-host-certificate-expires', host, facts: { detail } }]
}

/** Finds the fault of the first address that could be reached; it stands for all. */
function onNothing({ policy, domain }: Findings, check: PolicyHostCheck): Finding[] {
  const { host, addresses, blocked } = check
  const failing = addresses.find(({ problem, noRoute }) => problem !== null && !noRoute)
  const problem = check.problem ?? failing?.problem ?? policy?.problem
  if (!problem) return []
  const code = codeOf(problem, failing)
  const value = shownValue(problem, failing, blocked)
  const detail = detailOf(problem, host, { policy, domain })
  return [{ code, host, fault: problem, facts: { value, detail } }]
}

const MAX_ERRORS = 5

function detailOf(
  problem: Problem,
  host: string,
  { policy, domain }: Pick<Findings, 'policy' | 'domain'>,
): string {
  if (problem.resultType === 'sts-webpki-invalid') return certificateTodo(host, domain, problem)
  const errors = (policy?.lines ?? []).flatMap(({ number, problem: error }) =>
    error === null ? [] : [`line ${number}: ${error}`],
  )
  if (problem.resultType === 'sts-policy-invalid' && errors.length > 0) {
    const more = errors.length > MAX_ERRORS ? `; and ${errors.length - MAX_ERRORS} more lines` : ''
    return `${errors.slice(0, MAX_ERRORS).join('; ')}${more}`
  }
  return problem.detail ?? problem.reason ?? problem.resultType
}

const CODES: ReadonlyMap<string | null, AdviceCode> = new Map([
  ['nxdomain', 'policy-host-missing'],
  ['no-address', 'policy-host-missing'],
  ['dns-failure', 'policy-host-lookup'],
  ['blocked-address', 'policy-host-private'],
  ['timeout', 'policy-host-slow'],
  ['http-status-404', 'policy-not-found'],
  ['http-status-410', 'policy-not-found'],
  ['too-large', 'policy-too-large'],
  ['content-encoding', 'policy-transfer'],
  ['transfer-encoding', 'policy-transfer'],
  ['no-length', 'policy-transfer'],
  ['truncated', 'policy-transfer'],
])

function codeOf({ resultType, reason }: Problem, seen: PolicyAddressCheck | undefined): AdviceCode {
  if (resultType === 'sts-webpki-invalid') return 'policy-host-certificate'
  if (resultType === 'sts-policy-invalid') return 'policy-invalid'
  if (reason === 'media-type') {
    return /html/i.test(seen?.type ?? '') ? 'policy-html' : 'policy-media-type'
  }
  // A host that has not even shown a certificate is not a slow one
  if (reason === 'timeout' && seen !== undefined && seen.tlsVersion === null) {
    return 'policy-host-down'
  }
  const known = CODES.get(reason)
  if (known !== undefined) return known
  if (/^http-status-3/.test(reason ?? '')) return 'policy-host-redirect'
  if (/^http-status-5/.test(reason ?? '')) return 'policy-host-error'
  return /^http-status-/.test(reason ?? '') ? 'policy-status' : 'policy-host-down'
}

function shownValue(
  { reason }: Problem,
  seen: PolicyAddressCheck | undefined,
  blocked: readonly string[],
): string {
  if (reason === 'blocked-address') return listed(blocked)
  if (reason === 'media-type') return seen?.type ? escapeRemoteText(seen.type) : 'no media type'
  return seen?.status ? String(seen.status) : ''
}

function certificateTodo(host: string, domain: string, { reason, detail }: Problem): string {
  const found = detail === null ? '' : ` (${detail})`
  switch (reason) {
    case 'certificate-host-mismatch':
      return `It does not name the host${found}: it needs one for ${host}, or *.${domain}, as a DNS name (SAN); a common name does not count.`
    case 'certificate-expired':
      return `It has expired${found}: renew it, and have the web server reload it.`
    case 'certificate-not-yet-valid':
      return `It is not valid yet${found}: check the clock of the machine that issued it.`
    case 'incomplete-chain':
      return 'The intermediate certificate is not sent: configure the full chain (fullchain.pem).'
    case 'self-signed':
      return 'It is self-signed: get one of a public authority.'
    default:
      return `It is not of a public authority${found}: get one that is, and configure the full chain.`
  }
}

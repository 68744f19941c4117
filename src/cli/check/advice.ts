/**
 * What to do about the usual mistakes.
 *
 * @module
 */
import { escapeRemoteText } from '../../text.js'
import { listed } from '../layout.js'
import { DAY, day, span } from '../time.js'
import type {
  Advice,
  AdviceCode,
  CheckReport,
  MxHostCheck,
  PolicyAddressCheck,
} from './findings.js'
import { latestTimeOf } from './id-time.js'

export interface AdviceContext {
  now: number
  /** The store that was given holds another policy file under the id of the record */
  heldDiffers: boolean
}

type Findings = Omit<CheckReport, 'verdict' | 'advice'>

/** A certificate that ends before that should have been renewed by now. */
const RENEWAL = 14 * DAY

const SHORT_MAX_AGE = 86_400

export function adviceOn(findings: Findings, context: AdviceContext): Advice[] {
  // Where no mail is taken there is nothing to protect, nor to report
  if (findings.mx.status === 'null-mx' || findings.mx.status === 'no-domain') return []
  const rules = [recordMissing, policyHost, policyId, maxAge, mxList, startTls, mode, tlsRpt]
  return rules.flatMap((rule) => rule(findings, context) ?? [])
}

function advice(code: AdviceCode, text: string): Advice {
  return { code, text }
}

function recordMissing({ domain, record, policy }: Findings): Advice | undefined {
  if (record.status !== 'none') return undefined
  if (policy !== null) {
    return advice(
      'record-missing',
      `There is a policy file, but no sender will look for it: publish a TXT record at ${record.name}, "v=STSv1; id=...;".`,
    )
  }
  return advice(
    'no-policy',
    `To have mail protected, publish a policy: "mta-sts generate --domain ${domain} --mx HOST" writes what it takes.`,
  )
}

function policyHost({ domain, policyHost: check }: Findings, { now }: AdviceContext): Advice[] {
  if (check === null) return []
  const { host, addresses } = check
  const found: Advice[] = []
  const untrusted = addresses.find(({ problem }) => problem?.resultType === 'sts-webpki-invalid')
  const ending = addresses.find((one) => one.problem === null && endsSoon(one.certificate, now))
  if (untrusted !== undefined) {
    found.push(advice('policy-host-certificate', certificateText(host, domain, untrusted)))
  } else if (ending?.certificate) {
    const left = span(Date.parse(ending.certificate.notAfter) - now)
    const text = `The certificate of ${host} expires in ${left}: renew it. With an expired one nobody gets the policy.`
    found.push(advice('policy-host-certificate-expires', text))
  }
  const redirecting = addresses.find(({ status }) => status !== null && isRedirect(status))
  if (redirecting !== undefined) {
    const text = `${host} redirects (${redirecting.status}), which no sender follows (RFC 8461 §3.3): it must answer with the policy itself.`
    found.push(advice('policy-host-redirect', text))
  }
  const reached = addresses.filter(({ noRoute }) => !noRoute)
  const failing = reached.filter(({ problem }) => problem !== null)
  if (failing.length > 0 && failing.length < reached.length) {
    const which = listed(failing.map(({ address }) => address))
    const text = `${host} does not give the policy at every address: not at ${which}. Senders have to try another one.`
    found.push(advice('policy-host-addresses-differ', text))
  }
  return found
}

function certificateText(host: string, domain: string, { problem }: PolicyAddressCheck): string {
  const names = problem?.reason === 'certificate-host-mismatch'
  const todo = names
    ? `It needs one that names ${host}, or *.${domain}, as a DNS name (SAN); a common name does not count.`
    : 'It needs one that is current, of a public authority, with the whole chain sent.'
  return `No sender accepts the certificate of ${host}, nor the policy behind it. ${todo}`
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400
}

function endsSoon(certificate: PolicyAddressCheck['certificate'], now: number): boolean {
  return certificate !== null && Date.parse(certificate.notAfter) - now < RENEWAL
}

/** Seen in what a sender holds, or guessed from the file's date. */
function policyId(
  { record, policyHost: check }: Findings,
  { now, heldDiffers }: AdviceContext,
): Advice | undefined {
  const { id } = record
  if (id === null) return undefined
  const rule = 'senders that know a policy fetch it anew at once only for another id'
  if (heldDiffers) {
    const text = `The policy has changed, but its id is still ${id}: change the id, for ${rule}.`
    return advice('id-not-changed', text)
  }
  const latest = latestTimeOf(id, now)
  const modified = check?.addresses.find(({ lastModified }) => lastModified !== null)?.lastModified
  if (latest === undefined || !modified || Date.parse(modified) <= latest) return undefined
  return advice(
    'id-not-changed',
    `The policy file is of ${day(new Date(modified))}, later than the id ${id}: if the policy was changed then, change the id too, for ${rule}.`,
  )
}

function maxAge({ policy }: Findings): Advice | undefined {
  const seconds = policy?.maxAge ?? null
  if (seconds === null || seconds >= SHORT_MAX_AGE || policy?.mode === 'none') return undefined
  return advice(
    'max-age-short',
    `max_age is ${seconds} seconds (${span(seconds * 1000)}): who blocks the policy host for that long gets rid of the policy. Take 604800, a week, or more.`,
  )
}

function mxList({ policy, mx }: Findings): Advice | undefined {
  const missing = mx.hosts.filter(({ inPolicy }) => inPolicy === false)
  if (missing.length === 0) return undefined
  const hosts = missing.map(({ host }) => escapeRemoteText(host))
  const under = policy?.mode === 'enforce' ? 'is delivered' : 'would be delivered under enforce'
  return advice(
    'mx-not-in-policy',
    `The policy does not name ${listed(hosts)}, and no mail ${under} there: add ${listed(hosts.map((host) => `"mx: ${host}"`))} and change the id, or take the MX record away.`,
  )
}

function startTls({ mx }: Findings, { now }: AdviceContext): Advice[] {
  const lacking = mx.hosts.filter(lacksStartTls)
  const first = Math.min(...mx.hosts.map(({ preference }) => preference))
  const starttls = lacking.map(({ host, preference }) => {
    const which = preference > first ? 'The backup MX host ' : ''
    const text = `${which}${escapeRemoteText(host)} does not do STARTTLS: under enforce it gets no mail. Set it up there, or take the MX record away.`
    return advice('mx-without-starttls', text)
  })
  const ending = mx.hosts.filter((host) => expiresSoon(host, now))
  if (ending.length === 0) return starttls
  const hosts = listed(ending.map(({ host }) => escapeRemoteText(host)))
  const text = `The certificate of ${hosts} expires within ${span(RENEWAL)}: renew it.`
  return [...starttls, advice('mx-certificate-expires', text)]
}

function lacksStartTls({ sessions }: MxHostCheck): boolean {
  return (sessions ?? []).some(({ problem }) => problem?.resultType === 'starttls-not-supported')
}

function expiresSoon({ sessions }: MxHostCheck, now: number): boolean {
  return (sessions ?? []).some(
    ({ problem, certificate }) => problem === null && endsSoon(certificate, now),
  )
}

function mode({ record, policy }: Findings): Advice | undefined {
  if (record.status !== 'found' || policy?.mode !== 'testing') return undefined
  return advice(
    'mode-testing',
    'Mode testing protects nothing: when the reports of other senders show no failures, change it to enforce, and the id with it.',
  )
}

function tlsRpt({ tlsrpt }: Findings): Advice | undefined {
  const { status, name, problem } = tlsrpt
  if (status === 'several' || status === 'malformed') {
    const text = `The TLSRPT record at ${name} is of no use, nobody reports: ${problem}.`
    return advice('tlsrpt-invalid', text)
  }
  if (status !== 'none') return undefined
  return advice(
    'tlsrpt-missing',
    `Nobody tells you of failures: publish a TXT record at ${name}, "v=TLSRPTv1; rua=mailto:...", to get reports (RFC 8460).`,
  )
}

/**
 * A {@link CheckReport} as text, within the columns of a screen.
 *
 * @module
 */

import { matchesMx } from '../../policy/mx-pattern.js'
import { escapeRemoteText } from '../../text.js'
import { type Block, formatBlock, formatRemark, listed, type Mark, paintMark } from '../layout.js'
import { escapePolicyLine } from '../patterns.js'
import type { Paint, Screen } from '../terminal.js'
import { span } from '../time.js'
import type {
  CertificateFacts,
  CheckReport,
  MxHostCheck,
  MxSession,
  PolicyAddressCheck,
  PolicyHostCheck,
  PolicyLine,
  Problem,
  RecordCheck,
  TlsRptCheck,
  Verdict,
} from './findings.js'
import { describeProblem } from './problem.js'

/** Ends with a line break. */
export function renderReport(report: CheckReport, screen: Screen, now: number): string {
  const { domain, unicodeDomain, policyHost, verdict, cached, advice } = report
  if (report.record.name === '') return withoutLook(report, screen)
  const blocks: Block[] = [
    recordBlock(report.record),
    ...(policyHost === null ? [] : [policyHostBlock(policyHost, now)]),
    ...policyBlocks(report),
    ...mxBlocks(report, now),
    tlsRptBlock(report.tlsrpt),
  ]
  return [
    headOf(domain, unicodeDomain, screen.paint),
    '',
    ...blocks.map((block) =>
      formatBlock(report.mx.status === 'null-mx' ? calm(block) : block, screen),
    ),
    '',
    formatRemark(verdictMark(verdict.status, report), verdict.text, screen),
    ...(cached === null
      ? []
      : [formatRemark(verdictMark(cached.status, report), cached.text, screen)]),
    ...advice.map(({ text }) => formatRemark('warning', text, screen)),
    '',
  ].join('\n')
}

function withoutLook({ domain, verdict }: CheckReport, screen: Screen): string {
  const head = screen.paint('bold', escapeRemoteText(domain))
  return `${head}\n\n${formatRemark('unknown', verdict.text, screen)}\n`
}

/** Takes the red mark from a block: a domain that takes no mail lacks nothing. */
function calm(block: Block): Block {
  return block.mark === 'good' ? block : { ...block, mark: 'plain' }
}

function headOf(domain: string, unicode: string | null, paint: Paint): string {
  const beside = unicode === null ? '' : ` (${escapeRemoteText(unicode)})`
  return `${paint('bold', domain)}${beside}`
}

/** `bob.example fine: enforce: mail would be delivered to mx.bob.example`, on one line. */
export function renderBrief(report: CheckReport, paint: Paint): string {
  const { domain, verdict, cached } = report
  const mark = paintMark(verdictMark(verdict.status, report), paint)
  const head = `${mark} ${paint('bold', escapeRemoteText(domain))} ${verdict.status}`
  const other = cached !== null && cached.exitStatus > verdict.exitStatus ? `; ${cached.text}` : ''
  return `${head}: ${verdict.text}${other}\n`
}

/** Marks a fine verdict as untried where the MX hosts were not connected to. */
function verdictMark(status: Verdict['status'], { mx }: CheckReport): Mark {
  const untried = mx.hosts.some(({ outcome }) => outcome === 'not-tried')
  return status === 'fine' && untried ? 'untried' : VERDICT_MARKS[status]
}

const VERDICT_MARKS: Readonly<Record<Verdict['status'], Mark>> = {
  fine: 'good',
  refused: 'bad',
  unprotected: 'bad',
  unknown: 'unknown',
}

function recordBlock({ name, status, texts, problem }: RecordCheck): Block {
  const lines = [name, ...shown(texts), ...(problem === null ? [] : [problem])]
  return { mark: recordMark(status), label: 'TXT record', lines }
}

function tlsRptBlock({ name, status, texts, problem }: TlsRptCheck): Block {
  const mark = status === 'found' ? 'good' : status === 'unknown' ? 'unknown' : 'warning'
  const lines = [name, ...shown(texts), ...(problem === null ? [] : [problem])]
  return { mark, label: 'TLSRPT', lines }
}

function recordMark(status: RecordCheck['status']): Mark {
  if (status === 'found') return 'good'
  return status === 'unknown' ? 'unknown' : 'bad'
}

const MAX_TEXTS = 10

function shown(texts: readonly string[]): string[] {
  const more = texts.length > MAX_TEXTS ? [`and ${texts.length - MAX_TEXTS} more`] : []
  return [...texts.slice(0, MAX_TEXTS).map((text) => `"${escapeRemoteText(text)}"`), ...more]
}

function policyHostBlock(check: PolicyHostCheck, now: number): Block {
  const { host, addresses, blocked, problem } = check
  const failing = addresses.filter((one) => one.problem !== null && !one.noRoute)
  const working = addresses.some((one) => one.problem === null)
  const mark = working ? (failing.length > 0 ? 'warning' : 'good') : 'bad'
  const lines = [
    host,
    ...(problem === null ? [] : [describeProblem(problem)]),
    ...blockedLine(blocked),
    ...addresses.flatMap((one) => addressLines(one, now)),
  ]
  return { mark, label: 'Policy host', lines }
}

function addressLines(check: PolicyAddressCheck, now: number): string[] {
  const { address, tlsVersion, certificate, problem, milliseconds } = check
  const facts = [tlsVersion, statusOf(check), milliseconds === null ? null : `${milliseconds} ms`]
  const known = facts.filter((fact) => fact !== null).join(', ')
  return [
    [address, known].filter(Boolean).join(': '),
    ...certificateLine(certificate, now),
    ...(problem === null ? [] : [`  ${describeProblem(withoutSyntax(problem))}`]),
  ]
}

/** Leaves out the syntax error, which is shown under its line of the file. */
function withoutSyntax(problem: Problem): Problem {
  return problem.resultType === 'sts-policy-invalid' ? { ...problem, detail: null } : problem
}

function statusOf({ status, type, bytes }: PolicyAddressCheck): string | null {
  if (status === null) return null
  const media = type === null ? 'no type' : escapeRemoteText(type)
  return `status ${status}, ${media}, ${bytes ?? 0} bytes`
}

function certificateLine(certificate: CertificateFacts | null, now: number): string[] {
  if (certificate === null) return []
  const { names, commonName, notBefore, notAfter } = certificate
  const named = names.map(escapeRemoteText)
  const whom =
    named.length > 0
      ? `for ${listed(named, 3)}`
      : `for no DNS name${commonName === null ? '' : `, only CN ${escapeRemoteText(commonName)}`}`
  return [`  certificate ${whom}; ${validity(Date.parse(notBefore), Date.parse(notAfter), now)}`]
}

function validity(from: number, to: number, now: number): string {
  if (now < from) return `valid in ${span(from - now)}`
  return now < to ? `${span(to - now)} left` : `expired ${span(now - to)} ago`
}

const MAX_LINES = 40

/** The file as it came, and under each line what is wrong with it. */
function policyBlocks({ policy, mx }: CheckReport): Block[] {
  if (policy === null) return []
  const { lines, valid, problem, mode, maxAge } = policy
  const shownLines = lines.slice(0, MAX_LINES)
  const more = lines.length - shownLines.length
  const whole = problem !== null && lines.every((line) => line.problem === null)
  const unused = valid && mode !== 'none' ? unusedPatterns(policy.mx, mx.hosts) : []
  return [
    {
      mark: !valid ? 'bad' : mode === 'enforce' ? 'good' : 'warning',
      label: 'Policy',
      lines: [
        ...shownLines.flatMap((line) => policyLine(line, maxAge)),
        ...(more > 0 ? [`and ${more} more lines`] : []),
        ...(whole ? [describeProblem(problem)] : []),
        ...(unused.length > 0 ? [`(no MX record matches ${listed(unused)})`] : []),
      ],
    },
  ]
}

function policyLine({ text, problem }: PolicyLine, maxAge: number | null): string[] {
  const isMaxAge = maxAge !== null && /^max_age:/.test(text)
  const note = isMaxAge ? `  (${span(maxAge * 1000)})` : ''
  const line = `${escapePolicyLine(text)}${note}`
  return problem === null ? [line] : [line, `^ ${problem}`]
}

function unusedPatterns(patterns: readonly string[], hosts: readonly MxHostCheck[]): string[] {
  return patterns.filter((pattern) => !hosts.some(({ host }) => matchesMx(host, [pattern])))
}

function mxBlocks({ mx }: CheckReport, now: number): Block[] {
  const { status, problem, hosts } = mx
  if (status === 'null-mx') return [{ mark: 'plain', label: 'MX', lines: ['null MX (RFC 7505)'] }]
  if (status === 'no-domain') return [{ mark: 'bad', label: 'MX', lines: ['no such domain'] }]
  if (status === 'unknown') {
    return [{ mark: 'unknown', label: 'MX', lines: [problem ?? 'not known'] }]
  }
  return hosts.map((host) => mxBlock(host, status === 'implicit', now))
}

const MX_MARKS: Readonly<Record<MxHostCheck['outcome'], Mark>> = {
  proved: 'good',
  refused: 'bad',
  unknown: 'unknown',
  'not-tried': 'untried',
}

function mxBlock(check: MxHostCheck, implicit: boolean, now: number): Block {
  const { host, cname, preference, inPolicy, addresses, blocked, problem, sessions, outcome } =
    check
  const policy = inPolicy === null ? '' : inPolicy ? ', in the policy' : ', not in the policy'
  const other = problem !== null && problem.reason !== 'mx-mismatch' ? [problem] : []
  const failing = sessions?.some((session) => session.problem !== null) === true
  // A sender refuses an MX host only under a policy that binds
  const lenient = outcome === 'refused' && inPolicy === null && problem === null
  return {
    mark: (outcome === 'proved' && failing) || lenient ? 'warning' : MX_MARKS[outcome],
    label: implicit ? 'No MX' : `MX ${preference}`,
    lines: [
      `${escapeRemoteText(host)}${implicit ? ' itself' : ''}${policy}${outcome === 'not-tried' ? ', not tried' : ''}`,
      ...(cname === null ? [] : [`CNAME for ${escapeRemoteText(cname)}`]),
      ...daneLine(check),
      ...other.map(describeProblem),
      ...blockedLine(blocked),
      ...(sessions?.flatMap((session) => sessionLines(session, now)) ?? addressLine(addresses)),
    ],
  }
}

function daneLine({ dane, sessions }: MxHostCheck): string[] {
  if (dane === null) return []
  if (dane.problem !== null) return [`DANE: ${describeProblem(dane.problem)}`]
  if (!dane.signed) return ['DANE: the MX records are not signed']
  if (dane.records === 0) return ['DANE: no TLSA records']
  const matches = (sessions ?? []).map(({ tlsaMatches }) => tlsaMatches)
  const [count, none] =
    dane.records === 1
      ? ['1 TLSA record', 'which does not match']
      : [`${dane.records} TLSA records`, 'none of which matches']
  if (matches.includes(false)) return [`DANE: ${count}, ${none}`]
  return [`DANE: ${count}${matches.includes(true) ? ', one of which matches' : ''}`]
}

function addressLine(addresses: readonly string[]): string[] {
  return addresses.length === 0 ? [] : [listed(addresses, 8)]
}

function blockedLine(blocked: readonly string[]): string[] {
  if (blocked.length === 0) return []
  return [`never contacted (private or reserved): ${listed(blocked, 8)}`]
}

function sessionLines(session: MxSession, now: number): string[] {
  const { address, tlsVersion, certificate, problem, error, milliseconds } = session
  const facts = [error, tlsVersion, error === null ? `${milliseconds} ms` : null]
  return [
    `${address}: ${facts.filter((fact) => fact !== null).join(', ')}`,
    ...certificateLine(certificate, now),
    ...(problem === null ? [] : [`  ${describeProblem(problem)}`]),
  ]
}

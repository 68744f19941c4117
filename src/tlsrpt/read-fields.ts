/**
 * Reads the fields of a report's JSON (RFC 8460 §4.4). Missing or deviating fields are read if they
 * have only one meaning, and noted if they change a number.
 *
 * @module
 */
import { toALabels } from '../dns/domain-name.js'
import { escapeRemoteText } from '../text.js'
import { RESULT_TYPES } from '../tls/failures.js'
import { ReportSyntaxError } from './read-error.js'
import type { Json, JsonObject } from './read-json.js'
import { firstSecond, lastSecond, readTime } from './read-time.js'
import type { FailureDetails, PolicyType, ReportedPolicy, TlsReport } from './report.js'

/** Kinds of data that were supplied or do not add up in a report. */
export type NoteCode =
  | 'no-report-id'
  | 'no-policies'
  | 'date-range-guessed'
  | 'no-policy-domain'
  | 'no-policy-type'
  | 'no-result-type'
  | 'counts-from-details'
  | 'counts-differ'
  | 'other-report-unreadable'

/** A deviation in a report that could be read. */
export interface ReportNote {
  /** Code of the note */
  code: NoteCode
  /** Description, safe for a terminal */
  text: string
}

/** A report, as read. */
export interface Report extends TlsReport {
  /** Empty if the report is complete and adds up */
  notes: readonly ReportNote[]
}

/** Facts about a report besides its JSON, from the file name or the mail around it. */
export interface ReportHints {
  /** The header field TLS-Report-Domain */
  reportDomain?: string | undefined
  /** `submitter!domain!begin!end!id.json.gz` (RFC 8460 §5.1) */
  fileName?: string | undefined
}

/** Replaces a missing policy type or result type. */
const UNSPECIFIED = 'unspecified'

const POLICY_TYPES: readonly PolicyType[] = ['sts', 'tlsa', 'no-policy-found']

/** Bounds of one report; a larger one is unreadable. */
const MAX_POLICIES = 100_000

/** Every field that is read, for {@link JsonReader}. */
export const REPORT_FIELDS: ReadonlySet<string> = new Set([
  'organization-name',
  'date-range',
  'start-datetime',
  'end-datetime',
  'contact-info',
  'report-id',
  'policies',
  'policy',
  'policy-type',
  'policy-string',
  'policy-domain',
  'mx-host',
  'summary',
  'total-successful-session-count',
  'total-failure-session-count',
  'failure-details',
  'result-type',
  'sending-mta-ip',
  'receiving-mx-hostname',
  'receiving-mx-helo',
  'receiving-ip',
  'failed-session-count',
  'additional-information',
  'failure-reason-code',
])

const TOP_FIELDS = ['report-id', 'date-range', 'policies', 'organization-name', 'contact-info']

/** Whether a text that is not JSON, or only in part, was meant to be a report. */
export function namesReportFields(text: string): boolean {
  return TOP_FIELDS.filter((field) => text.includes(`"${field}"`)).length > 1
}

/** Returns the domain and the range in a file name of RFC 8460 §5.1. */
export function readFileName(
  name: string,
): { domain: string; begin: string; end: string } | undefined {
  const [, domain, begin, end] = /(?:^|[/\\])[^!/\\]+!([^!]+)!(\d+)!(\d+)[^/\\]*$/.exec(name) ?? []
  if (domain === undefined || begin === undefined || end === undefined) return undefined
  return { domain, begin, end }
}

/** @throws ReportSyntaxError */
export function readReport(json: Json, hints: ReportHints): Report {
  const report = objectOf(json, 'the report')
  if (!TOP_FIELDS.some((field) => field in report)) {
    throw new ReportSyntaxError('the JSON has none of the fields of a report')
  }
  try {
    return new Reading(hints).report(report)
  } catch (error) {
    if (!(error instanceof ReportSyntaxError)) throw error
    throw new ReportSyntaxError(error.message.replace(/^This is not a TLS report: /, ''), {
      cause: error,
      looksLikeReport: true,
    })
  }
}

/** Reads one report and collects its notes. */
class Reading {
  readonly #hints: ReportHints
  readonly #notes = new Map<NoteCode, string>()

  constructor(hints: ReportHints) {
    this.#hints = hints
  }

  report(json: JsonObject): Report {
    const reportId = textOf(json['report-id'])
    if (reportId === undefined) this.#note('no-report-id', 'it has no report-id')
    const policies = listOf(json.policies)
    if (policies.length === 0) this.#note('no-policies', 'it has no policies')
    if (policies.length > MAX_POLICIES) {
      throw new ReportSyntaxError(`it has ${policies.length} policies`)
    }
    return {
      ...optional('organizationName', textOf(json['organization-name'])),
      dateRange: this.#dateRange(json['date-range']),
      ...optional('contactInfo', textOf(json['contact-info'])),
      reportId: reportId ?? '',
      policies: policies.map((item) => this.#policy(objectOf(item, 'a policy'))),
      notes: Array.from(this.#notes, ([code, text]) => ({ code, text })),
    }
  }

  /** Adds a note, each code once: a report of 1,000 policies may repeat the same fault. */
  #note(code: NoteCode, text: string): void {
    if (!this.#notes.has(code)) this.#notes.set(code, text)
  }

  #dateRange(value: Json | undefined): TlsReport['dateRange'] {
    const range: JsonObject = isObject(value) ? value : {}
    const start = timeOf(range['start-datetime'], 'start')
    const end = timeOf(range['end-datetime'], 'end')
    if (start !== undefined && end !== undefined) return { start, end }
    const named = readFileName(this.#hints.fileName ?? '')
    const from = start ?? readTime(named?.begin, 'start') ?? (end && firstSecond(end))
    if (from === undefined) throw new ReportSyntaxError('it has no date-range')
    this.#note('date-range-guessed', 'its date-range is incomplete')
    return { start: from, end: end ?? readTime(named?.end, 'end') ?? lastSecond(from) }
  }

  #policy(json: JsonObject): ReportedPolicy {
    const policy = isObject(json.policy) ? json.policy : json
    const policyString = textsOf(policy['policy-string'])
    const failureDetails = listOf(json['failure-details'] ?? policy['failure-details'])
      .filter((item) => item !== null)
      .map((item) => this.#details(objectOf(item, 'a failure')))
    return {
      policyType: this.#policyType(policy['policy-type'], policyString),
      ...optional('policyString', policyString),
      policyDomain: this.#policyDomain(policy['policy-domain']),
      ...optional('mxHost', textsOf(policy['mx-host'])),
      ...this.#counts(json.summary ?? policy.summary, failureDetails),
      failureDetails,
    }
  }

  #policyType(value: Json | undefined, policyString: readonly string[] | undefined): string {
    const written = textOf(value)
    if (written !== undefined) return knownWord(written, POLICY_TYPES)
    this.#note('no-policy-type', 'a policy has no policy-type')
    const lines = policyString?.join('\n') ?? ''
    if (/\bSTSv1\b/.test(lines)) return 'sts'
    return /^\s*[0-3] [01] [0-2] [0-9a-f]{32,}/im.test(lines) ? 'tlsa' : UNSPECIFIED
  }

  #policyDomain(value: Json | undefined): string {
    const written = textOf(value)
    if (written !== undefined) return toALabels(written.trim()) ?? written
    const { reportDomain, fileName = '' } = this.#hints
    const hint = reportDomain?.trim() || readFileName(fileName)?.domain
    const text = 'a policy has no policy-domain'
    if (hint === undefined) this.#note('no-policy-domain', text)
    else this.#note('no-policy-domain', `${text}; the mail or the file name has it`)
    return toALabels(hint ?? '') ?? hint ?? ''
  }

  #counts(
    value: Json | undefined,
    details: readonly FailureDetails[],
  ): Pick<ReportedPolicy, 'totalSuccessfulSessionCount' | 'totalFailureSessionCount'> {
    const summary: JsonObject = isObject(value) ? value : {}
    const successes = countOf(summary['total-successful-session-count'])
    const failures = countOf(summary['total-failure-session-count'])
    const detailed = details.reduce((sum, { failedSessionCount }) => sum + failedSessionCount, 0)
    if (failures === undefined || successes === undefined) {
      const text = `its summary is incomplete; its details have ${detailed} failed sessions`
      this.#note('counts-from-details', text)
    }
    if (failures !== undefined && failures !== detailed && details.length > 0) {
      const text = `its summary has ${failures} failed sessions, its details ${detailed}`
      this.#note('counts-differ', text)
    }
    return {
      totalSuccessfulSessionCount: successes ?? 0,
      totalFailureSessionCount: failures ?? detailed,
    }
  }

  #details(json: JsonObject): FailureDetails {
    const resultType = textOf(json['result-type'])
    if (resultType === undefined) this.#note('no-result-type', 'a failure has no result-type')
    return {
      resultType: knownWord(resultType ?? UNSPECIFIED, RESULT_TYPES),
      ...optional('sendingMtaIp', textOf(json['sending-mta-ip'])),
      ...optional('receivingMxHostname', textOf(json['receiving-mx-hostname'])),
      ...optional('receivingMxHelo', textOf(json['receiving-mx-helo'])),
      ...optional('receivingIp', textOf(json['receiving-ip'])),
      // A failure with details has happened
      failedSessionCount: countOf(json['failed-session-count']) ?? 1,
      ...optional('additionalInformation', textOf(json['additional-information'])),
      ...optional('failureReasonCode', textOf(json['failure-reason-code'])),
    }
  }
}

/** Converts `STARTTLS_Not_Supported` to `starttls-not-supported`; unknown words are unchanged. */
function knownWord(written: string, known: readonly string[]): string {
  const word = written.trim().toLowerCase().replaceAll('_', '-')
  return known.includes(word) ? word : written
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function objectOf(value: Json, what: string): JsonObject {
  if (isObject(value)) return value
  throw new ReportSyntaxError(`${what} is not an object`)
}

/** Returns a list; a single value is a list of one. */
function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return []
  return isList(value) ? value : [value]
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function textOf(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

function textsOf(value: Json | undefined): string[] | undefined {
  const texts = listOf(value).flatMap((item) => textOf(item) ?? [])
  return texts.length > 0 ? texts : undefined
}

function timeOf(value: Json | undefined, edge: 'start' | 'end'): Date | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const time = readTime(value, edge)
  if (time !== undefined) return time
  throw new ReportSyntaxError(`its ${edge}-datetime is ${shown(value)}`)
}

/** Returns a number of sessions; undefined if it is missing. */
function countOf(value: Json | undefined): number | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const count = typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value
  if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return count
  throw new ReportSyntaxError(`a count is ${shown(value)}`)
}

function shown(value: Json): string {
  if (isList(value)) return 'a list'
  return isObject(value) ? 'an object' : `"${escapeRemoteText(String(value))}"`
}

function optional<K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: T })
}

/**
 * Reading what others report (RFC 8460 §4.4, §5): JSON, JSON under gzip, or the whole mail.
 *
 * It takes what is seen in the world where it has but one meaning: times without a zone are UTC,
 * `mx-host` and `policy-string` may be one string, what is null or missing is not there. It does
 * not take what is too large, however it is packed.
 *
 * @module
 */
import { gunzipSync } from 'node:zlib'
import { MtaStsError } from '../errors.js'
import { escapeRemoteText } from '../text.js'
import { decodePart, type LeafPart, leafParts } from './mime.js'
import type { FailureDetails, ReportedPolicy, TlsReport } from './report.js'

/** What was to be read is no report, or too large. */
export class ReportSyntaxError extends MtaStsError {
  constructor(message: string, options?: ErrorOptions) {
    super(`This is no TLS report: ${message}`, 'EREPORTSYNTAX', options)
    this.name = 'ReportSyntaxError'
  }
}

/** Options of {@link parseReport}. */
export interface ParseReportOptions {
  /** In bytes, for what is read and for what comes out of gzip, each; default 16777216, 16 MiB */
  maxSize?: number | undefined
}

/**
 * Reads a report: JSON, JSON under gzip, or a mail with either. Its texts are as they were sent:
 * escape them before they are shown. A mail's DKIM signature is not looked at; reports without one
 * of the submitter's MUST be ignored (RFC 8460 §3).
 *
 * ```ts
 * const { policies } = parseReport(await readFile('google.com!example.com!...json.gz'))
 * ```
 *
 * @throws ReportSyntaxError
 */
export function parseReport(
  bytes: Uint8Array | string,
  options: ParseReportOptions = {},
): TlsReport {
  const { maxSize = 16 * 1024 * 1024 } = options
  const data = typeof bytes === 'string' ? Buffer.from(bytes) : viewOf(bytes)
  if (data.length > maxSize) throw tooLarge(data.length, maxSize)
  if (isGzip(data)) return parseText(gunzip(data, maxSize))
  const text = withoutMark(data.toString('utf8'))
  if (/^\s*[{[]/.test(text)) return parseText(text)
  const file = fileInMail(data)
  return parseText(isGzip(file) ? gunzip(file, maxSize) : withoutMark(file.toString('utf8')))
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isGzip(data: Buffer): boolean {
  return data[0] === 0x1f && data[1] === 0x8b
}

function gunzip(data: Buffer, maxSize: number): string {
  try {
    return withoutMark(gunzipSync(data, { maxOutputLength: maxSize }).toString('utf8'))
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('more', maxSize)
    throw new ReportSyntaxError('its gzip is damaged', { cause })
  }
}

function tooLarge(size: number | 'more', maxSize: number): ReportSyntaxError {
  return new ReportSyntaxError(`it has ${size} bytes, and ${maxSize} is the limit`)
}

function withoutMark(text: string): string {
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}

/** The part of a mail that is the report, going by its type, or else by its name. */
function fileInMail(mail: Buffer): Buffer {
  const parts = leafParts(mail.toString('latin1'))
  const isReport = ({ type }: LeafPart) => type.startsWith('application/tlsrpt')
  const isNamedSo = ({ fileName }: LeafPart) => /\.json(?:\.gz)?$/.test(fileName)
  const isPacked = ({ type }: LeafPart) => PACKED_TYPES.has(type)
  const part = parts.find(isReport) ?? parts.find(isNamedSo) ?? parts.find(isPacked)
  if (part !== undefined) return decodePart(part)
  throw new ReportSyntaxError('it is neither JSON nor gzip, nor a mail with either of them')
}

const PACKED_TYPES = new Set(['application/gzip', 'application/x-gzip', 'application/json'])

function parseText(text: string): TlsReport {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ReportSyntaxError('its JSON is damaged', { cause })
  }
  return readReport(objectOf(value, 'the report'))
}

type Json = Record<string, unknown>

function readReport(json: Json): TlsReport {
  const range = objectOf(json['date-range'], 'date-range')
  const reportId = textOf(json['report-id'])
  if (reportId === undefined) throw new ReportSyntaxError('it has no report-id')
  return {
    ...optional('organizationName', textOf(json['organization-name'])),
    dateRange: {
      start: timeOf(range['start-datetime'], 'start-datetime'),
      end: timeOf(range['end-datetime'], 'end-datetime'),
    },
    ...optional('contactInfo', textOf(json['contact-info'])),
    reportId,
    policies: listOf(json.policies).map((item) => readPolicy(objectOf(item, 'a policy'))),
  }
}

function readPolicy(json: Json): ReportedPolicy {
  const policy = objectOf(json.policy, 'policy')
  const summary = objectOf(json.summary ?? {}, 'summary')
  const policyType = textOf(policy['policy-type'])
  if (policyType === undefined) throw new ReportSyntaxError('a policy has no policy-type')
  return {
    policyType,
    ...optional('policyString', textsOf(policy['policy-string'])),
    policyDomain: textOf(policy['policy-domain']) ?? '',
    ...optional('mxHost', textsOf(policy['mx-host'])),
    totalSuccessfulSessionCount: countOf(summary['total-successful-session-count']),
    totalFailureSessionCount: countOf(summary['total-failure-session-count']),
    failureDetails: listOf(json['failure-details']).map((item) =>
      readDetails(objectOf(item, 'a failure')),
    ),
  }
}

function readDetails(json: Json): FailureDetails {
  const resultType = textOf(json['result-type'])
  if (resultType === undefined) throw new ReportSyntaxError('a failure has no result-type')
  return {
    resultType,
    ...optional('sendingMtaIp', textOf(json['sending-mta-ip'])),
    ...optional('receivingMxHostname', textOf(json['receiving-mx-hostname'])),
    ...optional('receivingMxHelo', textOf(json['receiving-mx-helo'])),
    ...optional('receivingIp', textOf(json['receiving-ip'])),
    failedSessionCount: countOf(json['failed-session-count']),
    ...optional('additionalInformation', textOf(json['additional-information'])),
    ...optional('failureReasonCode', textOf(json['failure-reason-code'])),
  }
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw new ReportSyntaxError(`${what} is not an object`)
}

/** One thing where a list is expected is a list of one. */
function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

function textsOf(value: unknown): string[] | undefined {
  const texts = listOf(value).flatMap((item) => textOf(item) ?? [])
  return texts.length > 0 ? texts : undefined
}

/** A number of sessions; 0 where there is none. */
function countOf(value: unknown): number {
  if (value === undefined || value === null) return 0
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return count
  throw new ReportSyntaxError(`a count is "${escapeRemoteText(String(value))}"`)
}

const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?) ?([Zz]|[+-]\d\d:?\d\d)?$/

/** RFC 3339; without a zone it is UTC, as the days of reports are. */
function timeOf(value: unknown, what: string): Date {
  const [, day, time, zone = 'Z'] = TIME.exec(textOf(value)?.trim() ?? '') ?? []
  const offset = zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase()
  const date = new Date(`${day}T${time}${offset}`)
  if (!Number.isNaN(date.getTime())) return date
  throw new ReportSyntaxError(`its ${what} is "${escapeRemoteText(String(value))}"`)
}

function optional<K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: T })
}

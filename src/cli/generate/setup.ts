/**
 * The records and the policy file that a domain has to publish, read back by the core's parsers before
 * they are printed.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util'
import { domainOfMailbox, toALabels } from '../../dns/domain-name.js'
import { MtaStsError, PolicySyntaxError, RecordSyntaxError } from '../../errors.js'
import { policyHost, policyUrl, recordName, tlsRptName } from '../../policy/names.js'
import {
  formatPolicy,
  type Policy,
  type PolicyMode,
  parsePolicy,
} from '../../policy/policy-file.js'
import { formatRecord, parseRecord, type StsRecord } from '../../policy/record.js'
import { escapeRemoteText } from '../../text.js'
import { parseTlsRptRecord } from '../../tlsrpt/record.js'
import { UsageError } from '../context.js'

/** The limit of RFC 1035 §2.3.4: characters of the A-label form, without the root dot */
const MAX_NAME_LENGTH = 253

export interface SetupRequest {
  /** A-labels, lower case */
  domain: string
  /** MX hosts or `mx` patterns, as the user wrote them */
  mx: readonly string[]
  mode: PolicyMode
  /** Seconds */
  maxAge: number
  id: string
  /** URIs that take reports */
  rua: readonly string[]
}

/**
 * The output of `mta-sts generate --json`, beside `format` and `warnings`. It is as stable as that of
 * `check`.
 */
export interface Setup {
  domain: string
  id: string
  mode: PolicyMode
  mx: string[]
  /** Seconds */
  maxAge: number
  records: TxtRecord[]
  policy: {
    url: string
    /** The file, in lines that end with CRLF */
    body: string
  }
}

export interface TxtRecord {
  name: string
  text: string
}

/** @throws UsageError for what no sender could read */
export function makeSetup(request: SetupRequest): Setup {
  try {
    const { domain, id, mode, maxAge } = request
    const rua = [...new Set(request.rua.map(asciiUri))]
    mustFit([policyHost(domain), recordName(domain)])
    const mx = [...new Set(request.mx.map(patternOf))]
    const record: StsRecord = { version: 'STSv1', id }
    const policy: Policy = { version: 'STSv1', mode, mx, maxAge }
    const text = formatRecord(record)
    const body = formatPolicy(policy)
    mustBeSame(parseRecord(text), record)
    mustBeSame(parsePolicy(body), policy)
    const sts = { name: recordName(domain), text }
    const records = rua.length === 0 ? [sts] : [sts, reporting(domain, rua)]
    return { domain, id, mode, mx, maxAge, records, policy: { url: policyUrl(domain), body } }
  } catch (error) {
    if (error instanceof RecordSyntaxError || error instanceof PolicySyntaxError) {
      throw new UsageError(`${error.message}.`, { cause: error })
    }
    throw error
  }
}

/** The user may write U-labels, upper case and a root dot; a policy holds none of them. */
function patternOf(text: string): string {
  const [star, host] = text.startsWith('*.') ? ['*.', text.slice(2)] : ['', text]
  const name = toALabels(host)
  if (name !== undefined) return `${star}${name}`
  throw new UsageError(`--mx takes a host name, or "*." and one, not "${escapeRemoteText(text)}".`)
}

function reporting(domain: string, rua: readonly string[]): TxtRecord {
  const name = tlsRptName(domain)
  mustFit([name])
  const text = `v=TLSRPTv1; rua=${rua.join(',')};`
  if (!isDeepStrictEqual(readUris(text), rua)) {
    const uris = rua.map((uri) => `"${escapeRemoteText(uri)}"`).join(', ')
    throw new UsageError(
      `--rua takes mailto: and one plain mailbox (no quotes, no commas), or an https: URI with "," ";" and "!" as %2C %3B and %21, not ${uris}.`,
    )
  }
  return { name, text }
}

/** A record holds ASCII: the domain of a mailbox, or the host of a URL, in A-labels. */
function asciiUri(uri: string): string {
  if (/^mailto:/i.test(uri)) {
    const mailbox = uri.slice('mailto:'.length)
    const domain = domainOfMailbox(mailbox)
    const name = domain === undefined ? undefined : toALabels(domain)
    if (domain === undefined || name === undefined || /^[ -~]*$/.test(domain)) return uri
    return `mailto:${mailbox.slice(0, -domain.length)}${name}`
  }
  const [, host] = /^https:\/\/([^/?#:]+)/i.exec(uri) ?? []
  const name = host === undefined || /^[ -~]*$/.test(host) ? undefined : toALabels(host)
  return host === undefined || name === undefined ? uri : uri.replace(host, name)
}

/** RFC 1035 §2.3.4 counts the labels in front of the domain, too. */
function mustFit(names: readonly string[]): void {
  const tooLong = names.find((name) => name.length > MAX_NAME_LENGTH)
  if (tooLong === undefined) return
  throw new UsageError(
    `The domain is too long for MTA-STS: ${tooLong.slice(0, 60)}... has ${tooLong.length} characters, and a name has at most ${MAX_NAME_LENGTH}.`,
  )
}

/** Returns the URIs that a reader of the record finds; none where it cannot be read. */
function readUris(text: string): readonly string[] {
  try {
    return parseTlsRptRecord(text).rua
  } catch (error) {
    if (error instanceof RecordSyntaxError) return []
    throw error
  }
}

function mustBeSame(read: unknown, written: unknown): void {
  if (isDeepStrictEqual(read, written)) return
  throw new MtaStsError('What was written is not what would be read: please report this', 'EBUG')
}

/** Returns `20260801T120000Z`: programs see no order in ids (RFC 8461 §3.1), people do. */
export function idOf(time: Date): string {
  return time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:]/g, '')
}

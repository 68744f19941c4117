/**
 * The TXT record at `_smtp._tls.` + domain (RFC 8460 §3), with which a domain requests reports and
 * names their destinations:
 *
 * v=TLSRPTv1; rua=mailto:reports@example.com,https://reports.example.com/v1/tlsrpt
 *
 * @module
 */
import { ask, isTextRecord, type Resolver } from '../dns/resolver.js'
import {
  checkRecords,
  checkText,
  type Field,
  firstOfEach,
  parseTagList,
  selectRecords,
  trimWhiteSpace,
} from '../dns/txt-record.js'
import { RecordSyntaxError } from '../errors.js'
import { tlsRptName } from '../policy/names.js'
import { escapeRemoteText } from '../text.js'
import { type Destination, destinationOf } from './destination.js'

/** The TXT record at `_smtp._tls.` + domain (RFC 8460 §3), parsed. */
export interface TlsRptRecord {
  /** The only defined version */
  version: 'TLSRPTv1'
  /** The usable URIs, as written and in record order, without duplicates; at least one */
  rua: readonly string[]
  /** Fields that RFC 8460 does not define, in record order; omitted if there are none */
  extensions?: readonly Field[]
}

const VERSION = 'TLSRPTv1'

/**
 * Reads one record whose strings are already joined. URIs with other schemes than `mailto` and
 * `https`, and unusable ones, are omitted.
 *
 * ```ts
 * parseTlsRptRecord('v=TLSRPTv1; rua=mailto:reports@example.com').rua // ['mailto:reports@...']
 * ```
 *
 * @throws RecordSyntaxError, also when no URI is usable
 */
export function parseTlsRptRecord(txt: string): TlsRptRecord {
  checkText('parseTlsRptRecord()', txt)
  const fields = firstOfEach(parseTagList(txt, { version: VERSION, unchecked: ['rua'] }))
  const value = fields.find(({ name }) => name === 'rua')?.value ?? ''
  const rua = [...new Set(value.split(',').map(trimWhiteSpace))].filter(isUsable)
  if (rua.length === 0) {
    throw new RecordSyntaxError(
      `The TLSRPT record names no destination of reports: it needs rua= with a mailto: or https: URI, but it is "${escapeRemoteText(txt)}"`,
    )
  }
  const extensions = fields.filter(({ name }) => name !== 'v' && name !== 'rua')
  return { version: VERSION, rua, ...(extensions.length > 0 ? { extensions } : {}) }
}

/**
 * Returns the record of a TXT answer, in the shape of `resolveTxt` of `node:dns`. Undefined unless
 * it has exactly one record of this version, and that one is well formed: otherwise the domain
 * accepts no reports.
 */
export function selectTlsRptRecord(
  rrset: readonly (readonly string[])[],
): TlsRptRecord | undefined {
  checkRecords('selectTlsRptRecord()', rrset)
  // Counted before parsing, as with MTA-STS
  const [record, ...others] = selectRecords(rrset, VERSION)
  if (record === undefined || others.length > 0) return undefined
  try {
    return parseTlsRptRecord(record)
  } catch (error) {
    if (error instanceof RecordSyntaxError) return undefined
    throw error
  }
}

/** The destinations of a domain's reports. `failed`: unknown, try again later. */
export type ReportingLookup =
  | { kind: 'found'; destinations: readonly Destination[] }
  | { kind: 'none' }
  | { kind: 'failed'; error: Error }

/** Looks up the record of a Policy Domain (A-labels). Never rejects. */
export async function lookupDestinations(
  domain: string,
  { resolver, dnsTimeout }: { resolver: Resolver; dnsTimeout: number },
): Promise<ReportingLookup> {
  const answer = await ask(() => resolver.resolveTxt(tlsRptName(domain)), dnsTimeout, isTextRecord)
  if (answer.kind === 'failed') return answer
  const record = answer.kind === 'found' ? selectTlsRptRecord(answer.records) : undefined
  if (record === undefined) return { kind: 'none' }
  const destinations = record.rua.flatMap((uri) => destinationOf(uri) ?? [])
  // One place may be written in several ways
  const places = destinations.map(placeOf)
  const each = destinations.filter((one, index) => places.indexOf(placeOf(one)) === index)
  return { kind: 'found', destinations: each }
}

function placeOf(destination: Destination): string {
  return destination.kind === 'mail' ? destination.mailbox : destination.url.href
}

function isUsable(uri: string): boolean {
  return destinationOf(uri) !== undefined
}

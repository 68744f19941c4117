/**
 * The error of a DNS lookup without records, in the shape of the errors of `node:dns`.
 *
 * @module
 */
import { escapeRemoteText } from '../text.js'

export type DnsErrorCode =
  | 'ENODATA'
  | 'ENOTFOUND'
  | 'ESERVFAIL'
  | 'EREFUSED'
  | 'EFORMERR'
  | 'ENOTIMP'
  | 'ETIMEOUT'
  | 'ECONNREFUSED'
  | 'EBADRESP'
  | 'EBADNAME'

/** Has `code`, `hostname` and `syscall`, as an error of `node:dns` has. */
export class DnsError extends Error {
  override readonly name = 'DnsError'
  readonly code: DnsErrorCode
  readonly hostname: string
  readonly syscall: string

  constructor(
    code: DnsErrorCode,
    query: { name: string; type: string },
    details: { note?: string; cause?: unknown } = {},
  ) {
    const syscall = `query${query.type}`
    const note = details.note === undefined ? '' : ` (${details.note})`
    const hostname = query.name === '' ? '.' : query.name
    super(`${syscall} ${code} ${escapeRemoteText(hostname)}${note}`, { cause: details.cause })
    this.code = code
    this.hostname = hostname
    this.syscall = syscall
  }
}

/**
 * A destination of reports: a `rua` URI of a TLSRPT record (RFC 8460 §3). A remote party chooses
 * it, so only one plain form of each kind is accepted.
 *
 * @module
 */
import { domainOfMailbox, toALabels } from '../dns/domain-name.js'

export type Destination =
  | {
      kind: 'mail'
      /** The URI as written in the record */
      uri: string
      /** One mailbox: ASCII, its domain in A-labels */
      mailbox: string
    }
  | { kind: 'https'; uri: string; url: URL }

/** Longest usable URI; longer ones do not fit into a DNS answer with others. */
const MAX_URI_LENGTH = 2048

/** The longest local part, RFC 5321 §4.5.3.1.1 */
const MAX_LOCAL_PART = 64

/** `dot-atom-text` of RFC 5322 §3.2.3, which needs no quotes in a header or an SMTP command */
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/

/**
 * Returns the destination; undefined for another scheme, for more than one mailbox, a quoted local
 * part, an address in place of a host name, and for an `https` URI with a user name.
 */
export function destinationOf(uri: string): Destination | undefined {
  if (uri.length > MAX_URI_LENGTH) return undefined
  const scheme = uri.slice(0, uri.indexOf(':') + 1).toLowerCase()
  if (scheme === 'mailto:') return mailDestination(uri)
  return scheme === 'https:' ? httpsDestination(uri) : undefined
}

/** Returns the mailbox with its domain in A-labels; undefined unless it has the plain form. */
export function plainMailbox(text: string): string | undefined {
  const domain = toALabels(domainOfMailbox(text) ?? '')
  const local = text.slice(0, text.lastIndexOf('@'))
  if (domain === undefined || local.length > MAX_LOCAL_PART || !DOT_ATOM.test(local)) {
    return undefined
  }
  return `${local}@${domain}`
}

/** Reads a `mailto` URI (RFC 6068 §2). Its header fields (`?subject=`) are ignored. */
function mailDestination(uri: string): Destination | undefined {
  const to = uri.slice('mailto:'.length).split('?', 1)[0] ?? ''
  const decoded = percentDecoded(to)
  const mailbox = decoded === undefined ? undefined : plainMailbox(decoded)
  return mailbox === undefined ? undefined : { kind: 'mail', uri, mailbox }
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function httpsDestination(uri: string): Destination | undefined {
  if (!URL.canParse(uri)) return undefined
  const url = new URL(uri)
  const named = url.username === '' && url.password === '' && toALabels(url.hostname) !== undefined
  return named ? { kind: 'https', uri, url } : undefined
}

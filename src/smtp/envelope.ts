/**
 * The commands of an envelope: MAIL and RCPT with the parameters that the host offers (RFC 5321
 * §4.1.1.2, RFC 1870, RFC 6152, RFC 6531, RFC 3461, RFC 8689), without anything that could end a
 * command early.
 *
 * @module
 */
import { domainOfMailbox, toALabels } from '../dns/domain-name.js'
import { escapeRemoteText } from '../text.js'
import { TlsFailureError } from '../tls/failures.js'
import type { SmtpEnvelope } from './connection.js'
import { envelopeError, type SmtpError, smtpUtf8Error, tooLargeError } from './errors.js'
import type { ReplyContext } from './reply.js'

/** The facts about the host that the commands depend on. */
export interface HostFacts extends ReplyContext {
  readonly mxHost: string
  readonly address: string
  readonly extensions: ReadonlyMap<string, string>
  /** STARTTLS was completed */
  readonly secured: boolean
}

/** The commands for one message to one host. */
export interface EnvelopeCommands {
  readonly mail: string
  readonly recipients: readonly RecipientCommand[]
}

export interface RecipientCommand {
  /** The recipient as the caller wrote it */
  readonly recipient: string
  /** undefined: the host does not support the address */
  readonly command?: string
  readonly error?: SmtpError
}

/**
 * Returns the commands for an envelope.
 *
 * @param size bytes of the message, if known
 * @throws SmtpError `EENVELOPE` for an envelope that no host can get, or that needs SMTPUTF8 where
 * it is not offered; `EMESSAGE` for a message over the host's SIZE
 * @throws TlsFailureError where REQUIRETLS is demanded and not offered
 */
export function envelopeCommands(
  envelope: SmtpEnvelope,
  size: number | undefined,
  host: HostFacts,
): EnvelopeCommands {
  const { to }: { to: unknown } = envelope
  if (!Array.isArray(to)) throw envelopeError(`The recipients are ${shown(to)}, and no array`)
  if (to.length === 0) throw envelopeError('The message has no recipients')
  const sender = envelope.from === false || envelope.from === '' ? '' : path(envelope.from)
  const paths = envelope.to.map((recipient) => ({ recipient, path: path(recipient, recipient) }))
  const dsn = dsnParameters(envelope.dsn)

  const offered = host.extensions.has('SMTPUTF8')
  const needing = paths.filter((one) => needsUtf8(one.path))
  if (!offered && needsUtf8(sender)) throw smtpUtf8Error(sender, host, true)
  const whole = needing.length === paths.length
  const [first] = needing
  if (!offered && whole && first) throw smtpUtf8Error(first.path, host, true)
  checkSize(size, host)

  const hasDsn = host.extensions.has('DSN')
  const utf8 = offered && (needing.length > 0 || needsUtf8(sender))
  const mail = [
    `MAIL FROM:<${sender}>`,
    ...(host.extensions.has('SIZE') && size !== undefined ? [`SIZE=${size}`] : []),
    ...(host.extensions.has('8BITMIME') && envelope.use8BitMime !== false ? ['BODY=8BITMIME'] : []),
    ...(utf8 ? ['SMTPUTF8'] : []),
    ...(hasDsn ? dsn.mail : []),
    ...requireTls(envelope, host),
  ]
  const suffix = hasDsn ? dsn.recipient.map((parameter) => ` ${parameter}`).join('') : ''
  return {
    mail: mail.join(' '),
    recipients: paths.map((one) =>
      !offered && needsUtf8(one.path)
        ? { recipient: one.recipient, error: smtpUtf8Error(one.path, host, false, one.recipient) }
        : { recipient: one.recipient, command: `RCPT TO:<${one.path}>${suffix}` },
    ),
  }
}

/**
 * Whether a host must offer SMTPUTF8 for this address: its local part is not ASCII. A domain is
 * sent in A-labels and needs nothing (RFC 6531 §3.2).
 */
export function needsSmtpUtf8(address: string): boolean {
  const at = address.lastIndexOf('@')
  return needsUtf8(at < 0 ? address : address.slice(0, at))
}

function needsUtf8(text: string): boolean {
  return /[^\0-\x7f]/.test(text)
}

/** Control characters (C0, DEL, C1), line separators, lone surrogates, and angle brackets. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}<>]/u

/** A local part in quotes, which may hold spaces (RFC 5321 §4.1.2). */
const QUOTED = /^"(?:[^"\\]|\\.)*"$/

/** Most addresses, which are sent as they are. */
const PLAIN = /^[\w!#$%&'*+/=?^`{|}~.-]+@[\w.-]*\w$/

/** Returns the address as written between the angle brackets (RFC 5321 §4.1.2). */
function path(address: unknown, recipient?: string): string {
  if (typeof address === 'string' && PLAIN.test(address)) return address
  const invalid = (why: string) =>
    envelopeError(
      `The address ${escapeRemoteText(JSON.stringify(address) ?? String(address))} ${why}`,
      recipient,
    )
  if (typeof address !== 'string' || address === '') throw invalid('is not an address')
  if (UNSAFE.test(address)) throw invalid('holds a character that no address can hold')
  const written = domainOfMailbox(address)
  // `postmaster` alone is an address (RFC 5321 §4.5.1)
  const local = written === undefined ? address : address.slice(0, -written.length - 1)
  if (/\s/.test(written ?? '') || (/\s/.test(local) && !QUOTED.test(local))) {
    throw invalid('holds a space')
  }
  if (written === undefined) return address
  const domain = needsUtf8(written) ? toALabels(written) : written.replace(/\.$/, '')
  if (domain === undefined || domain === '') throw invalid('has no valid domain')
  return `${local}@${domain}`
}

/** Throws for a size that is no number, or over the limit (RFC 1870 §6.1). */
function checkSize(size: number | undefined, host: HostFacts): void {
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0)) {
    throw envelopeError(`The size is ${escapeRemoteText(String(size))}`)
  }
  const limit = Number(host.extensions.get('SIZE') || 0)
  // 0: no limit (§4)
  if (size !== undefined && limit > 0 && size > limit) throw tooLargeError(size, limit, host)
}

/** Returns the parameter REQUIRETLS, which the host must offer inside TLS (RFC 8689 §2). */
function requireTls({ requireTls }: SmtpEnvelope, host: HostFacts): string[] {
  if (!requireTls) return []
  if (host.secured && host.extensions.has('REQUIRETLS')) return ['REQUIRETLS']
  throw notOffered(host)
}

export function notOffered({ mxHost, address }: Pick<HostFacts, 'mxHost' | 'address'>) {
  const reason = 'requiretls-not-offered'
  return new TlsFailureError({ resultType: 'validation-failure', reason, mxHost, address })
}

const NOTIFY_WORDS: ReadonlySet<string> = new Set(['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'])

/** The longest values that a host must take (RFC 3461 §4.2, §4.4). */
const MAX_ENVID = 100
const MAX_ORCPT = 500

/**
 * Returns the parameters of RFC 3461 §4 for MAIL and for each RCPT.
 *
 * @throws SmtpError `EENVELOPE` for values that no host can get
 */
export function dsnParameters(dsn: SmtpEnvelope['dsn']): { mail: string[]; recipient: string[] } {
  if (typeof dsn !== 'object' && dsn !== undefined) {
    throw envelopeError(`DSN: the options must be an object, and are ${shown(dsn)}`)
  }
  const { ret, envid, notify, orcpt } = dsn ?? {}
  const words = notifyWords(notify)
  if (ret !== undefined && ret !== 'FULL' && ret !== 'HDRS')
    throw envelopeError(`DSN: ret is ${shown(ret)}`)
  return {
    mail: [
      ...(ret === undefined ? [] : [`RET=${ret}`]),
      ...(envid === undefined || envid === '' ? [] : [`ENVID=${xtext(envid, 'envid', MAX_ENVID)}`]),
    ],
    recipient: [
      ...(words.length > 0 ? [`NOTIFY=${words.join(',')}`] : []),
      ...(orcpt === undefined || orcpt === '' ? [] : [`ORCPT=${originalRecipient(orcpt)}`]),
    ],
  }
}

function notifyWords(notify: unknown): string[] {
  const list: unknown = typeof notify === 'string' ? notify.split(',') : (notify ?? [])
  if (notify === '') return []
  if (!Array.isArray(list)) throw envelopeError(`DSN: notify is ${shown(notify)}`)
  const words = list.map((word: unknown) =>
    typeof word === 'string' ? word.trim().toUpperCase() : shown(word),
  )
  const isKnown = words.every((word) => NOTIFY_WORDS.has(word))
  if (isKnown && !(words.length > 1 && words.includes('NEVER'))) return words
  throw envelopeError(`DSN: notify is ${shown(words.join(','))}`)
}

/** Returns `rfc822;user@example.com` (RFC 3461 §4.2); a plain address gets that type. */
function originalRecipient(orcpt: unknown): string {
  const typed = typeof orcpt === 'string' ? /^([\w-]+;)(.*)$/s.exec(orcpt) : null
  const [, type = 'rfc822;', address = orcpt] = typed ?? []
  return `${type}${xtext(address, 'orcpt', MAX_ORCPT - type.length)}`
}

/**
 * Encodes xtext (RFC 3461 §4): printable ASCII is unchanged, except `+` and `=`, which are escaped,
 * as spaces are.
 */
function xtext(text: unknown, field: string, max: number): string {
  if (typeof text !== 'string' || !/^[ -~]*$/.test(text)) {
    throw envelopeError(`DSN: ${field} must be printable ASCII, and is ${shown(text)}`)
  }
  const hex = (char: string) => `+${char.charCodeAt(0).toString(16).toUpperCase()}`
  const encoded = text.replace(/[ +=]/g, hex)
  if (encoded.length <= max) return encoded
  throw envelopeError(
    `DSN: ${field} has ${encoded.length} characters as it is sent, and may have ${max} (RFC 3461)`,
  )
}

/** Returns a value of the caller's for a message. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return 'an object'
  return escapeRemoteText(typeof value === 'string' ? JSON.stringify(value) : String(value))
}

/**
 * The work of Nodemailer's Mail object on a message before the transport sees it: options, defaults,
 * plugins. `createTransport(withMtaSts(x))` makes a new Mail, which takes over those of `x`.
 *
 * @module
 */
import { isIP } from 'node:net'
import { toALabels } from '../dns/domain-name.js'
import { argumentError, configError, optionError } from '../option-checks.js'
import { escapeRemoteText } from '../text.js'
import { loadNodemailer } from './load-nodemailer.js'
import { unknownNodemailer } from './smart-host-errors.js'
import type { Mail, MailObject, SmtpOptions, SmtpTransport } from './smart-host-types.js'

/** An SMTP transport, and its Mail object if there is one. */
export interface Wrapped {
  transport: SmtpTransport
  mail?: MailObject | undefined
}

const SMTP_TRANSPORTS = ['SMTP', 'SMTP (pool)']

/**
 * Returns the transport to hold to a policy.
 *
 * @param given a URL, options, a transporter, or a transport of Nodemailer's
 * @throws TypeError when it is not SMTP
 */
export function smtpTransportOf(given: unknown): Wrapped {
  const isUrl = typeof given === 'string' && /^smtps?:/i.test(given)
  if (!isUrl && (typeof given !== 'object' || given === null)) {
    const problem = 'must be an smtp: URL, options of an SMTP transport, or a transporter'
    throw argumentError(['withMtaSts()', 'transport'], problem, given)
  }
  const wrapped = typeof given === 'object' ? existing(given) : undefined
  if (wrapped) return checked(wrapped)
  const mail = loadNodemailer().createTransport(given) as MailObject
  checked({ transport: mail.transporter })
  // This Mail sends no message: events belong to the Mail that is made of the transport
  mail.transporter.removeAllListeners()
  return { transport: mail.transporter, mail }
}

function existing(given: object): Wrapped | undefined {
  if ('sendMail' in given && 'transporter' in given) {
    const mail = given as unknown as MailObject
    return { transport: mail.transporter, mail }
  }
  const isTransport = 'send' in given && typeof given.send === 'function'
  return isTransport ? { transport: given as SmtpTransport } : undefined
}

function checked(wrapped: Wrapped): Wrapped {
  const { name } = wrapped.transport
  if (!SMTP_TRANSPORTS.includes(name)) {
    throw configError(
      `withMtaSts(): the argument "transport" must be an smtp: URL, options of an SMTP transport, or a transporter made of them, but its transport is ${escapeRemoteText(String(name))}, which makes no SMTP connections of its own`,
    )
  }
  // The wrapped Mail may have no listener for errors; the new one has its own
  if (wrapped.mail && 'on' in wrapped.mail && typeof wrapped.mail.on === 'function') {
    wrapped.mail.on('error', () => {})
  }
  return wrapped
}

/** Copies what the wrapped Mail was made with to a new one, whose own take precedence. */
export function adopt(mail: MailObject, from: MailObject): void {
  mail.options = { ...from.options, ...mail.options }
  mail._defaults = withDefaults(mail._defaults, from._defaults)
  mail.dkim ||= from.dkim
  mail.meta = from.meta
  for (const [step, plugins] of Object.entries(from._userPlugins)) {
    mail._userPlugins[step] = [...plugins, ...(mail._userPlugins[step] ?? [])]
  }
}

/** Merges second arguments of `createTransport`, headers one by one as Nodemailer does. */
function withDefaults(own: object, others: object): object {
  const headers = [others, own].flatMap((one) =>
    'headers' in one && typeof one.headers === 'object' && one.headers !== null ? one.headers : [],
  )
  const merged = { ...others, ...own }
  const lists = headers.some(Array.isArray)
  return headers.length < 2 || lists
    ? merged
    : { ...merged, headers: Object.assign({}, ...headers) }
}

/** Whether this is a Mail object that can take over what another was made with. */
export function isMail(value: object | undefined): value is MailObject {
  return value !== undefined && '_defaults' in value && '_userPlugins' in value && 'meta' in value
}

/** The oldest version of Nodemailer that the tests run with. */
const OLDEST = 8

/**
 * Checks the version of Nodemailer that a transport belongs to.
 *
 * @throws MtaStsError `ENODEMAILER` when it is too old
 */
export function checkVersion({ version }: SmtpTransport): void {
  if (Number.parseInt(version, 10) < OLDEST) throw unknownNodemailer()
}

/** Returns the recipients of a mail; none when its envelope cannot be read. */
export function recipientsOf({ message }: Mail): string[] {
  try {
    return [message.getEnvelope().to ?? []].flat()
  } catch {
    return []
  }
}

/** Returns the Policy Domain: the configured host, or for an address `tls.servername`. */
export function policyDomainOf({ host = 'localhost', tls }: SmtpOptions): string {
  const name = isIP(host) && tls?.servername ? tls.servername : host
  if (isIP(name)) return isIP(name) === 6 ? `[IPv6:${name}]` : `[${name}]`
  const policyDomain = typeof name === 'string' ? toALabels(name) : undefined
  if (policyDomain !== undefined) return policyDomain
  throw optionError('host', 'must be a host name or an address', host)
}

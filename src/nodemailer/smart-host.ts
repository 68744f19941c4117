/**
 * A Nodemailer SMTP transport that talks to a smart host, held to the smart host's own policy: the
 * Policy Domain is the configured name, and no recipient's policy is asked for (RFC 8461 §3.4).
 *
 * The transport stays Nodemailer's own `SMTPTransport` or `SMTPPool`: queue, login, pool, proxies,
 * events and errors are its own. Two things are changed. Its connections come from `getSocket`,
 * brought to the verdict by `smtp/open` where something must be proved. And each message passes a
 * gate right before MAIL FROM, which compares what the connection has proved with what the
 * policy asks for at that moment.
 *
 * @module
 */
import { checkStsOptions, refuseUncalled, type StsOptions } from './core.js'
import type { DomainDelivery } from './info.js'
import { smtpTransportOf } from './smart-host-mail.js'
import { SmartHost } from './smart-host-transport.js'
import type { MailInfo, MailTransport, MailTransporter, SmartHostOptions } from './types.js'

/** Nodemailer's `info`, and the account of the delivery to the smart host. */
export interface SmartHostInfo extends MailInfo {
  /** One, about the smart host: its Policy Domain is the configured name (RFC 8461 §3.4) */
  deliveries: DomainDelivery[]
}

/**
 * Holds a smart host to its own policy. Everything else about the transport stays as it is: auth,
 * ports, pool, proxies, plugins.
 *
 * @example
 * const smartHost = { host: 'smtp.example.com', port: 587, auth: { user, pass } }
 * const transporter = nodemailer.createTransport(withMtaSts(smartHost))
 *
 * @param transport a URL or options of an SMTP or pool transport, or a transporter made of them
 * @returns the transport itself, Nodemailer's `SMTPTransport` or `SMTPPool`
 * @throws TypeError when the transport is not SMTP, or an option is wrong
 */
export function withMtaSts<Options extends SmartHostOptions>(
  transport: string | Options | MailTransporter,
  options: StsOptions = {},
): MailTransport<SmartHostInfo> {
  checkStsOptions(options, { call: 'withMtaSts()', own: OWN_NAMES, elsewhere: ELSEWHERE })
  const wrapped = smtpTransportOf(transport)
  new SmartHost(wrapped, options).install()
  return wrapped.transport as unknown as MailTransport<SmartHostInfo>
}

refuseUncalled(withMtaSts, 'smartHost')

/** Options that are also used for connections to the smart host, with or without `sts`. */
const OWN_NAMES = ['connect', 'resolver', 'ca']

const FIRST = 'it belongs to the first argument of withMtaSts(), the options of the smart host'

/** Options of the smart host, which would have no effect here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  host: FIRST,
  auth: FIRST,
  secure: FIRST,
  requireTLS: FIRST,
  ignoreTLS: FIRST,
  pool: FIRST,
  service: FIRST,
  proxy: FIRST,
  dkim: FIRST,
  tls: `${FIRST}; for trusted roots use "ca"`,
}

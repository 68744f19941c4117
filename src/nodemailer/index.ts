/**
 * Transports for Nodemailer 8, 9 and 10: {@link mtaStsTransport} delivers to the MX hosts of the
 * recipients' domains, {@link withMtaSts} holds a smart host to the policy of its own name.
 *
 * ```ts
 * import nodemailer from 'nodemailer'
 * import { mtaStsTransport } from 'mta-sts/nodemailer'
 *
 * const transporter = nodemailer.createTransport(mtaStsTransport({ name: 'mail.sender.example' }))
 * const message = { from: 'me@sender.example', to: 'you@example.com', subject: 'Hi', text: 'Hello!' }
 * const { deliveries } = await transporter.sendMail(message)
 * console.log(deliveries[0]?.status, deliveries[0]?.mode, deliveries[0]?.proved)
 * transporter.close()
 * ```
 *
 * Both take the options of the core ({@link StsOptions}), or share one `MtaSts` by the option `sts`.
 * {@link SentInfo} is what `sendMail` resolves to; {@link DomainDelivery} is the account of one domain
 * in it.
 *
 * Guides: [A smart host](../../docs/smart-host.md), [Roll-out](../../docs/roll-out.md),
 * [Errors](../../docs/errors.md).
 *
 * @module mta-sts/nodemailer
 */

export type { StsOptions } from './core.js'
export type { DomainDelivery, SentInfo } from './info.js'
export { type SmartHostInfo, withMtaSts } from './smart-host.js'
export { mtaStsTransport } from './transport.js'
export type { MtaStsTransportOptions } from './transport-options.js'
export type {
  MailEnvelope,
  MailError,
  MailInfo,
  MailLogger,
  MailNode,
  MailToSend,
  MailTransport,
  MailTransporter,
  SmartHostOptions,
} from './types.js'

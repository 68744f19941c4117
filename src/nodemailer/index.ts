/**
 * Nodemailer transports that enforce MTA-STS (RFC 8461).
 *
 * @module mta-sts/nodemailer
 */

export type { StsOptions } from './core.js'
export type { DomainDelivery, SentInfo } from './info.js'
export { type SmartHostInfo, withMtaSts } from './smart-host.js'
export { type MtaStsTransportOptions, mtaStsTransport } from './transport.js'
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

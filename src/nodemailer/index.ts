/**
 * Nodemailer transports that enforce MTA-STS (RFC 8461).
 *
 * @module mta-sts/nodemailer
 */

export type { StsOptions } from './core.js'
export type { DomainDelivery, SentInfo } from './info.js'
export { type SmartHostInfo, withMtaSts } from './smart-host.js'
export { type MtaStsTransportOptions, mtaStsTransport } from './transport.js'

/**
 * DANE for SMTP (RFC 7672).
 *
 * @module mta-sts/dane
 */
export type { AddressLookup } from '../dns/addresses.js'
export type { MxRecord } from '../dns/shared-lookups.js'
export type { TlsaRecord } from '../tls/security.js'
export { type DaneOptions, dane } from './create.js'
export type {
  Dane,
  DaneDemand,
  DaneHost,
  DaneHostOptions,
  DaneLogger,
  DaneProof,
} from './dane.js'
export { type DnssecResolverOptions, dnssecResolver } from './dnssec-resolver.js'
export type { DnssecResolver, RecordData, SecureAnswer } from './secure-answer.js'
export { type DaneVerdict, verifyPeer } from './verify.js'

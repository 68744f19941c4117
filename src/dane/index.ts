/**
 * DANE for SMTP (RFC 7672).
 *
 * @module mta-sts/dane
 */
export type { TlsaRecord } from '../tls/security.js'
export type {
  Dane,
  DaneDemand,
  DaneHost,
  DaneHostOptions,
  DaneLogger,
  DaneProof,
} from './dane.js'
export type { DnssecResolver, RecordData, SecureAnswer } from './secure-answer.js'

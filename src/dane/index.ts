/**
 * DANE for SMTP (RFC 7672): the option `dane` holds MX hosts to the certificates that their domain has
 * signed in DNS, alone and beside MTA-STS. It needs the package `dns-packet`, and a validating
 * resolver on the same machine.
 *
 * ```ts
 * import { dane } from 'mta-sts/dane'
 * import { mtaStsTransport } from 'mta-sts/nodemailer'
 *
 * const transport = mtaStsTransport({ name: 'mail.sender.example', dane: dane() })
 * ```
 *
 * - {@link dane} makes the option, {@link dnssecResolver} a resolver by other servers than the
 *   system's.
 * - {@link verifyPeer} judges a TLS connection by TLSA records, for programs that connect themselves.
 *
 * Guide: [DANE](../../docs/dane.md).
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

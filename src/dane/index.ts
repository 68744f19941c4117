/**
 * DANE for SMTP (RFC 7672).
 *
 * @module mta-sts/dane
 */
export type { TlsaRecord } from '../tls/security.js'

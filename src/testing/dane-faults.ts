/**
 * The faults of DANE that have a name.
 *
 * @module
 */
/** Faults of DANE; {@link DANE_FAULTS} describes them. */
export type DaneFault =
  | 'insecure-mx'
  | 'bogus-mx'
  | 'insecure-address'
  | 'bogus-address'
  | 'no-tlsa'
  | 'opt-out'
  | 'insecure-tlsa'
  | 'bogus-tlsa'
  | 'tlsa-servfail'
  | 'tlsa-timeout'
  | 'old-key'
  | 'pkix-records'
  | 'short-record'
  | 'anchor-not-sent'
  | 'alias'
  | 'insecure-alias'
  | 'insecure-alias-target'

/** A row of {@link DANE_FAULTS}. */
export interface DaneFaultDescription {
  /** Value of `fails` */
  name: DaneFault
  /** Contents of the DNS */
  plays: string
  /**
   * Result of a message without an MTA-STS policy: `authenticated` by DANE, `encrypted` (TLS
   * required), `opportunistic`, `refused` or `deferred`
   */
  outcome: 'authenticated' | 'encrypted' | 'opportunistic' | 'refused' | 'deferred'
  /** Type of the recorded failure, if there is one */
  resultType?: string
  /** Reason of the failure */
  reason?: string
}

/** Every fault of DANE that has a name. */
export const DANE_FAULTS: readonly DaneFaultDescription[] = [
  { name: 'insecure-mx', plays: 'MX records that are not signed', outcome: 'opportunistic' },
  { name: 'bogus-mx', plays: 'MX records with a broken signature', outcome: 'deferred' },
  { name: 'insecure-address', plays: 'addresses that are not signed', outcome: 'opportunistic' },
  { name: 'bogus-address', plays: 'addresses with a broken signature', outcome: 'deferred' },
  { name: 'no-tlsa', plays: 'a signed answer: no TLSA records', outcome: 'opportunistic' },
  { name: 'opt-out', plays: 'no TLSA records, by NSEC3 opt-out', outcome: 'opportunistic' },
  { name: 'insecure-tlsa', plays: 'TLSA records that are not signed', outcome: 'opportunistic' },
  {
    name: 'bogus-tlsa',
    plays: 'TLSA records with a broken signature',
    outcome: 'refused',
    resultType: 'dnssec-invalid',
    reason: 'dnssec-bogus',
  },
  {
    name: 'tlsa-servfail',
    plays: 'SERVFAIL for the TLSA records',
    outcome: 'refused',
    resultType: 'dnssec-invalid',
    reason: 'tlsa-lookup-failed',
  },
  {
    name: 'tlsa-timeout',
    plays: 'no answer for the TLSA records',
    outcome: 'refused',
    resultType: 'dnssec-invalid',
    reason: 'tlsa-lookup-failed',
  },
  {
    name: 'old-key',
    plays: 'a record of a key that the host no longer has',
    outcome: 'refused',
    resultType: 'validation-failure',
    reason: 'tlsa-mismatch',
  },
  {
    name: 'pkix-records',
    plays: 'records of usage 0 and 1 only',
    outcome: 'encrypted',
    resultType: 'tlsa-invalid',
    reason: 'tlsa-unusable',
  },
  {
    name: 'short-record',
    plays: 'a record of three octets',
    outcome: 'encrypted',
    resultType: 'tlsa-invalid',
    reason: 'tlsa-unusable',
  },
  {
    name: 'anchor-not-sent',
    plays: 'the digest of a root that the host does not send',
    outcome: 'refused',
    resultType: 'certificate-not-trusted',
    reason: 'tlsa-mismatch',
  },
  { name: 'alias', plays: 'an MX host that is a signed alias', outcome: 'authenticated' },
  {
    name: 'insecure-alias',
    plays: 'an MX host that is an unsigned alias',
    outcome: 'opportunistic',
  },
  {
    name: 'insecure-alias-target',
    plays: 'a signed alias of an unsigned name; the records at the alias count',
    outcome: 'authenticated',
  },
]

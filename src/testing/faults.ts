/**
 * Names of faults of MX hosts, policy hosts and the DNS.
 *
 * @module
 */
import type { Rule } from './rules.js'

/** Faults of the certificate, of MX hosts and policy hosts. */
export type CertificateFault = 'wrong-name' | 'cn-only' | 'expired' | 'self-signed'

/** A rule that is set as a fault. */
export type ReplyFault = Rule

/** Named faults of an MX host; {@link FAULTS} describes them. */
export type NamedMxFault =
  | CertificateFault
  | 'no-starttls'
  | 'starttls-454'
  | 'starttls-502'
  | 'partial-wildcard'
  | 'unknown-authority'
  | 'missing-intermediate'
  | 'not-yet-valid'
  | 'tls-1.1'
  | 'handshake-reset'
  | 'handshake-stall'
  | 'handshake-plaintext'
  | 'client-certificate'
  | 'response-injection'
  | 'response-fragment'
  | 'unreachable'
  | 'slow'
  | 'drops-after-data'

/** A fault of an MX host: a name or a rule. */
export type MxFault = NamedMxFault | ReplyFault

/** A response of the policy host. Missing fields are those of the good response. */
export interface ResponseFault {
  /** HTTP status; default 200 */
  status?: number
  /** Header fields, in place of those of the good response */
  headers?: Readonly<Record<string, string>>
  /** Body; default: the policy file */
  body?: string | Buffer
}

/** Named faults of a policy host; {@link FAULTS} describes them. */
export type NamedPolicyHostFault =
  | CertificateFault
  | 'down'
  | 'reset'
  | '404'
  | '500'
  | 'redirect'
  | 'html'
  | 'oversize'
  | 'drip'
  | 'gzip'
  | 'invalid-policy'

/** A fault of a policy host: a name or a response. */
export type PolicyHostFault = NamedPolicyHostFault | ResponseFault

/** Failures of a DNS query. */
export type LookupFault = 'nxdomain' | 'servfail' | 'timeout' | 'refused'

/** Faults of the DNS of a domain; {@link FAULTS} describes them. */
export type DnsFault =
  | LookupFault
  | 'cname-chain'
  | 'two-records'
  | 'malformed-record'
  | 'split-strings'
  | 'spoofed-mx'
  | 'null-mx'
  | 'ipv6-only'

/**
 * Places of a DNS fault: the TXT record, the MX records, the addresses of the policy host, the
 * addresses of the MX hosts.
 */
export type DnsPlace = 'record' | 'mx' | 'policy-host' | 'mx-hosts'

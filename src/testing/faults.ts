/**
 * What can be wrong with an MX host, a policy host and the DNS, by name.
 *
 * @module
 */
import type { Rule } from './rules.js'

/** A certificate that does not prove what it should; for MX hosts and policy hosts alike. */
export type CertificateFault = 'wrong-name' | 'cn-only' | 'expired' | 'self-signed'

/** A reply or an act of the receiver's own, in place of the usual: a rule, set as a fault. */
export type ReplyFault = Rule

/** What can be wrong with an MX host, by name; {@link FAULTS} says what each plays. */
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

/** What can be wrong with an MX host: by name, or a reply of its own. */
export type MxFault = NamedMxFault | ReplyFault

/** A response of one's own making. What is left out is as in the good one. */
export interface ResponseFault {
  /** Of HTTP; in the good one 200 */
  status?: number
  /** Beside those of the good one, or in their place */
  headers?: Readonly<Record<string, string>>
  /** In place of the policy file */
  body?: string | Buffer
}

/** What can be wrong with a policy host, by name; {@link FAULTS} says what each plays. */
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

/** What can be wrong with a policy host: by name, or a response of its own. */
export type PolicyHostFault = NamedPolicyHostFault | ResponseFault

/** A question that gets no useful answer. */
export type LookupFault = 'nxdomain' | 'servfail' | 'timeout' | 'refused'

/** What can be wrong with the DNS of a domain; {@link FAULTS} says what each plays. */
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
 * Which of a domain's questions a fault answers: the TXT record, the MX records, the addresses of
 * the policy host, the addresses of the MX hosts.
 */
export type DnsPlace = 'record' | 'mx' | 'policy-host' | 'mx-hosts'

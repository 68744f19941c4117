/**
 * The names and paths at which a domain publishes its policy (RFC 8461 §3.1, §3.3), and the name at
 * which it asks for TLS reports (RFC 8460 §3).
 *
 * @module
 */

/** Label of the TXT record, in front of the Policy Domain. */
const RECORD_LABEL = '_mta-sts'

/** Label of the policy host, in front of the Policy Domain. */
const HOST_LABEL = 'mta-sts'

/** Labels of the TLSRPT record, in front of the Policy Domain. */
const TLSRPT_LABELS = '_smtp._tls'

/** Path of the policy file on the policy host. */
export const POLICY_PATH = '/.well-known/mta-sts.txt'

/** Returns the name of a Policy Domain's TXT record. */
export function recordName(policyDomain: string): string {
  return `${RECORD_LABEL}.${policyDomain}`
}

/** Returns the name of a Policy Domain's policy host. */
export function policyHost(policyDomain: string): string {
  return `${HOST_LABEL}.${policyDomain}`
}

/** Returns the name of a domain's TLSRPT record. */
export function tlsRptName(domain: string): string {
  return `${TLSRPT_LABELS}.${domain}`
}

/** Returns the address of a Policy Domain's policy file. */
export function policyUrl(policyDomain: string): string {
  return `https://${policyHost(policyDomain)}${POLICY_PATH}`
}

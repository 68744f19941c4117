/**
 * The table of faults: what each plays, and what a sender ought to make of it.
 *
 * @module
 */
import type { ResultType } from '../errors.js'
import type { DnsFault, NamedMxFault, NamedPolicyHostFault } from './faults.js'

/**
 * What becomes of a message to a domain in mode `enforce` with this one fault, when its sender has
 * no policy of the domain cached and knows no other MX host. `deferred`: temporary, but not on
 * account of the policy; `bounced`: the receiver's own permanent answer.
 */
export type Outcome = 'delivered' | 'refused' | 'deferred' | 'bounced'

export interface FaultDescription<Name extends string = string> {
  name: Name
  where: 'mx' | 'policy-host' | 'dns'
  /** What happens on the wire */
  plays: string
  outcome: Outcome
  /** The failure that is put down, RFC 8460 §4.3; absent where there is none */
  resultType?: ResultType
  /** The two above, in words */
  verdict: string
}

type Row = Omit<FaultDescription, 'name' | 'where' | 'verdict'> & { verdict?: string }

const refused = (plays: string, resultType: ResultType): Row => ({
  plays,
  outcome: 'refused',
  resultType,
})

/** Without a policy to be had, mail goes as if there were none (RFC 8461 §3.3). */
const noPolicy = (plays: string, resultType?: ResultType): Row => ({
  plays,
  outcome: 'delivered',
  ...(resultType === undefined ? {} : { resultType }),
  verdict: `a cached policy applies; else delivered as if there were none${
    resultType === undefined ? '' : `, ${resultType}`
  }`,
})

const deferred = (plays: string): Row => ({ plays, outcome: 'deferred' })

const delivered = (plays: string, verdict = 'delivered, authenticated'): Row => ({
  plays,
  outcome: 'delivered',
  verdict,
})

const MX: Record<NamedMxFault, Row> = {
  'no-starttls': refused('STARTTLS is neither offered nor accepted', 'starttls-not-supported'),
  'starttls-454': refused('STARTTLS is offered and answered 454', 'starttls-not-supported'),
  'starttls-502': refused('STARTTLS is offered and answered 502', 'starttls-not-supported'),
  'wrong-name': refused('certificate for another host', 'certificate-host-mismatch'),
  'cn-only': refused('the host only as common name, no SAN', 'certificate-host-mismatch'),
  'partial-wildcard': refused('SAN m*.example.com for mx.example.com', 'certificate-host-mismatch'),
  'self-signed': refused('certificate signed by itself', 'certificate-not-trusted'),
  'unknown-authority': refused('chain to a root nobody trusts', 'certificate-not-trusted'),
  'missing-intermediate': refused('the intermediate is not sent', 'certificate-not-trusted'),
  expired: refused('certificate expired yesterday', 'certificate-expired'),
  'not-yet-valid': refused('certificate valid from tomorrow', 'validation-failure'),
  'tls-1.1': refused('TLS 1.1 and nothing higher', 'validation-failure'),
  'handshake-reset': refused('connection reset on the ClientHello', 'validation-failure'),
  'handshake-stall': refused('no answer to the ClientHello, ever', 'validation-failure'),
  'response-injection': delivered(
    'a plaintext reply in one packet with the 220 to STARTTLS (RFC 3207 §6)',
    'the reply is dropped or the connection is; it is never taken for one inside TLS',
  ),
  unreachable: deferred('connection refused'),
  slow: delivered('every reply takes 150 ms'),
  'drops-after-data': deferred('connection closed after the message, without a reply'),
}

const POLICY_HOST: Record<NamedPolicyHostFault, Row> = {
  down: noPolicy('connection refused', 'sts-policy-fetch-error'),
  reset: noPolicy('connection reset on the ClientHello', 'sts-policy-fetch-error'),
  '404': noPolicy('status 404', 'sts-policy-fetch-error'),
  '500': noPolicy('status 500', 'sts-policy-fetch-error'),
  redirect: noPolicy('status 301 to a path with the good policy', 'sts-policy-fetch-error'),
  html: noPolicy('an HTML page, status 200', 'sts-policy-fetch-error'),
  oversize: noPolicy('a valid policy of more than 64 KiB', 'sts-policy-fetch-error'),
  drip: noPolicy('a byte every 200 ms, without end', 'sts-policy-fetch-error'),
  gzip: noPolicy('Content-Encoding: gzip, asked for or not', 'sts-policy-fetch-error'),
  'invalid-policy': noPolicy('a policy with mode: strict', 'sts-policy-invalid'),
  'wrong-name': noPolicy('certificate for another host', 'sts-webpki-invalid'),
  'cn-only': noPolicy('the host only as common name, no SAN', 'sts-webpki-invalid'),
  expired: noPolicy('certificate expired yesterday', 'sts-webpki-invalid'),
  'self-signed': noPolicy('certificate signed by itself', 'sts-webpki-invalid'),
}

const DNS: Record<DnsFault, Row> = {
  nxdomain: noPolicy('the TXT record does not exist'),
  servfail: noPolicy('SERVFAIL for the TXT record'),
  timeout: noPolicy('no answer for the TXT record'),
  refused: noPolicy('REFUSED for the TXT record'),
  'two-records': noPolicy('two valid TXT records'),
  'malformed-record': noPolicy('a TXT record whose id breaks the grammar'),
  'split-strings': delivered('one TXT record in several strings (RFC 8461 §3.1)'),
  'cname-chain': delivered('the TXT record behind two CNAMEs'),
  'spoofed-mx': refused('MX records that lead to mx.attacker.example', 'validation-failure'),
  'null-mx': { plays: 'MX 0 "." (RFC 7505)', outcome: 'bounced' },
  'ipv6-only': delivered('policy host and MX hosts have AAAA records only'),
}

function rows<Name extends string>(
  where: FaultDescription['where'],
  table: Record<Name, Row>,
): FaultDescription<Name>[] {
  return Object.entries<Row>(table).map(([name, row]) => ({
    name: name as Name,
    where,
    ...row,
    verdict: row.verdict ?? [row.outcome, row.resultType].filter(Boolean).join(': '),
  }))
}

/** Every fault that has a name. Besides these, an MX host can reply what you like: `ReplyFault`. */
export const FAULTS = {
  mx: rows('mx', MX),
  policyHost: rows('policy-host', POLICY_HOST),
  dns: rows('dns', DNS),
} as const satisfies Record<string, readonly FaultDescription[]>

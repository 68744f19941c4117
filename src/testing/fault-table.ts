/**
 * The table of faults: what each plays, and what a sender ought to make of it.
 *
 * @module
 */
import {
  describeFailure,
  type FailureReason,
  type ResultType,
  type TlsFailure,
} from '../tls/failures.js'
import type { DnsFault, NamedMxFault, NamedPolicyHostFault } from './faults.js'

/**
 * The result of a message to a domain in mode `enforce` with this one fault, when its sender has
 * no policy of the domain cached and knows no other MX host. `deferred`: temporary, but not on
 * account of the policy; `bounced`: the receiver's own permanent answer.
 */
export type Outcome = 'delivered' | 'refused' | 'deferred' | 'bounced'

/** A row of {@link FAULTS}. */
export interface FaultDescription<Name extends string = string> {
  /** Value for `fails()` */
  name: Name
  /** Place of the fault */
  where: 'mx' | 'policy-host' | 'dns'
  /** Description of the fault */
  plays: string
  /** Result of the message */
  outcome: Outcome
  /** The failure that is recorded, RFC 8460 §4.3; absent when none is */
  resultType?: ResultType
  /** `reason` of the failure, if it has one */
  reason?: string
  /** The three above, in words */
  verdict: string
}

type Failure = Pick<TlsFailure, 'resultType' | 'reason'>

interface Row {
  plays: string
  outcome: Outcome
  failure?: Failure
  /** Explanation of the outcome */
  verdict?: string
}

const refused = (plays: string, failure: Failure): Row => ({ plays, outcome: 'refused', failure })

/** Without a policy to be had, mail goes as if there were none (RFC 8461 §3.3). */
const noPolicy = (plays: string, failure?: Failure): Row => ({
  plays,
  outcome: 'delivered',
  ...(failure === undefined ? {} : { failure }),
  verdict: `a cached policy applies; else ${inWords('delivered as if there were none', failure)}`,
})

const deferred = (plays: string): Row => ({ plays, outcome: 'deferred' })

const delivered = (plays: string, verdict = 'delivered, authenticated'): Row => ({
  plays,
  outcome: 'delivered',
  verdict,
})

const EXPIRED: Failure = { resultType: 'certificate-expired' }
const MISMATCH: Failure = { resultType: 'certificate-host-mismatch' }
const noStartTls = (reason: FailureReason): Failure => ({
  resultType: 'starttls-not-supported',
  reason,
})
const notTrusted = (reason: FailureReason): Failure => ({
  resultType: 'certificate-not-trusted',
  reason,
})
const invalid = (reason: FailureReason): Failure => ({ resultType: 'validation-failure', reason })
const fetchError = (reason: FailureReason): Failure => ({
  resultType: 'sts-policy-fetch-error',
  reason,
})
const webPki = (reason: FailureReason): Failure => ({ resultType: 'sts-webpki-invalid', reason })
const badRecord = (reason: FailureReason): Failure => ({ resultType: 'sts-policy-invalid', reason })

const MX: Record<NamedMxFault, Row> = {
  'no-starttls': refused('STARTTLS is neither offered nor accepted', noStartTls('not-offered')),
  'starttls-454': refused('STARTTLS is offered and answered 454', noStartTls('refused')),
  'starttls-502': refused('STARTTLS is offered and answered 502', noStartTls('refused')),
  'wrong-name': refused('certificate for another host', MISMATCH),
  'cn-only': refused('the host only as common name, no SAN', MISMATCH),
  'partial-wildcard': refused('SAN m*.example.com for mx.example.com', MISMATCH),
  'self-signed': refused('certificate signed by itself', notTrusted('self-signed')),
  'unknown-authority': refused('chain to a root nobody trusts', notTrusted('unknown-authority')),
  'missing-intermediate': refused('the intermediate is not sent', notTrusted('incomplete-chain')),
  expired: refused('certificate expired yesterday', EXPIRED),
  'not-yet-valid': refused('certificate valid from tomorrow', invalid('certificate-not-yet-valid')),
  'tls-1.1': refused('TLS 1.1 and nothing higher', invalid('tls-version')),
  'handshake-reset': refused('connection reset on the ClientHello', invalid('handshake-failed')),
  'handshake-stall': refused('no answer to the ClientHello, ever', invalid('handshake-timeout')),
  'handshake-plaintext': refused(
    'a plaintext reply to the ClientHello',
    invalid('handshake-failed'),
  ),
  'client-certificate': refused(
    'a certificate of the client is demanded',
    invalid('handshake-failed'),
  ),
  'response-injection': refused(
    'a plaintext reply in one packet with the 220 to STARTTLS (RFC 3207 §6)',
    noStartTls('early-data'),
  ),
  'response-fragment': refused(
    'the head of a reply, without its end, in one packet with the 220 to STARTTLS',
    noStartTls('early-data'),
  ),
  unreachable: deferred('connection refused'),
  slow: delivered('every reply takes 150 ms'),
  'drops-after-data': deferred('connection closed after the message, without a reply'),
}

const POLICY_HOST: Record<NamedPolicyHostFault, Row> = {
  down: noPolicy('connection refused', fetchError('connection-failed')),
  reset: noPolicy('connection reset on the ClientHello', fetchError('connection-failed')),
  '404': noPolicy('status 404', fetchError('http-status-404')),
  '500': noPolicy('status 500', fetchError('http-status-500')),
  redirect: noPolicy('status 301 to a path with the good policy', fetchError('http-status-301')),
  html: noPolicy('an HTML page, status 200', fetchError('media-type')),
  oversize: noPolicy('a valid policy of more than 64 KiB', fetchError('too-large')),
  drip: noPolicy('a byte every 200 ms, without end', fetchError('timeout')),
  gzip: noPolicy('Content-Encoding: gzip, asked for or not', fetchError('content-encoding')),
  'invalid-policy': noPolicy('a policy with mode: strict', { resultType: 'sts-policy-invalid' }),
  'wrong-name': noPolicy('certificate for another host', webPki('certificate-host-mismatch')),
  'cn-only': noPolicy('the host only as common name, no SAN', webPki('certificate-host-mismatch')),
  expired: noPolicy('certificate expired yesterday', webPki('certificate-expired')),
  'self-signed': noPolicy('certificate signed by itself', webPki('self-signed')),
}

const DNS: Record<DnsFault, Row> = {
  nxdomain: noPolicy('the TXT record does not exist'),
  servfail: noPolicy('SERVFAIL for the TXT record', fetchError('dns-failure')),
  timeout: noPolicy('no answer for the TXT record', fetchError('dns-failure')),
  refused: noPolicy('REFUSED for the TXT record', fetchError('dns-failure')),
  'two-records': noPolicy('two valid TXT records', badRecord('several-records')),
  'malformed-record': noPolicy(
    'a TXT record whose id breaks the grammar',
    badRecord('malformed-record'),
  ),
  'split-strings': delivered('one TXT record in several strings (RFC 8461 §3.1)'),
  'cname-chain': delivered('the TXT record behind two CNAMEs'),
  'spoofed-mx': refused('MX records that lead to mx.attacker.example', invalid('mx-mismatch')),
  'null-mx': {
    plays: 'MX 0 "." (RFC 7505)',
    outcome: 'deferred',
    verdict: 'deferred while a policy applies, since anybody can forge it; else bounced',
  },
  'ipv6-only': delivered('policy host and MX hosts have AAAA records only'),
}

function rows<Name extends string>(
  where: FaultDescription['where'],
  table: Record<Name, Row>,
): FaultDescription<Name>[] {
  return Object.entries<Row>(table).map(([name, { plays, outcome, failure, verdict }]) => ({
    name: name as Name,
    where,
    plays,
    outcome,
    ...failure,
    verdict: verdict ?? inWords(outcome, failure),
  }))
}

function inWords(outcome: string, failure: Failure | undefined): string {
  return failure === undefined ? outcome : `${outcome}: ${describeFailure(failure)}`
}

/** Every fault that has a name. Besides these, an MX host can reply what you like: `ReplyFault`. */
export const FAULTS = {
  /** For `mx.fails()` */
  mx: rows('mx', MX),
  /** For `policyHost.fails()` */
  policyHost: rows('policy-host', POLICY_HOST),
  /** For `dns.fails()` */
  dns: rows('dns', DNS),
} as const satisfies Record<string, readonly FaultDescription[]>

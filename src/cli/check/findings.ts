/**
 * The report of `mta-sts check` on a domain. It is computed once, then shown as text or printed as
 * JSON; `--json` prints a {@link CheckOutput} as it is.
 *
 * The JSON is stable: as long as `format` is 1, fields and words are added at most, never renamed,
 * removed or given another meaning. Every field is always there; `null` stands for what is not
 * known or was not looked at. Times are ISO 8601 in UTC. Texts of remote parties are as they came.
 *
 * @module
 */

import type { PolicyMode } from '../../policy/policy-file.js'
import type { ResultType } from '../../tls/failures.js'
import type { ExitStatus } from '../context.js'
import type { Urgency } from './advice/row.js'
import type { AdviceCode } from './advice/table.js'

/** The output of `mta-sts check --json`. */
export interface CheckOutput {
  format: 1
  /** The reports, in the order of the command line */
  domains: CheckReport[]
}

export interface CheckReport {
  /** The Policy Domain, A-labels in lower case; what was asked for where that is no domain name */
  domain: string
  /** The same in U-labels; `null` where they are no different */
  unicodeDomain: string | null
  record: RecordCheck
  /** `null`: there is neither a record nor a host of that name */
  policyHost: PolicyHostCheck | null
  /** `null`: no policy file was received */
  policy: PolicyCheck | null
  mx: MxCheck
  tlsrpt: TlsRptCheck
  /** The verdict of senders that have no policy of the domain cached */
  verdict: Verdict
  /** The verdict of senders that have one; `null`: the same, or nothing is known of them */
  cached: CachedVerdict | null
  /** The advice, the most urgent first; often empty */
  advice: Advice[]
}

/**
 * - `found`: exactly one record, and well formed
 * - `none`: there is none
 * - `several`, `malformed`: there is no use in what is there
 * - `unknown`: the lookup failed
 */
export type RecordStatus = 'found' | 'none' | 'several' | 'malformed' | 'unknown'

/** The TXT record of RFC 8461 §3.1. */
export interface RecordCheck {
  /** `_mta-sts.example.com` */
  name: string
  status: RecordStatus
  /** All TXT records of the name, the strings of each joined */
  texts: string[]
  id: string | null
  /** The reason why it is of no use, in words */
  problem: string | null
  /** The same as senders report it (RFC 8460 §4.3); `null` where they report nothing */
  resultType: ResultType | null
  reason: string | null
}

/** The TXT record of RFC 8460 §3. */
export interface TlsRptCheck {
  /** `_smtp._tls.example.com` */
  name: string
  status: RecordStatus
  texts: string[]
  /** The URIs that reports go to */
  rua: string[]
  problem: string | null
}

/** A failure, in the vocabulary of RFC 8460 §4.3. */
export interface Problem {
  resultType: ResultType
  /** A kebab-case word where the type alone does not say it: `mx-mismatch`, `http-status-404` */
  reason: string | null
  /** More, in words: `3 days ago`, `it names mail.example.net` */
  detail: string | null
}

export interface CertificateFacts {
  /** The DNS names it is for, wildcards included */
  names: string[]
  /** The common name of the subject; it names no host (RFC 6125 §6.4.4) */
  commonName: string | null
  /** The issuer's common name or organization */
  issuer: string | null
  notBefore: string
  notAfter: string
  /** The length of an RSA key; `null`: a key of another kind */
  rsaBits: number | null
}

/** The host of RFC 8461 §3.3. */
export interface PolicyHostCheck {
  /** `mta-sts.example.com` */
  host: string
  /** The addresses, in the order in which a sender tries them */
  addresses: PolicyAddressCheck[]
  /** Addresses that no sender should contact: loopback, private and the like */
  blocked: string[]
  /** The reason why there is no address */
  problem: Problem | null
}

/** One address of a policy host; each is looked at by itself. */
export interface PolicyAddressCheck {
  address: string
  tlsVersion: string | null
  certificate: CertificateFacts | null
  /** The status of the HTTP response */
  status: number | null
  /** The Content-Type */
  type: string | null
  /** The length of the body; of one that is too long, as much as was read */
  bytes: number | null
  lastModified: string | null
  /** The time from connecting to the last byte of the body */
  milliseconds: number | null
  /** The reason why a sender gets no policy from here */
  problem: Problem | null
  /** This machine has no way to the address (no IPv6, say), which says nothing about the host */
  noRoute: boolean
  /** The time was over: with `--timeout` shorter than a sender's, nothing was found out */
  timedOut: boolean
}

export interface PolicyCheck {
  /** Senders can use it */
  valid: boolean
  mode: PolicyMode | null
  /** `mx` patterns */
  mx: string[]
  /** Seconds, at most 31557600 */
  maxAge: number | null
  lines: PolicyLine[]
  problem: Problem | null
}

export interface PolicyLine {
  /** Counted from 1 */
  number: number
  text: string
  problem: string | null
}

export interface MxCheck {
  /**
   * - `found`: there are MX records
   * - `implicit`: there is none, the domain is its own MX host (RFC 5321 §5.1)
   * - `null-mx`: the domain takes no mail (RFC 7505)
   * - `no-domain`: the domain does not exist
   * - `unknown`: the lookup failed
   */
  status: 'found' | 'implicit' | 'null-mx' | 'no-domain' | 'unknown'
  problem: string | null
  /** The hosts in the order of preference, 20 at most */
  hosts: MxHostCheck[]
}

export interface MxHostCheck {
  host: string
  /** The name is a CNAME for this one, which RFC 5321 §5.1 forbids; `null`: it is none */
  cname: string | null
  preference: number
  /** `null`: there is no policy */
  inPolicy: boolean | null
  addresses: string[]
  blocked: string[]
  /** The failure that is known before a connection */
  problem: Problem | null
  /** `null` without `--dane` */
  dane: DaneCheck | null
  /** One for each address; `null` without `--connect` */
  sessions: MxSession[] | null
  /**
   * The decision of a sender under mode `enforce`, with `--dane` of a sender with DANE: `proved`
   * (with `--connect`), `refused`, `unknown` where it could not be connected to, `not-tried`
   * without `--connect`
   */
  outcome: 'proved' | 'refused' | 'unknown' | 'not-tried'
}

/** An MX host by DANE (RFC 7672). */
export interface DaneCheck {
  /** The MX records of the domain are proved by DNSSEC */
  signed: boolean
  /** TLSA records of the host, as far as DNSSEC proves them */
  records: number
  /** The reason why a sender with DANE does not use the host, or cannot use its records */
  problem: Problem | null
  /**
   * The decision of a sender with DANE where no policy of mode `enforce` applies; `null`: DANE demands
   * nothing of the host
   */
  outcome: MxHostCheck['outcome'] | null
  /** The TLSRPT record of the TLSA base domain, which asks for reports on DANE; `null`: no DANE */
  tlsrpt: TlsRptCheck | null
}

/** A connection to an MX host: EHLO, STARTTLS, QUIT. */
export interface MxSession {
  address: string
  tlsVersion: string | null
  cipher: string | null
  certificate: CertificateFacts | null
  /** The proof that it lacks */
  problem: Problem | null
  /** One of the TLSA records matches; `null` without any, or without a handshake */
  tlsaMatches: boolean | null
  /** The proof that it lacks of those that DANE demands; `null` also where DANE demands nothing */
  daneProblem: Problem | null
  /** The reason why nothing can be said of it: no connection, or no useful reply */
  error: string | null
  noRoute: boolean
  /** The duration of the whole session */
  milliseconds: number
}

/** A verdict on a domain: whether mail to it is protected, and why. */
export interface Verdict {
  /**
   * - `fine`: protected, as far as was looked; or the domain takes no mail
   * - `refused`: a sender would refuse one of the MX hosts, or has nowhere to send to
   * - `unprotected`: mail would be delivered, whatever it meets
   * - `unknown`: could not be found out
   */
  status: 'fine' | 'refused' | 'unprotected' | 'unknown'
  /** 0, 1, 1 and 3, in this order */
  exitStatus: ExitStatus
  /** The mode of the policy; `null` without one */
  mode: PolicyMode | null
  /** The verdict in one sentence */
  text: string
}

/** The verdict of senders that have a policy of the domain cached (RFC 8461 §5.1). */
export interface CachedVerdict {
  /**
   * - `store`: the policy in the store of `--store`
   * - `policy`: the policy that the domain serves now, fetched by a sender at the latest now
   * - `unknown`: an earlier policy, of which nothing is known here
   */
  source: 'store' | 'policy' | 'unknown'
  /** The mode of that policy; `null`: not known */
  mode: PolicyMode | null
  id: string | null
  /** The time when the last sender drops it */
  until: string
  status: Verdict['status']
  exitStatus: ExitStatus
  /** The failure that such a sender reports about the policy of now: its record is gone, say */
  problem: Problem | null
  text: string
}

export interface Advice {
  code: AdviceCode
  /** `now`: mail is refused, or goes unprotected; `soon`: it will; `later`: an improvement */
  urgency: Urgency
  /** The host that it is about; `null`: the domain as a whole */
  host: string | null
  /** The result type that senders report; `null` where they report nothing */
  resultType: ResultType | null
  reason: string | null
  text: string
}

export type { AdviceCode } from './advice/table.js'

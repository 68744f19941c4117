/**
 * The words with which `domains.ts` describes a domain: its DNS, policy host and MX hosts, and the
 * expected outcome of a message.
 *
 * @module
 */

export type Mode = 'enforce' | 'testing' | 'none'

/**
 * A host name below the domain: `mx` is mx.DOMAIN, `@` the domain itself; with a final dot it is a
 * full name.
 */
export type Label = string

/** Valid and invalid certificates; see `certificates.ts`. */
export type Certificate =
  | 'good'
  | 'wrong-name'
  | 'cn-only'
  | 'cn-beside-other-san'
  | 'self-signed'
  | 'unknown-authority'
  | 'missing-intermediate'
  | 'expired'
  | 'not-yet-valid'
  | 'partial-wildcard'
  | 'wildcard'
  | 'wildcard-two-deep'
  | 'ip-address'

/** The data at `_mta-sts.DOMAIN`. */
export type TxtAnswer =
  /** Each record with its strings */
  | { records: readonly (readonly string[])[] }
  /** The one record is at another name, and this is a CNAME to it */
  | { cname: readonly string[] }
  /** The name is delegated to a server that does not answer, or refuses: SERVFAIL */
  | 'dead'
  | 'lame'

/** The policy host's response to a request for the policy. */
export type PolicyHostHabit =
  | 'serves'
  | 'not-found'
  | 'redirects'
  | 'as-html'
  | 'oversize'
  | 'drips'
  /** No server listens on its port 443 */
  | 'down'
  /** Serves before the first message, and is down before the second */
  | 'goes-down'
  /** Its name is delegated to a server that does not answer */
  | 'dead-dns'

export interface PolicyAnswer {
  mode: Mode
  /** Patterns, as labels: `mx`, `*`, `@` */
  mx: readonly Label[]
  /** In seconds; default a week */
  maxAge?: number
  /** The exact file, if the fields cannot describe it */
  body?: string
  host?: PolicyHostHabit
  certificate?: Certificate
  family?: 4 | 6
}

/** TLS behaviour of an MX host. */
export type TlsHabit =
  | 'offered'
  /** Accepts nothing without it: 530 */
  | 'mandatory'
  /** STARTTLS is not offered */
  | 'none'
  /** It is offered, and answered 454: the server's configuration is wrong */
  | 'answered-454'
  /** It is offered, and the server has no certificate */
  | 'no-certificate'
  | 'tls-1.1'
  /** Valid TLS, and no PIPELINING (RFC 2920) */
  | 'no-pipelining'
  /** The host's certificate is sent for its SNI; otherwise a wrong one */
  | 'by-sni'
  /** It offers DSN before TLS, but not inside: the first offer must not count */
  | 'dsn-before-tls'

export interface MxHost {
  label: Label
  /** Default: 10, 20, 30, ... in table order */
  preference?: number
  /** `nobody`: no server listens at its address */
  server: 'postfix' | 'exim' | 'nobody'
  tls: TlsHabit
  certificate: Certificate
  /** Its addresses: the families, a given one, or none because its DNS fails */
  address: 4 | 6 | 'both' | 'dead-dns' | { given: string }
  /** The server's reply to RCPT, if it accepts no mail */
  reply?: string
  /** The MX record's name is a CNAME to this one, which has the address */
  cname?: Label
  /** An attacker in front of the server: see `attacker.ts` */
  attacker?: 'strips-starttls' | 'injects'
}

/** The changes of a domain between the first and the second message. */
export interface Change {
  /** The new TXT record; null: it is removed */
  txt?: string | null
  policy?: { mode: Mode; mx: readonly Label[] }
}

/** The expected outcome of a message. Failures: `mx: certificate-expired`, `mx: type (reason)`. */
export type Outcome =
  | {
      status: 'delivered'
      /** Mode of the policy; `none` also without a policy */
      mode: Mode
      by: Label
      over: 'proved TLS' | 'TLS' | 'plaintext'
      failures: readonly string[]
    }
  /** Refused by an enforced policy, temporarily */
  | { status: 'refused'; failures: readonly string[] }
  /** Failed for another reason: a code of this package, or a reply */
  | { status: 'failed'; code: string; permanent: boolean }

export interface LabDomain {
  /** The first label, in Unicode; the rest is `.example` */
  name: string
  txt?: TxtAnswer
  policy?: PolicyAnswer
  /**
   * `null`: a null MX record. Empty: no MX record. `lame`, `dead`: the domain is delegated to a
   * server that refuses to answer, or does not.
   */
  mx: readonly MxHost[] | 'null' | 'lame' | 'dead' | 'nxdomain'
  /** Without an MX record: the host at the domain itself */
  itself?: MxHost
  /** Of the first message; and of the second, if that differs */
  expected: Outcome
  second?: Outcome
  between?: Change
  /** Options of the message besides its recipient */
  message?: { dsn?: { notify: string } }
  /** The message is sent to the domain as a smart host, for this recipient */
  smartHostFor?: string
}

type HostOptions = Partial<Omit<MxHost, 'label' | 'server'>>

function mxHost(server: MxHost['server'], label: Label, options: HostOptions): MxHost {
  return { label, server, tls: 'offered', certificate: 'good', address: 4, ...options }
}

export const postfix = (label: Label, options: HostOptions = {}) =>
  mxHost('postfix', label, options)
export const exim = (label: Label, options: HostOptions = {}) => mxHost('exim', label, options)
export const nobody = (label: Label, options: HostOptions = {}) => mxHost('nobody', label, options)

type PolicyOptions = Partial<Omit<PolicyAnswer, 'mode' | 'mx'>>

function policy(mode: Mode, mx: Label | readonly Label[], options: PolicyOptions): PolicyAnswer {
  return { mode, mx: typeof mx === 'string' ? [mx] : mx, ...options }
}

export const enforce = (mx: Label | readonly Label[], options: PolicyOptions = {}) =>
  policy('enforce', mx, options)
export const testing = (mx: Label | readonly Label[], options: PolicyOptions = {}) =>
  policy('testing', mx, options)
export const none = (mx: Label | readonly Label[] = [], options: PolicyOptions = {}) =>
  policy('none', mx, options)

/** Delivered to a host that has proved itself, as `enforce` demands. */
export function proved(by: Label, ...failures: string[]): Outcome {
  return { status: 'delivered', mode: 'enforce', by, over: 'proved TLS', failures }
}

/** Delivered over TLS without a proof. */
export function overTls(mode: 'testing' | 'none', by: Label, ...failures: string[]): Outcome {
  return { status: 'delivered', mode, by, over: 'TLS', failures }
}

export function inPlaintext(mode: 'testing' | 'none', by: Label, ...failures: string[]): Outcome {
  return { status: 'delivered', mode, by, over: 'plaintext', failures }
}

export function refused(...failures: string[]): Outcome {
  return { status: 'refused', failures }
}

export function fails(code: string, permanent: 'permanent' | 'temporary'): Outcome {
  return { status: 'failed', code, permanent: permanent === 'permanent' }
}

/** Describes an outcome in one line. Equal outcomes have equal lines. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.status) {
    case 'delivered': {
      const { by, mode, over, failures } = outcome
      const after = failures.length > 0 ? ` despite ${failures.join(', ')}` : ''
      return `${by} ${over}, ${mode}${after}`
    }
    case 'refused':
      return `refused: ${outcome.failures.join(', ')}`
    case 'failed':
      return `failed: ${outcome.code}, ${outcome.permanent ? 'permanent' : 'temporary'}`
  }
}

/** Describes an outcome briefly, for the table: of a failure the reason, if it has one. */
export function abbreviateOutcome(outcome: Outcome): string {
  if (outcome.status === 'failed') return describeOutcome(outcome)
  const failures = outcome.failures.map((failure) => {
    return /\((.+)\)$/.exec(failure)?.[1] ?? failure.replace(/^\S+: /, '')
  })
  const because = failures.length > 0 ? ` (${failures.join(', ')})` : ''
  if (outcome.status === 'refused') return `refused${because}`
  const over = { 'proved TLS': 'proved', TLS: 'TLS', plaintext: 'plaintext' }[outcome.over]
  return `${outcome.by} ${over}, ${outcome.mode}${because}`
}

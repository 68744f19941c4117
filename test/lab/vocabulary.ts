/**
 * The words in which `domains.ts` describes a domain: what DNS says of it, what its policy host
 * answers, what its MX hosts do, and what has to become of a message to it.
 *
 * @module
 */

export type Mode = 'enforce' | 'testing' | 'none'

/**
 * A host name below the domain: `mx` is mx.DOMAIN, `@` the domain itself; with a dot at the end it
 * is a whole name.
 */
export type Label = string

/** Certificates, right and wrong; see `certificates.ts`. */
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

/** What is at `_mta-sts.DOMAIN`. */
export type TxtAnswer =
  /** Each record with its strings */
  | { records: readonly (readonly string[])[] }
  /** The one record is at another name, and this is a CNAME for it */
  | { cname: readonly string[] }
  /** The name is delegated to a server that does not answer, or refuses to: SERVFAIL */
  | 'dead'
  | 'lame'

/** What the policy host does when it is asked for the policy. */
export type PolicyHostHabit =
  | 'serves'
  | 'not-found'
  | 'redirects'
  | 'as-html'
  | 'oversize'
  | 'drips'
  /** Nothing listens on its port 443 */
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
  /** The file as it is, where the rest would not say it */
  body?: string
  host?: PolicyHostHabit
  certificate?: Certificate
  family?: 4 | 6
}

/** What an MX host does about TLS. */
export type TlsHabit =
  | 'offered'
  /** Nothing is taken without it: 530 */
  | 'mandatory'
  /** STARTTLS is not offered */
  | 'none'
  /** It is offered, and answered 454: something is wrong with the server's own configuration */
  | 'answered-454'
  /** It is offered, and the server has no certificate to show */
  | 'no-certificate'
  | 'tls-1.1'
  /** Good TLS, and no PIPELINING (RFC 2920) */
  | 'no-pipelining'
  /** The certificate for the host is shown to who asks for it by SNI; others see one that is wrong */
  | 'by-sni'
  /** Before TLS it promises DSN, after it does not: what was said before must not count */
  | 'dsn-before-tls'

export interface MxHost {
  label: Label
  /** Default: 10, 20, 30, ... in the order of the table */
  preference?: number
  /** `nobody`: no server listens at its address */
  server: 'postfix' | 'exim' | 'nobody'
  tls: TlsHabit
  certificate: Certificate
  /** Its addresses: of which families, one that is given, or none because DNS is dead */
  address: 4 | 6 | 'both' | 'dead-dns' | { given: string }
  /** The server's reply to RCPT, where it takes no mail */
  reply?: string
  /** The MX record's name is a CNAME for this one, which has the address */
  cname?: Label
  /** Somebody on the wire in front of the server: see `attacker.ts` */
  attacker?: 'strips-starttls' | 'injects'
}

/** What happens to a domain after the first message and before the second. */
export interface Change {
  /** The TXT record from now on; null: it is taken away */
  txt?: string | null
  policy?: { mode: Mode; mx: readonly Label[] }
}

/** What has to become of a message. Failures: `mx: certificate-expired`, `mx: type (reason)`. */
export type Outcome =
  | {
      status: 'delivered'
      /** Of the policy; `none` also where there is none */
      mode: Mode
      by: Label
      over: 'proved TLS' | 'TLS' | 'plaintext'
      failures: readonly string[]
    }
  /** By an enforced policy, for now */
  | { status: 'refused'; failures: readonly string[] }
  /** For another reason: a code of this package's, or a reply */
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
  /** Where there is no MX record: the host at the domain itself */
  itself?: MxHost
  /** Of the first message; and of the second, where that is not the same */
  expected: Outcome
  second?: Outcome
  between?: Change
  /** More of the message than its recipient */
  message?: { dsn?: { notify: string } }
  /** The message is handed to the domain as a smart host; it is for this recipient */
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

/** Delivered to a host that has proved to be itself, as `enforce` demands. */
export function proved(by: Label, ...failures: string[]): Outcome {
  return { status: 'delivered', mode: 'enforce', by, over: 'proved TLS', failures }
}

/** Delivered over TLS that proves nothing. */
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

/** All of it in one line. Two outcomes are the same when their lines are. */
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

/** The same in fewer words, for the table: of a failure the reason, where it has one. */
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

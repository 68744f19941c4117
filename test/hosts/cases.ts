/**
 * The table: the faults of a domain, and the outcome of a message with the plugin, and in Haraka
 * and ZoneMTA by themselves (with TLS and, in ZoneMTA, its own MTA-STS).
 *
 * @module
 */
import type { DaneOptions, DnsFault, MxFault, PolicyOptions } from 'mta-sts/testing'
import type { Result } from './process.js'
import type { HostVersion } from './versions.js'

export interface Outcome {
  result: Result
  /** The label of the MX host that accepted the message */
  to?: string
  /** Default true */
  tls?: boolean
  /** The session events, `mx1: certificate-host-mismatch` or `mx1: ok`; the plugin's only */
  sessions?: readonly string[]
  /** No connection reached any MX host */
  dialled?: false
  /** In a control run: timing decides between this and a deferral */
  orDeferred?: true
  /** An MX host refused after MAIL FROM, which only an authenticated connection may reach */
  afterMail?: true
  /** The reply at the greeting, which the error's text contains */
  says?: string
}

/** A change of a domain; omitted parts stay as they are. */
export interface Change {
  policy?: PolicyOptions | null
  /** By label */
  faults?: Readonly<Record<string, MxFault | null>>
  dns?: DnsFault
  /** `null`: the TXT record and the policy file are removed */
  txt?: null
  /** Signs the domain and publishes TLSA records; `host` is a label */
  dane?: DaneOptions
}

export interface HostCase {
  name: string
  /** Default enforce; `absent`: no policy */
  mode?: 'enforce' | 'testing' | 'none' | 'absent'
  /** Labels of MX hosts in order of preference; default one, `mx1` */
  mx?: readonly string[]
  /** Labels in the policy; default all of them */
  names?: readonly string[]
  first?: Change
  /** Change before a second message, whose outcome counts; the first is delivered */
  later?: Change
  /** The outcome of the first message, if it is not delivered */
  before?: Result
  /** The first message is retried instead of a second one */
  retry?: true
  /** The second message is sent after the connections of the first are closed, also pooled ones */
  idle?: true
  protected: Outcome
  haraka: Outcome
  zoneMta: Outcome
  /** In zone-mta 3.10, if that differs */
  zoneMta310?: Outcome
  /** Sets fields of ZoneMTA's delivery, as another plugin would; `mx`: the first MX host */
  delivery?: { skipSTS?: true; mx?: true }
  /** Only with DANE enabled */
  withDane?: true
  /** Only in this server */
  only?: HostVersion['kind']
}

const TWO = ['mx1', 'mx2']

const delivered = (to: string, ...sessions: string[]): Outcome => ({
  result: 'delivered',
  to,
  sessions: [...sessions, `${to}: ok`],
})
const recorded = (to: string, ...sessions: string[]): Outcome => ({
  result: 'delivered',
  to,
  sessions,
})
const plaintext = (to: string, ...sessions: string[]): Outcome => ({
  result: 'delivered',
  to,
  tls: false,
  sessions,
})
const deferred = (...sessions: string[]): Outcome => ({ result: 'deferred', sessions })
const notDialled = (...sessions: string[]): Outcome => ({
  result: 'deferred',
  sessions,
  dialled: false,
})
/** Delivered to the second MX host, or deferred */
const EITHER: Outcome = { result: 'delivered', to: 'mx2', orDeferred: true }
const bounced: Outcome = { result: 'bounced' }
const refusedByHost: Outcome = { result: 'bounced', afterMail: true }

const MISMATCH = 'certificate-host-mismatch'
const NOT_OFFERED = 'starttls-not-supported (not-offered)'
const REFUSED = 'starttls-not-supported (refused)'
const NOT_NAMED = 'validation-failure (mx-mismatch)'

const one = (fault: MxFault): Change => ({ faults: { mx1: fault } })

const stsCases: readonly HostCase[] = [
  {
    name: 'good',
    protected: delivered('mx1'),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'good, on a pooled connection',
    later: {},
    protected: { result: 'delivered', to: 'mx1', sessions: [], dialled: false },
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
    only: 'zone-mta',
  },
  {
    name: 'wrong name',
    first: one('wrong-name'),
    protected: deferred(`mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'wrong name, first of two',
    mx: TWO,
    first: one('wrong-name'),
    protected: delivered('mx2', `mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'no STARTTLS',
    first: one('no-starttls'),
    protected: deferred(`mx1: ${NOT_OFFERED}`),
    haraka: plaintext('mx1'),
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'no STARTTLS, first of two',
    mx: TWO,
    first: one('no-starttls'),
    protected: delivered('mx2', `mx1: ${NOT_OFFERED}`),
    haraka: plaintext('mx1'),
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'STARTTLS 502',
    first: one('starttls-502'),
    protected: deferred(`mx1: ${REFUSED}`),
    haraka: bounced,
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'STARTTLS 502, first of two',
    mx: TWO,
    first: one('starttls-502'),
    protected: delivered('mx2', `mx1: ${REFUSED}`),
    haraka: bounced,
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'STARTTLS 454',
    first: one('starttls-454'),
    protected: deferred(`mx1: ${REFUSED}`),
    haraka: deferred(),
    zoneMta: deferred(),
  },
  {
    name: 'greeting 554',
    first: one({ at: 'greeting', reply: '554 5.7.1 Not to you' }),
    protected: {
      ...deferred(),
      says: 'mx1.greeting-554.example: The host refused the connection: 554',
    },
    haraka: bounced,
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'greeting 554, first of two',
    mx: TWO,
    first: one({ at: 'greeting', reply: '554 5.7.1 Not to you' }),
    protected: delivered('mx2'),
    haraka: bounced,
    zoneMta: bounced,
    zoneMta310: deferred(),
  },
  {
    name: 'EHLO 502',
    first: one({ at: 'ehlo', reply: '502 5.5.1 Not implemented' }),
    protected: deferred(`mx1: ${NOT_OFFERED}`),
    haraka: plaintext('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'MX not in the policy',
    names: ['other'],
    protected: notDialled(`mx1: ${NOT_NAMED}`),
    haraka: delivered('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'MX not in the policy, first of two',
    mx: TWO,
    names: ['mx2'],
    protected: delivered('mx2', `mx1: ${NOT_NAMED}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx2'),
  },
  {
    name: 'common name only',
    first: one('cn-only'),
    protected: deferred(`mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'partial wildcard',
    first: one('partial-wildcard'),
    protected: deferred(`mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'self-signed',
    first: one('self-signed'),
    protected: deferred('mx1: certificate-not-trusted (self-signed)'),
    haraka: delivered('mx1'),
    zoneMta: deferred(),
  },
  {
    name: 'unknown authority',
    first: one('unknown-authority'),
    protected: deferred('mx1: certificate-not-trusted (unknown-authority)'),
    haraka: delivered('mx1'),
    zoneMta: deferred(),
  },
  {
    name: 'expired, first of two',
    mx: TWO,
    first: one('expired'),
    protected: delivered('mx2', 'mx1: certificate-expired'),
    haraka: delivered('mx1'),
    zoneMta: deferred(),
  },
  {
    name: 'TLS 1.1',
    first: one('tls-1.1'),
    protected: deferred('mx1: validation-failure (tls-version)'),
    haraka: deferred(),
    zoneMta: deferred(),
  },
  {
    name: 'handshake reset, first of two',
    mx: TWO,
    first: one('handshake-reset'),
    protected: delivered('mx2', 'mx1: validation-failure (handshake-failed)'),
    haraka: delivered('mx2'),
    zoneMta: deferred(),
  },
  {
    name: 'unreachable, first of two',
    mx: TWO,
    first: one('unreachable'),
    protected: delivered('mx2'),
    haraka: delivered('mx2'),
    // A reset, as the bridge makes it, may come before or after the connection
    zoneMta: EITHER,
  },
  {
    name: 'policy learnt, TXT record gone, MX spoofed',
    idle: true,
    later: { txt: null, dns: 'spoofed-mx' },
    protected: notDialled('mx.attacker.example: validation-failure (mx-mismatch)'),
    haraka: { result: 'delivered', to: 'mx.attacker.example' },
    zoneMta: { result: 'delivered', to: 'mx.attacker.example' },
  },
  {
    name: 'policy learnt, TXT record gone, MX null',
    idle: true,
    later: { txt: null, dns: 'null-mx' },
    protected: notDialled(),
    haraka: bounced,
    zoneMta: bounced,
  },
  {
    name: 'policy changes between attempts',
    names: ['other'],
    later: { policy: { patterns: [] } },
    before: 'deferred',
    protected: delivered('mx1', `mx1: ${NOT_NAMED}`),
    haraka: delivered('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'retried after a change of the policy',
    names: ['other'],
    later: { policy: { patterns: [] } },
    before: 'deferred',
    retry: true,
    protected: delivered('mx1', `mx1: ${NOT_NAMED}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
    only: 'haraka',
  },
  {
    name: 'policy arrives, connections are pooled',
    mode: 'absent',
    first: one('wrong-name'),
    later: { policy: { mode: 'enforce' } },
    protected: deferred(`mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'testing, wrong name',
    mode: 'testing',
    first: one('wrong-name'),
    protected: recorded('mx1', `mx1: ${MISMATCH}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'testing, no STARTTLS',
    mode: 'testing',
    first: one('no-starttls'),
    protected: plaintext('mx1', `mx1: ${NOT_OFFERED}`),
    haraka: plaintext('mx1'),
    zoneMta: plaintext('mx1'),
  },
  {
    name: 'testing, MX not in the policy',
    mode: 'testing',
    names: ['other'],
    protected: recorded('mx1', `mx1: ${NOT_NAMED}`),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'mode none, wrong name',
    mode: 'none',
    first: one('wrong-name'),
    protected: delivered('mx1'),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'no policy, no STARTTLS',
    mode: 'absent',
    first: one('no-starttls'),
    protected: plaintext('mx1', `mx1: ${NOT_OFFERED}`),
    haraka: plaintext('mx1'),
    zoneMta: plaintext('mx1'),
  },
  {
    name: 'no policy, self-signed',
    mode: 'absent',
    first: one('self-signed'),
    protected: delivered('mx1'),
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  },
  {
    name: 'no policy, handshake reset',
    mode: 'absent',
    first: one('handshake-reset'),
    protected: plaintext('mx1', 'mx1: validation-failure (handshake-failed)'),
    haraka: deferred(),
    zoneMta: deferred(),
  },
  {
    name: 'RCPT 550',
    first: one({ at: 'rcpt', reply: '550 5.1.1 No such user' }),
    protected: refusedByHost,
    haraka: refusedByHost,
    zoneMta: refusedByHost,
  },
  {
    name: 'RCPT 450',
    first: one({ at: 'rcpt', reply: '450 4.2.0 Come back later' }),
    protected: { result: 'deferred', afterMail: true, sessions: ['mx1: ok'], says: '450' },
    haraka: { result: 'deferred', afterMail: true },
    zoneMta: { result: 'deferred', afterMail: true },
  },
  {
    name: 'exempt, wrong name',
    first: one('wrong-name'),
    protected: delivered('mx1'),
    haraka: delivered('mx1'),
    zoneMta: bounced,
  },
  {
    name: 'no policy, on the list of hosts without TLS',
    mode: 'absent',
    protected: plaintext('mx1'),
    haraka: plaintext('mx1'),
    zoneMta: delivered('mx1'),
    only: 'haraka',
  },
  {
    name: 'routed by another plugin, wrong name',
    first: one('wrong-name'),
    delivery: { mx: true, skipSTS: true },
    protected: { result: 'delivered', to: 'mx1', sessions: [] },
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
    only: 'zone-mta',
  },
  {
    name: 'MTA-STS left out by another plugin, wrong name',
    first: one('wrong-name'),
    delivery: { skipSTS: true },
    protected: { result: 'delivered', to: 'mx1', sessions: [] },
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
    only: 'zone-mta',
  },
  {
    name: 'no policy, on the list of hosts with TLS, self-signed',
    mode: 'absent',
    first: one('self-signed'),
    protected: { ...deferred('mx1: ok'), says: 'Host failed TLS verification' },
    haraka: deferred(),
    zoneMta: delivered('mx1'),
    only: 'haraka',
  },
  {
    name: 'on the list of hosts without TLS',
    protected: delivered('mx1'),
    haraka: plaintext('mx1'),
    zoneMta: delivered('mx1'),
    only: 'haraka',
  },
]

/** With `[dane] enabled=true`; the servers by themselves have no DANE. */
const daneCases: ReadonlyArray<Omit<HostCase, 'haraka' | 'zoneMta'>> = [
  {
    name: 'DANE, no policy',
    mode: 'absent',
    first: { dane: {} },
    protected: delivered('mx1'),
  },
  {
    name: 'DANE and a policy',
    first: { dane: {} },
    protected: delivered('mx1'),
  },
  {
    name: 'DANE, no policy, another key',
    mode: 'absent',
    first: { dane: { fails: 'old-key' } },
    protected: deferred('mx1: validation-failure (tlsa-mismatch)'),
  },
  {
    name: 'DANE and a policy, another key, first of two',
    mx: TWO,
    first: { dane: { fails: 'old-key', host: 'mx1' } },
    protected: delivered('mx2', 'mx1: validation-failure (tlsa-mismatch)'),
  },
  {
    name: 'DANE, no policy, no STARTTLS',
    mode: 'absent',
    first: { dane: {}, ...one('no-starttls') },
    protected: deferred(`mx1: ${NOT_OFFERED}`),
  },
  {
    name: 'DANE, no policy, TLSA lookup fails',
    mode: 'absent',
    first: { dane: { fails: 'tlsa-servfail' } },
    protected: notDialled('mx1: dnssec-invalid (tlsa-lookup-failed)'),
  },
  {
    name: 'DANE on, domain without it',
    mode: 'absent',
    first: one('self-signed'),
    protected: delivered('mx1'),
  },
  {
    name: 'DANE arrives, connections are pooled',
    mode: 'absent',
    first: one('wrong-name'),
    later: { dane: {} },
    protected: deferred('mx1: validation-failure (tlsa-mismatch)'),
  },
]

export const cases: readonly HostCase[] = [
  ...stsCases,
  ...daneCases.map((one) => ({
    ...one,
    withDane: true as const,
    haraka: delivered('mx1'),
    zoneMta: delivered('mx1'),
  })),
]

/** Returns the domain of a case: `wrong-name-first-of-two.example`. */
export function domainOf({ name }: HostCase): string {
  return `${name
    .toLowerCase()
    .replace(/[^a-z\d]+/g, '-')
    .replace(/^-|-$/g, '')}.example`
}

/** Domains that both configurations exempt from their policy. */
export const EXEMPT = ['exempt-wrong-name.example']

/** Domains in Haraka's `no_tls_hosts`. */
export const WITHOUT_TLS = [
  'on-the-list-of-hosts-without-tls.example',
  'no-policy-on-the-list-of-hosts-without-tls.example',
]

/** Domains in Haraka's `force_tls_hosts`. */
export const WITH_TLS = ['no-policy-on-the-list-of-hosts-with-tls-self-signed.example']

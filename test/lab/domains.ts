/**
 * The domains of the lab: their DNS, policy hosts and MX hosts, and the expected outcome of the
 * first and the second message.
 *
 * Each entry has one fault wherever possible: everything that it omits is correct.
 *
 * @module
 */
import {
  enforce,
  exim,
  fails,
  inPlaintext,
  type LabDomain,
  type MxHost,
  nobody,
  none,
  type Outcome,
  overTls,
  postfix,
  proved,
  refused,
  testing,
} from './vocabulary.js'

const NOT_OFFERED = 'mx: starttls-not-supported (not-offered)'
const EARLY_DATA = 'mx: starttls-not-supported (early-data)'
const ANSWERED_454 = 'mx: starttls-not-supported (refused)'
const MISMATCH = 'mx: certificate-host-mismatch'
const EXPIRED = 'mx: certificate-expired'
const SELF_SIGNED = 'mx: certificate-not-trusted (self-signed)'
const NO_HANDSHAKE = 'mx: validation-failure (handshake-failed)'
const OLD_TLS = 'mx: validation-failure (tls-version)'
const outside = (label: string) => `${label}: validation-failure (mx-mismatch)`

/** The cases of the public audit of senders, each in every mode. */
const audit: LabDomain[] = [
  ...inEachMode('valid', postfix('mx'), {
    enforce: proved('mx'),
    testing: overTls('testing', 'mx'),
    none: overTls('none', 'mx'),
  }),
  ...inEachMode('plaintext-only', postfix('mx', { tls: 'none' }), {
    enforce: refused(NOT_OFFERED),
    testing: inPlaintext('testing', 'mx', NOT_OFFERED),
    none: inPlaintext('none', 'mx', NOT_OFFERED),
  }),
  ...inEachMode('ipv6-only', postfix('mx', { address: 6 }), {
    enforce: proved('mx'),
    testing: overTls('testing', 'mx'),
    none: overTls('none', 'mx'),
  }),
  ...inEachMode('self-signed', postfix('mx', { certificate: 'self-signed' }), {
    enforce: refused(SELF_SIGNED),
    testing: overTls('testing', 'mx', SELF_SIGNED),
    none: overTls('none', 'mx'),
  }),
  ...inEachMode('wrong-name', postfix('mx', { certificate: 'wrong-name' }), {
    enforce: refused(MISMATCH),
    testing: overTls('testing', 'mx', MISMATCH),
    none: overTls('none', 'mx'),
  }),
  ...inEachMode('tls-mandatory', postfix('mx', { tls: 'mandatory' }), {
    enforce: proved('mx'),
    testing: overTls('testing', 'mx'),
    none: overTls('none', 'mx'),
  }),
  ...inEachMode('outside', postfix('mx'), {
    policyMx: 'other',
    enforce: refused(outside('mx')),
    testing: overTls('testing', 'mx', outside('mx')),
    none: overTls('none', 'mx'),
  }),
  { name: 'no-policy', mx: [postfix('mx')], expected: overTls('none', 'mx') },
  {
    name: 'no-policy-plaintext',
    mx: [postfix('mx', { tls: 'none' })],
    expected: inPlaintext('none', 'mx', NOT_OFFERED),
  },
  {
    name: 'no-policy-self-signed',
    mx: [postfix('mx', { certificate: 'self-signed' })],
    expected: overTls('none', 'mx'),
  },
  {
    name: 'no-policy-454',
    mx: [postfix('mx', { tls: 'answered-454' })],
    expected: inPlaintext('none', 'mx', ANSWERED_454),
  },
  {
    name: 'no-policy-no-certificate',
    mx: [postfix('mx', { tls: 'no-certificate' })],
    expected: inPlaintext('none', 'mx', NO_HANDSHAKE),
  },
  {
    name: 'no-policy-tls11',
    mx: [postfix('mx', { tls: 'tls-1.1' })],
    expected: inPlaintext('none', 'mx', OLD_TLS),
  },
]

/** MX hosts named by a policy (RFC 8461 §4.1), and the order of trying them (§5.1). */
const mxHosts: LabDomain[] = [
  {
    name: 'outside-first',
    policy: enforce('mx2'),
    mx: [postfix('mx1'), postfix('mx2')],
    expected: proved('mx2', outside('mx1')),
  },
  {
    name: 'outside-first-testing',
    policy: testing('mx2'),
    mx: [postfix('mx1'), postfix('mx2')],
    expected: overTls('testing', 'mx1', outside('mx1')),
  },
  { name: 'wildcard', policy: enforce('*'), mx: [postfix('mx')], expected: proved('mx') },
  {
    name: 'wildcard-two-deep',
    policy: enforce('*'),
    mx: [postfix('a.b')],
    expected: refused(outside('a.b')),
  },
  {
    name: 'wildcard-apex',
    policy: enforce('*'),
    mx: [postfix('@')],
    expected: refused(outside('@')),
  },
  {
    name: 'upper-case',
    policy: enforce([], {
      body: 'version: STSv1\nmode: enforce\nmx: MX.Upper-Case.EXAMPLE\nmax_age: 604800\n',
    }),
    mx: [postfix('mx')],
    expected: proved('mx'),
  },
  {
    name: 'suffix-is-no-match',
    policy: enforce('mx'),
    mx: [postfix('a.mx')],
    expected: refused(outside('a.mx')),
  },
  {
    name: 'cname-in-policy',
    policy: enforce('alias'),
    mx: [postfix('alias', { cname: 'real' })],
    expected: proved('alias'),
  },
  {
    name: 'cname-not-in-policy',
    policy: enforce('real'),
    mx: [postfix('alias', { cname: 'real' })],
    expected: refused(outside('alias')),
  },
  {
    name: 'no-mx',
    policy: enforce('@'),
    mx: [],
    itself: postfix('@'),
    expected: proved('@'),
  },
  {
    name: 'no-mx-outside',
    policy: enforce('mx'),
    mx: [],
    itself: postfix('@'),
    expected: refused(outside('@')),
  },
  { name: 'null-mx', mx: 'null', expected: fails('ENULLMX', 'permanent') },
  {
    name: 'null-mx-policy',
    policy: enforce('mx'),
    mx: 'null',
    expected: fails('ENULLMX', 'temporary'),
  },
  {
    name: 'by-preference',
    policy: enforce('*'),
    mx: [
      postfix('c', { preference: 30 }),
      postfix('a', { preference: 10 }),
      exim('b', { preference: 20 }),
    ],
    expected: proved('a'),
  },
  {
    name: 'second-is-good',
    policy: enforce('*'),
    mx: [postfix('mx', { certificate: 'expired' }), exim('mx2')],
    expected: proved('mx2', EXPIRED),
  },
  {
    name: 'two-faults',
    policy: enforce('*'),
    mx: [postfix('mx', { tls: 'none' }), exim('mx2', { certificate: 'wrong-name' })],
    expected: refused(NOT_OFFERED, 'mx2: certificate-host-mismatch'),
  },
  {
    name: 'both-families-bad',
    policy: enforce('mx'),
    mx: [postfix('mx', { address: 'both', certificate: 'wrong-name' })],
    expected: refused(MISMATCH, MISMATCH),
  },
  {
    name: 'first-is-down',
    policy: enforce('*'),
    mx: [nobody('mx1'), postfix('mx2')],
    expected: proved('mx2'),
  },
  {
    name: 'first-defers',
    policy: enforce('*'),
    mx: [postfix('mx1', { reply: '451 4.7.1 Come back later' }), postfix('mx2')],
    expected: proved('mx2'),
  },
  {
    name: 'first-rejects',
    policy: enforce('*'),
    mx: [postfix('mx1', { reply: '550 5.7.1 Not to be had' }), postfix('mx2')],
    expected: fails('550', 'permanent'),
  },
  {
    name: 'blocked-address',
    policy: enforce('*'),
    mx: [postfix('mx1', { address: { given: '127.0.0.1' } }), postfix('mx2')],
    expected: proved('mx2', 'mx1: validation-failure (blocked-address)'),
  },
  {
    name: 'mx-dns-dead',
    policy: enforce('*'),
    mx: [postfix('mx1', { address: 'dead-dns' }), postfix('mx2')],
    expected: proved('mx2', 'mx1: validation-failure (dns-failure)'),
  },
]

/** Proofs by the certificate of an MX host (RFC 8461 §4.2). */
const certificates: LabDomain[] = [
  ...enforced('expired', postfix('mx', { certificate: 'expired' }), refused(EXPIRED)),
  ...enforced(
    'not-yet-valid',
    postfix('mx', { certificate: 'not-yet-valid' }),
    refused('mx: validation-failure (certificate-not-yet-valid)'),
  ),
  ...enforced(
    'unknown-authority',
    postfix('mx', { certificate: 'unknown-authority' }),
    refused('mx: certificate-not-trusted (unknown-authority)'),
  ),
  ...enforced(
    'missing-intermediate',
    postfix('mx', { certificate: 'missing-intermediate' }),
    refused('mx: certificate-not-trusted (incomplete-chain)'),
  ),
  ...enforced('cn-only', postfix('mx', { certificate: 'cn-only' }), refused(MISMATCH)),
  ...enforced(
    'cn-beside-other-san',
    postfix('mx', { certificate: 'cn-beside-other-san' }),
    refused(MISMATCH),
  ),
  ...enforced(
    'partial-wildcard',
    postfix('mx', { certificate: 'partial-wildcard' }),
    refused(MISMATCH),
  ),
  ...enforced('ip-address', postfix('mx', { certificate: 'ip-address' }), refused(MISMATCH)),
  ...enforced('wildcard-cert', postfix('mx', { certificate: 'wildcard' }), proved('mx')),
  ...enforced(
    'wildcard-cert-two-deep',
    postfix('a.mx', { certificate: 'wildcard-two-deep' }),
    refused('a.mx: certificate-host-mismatch'),
  ),
  ...enforced('exim-expired', exim('mx', { certificate: 'expired' }), refused(EXPIRED)),
  ...enforced('exim-wrong-name', exim('mx', { certificate: 'wrong-name' }), refused(MISMATCH)),
  ...enforced('exim-self-signed', exim('mx', { certificate: 'self-signed' }), refused(SELF_SIGNED)),
  ...enforced('exim-cn-only', exim('mx', { certificate: 'cn-only' }), refused(MISMATCH)),
]

/** Behaviour of an MX host in STARTTLS and TLS (RFC 8461 §4, §7). */
const starttls: LabDomain[] = [
  ...enforced('starttls-454', postfix('mx', { tls: 'answered-454' }), refused(ANSWERED_454)),
  ...enforced('no-certificate', postfix('mx', { tls: 'no-certificate' }), refused(NO_HANDSHAKE)),
  ...enforced('tls11', postfix('mx', { tls: 'tls-1.1' }), refused(OLD_TLS)),
  ...enforced('sni', postfix('mx', { tls: 'by-sni' }), proved('mx')),
  ...enforced('exim', exim('mx'), proved('mx')),
  ...enforced('no-pipelining', postfix('mx', { tls: 'no-pipelining' }), proved('mx')),
  ...enforced('exim-no-pipelining', exim('mx', { tls: 'no-pipelining' }), proved('mx')),
  ...enforced('exim-plaintext', exim('mx', { tls: 'none' }), refused(NOT_OFFERED)),
  ...enforced('exim-mandatory', exim('mx', { tls: 'mandatory' }), proved('mx')),
  ...enforced('exim-454', exim('mx', { tls: 'answered-454' }), refused(ANSWERED_454)),
  ...enforced('exim-tls11', exim('mx', { tls: 'tls-1.1' }), refused(OLD_TLS)),
  ...enforced('exim-sni', exim('mx', { tls: 'by-sni' }), proved('mx')),
  {
    name: 'exim-promises',
    policy: enforce('mx'),
    mx: [exim('mx', { tls: 'dsn-before-tls' })],
    message: { dsn: { notify: 'failure' } },
    expected: proved('mx'),
  },
  ...enforced('stripped', postfix('mx', { attacker: 'strips-starttls' }), refused(NOT_OFFERED)),
  ...enforced('injected', postfix('mx', { attacker: 'injects' }), refused(EARLY_DATA)),
]

/** The policy cannot be fetched, and nothing is cached: mail is sent as without a policy (§3.3). */
const policyHosts: LabDomain[] = [
  ...unusablePolicy('policy-404', { host: 'not-found' }),
  ...unusablePolicy('policy-301', { host: 'redirects' }),
  ...unusablePolicy('policy-html', { host: 'as-html' }),
  ...unusablePolicy('policy-oversize', { host: 'oversize' }),
  ...unusablePolicy('policy-slow', { host: 'drips' }),
  ...unusablePolicy('policy-down', { host: 'down' }),
  ...unusablePolicy('policy-dns-dead', { host: 'dead-dns' }),
  ...unusablePolicy('policy-syntax', { body: 'version: STSv1\nmode: enforce\nmax_age: 604800\n' }),
  ...unusablePolicy('policy-wrong-name', { certificate: 'wrong-name' }),
  ...unusablePolicy('policy-cn-only', { certificate: 'cn-only' }),
  ...unusablePolicy('policy-expired', { certificate: 'expired' }),
  ...unusablePolicy('policy-self-signed', { certificate: 'self-signed' }),
  ...unusablePolicy('policy-no-intermediate', { certificate: 'missing-intermediate' }),
  {
    name: 'policy-ipv6-only',
    policy: enforce('mx', { family: 6 }),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
  },
]

/** Valid and invalid TXT records (RFC 8461 §3.1), and other DNS data. */
const dns: LabDomain[] = [
  ...enforcedBy('txt-cname', { cname: ['v=STSv1; id=1;'] }, 'applies'),
  ...enforcedBy('txt-split', { records: [['v=STS', 'v1; i', 'd=1', ';']] }, 'applies'),
  ...enforcedBy('txt-beside', { records: [['unrelated'], ['v=STSv1; id=1;']] }, 'applies'),
  ...enforcedBy('txt-extension', { records: [['v=STSv1; id=1; x=y;']] }, 'applies'),
  ...enforcedBy('txt-two', { records: [['v=STSv1; id=1;'], ['v=STSv1; id=2;']] }, 'does not'),
  ...enforcedBy('txt-malformed', { records: [['v=STSv1; id=with-hyphen;']] }, 'does not'),
  ...enforcedBy('txt-none', { records: [] }, 'does not'),
  ...enforcedBy('txt-lame', 'lame', 'does not'),
  ...enforcedBy('txt-dead', 'dead', 'does not'),
  { name: 'bücher', policy: enforce('mx'), mx: [postfix('mx')], expected: proved('mx') },
  {
    name: 'bücher-klartext',
    policy: enforce('mx'),
    mx: [postfix('mx', { tls: 'none' })],
    expected: refused(NOT_OFFERED),
  },
  { name: 'idn-mx', policy: enforce('pöst'), mx: [exim('pöst')], expected: proved('pöst') },
  { name: 'servfail-lame', mx: 'lame', expected: fails('EDNS', 'temporary') },
  { name: 'servfail-dead', mx: 'dead', expected: fails('EDNS', 'temporary') },
  { name: 'nxdomain', mx: 'nxdomain', expected: fails('EDNS', 'permanent') },
]

/** Changes of a cached policy (RFC 8461 §3.3, §5.1). */
const changes: LabDomain[] = [
  {
    name: 'txt-removed',
    policy: enforce('mx'),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
    between: { txt: null },
  },
  {
    name: 'txt-removed-valid',
    policy: enforce('mx'),
    mx: [postfix('mx')],
    expected: proved('mx'),
    between: { txt: null },
  },
  {
    name: 'new-id-host-down',
    policy: enforce('mx', { host: 'goes-down' }),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
    between: { txt: 'v=STSv1; id=2;' },
  },
  {
    name: 'new-id-host-down-valid',
    policy: enforce('mx', { host: 'goes-down' }),
    mx: [postfix('mx')],
    expected: proved('mx'),
    between: { txt: 'v=STSv1; id=2;' },
  },
  {
    name: 'new-id-mode-none',
    policy: enforce('mx'),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
    between: { txt: 'v=STSv1; id=2;', policy: { mode: 'none', mx: [] } },
    // The cached policy refuses first; only then the id is looked up again (RFC 8461 §5.1)
    second: overTls('none', 'mx', MISMATCH),
  },
  {
    name: 'new-id-other-mx',
    policy: enforce('old'),
    mx: [postfix('mx')],
    expected: refused(outside('mx')),
    between: { txt: 'v=STSv1; id=2;', policy: { mode: 'enforce', mx: ['mx'] } },
    second: proved('mx', outside('mx')),
  },
  {
    name: 'same-id-mode-none',
    policy: enforce('mx'),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
    between: { policy: { mode: 'none', mx: [] } },
  },
  {
    name: 'expired-policy',
    policy: enforce('mx', { maxAge: 1 }),
    mx: [postfix('mx', { certificate: 'wrong-name' })],
    expected: refused(MISMATCH),
    between: { txt: null },
    second: overTls('none', 'mx'),
  },
]

/** The domain is a smart host (RFC 8461 §3.4). The recipient's policy is not looked up. */
const smartHosts: LabDomain[] = [
  {
    name: 'smart',
    policy: enforce('@'),
    mx: [],
    itself: postfix('@'),
    smartHostFor: 'you@null-mx-policy.example',
    expected: proved('@'),
  },
  {
    name: 'smart-wrong-name',
    policy: enforce('@'),
    mx: [],
    itself: postfix('@', { certificate: 'wrong-name' }),
    smartHostFor: 'you@null-mx-policy.example',
    expected: refused('@: certificate-host-mismatch'),
  },
  {
    name: 'smart-plaintext',
    policy: enforce('@'),
    mx: [],
    itself: postfix('@', { tls: 'none' }),
    smartHostFor: 'you@null-mx-policy.example',
    expected: refused('@: starttls-not-supported (not-offered)'),
  },
]

export const domains: readonly LabDomain[] = [
  ...audit,
  ...mxHosts,
  ...certificates,
  ...starttls,
  ...policyHosts,
  ...dns,
  ...changes,
  ...smartHosts,
]

/** The same MX host under a policy of each mode: NAME, NAME-testing and NAME-none. */
function inEachMode(
  name: string,
  host: MxHost,
  outcomes: Record<'enforce' | 'testing' | 'none', Outcome> & { policyMx?: string },
): LabDomain[] {
  const mx = outcomes.policyMx ?? host.label
  return [
    { name, policy: enforce(mx), mx: [host], expected: outcomes.enforce },
    { name: `${name}-testing`, policy: testing(mx), mx: [host], expected: outcomes.testing },
    { name: `${name}-none`, policy: none(mx), mx: [host], expected: outcomes.none },
  ]
}

function enforced(name: string, host: MxHost, expected: Outcome): LabDomain[] {
  return [{ name, policy: enforce(host.label), mx: [host], expected }]
}

/** A policy would refuse the MX host: a delivery shows that none applies. */
function unusablePolicy(name: string, options: Parameters<typeof enforce>[1]): LabDomain[] {
  const host = postfix('mx', { certificate: 'wrong-name' })
  return [{ name, policy: enforce('mx', options), mx: [host], expected: overTls('none', 'mx') }]
}

/** The policy host is correct; the TXT record decides whether it is used. */
function enforcedBy(
  name: string,
  txt: NonNullable<LabDomain['txt']>,
  policy: 'applies' | 'does not',
): LabDomain[] {
  const host = postfix('mx', { certificate: 'wrong-name' })
  const expected = policy === 'applies' ? refused(MISMATCH) : overTls('none', 'mx')
  return [{ name, txt, policy: enforce('mx'), mx: [host], expected }]
}

/**
 * The advice of `mta-sts check`: a domain that needs it, for every row of the table; and what
 * becomes of the domain when the advice is followed to the letter.
 */
import { KeyObject, webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADVICE, type AdviceCode } from '../../src/cli/check/advice/table.js'
import type { CheckReport } from '../../src/cli/check/findings.js'
import { latestTimeOf } from '../../src/cli/check/id-time.js'
import { sqliteStore } from '../../src/policy/stores/sqlite.js'
import type { DomainOptions, MailDomain } from '../../src/testing/index.js'
import { formatReport } from '../../src/tlsrpt/index.js'
import { x509 } from '../support/x509.js'
import { adviceCodes, type CliOptions, hasSqlite, useWorld } from './support.js'

const stage = useWorld()
const DAY = 86_400_000

/** Plays an SMTP host that answers everything but STARTTLS. */
const silent: Server = createServer((socket) => {
  socket.on('error', () => undefined).write('220 silent.example ESMTP\r\n')
  socket.on('data', (data) => {
    if (data.toString().startsWith('EHLO')) socket.write('250-silent.example\r\n250 STARTTLS\r\n')
  })
})
beforeAll(async () => {
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
})
afterAll(() => {
  silent.close()
})

/** Plays an SMTP host with a key that is too short: no host of a world has one. */
const weak: Server = createServer((socket) => {
  socket.on('error', () => undefined).write('220 weak.example ESMTP\r\n')
  socket.on('data', function onLine(data) {
    if (data.toString().startsWith('EHLO')) socket.write('250-weak.example\r\n250 STARTTLS\r\n')
    if (!data.toString().startsWith('STARTTLS')) return
    socket.off('data', onLine)
    socket.write('220 Ready\r\n')
    const options = { isServer: true, secureContext: weakContext }
    new TLSSocket(socket, options).on('error', () => undefined)
  })
})
let weakContext: SecureContext | undefined
beforeAll(async () => {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024 }
  const publicExponent = new Uint8Array([1, 0, 1])
  const keys = await webcrypto.subtle.generateKey({ ...algorithm, publicExponent }, true, [
    'sign',
    'verify',
  ])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=weak.example',
    keys,
    signingAlgorithm: algorithm,
  })
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })
  // OpenSSL shows no such key above this level
  const ciphers = 'DEFAULT@SECLEVEL=0'
  weakContext = createSecureContext({ key, cert: cert.toString('pem'), ciphers })
  weak.listen(0, '127.0.0.1')
  await once(weak, 'listening')
})
afterAll(() => {
  weak.close()
})

/** Leads the connections to one address to a server outside the world. */
function leadingTo(server: Server, address: string): CliOptions['connect'] {
  return (target): Socket => {
    if (target.address !== address) return stage.world.options().connect(target)
    const bound = server.address()
    return netConnect({
      host: '127.0.0.1',
      port: typeof bound === 'object' ? (bound?.port ?? 0) : 0,
    })
  }
}

const REPORTS = join(stage.folder, 'reports')

/** Sixty days of sessions that have all succeeded, from several senders. */
function writeReports({ name }: MailDomain): void {
  mkdirSync(REPORTS, { recursive: true })
  for (let day = 1; day <= 60; day++) {
    for (const organizationName of ['One', 'Two', 'Three']) {
      const start = new Date(Date.now() - day * DAY)
      start.setUTCHours(0, 0, 0, 0)
      const report = {
        organizationName,
        dateRange: { start, end: new Date(start.getTime() + DAY - 1000) },
        reportId: `${day}@${organizationName}`,
        policies: [
          {
            policyType: 'sts',
            policyString: ['version: STSv1', 'mode: testing', `mx: mx.${name}`, 'max_age: 604800'],
            policyDomain: name,
            totalSuccessfulSessionCount: 100,
            totalFailureSessionCount: 0,
            failureDetails: [],
          },
        ],
      }
      writeFileSync(join(REPORTS, `${organizationName}-${day}.json`), formatReport(report))
    }
  }
}

interface Scenario {
  code: AdviceCode
  domain?: DomainOptions
  /** Makes the domain need the advice */
  breaks(domain: MailDomain): void
  /** Follows the advice to the letter; left out where the domain cannot do anything */
  follows?(domain: MailDomain): void
  options?: (domain: MailDomain) => CliOptions
  argv?: () => string[]
  /** Part of the text */
  says?: string
  /** What a domain has to do beside it before it is right, as codes */
  remaining?: readonly AdviceCode[]
}

const setTxt = (name: string, texts: string[]) => stage.world.dns.set(name, 'TXT', texts)
const setMx = (domain: MailDomain, ...hosts: string[]) =>
  stage.world.dns.set(
    domain.name,
    'MX',
    hosts.map((exchange, index) => ({ preference: 10 * (index + 1), exchange })),
  )
const record = ({ name, id }: MailDomain) => ({
  name: `_mta-sts.${name}`,
  text: `v=STSv1; id=${id};`,
})

/** A fault of the policy host that ends when the advice is followed. */
const policyHost = (
  code: AdviceCode,
  fault: Parameters<MailDomain['policyHost']['fails']>[0],
  rest: Partial<Scenario> = {},
): Scenario => ({
  code,
  breaks: (domain) => domain.policyHost.fails(fault),
  follows: (domain) => domain.policyHost.works(),
  ...rest,
})

const mx = (
  code: AdviceCode,
  fault: Parameters<ReturnType<MailDomain['mx']>['fails']>[0],
  rest: Partial<Scenario> = {},
): Scenario => ({
  code,
  breaks: (domain) => domain.mx().fails(fault),
  follows: (domain) => domain.mx().works(),
  ...rest,
})

const text = (headers: Record<string, string>) => ({
  headers: { 'content-type': 'text/plain', ...headers },
})

const SCENARIOS: readonly Scenario[] = [
  {
    code: 'record-several',
    breaks: (domain) => domain.record([record(domain).text, 'v=STSv1; id=other;']),
    follows: (domain) => domain.record(record(domain).text),
    says: 'There are 2 TXT records',
  },
  {
    code: 'record-quotes',
    breaks: (domain) => domain.record(`"${record(domain).text}"`),
    follows: (domain) => domain.record(record(domain).text),
    says: 'without them',
  },
  {
    code: 'record-malformed',
    breaks: (domain) => domain.record('v=STSv1; id=not-an-id;'),
    follows: (domain) => domain.record(record(domain).text),
  },
  {
    code: 'record-unreachable',
    breaks: (domain) => domain.dns.fails('servfail', 'record'),
    follows: (domain) => domain.dns.works(),
    says: 'SERVFAIL',
  },
  {
    code: 'record-missing',
    breaks: (domain) => domain.record(null),
    follows: (domain) => domain.record(record(domain).text),
  },
  {
    code: 'policy-host-missing',
    breaks: (domain) => domain.dns.fails('nxdomain', 'policy-host'),
    follows: (domain) => domain.dns.works(),
  },
  {
    code: 'policy-host-lookup',
    breaks: (domain) => domain.dns.fails('servfail', 'policy-host'),
    follows: (domain) => domain.dns.works(),
  },
  {
    code: 'policy-host-private',
    breaks: (domain) => stage.world.dns.set(domain.policyHost.name, 'A', ['10.0.0.1']),
    follows: (domain) => stage.world.dns.unset(domain.policyHost.name, 'A'),
    says: '10.0.0.1',
  },
  policyHost('policy-host-down', 'down', { says: 'connection refused' }),
  policyHost('policy-host-down', 'reset'),
  policyHost('policy-host-slow', 'drip', { options: () => ({ patience: 1500 }) }),
  policyHost('policy-host-certificate', 'wrong-name', { says: 'it needs one for mta-sts.' }),
  policyHost('policy-host-certificate', 'cn-only', { says: 'a common name does not count' }),
  policyHost('policy-host-certificate', 'expired', { says: 'It has expired (1 day ago)' }),
  policyHost('policy-host-certificate', 'self-signed', { says: 'It is self-signed' }),
  {
    code: 'policy-host-certificate',
    breaks: ({ policyHost: host }) => host.certificate({ san: [`DNS:${host.name}`], chain: false }),
    follows: ({ policyHost: host }) => host.certificate(),
    says: 'fullchain.pem',
  },
  {
    code: 'policy-host-certificate',
    breaks: ({ policyHost: host }) =>
      host.certificate({ san: [`DNS:${host.name}`], validity: 'future' }),
    follows: ({ policyHost: host }) => host.certificate(),
    says: 'not valid yet',
  },
  policyHost('policy-host-redirect', 'redirect', { says: 'redirects (301)' }),
  policyHost('policy-not-found', '404', { says: '.well-known' }),
  policyHost('policy-host-error', '500', { says: 'status 500' }),
  policyHost('policy-status', { status: 201 }, { says: 'status 201' }),
  policyHost('policy-html', 'html', { says: 'text/html' }),
  policyHost('policy-media-type', text({ 'content-type': 'application/octet-stream' })),
  policyHost('policy-too-large', 'oversize', { says: '64 KiB' }),
  policyHost('policy-transfer', 'gzip', { says: 'uncompressed' }),
  policyHost('policy-invalid', 'invalid-policy', { says: '"strict"' }),
  policyHost(
    'policy-invalid',
    { body: 'version: STSv1\nmode: enforced\nmx: https://mx.example\nmax_age: a week\n' },
    { says: 'line 2: "mode" in a policy must be' },
  ),

  mx('mx-certificate-name', 'wrong-name', { says: 'it names wrong-name.example' }),
  mx('mx-certificate-name', 'cn-only', { says: 'only the common name' }),
  mx('mx-certificate-name', 'partial-wildcard'),
  {
    code: 'mx-certificate-name',
    breaks: (domain) => {
      const host = `a.b.${domain.name}`
      stage.world.mx(host).certificate({ san: [`DNS:*.${domain.name}`] })
      setMx(domain, host)
      domain.policy({ patterns: [host] })
    },
    follows: (domain) => stage.world.mx(`a.b.${domain.name}`).certificate(),
    says: '"*" stands for one label only',
  },
  mx('mx-certificate-expired', 'expired', { says: '1 day ago' }),
  mx('mx-certificate-not-yet-valid', 'not-yet-valid'),
  mx('mx-certificate-chain', 'missing-intermediate', { says: 'fullchain.pem' }),
  mx('mx-certificate-self-signed', 'self-signed'),
  mx('mx-certificate-untrusted', 'unknown-authority'),
  mx('mx-tls-version', 'tls-1.1', { says: 'TLS 1.2' }),
  mx('mx-handshake', 'handshake-reset'),
  mx('mx-handshake', 'handshake-stall', { options: () => ({ patience: 1500 }) }),
  mx('mx-without-starttls', 'no-starttls'),
  {
    code: 'mx-without-starttls',
    domain: { mode: 'enforce', mx: ['mx', 'backup'] },
    breaks: (domain) => domain.mx('backup').fails('no-starttls'),
    follows: (domain) => domain.mx('backup').works(),
    says: 'The backup MX host backup.',
  },
  mx('mx-starttls-refused', 'starttls-454', { says: 'certificate or key' }),
  mx('mx-starttls-refused', 'starttls-502'),
  mx('mx-plaintext-after-starttls', 'response-injection'),
  {
    code: 'mx-starttls-unanswered',
    breaks: () => undefined,
    options: (domain) => ({ connect: leadingTo(silent, domain.mx().ipv4), patience: 1500 }),
  },
  {
    code: 'mx-not-in-policy',
    domain: { mode: 'enforce', mx: ['mx1', 'mx2'] },
    breaks: (domain) => domain.policy({ patterns: [`mx1.${domain.name}`] }),
    follows: (domain) => domain.policy({ patterns: [`mx1.${domain.name}`, `mx2.${domain.name}`] }),
    says: 'add "mx: mx2.',
  },
  {
    code: 'mx-is-address',
    breaks: (domain) => setMx(domain, '192.0.2.77'),
    follows: (domain) => setMx(domain, domain.mx().name),
    says: 'is an address (192.0.2.77)',
  },
  {
    code: 'mx-null-beside-others',
    breaks: (domain) => setMx(domain, domain.mx().name, '.'),
    follows: (domain) => setMx(domain, domain.mx().name),
  },
  {
    code: 'mx-invalid-name',
    domain: { mode: 'testing' },
    breaks: (domain) => setMx(domain, domain.mx().name, '-not-a-host-.example'),
    follows: (domain) => setMx(domain, domain.mx().name),
    remaining: ['mode-testing'],
  },
  {
    code: 'mx-underscore',
    breaks: (domain) => setMx(domain, `mx_1.${domain.name}`),
    follows: (domain) => setMx(domain, domain.mx().name),
  },
  {
    code: 'mx-no-such-host',
    domain: { mode: 'enforce', mx: ['mx1', 'mx2'] },
    breaks: (domain) => {
      domain.policy({ patterns: [`mx1.${domain.name}`, 'gone.example'] })
      setMx(domain, `mx1.${domain.name}`, 'gone.example')
    },
    follows: (domain) => {
      setMx(domain, `mx1.${domain.name}`)
      domain.policy({ patterns: [`mx1.${domain.name}`] })
    },
  },
  {
    code: 'mx-no-address',
    breaks: (domain) => {
      setTxt(domain.mx().name, ['the name exists'])
      stage.world.dns.set(domain.mx().name, 'A', [])
    },
    follows: (domain) => stage.world.dns.unset(domain.mx().name, 'A'),
  },
  {
    code: 'mx-private',
    breaks: (domain) => stage.world.dns.set(domain.mx().name, 'A', ['192.168.1.1']),
    follows: (domain) => stage.world.dns.unset(domain.mx().name, 'A'),
    says: '192.168.1.1',
  },
  {
    code: 'mx-lookup',
    breaks: (domain) => domain.dns.fails('servfail', 'mx-hosts'),
    follows: (domain) => domain.dns.works(),
  },
  mx('mx-down', 'unreachable', { says: 'connection refused' }),
  mx('mx-down', { at: 'greeting', reply: '554 5.7.1 Go away' }, { says: '554 5.7.1 Go away' }),
  {
    code: 'no-policy',
    domain: {},
    breaks: () => undefined,
    follows: (domain) => domain.policy({ mode: 'enforce' }),
  },
  {
    code: 'mode-none',
    domain: { mode: 'none' },
    breaks: () => undefined,
    follows: (domain) => domain.policy({ mode: 'enforce' }),
  },
  {
    code: 'record-gone-policy-cached',
    breaks: (domain) => domain.record(null),
    follows: (domain) => domain.policy({ mode: 'none' }),
    remaining: ['mode-none'],
  },
  {
    code: 'max-age-zero',
    domain: { mode: 'enforce', maxAge: 0 },
    breaks: () => undefined,
    follows: (domain) => domain.policy({ maxAge: 604_800 }),
  },
  {
    code: 'policy-host-certificate-expires',
    breaks: () => undefined,
    options: () => ({ now: () => Date.now() + 20.5 * DAY }),
    says: 'expires in 9 days',
  },
  {
    code: 'mx-certificate-expires',
    breaks: () => undefined,
    options: () => ({ now: () => Date.now() + 20.5 * DAY }),
    says: 'expires in 9 days',
  },
  {
    code: 'id-not-changed',
    domain: { mode: 'enforce', id: '20250801T120000Z' },
    breaks: (domain) =>
      domain.policyHost.fails(text({ 'last-modified': 'Fri, 05 Sep 2025 10:00:00 GMT' })),
    follows: (domain) => {
      domain.policy({ id: '20250905T100000Z' })
    },
    says: 'of 2025-09-05, later than the id 20250801T120000Z',
  },
  {
    code: 'policy-host-addresses-differ',
    breaks: ({ policyHost: { name, ipv4 } }) =>
      stage.world.dns.set(name, 'A', ['203.0.113.251', ipv4]),
    follows: ({ policyHost: { name } }) => stage.world.dns.unset(name, 'A'),
    says: 'not at 203.0.113.251',
  },
  {
    code: 'mx-addresses-differ',
    breaks: (domain) => {
      const { name, ipv4 } = domain.mx()
      stage.world.dns.set(name, 'A', [ipv4, '203.0.113.252'])
    },
    follows: (domain) => stage.world.dns.unset(domain.mx().name, 'A'),
    says: '203.0.113.252',
  },
  {
    code: 'pattern-unmatched',
    breaks: (domain) => domain.policy({ patterns: [domain.mx().name, 'old.example.net'] }),
    follows: (domain) => domain.policy({ patterns: [domain.mx().name] }),
    says: 'No MX record matches old.example.net',
  },
  {
    code: 'pattern-unmatched',
    domain: { mode: 'testing', mx: ['aspmx.l.provider.example'] },
    breaks: (domain) => domain.policy({ patterns: ['*.provider.example'] }),
    follows: (domain) => domain.policy({ mode: 'enforce', patterns: ['*.l.provider.example'] }),
    says: 'Write "mx: *.l.provider.example"',
  },
  {
    code: 'pattern-unmatched',
    domain: { mode: 'testing', mx: ['mx1.mailer.example'] },
    breaks: (domain) => domain.policy({ patterns: ['mailer.example'] }),
    follows: (domain) => domain.policy({ mode: 'enforce', patterns: ['mx1.mailer.example'] }),
    says: 'without "*." it is a host name',
  },
  {
    code: 'policy-id-field',
    breaks: (domain) => domain.policy({ body: `${domain.policyFile?.trimEnd()}\r\nid: 2026\r\n` }),
    follows: (domain) =>
      domain.policy({ body: domain.policyFile?.replace(/id: .*\r\n/, '') ?? '' }),
  },
  {
    code: 'max-age-short',
    domain: { mode: 'enforce', maxAge: 86_400 },
    breaks: () => undefined,
    follows: (domain) => domain.policy({ maxAge: 604_800 }),
    says: '86400 seconds (1 day)',
  },
  {
    code: 'mode-testing',
    domain: { mode: 'testing' },
    breaks: () => undefined,
    follows: (domain) => domain.policy({ mode: 'enforce' }),
  },
  {
    code: 'mode-testing-ready',
    domain: { mode: 'testing' },
    breaks: writeReports,
    follows: (domain) => domain.policy({ mode: 'enforce' }),
    argv: () => ['--reports', REPORTS],
  },
  {
    code: 'mx-cname',
    domain: { mode: 'enforce', mx: ['mx'] },
    breaks: (domain) => {
      const { name, ipv4 } = domain.mx()
      stage.world.dns.set(name, 'CNAME', [`real.${domain.name}`])
      stage.world.dns.set(`real.${domain.name}`, 'A', [ipv4])
    },
    follows: (domain) => stage.world.dns.unset(domain.mx().name, 'CNAME'),
  },
  {
    code: 'mx-missing',
    domain: { mode: 'enforce', mx: [] },
    breaks: () => undefined,
    follows: (domain) => setMx(domain, domain.name),
  },
  {
    code: 'tlsrpt-invalid',
    breaks: ({ name }) => setTxt(`_smtp._tls.${name}`, ['v=TLSRPTv1; rua=ftp://example.com']),
    follows: ({ name }) => setTxt(`_smtp._tls.${name}`, ['v=TLSRPTv1; rua=mailto:a@b.example']),
  },
  {
    code: 'tlsrpt-invalid',
    breaks: ({ name }) =>
      setTxt(`_smtp._tls.${name}`, [
        'v=TLSRPTv1; rua=mailto:a@b.example',
        'v=TLSRPTv1; rua=mailto:c@d.example',
      ]),
    follows: ({ name }) => setTxt(`_smtp._tls.${name}`, ['v=TLSRPTv1; rua=mailto:a@b.example']),
  },
  {
    code: 'certificate-shorter-than-max-age',
    domain: { mode: 'enforce', maxAge: 31_557_600 },
    breaks: () => undefined,
    follows: (domain) => domain.policy({ maxAge: 604_800 }),
  },
  {
    code: 'mx-ipv6-unreachable',
    breaks: (domain) => stage.world.dns.set(domain.mx().name, 'AAAA', ['2001:db8:ffff::1']),
    follows: (domain) => stage.world.dns.unset(domain.mx().name, 'AAAA'),
    says: '2001:db8:ffff::1',
  },
  {
    code: 'mx-ipv6-missing',
    breaks: () => undefined,
    follows: (domain) => stage.world.dns.set(domain.mx().name, 'AAAA', [domain.mx().ipv6]),
  },
  {
    code: 'mx-weak-key',
    breaks: () => undefined,
    options: (domain) => ({ connect: leadingTo(weak, domain.mx().ipv4) }),
    follows: () => undefined,
    says: 'RSA, 1024 bits',
  },
  {
    code: 'tlsrpt-missing',
    breaks: ({ name }) => setTxt(`_smtp._tls.${name}`, []),
    follows: ({ name }) => setTxt(`_smtp._tls.${name}`, ['v=TLSRPTv1; rua=mailto:a@b.example']),
  },
]

/** Rows of check-dane.test.ts. */
const UNPLAYED: readonly AdviceCode[] = [
  'no-policy-beside-dane',
  ...(['mismatch', 'unusable', 'lookup', 'missing', 'tlsrpt-missing'] as const).map(
    (what) => `mx-dane-${what}` as const,
  ),
]

async function look(domain: MailDomain, options: CliOptions = {}, argv: readonly string[] = []) {
  const { status, stdout } = await stage.cli(
    ['check', '--json', '--connect', domain.name, ...argv],
    options,
  )
  const report: CheckReport = JSON.parse(stdout).domains[0]
  return { ...report, exit: status }
}

describe('advice', () => {
  it('is played by a domain for every row of the table', () => {
    const played = new Set<string>([...SCENARIOS.map(({ code }) => code), ...UNPLAYED])
    expect(Object.keys(ADVICE).filter((code) => !played.has(code))).toEqual([])
  })

  it.each(SCENARIOS.map((scenario, index) => [scenario.code, index, scenario] as const))(
    '%s (%i) is given, and is right when it is followed',
    async (code, _, scenario) => {
      const { breaks, follows, options, argv, says = '', remaining = [] } = scenario
      const domain = stage.domain(scenario.domain ?? { mode: 'enforce' })
      breaks(domain)
      const report = await look(domain, options?.(domain), argv?.())
      const given = report.advice.filter((one) => one.code === code)
      expect(given.map(({ text: words }) => words).join('\n')).toContain(says)
      expect(given).toHaveLength(1)
      if (follows === undefined) return
      follows(domain)
      const after = await look(domain)
      expect(adviceCodes(after)).toEqual(remaining)
      expect(after.exit).toBe(remaining.length > 0 ? 1 : 0)
    },
  )

  it('is empty for a domain without faults', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2'] })
    expect(adviceCodes(await look(domain))).toEqual([])
  })

  it('is empty for a domain that takes no mail', async () => {
    const domain = stage.domain()
    domain.dns.fails('null-mx')
    expect(adviceCodes(await look(domain))).toEqual([])
  })

  it('names every faulty line of a policy file', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.policyHost.fails({
      body: 'version: STSv1\nmode: enforced\nmx: https://mx.example\nmax_age: a week\n',
    })
    const { policy, advice } = await look(domain)
    expect(policy?.lines.map(({ problem }) => problem !== null)).toEqual([false, true, true, true])
    for (const line of ['line 2', 'line 3', 'line 4']) expect(advice[0]?.text).toContain(line)
    expect(advice[0]?.text).toContain('did you mean "enforce"?')
  })

  it('puts faults that disable the policy before improvements', async () => {
    const domain = stage.domain({ mode: 'enforce', id: '20250801T120000Z' })
    domain.policyHost.fails({
      headers: { 'content-type': 'text/html', 'last-modified': 'Fri, 05 Sep 2025 10:00:00 GMT' },
    })
    setTxt(`_smtp._tls.${domain.name}`, [])
    const { advice } = await look(domain)
    expect(advice.map(({ code }) => code)).toEqual([
      'policy-html',
      'mx-ipv6-missing',
      'tlsrpt-missing',
    ])
    expect(advice.map(({ urgency }) => urgency)).toEqual(['now', 'later', 'later'])
  })

  it('puts faults that refuse mail now before those that may do so soon', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const { name, ipv4 } = domain.policyHost
    stage.world.dns.set(name, 'A', ['203.0.113.253', ipv4])
    domain.mx().fails('expired')
    expect(adviceCodes(await look(domain))).toEqual([
      'mx-certificate-expired',
      'policy-host-addresses-differ',
    ])
  })

  it('is given for each MX host, with type and reason as senders report them', async () => {
    const domain = stage.domain({ mode: 'enforce', mx: ['mx1', 'mx2', 'mx3'] })
    domain.mx('mx1').fails('expired')
    domain.mx('mx2').fails('expired')
    domain.mx('mx3').fails('no-starttls')
    const { advice } = await look(domain)
    const aboutHosts = advice.filter(({ host }) => host !== null)
    expect(aboutHosts.map(({ text: _, ...rest }) => rest)).toEqual([
      ...['mx1', 'mx2'].map((label) => ({
        code: 'mx-certificate-expired',
        urgency: 'now',
        host: `${label}.${domain.name}`,
        resultType: 'certificate-expired',
        reason: null,
      })),
      {
        code: 'mx-without-starttls',
        urgency: 'now',
        host: `mx3.${domain.name}`,
        resultType: 'starttls-not-supported',
        reason: 'not-offered',
      },
    ])
  })

  it.each([
    ['two-records', 'sts-policy-invalid', 'several-records'],
    ['malformed-record', 'sts-policy-invalid', 'malformed-record'],
    ['servfail', 'sts-policy-fetch-error', 'dns-failure'],
  ] as const)('reports a faulty record as senders do: %s', async (fault, resultType, reason) => {
    const domain = stage.domain({ mode: 'enforce' })
    domain.dns.fails(fault)
    const { record: check, advice } = await look(domain)
    expect(check).toMatchObject({ resultType, reason })
    expect(advice[0]).toMatchObject({ resultType, reason })
  })

  it('blames no MX host under mode none, nor without a policy', async () => {
    for (const options of [{ mode: 'none' as const }, {}]) {
      const domain = stage.domain(options)
      domain.mx().fails('self-signed')
      const { advice, mx: check } = await look(domain)
      expect(check.hosts[0]).toMatchObject({ inPolicy: null, problem: null })
      const about = advice.find(({ code }) => code === 'mx-certificate-self-signed')
      expect(about?.urgency).toBe('later')
      const { stdout } = await stage.cli(['check', '--connect', domain.name])
      expect(stdout).toMatch(/^! MX 10 /m)
      expect(stdout).not.toMatch(/^✗ MX/m)
    }
  })

  it('says that the id was not changed where a sender holds another policy under it', async () => {
    const domain = stage.domain({ mode: 'enforce' })
    const path = join(stage.folder, 'held.sqlite')
    const again = () => stage.cli(['check', domain.name, '--store', `sqlite:${path}`])
    if (!hasSqlite()) {
      expect(await again()).toMatchObject({ status: 3 })
      return
    }
    const store = sqliteStore(path)
    const [fetchedAt, usedAt] = [Date.now(), Date.now()]
    const body = 'version: STSv1\nmode: testing\nmx: mx.old.example\nmax_age: 86400\n'
    const held = { body, fetchedAt, usedAt, expiresAt: fetchedAt + DAY }
    await store.set(domain.name, { id: domain.id ?? '', ...held })
    expect((await again()).stdout.replace(/\s+/g, ' ')).toContain(`its id is still ${domain.id}`)
    domain.policy({ id: 'another1' })
    expect((await again()).stdout).not.toContain('its id is still')
    await store.close?.()
  })
})

describe('the time that an id stands for', () => {
  const NOW = Date.UTC(2026, 10, 22)

  it.each([
    ['20260801', Date.UTC(2026, 7, 1)],
    ['2026080103', Date.UTC(2026, 7, 1)],
    ['20260801T120000Z', Date.UTC(2026, 7, 1)],
    ['1785542400', Date.UTC(2026, 7, 1)],
    ['1785542400000', Date.UTC(2026, 7, 1)],
  ])('%s', (id, time) => {
    expect(latestTimeOf(id, NOW)).toBe(time + 2 * DAY)
  })

  it.each(['1', 'abc', '20261399', '19990101', '20990101', '99999999999'])('%s: none', (id) => {
    expect(latestTimeOf(id, NOW)).toBeUndefined()
  })
})
